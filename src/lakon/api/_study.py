"""Before a study is run: shipped ones to begin from, and everything that is wrong with one's own."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path

from lakon.api._session import StudyLike, refuse_changes
from lakon.core.errors import Fault, InputError, LakonError
from lakon.pipeline.preflight.not_checked import Unseen, unseen
from lakon.pipeline.preflight.recorded_traces import trace_faults
from lakon.pipeline.preflight.references import reference_faults
from lakon.pipeline.preflight.serving import serving_faults
from lakon.pipeline.preflight.training_memory import memory_faults
from lakon.pipeline.preflight.training_settings import training_faults
from lakon.study.consistency import faults_of, run_faults
from lakon.study.load import find_study, survey_study
from lakon.study.schema import SHIPPED, Study


def studies() -> dict[str, str]:
    """Shipped studies: name to title."""
    return {
        path.stem: tomllib.loads(path.read_text(encoding="utf-8"))["title"] for path in sorted(SHIPPED.glob("*.toml"))
    }


def new(file: str | Path, *, source: str = "miniature") -> Path:
    """Copy a shipped study to `file`, to edit. Raises `InputError` rather than overwrite."""
    target = Path(file)
    if not target.parent.is_dir():
        raise InputError(f"no folder {str(target.parent)!r}", "a folder that exists", "make it, or choose another")
    if target.exists():
        raise InputError(f"{str(target)!r} is there already", "a new file", "choose another name, or remove it")
    shutil.copyfile(find_study(source), target)
    return target


def check(study: StudyLike, *, overrides: Mapping[str, str] | None = None) -> list[Fault]:
    """Everything that stands in the way of running: faults of the file, missing files, endpoints and keys, trainings
    that do not fit into the stated memory; and, as warnings, references that the verifier cannot use and traces that no
    problem is matched by. Where the file has faults, what can be said of its sound parts is said as well."""
    if isinstance(study, Study):
        refuse_changes(overrides)
    try:
        loaded, faults = (
            (study, faults_of(study)) if isinstance(study, Study) else survey_study(study, overrides=overrides)
        )
    except LakonError as error:
        return list(error.faults)
    if loaded is None:
        return faults
    found = [*run_faults(loaded), *training_faults(loaded, faults), *memory_faults(loaded, faults)]
    found += serving_faults(loaded, faults)
    return [*faults, *found, *reference_faults(loaded, faults), *trace_faults(loaded, faults)]


def list_unchecked(study: StudyLike, *, overrides: Mapping[str, str] | None = None) -> list[Unseen]:
    """What `check` leaves to a pilot or a run, since it asks nobody: endpoints, data sets and models of the hub. Of a
    study with faults, that of its sound parts."""
    if isinstance(study, Study):
        refuse_changes(overrides)
        return unseen(study)
    try:
        loaded, _ = survey_study(study, overrides=overrides)
    except LakonError:  # `check` tells of it
        return []
    return unseen(loaded) if loaded is not None else []
