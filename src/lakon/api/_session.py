"""What every verb begins with: the study that was meant, its store, its plan, and the steps that were named."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from lakon.core.errors import InputError, StudyError, near_miss
from lakon.pipeline.plan import Plan
from lakon.pipeline.resources import RunResources
from lakon.store.artifacts import Store
from lakon.store.runner import StepState
from lakon.study.consistency import faults_of
from lakon.study.load import load_study
from lakon.study.schema import Study

StudyLike = Study | str | Path


def open_study(study: StudyLike, overrides: Mapping[str, str] | None = None) -> Study:
    """The study that a verb was given, read and checked. Raises `StudyError` with every fault."""
    if not isinstance(study, Study):
        return load_study(study, overrides=overrides)
    refuse_changes(overrides)
    faults = faults_of(study)
    if faults:
        raise StudyError(faults, study=study.name)
    return study


def refuse_changes(overrides: Mapping[str, str] | None) -> None:
    """Raise `InputError` for changes to a study that has been read already: they belong to its file."""
    if overrides:
        found = f"overrides of {', '.join(overrides)} for a Study that is loaded already"
        raise InputError(
            found, "overrides of a study file", "load_study(path, overrides=...), and give what it returns"
        )


def open_store(study: Study | None = None, store: str | Path | None = None) -> Store:
    """The store: `store`, else `LAKON_STORE`, else the study's `run.store`, else `.lakon` in the working folder."""
    named = store or os.environ.get("LAKON_STORE") or (study.run.store if study else None) or ".lakon"
    return Store(Path(named).expanduser().resolve())


@contextlib.contextmanager
def open_resources(plan: Plan, store: Store, stop: threading.Event | None = None) -> Iterator[RunResources]:
    """What the steps of a run share, which is closed at the end."""
    resources = RunResources(plan.study.run, plan.places, store, stop)
    try:
        yield resources
    finally:
        resources.close()


def check_steps(names: Iterable[str], states: Sequence[StepState]) -> None:
    """Raise `InputError` for a name that is neither a step nor a stage of the plan."""
    known = {state.step.name for state in states} | {state.step.stage for state in states}
    for name in names:
        if name not in known:
            raise InputError(f"no step or stage {name!r}", near_miss(name, known), "see `lakon plan STUDY`")


def is_named(name: str, state: StepState) -> bool:
    """Whether `name` is this step's, or its stage's."""
    return name in (state.step.name, state.step.stage)
