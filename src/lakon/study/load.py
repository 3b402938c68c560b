"""Reading studies: TOML to a checked `Study`, with everything that is wrong said at once, before anything is paid for.

Touches no network and imports no heavy library. A fault names its place in the file, what was found, what was expected
and what to do; names that nothing has come with the nearest one that something has.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from lakon.core.errors import Fault, InputError, StudyError, near_miss
from lakon.stages.generate.specs import TeacherSpec
from lakon.stages.problems.sources import SourceSpec
from lakon.stages.train.train import Student
from lakon.stages.verify.verify import Verify
from lakon.study.consistency import NO_FILE, faults_of
from lakon.study.pydantic_errors import faults_from, is_broken, sound_rest
from lakon.study.schema import SHIPPED, Run, Study


def load_study(path: str | Path, *, overrides: Mapping[str, str] | None = None) -> Study:
    """Read, validate and check a study: a path, or the name of a shipped one. Raises `StudyError` with every fault."""
    study, faults = survey_study(path, overrides=overrides)
    if faults or study is None:
        raise StudyError(faults, study=find_study(path).name)
    return study


def survey_study(path: str | Path, *, overrides: Mapping[str, str] | None = None) -> tuple[Study | None, list[Fault]]:
    """A study with everything that is wrong with it: where something is, only its sound parts, so that they can be
    looked at as well. None when there are none. Raises `LakonError` for a file that cannot be read.
    """
    file = find_study(path)
    raw = _read_toml(file)
    for key, text in (overrides or {}).items():
        _override(raw, key, text)
    study, faults = _parsed(raw)
    if study is None:
        return None, faults
    study = _resolve_paths(study, file.parent if file.parent != SHIPPED else Path.cwd())
    return study, faults + _between(study, faults)


def find_study(path: str | Path) -> Path:
    """The file of a study given by path or by a shipped study's name. Raises `InputError`."""
    file = Path(path)
    if file.suffix == ".toml" or file.is_file():
        if not file.is_file():
            raise InputError(f"no file {str(path)!r}", "a study file in TOML", "check the path, or see `lakon studies`")
        return file
    names = {p.stem: p for p in SHIPPED.glob("*.toml")}
    if str(path) not in names:
        raise InputError(
            f"no study {str(path)!r}",
            near_miss(str(path), names),
            "give a path to a TOML file or a name from `lakon studies`",
        )
    return names[str(path)]


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        twice = "Cannot declare" in message or "overwrite" in message
        expected = "every table and key once (two teachers or arms need two names)" if twice else "valid TOML"
        todo = "rename or remove one of the two" if twice else "mend the line"
        raise StudyError([Fault(str(file), message, expected, todo)], study=file.name) from error
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(
            [Fault(str(file), str(error), "a readable UTF-8 text file", "check the file")], study=file.name
        ) from error


def parse_study(raw: Mapping[str, Any], *, name: str = "the study") -> Study:
    """Plain values to a `Study`; every fault that the types show and those between the sound parts, at once."""
    study, faults = _parsed(raw)
    if faults or study is None:
        raise StudyError(faults + (_between(study, faults) if study is not None else []), study=name)
    return study


def _parsed(raw: Mapping[str, Any]) -> tuple[Study | None, list[Fault]]:
    """What the types accept, and a fault for everything else."""
    try:
        return Study.model_validate(raw), []
    except ValidationError as error:
        return sound_rest(raw, error.errors()), faults_from(error.errors())


def _between(study: Study, faults: list[Fault]) -> list[Fault]:
    """What is wrong between the sound parts, without what only the broken ones bring about."""
    no_source = is_broken("problems", faults)
    below = tuple(f"{other.where}." for other in faults)
    return [
        fault
        for fault in faults_of(study)
        if not is_broken(fault.where, faults)
        and not fault.where.startswith(below)
        and not (no_source and fault.found == NO_FILE)
    ]


def _override(raw: dict[str, Any], key: str, text: str) -> None:
    """Set a dotted key that the file already has. Raises `InputError`."""
    *parents, last = key.split(".")
    at: Any = raw
    for depth, part in enumerate([*parents, last]):
        known = list(at) if isinstance(at, dict) else [str(i) for i in range(len(at))] if isinstance(at, list) else []
        if part not in known:
            raise InputError(
                f"--set {key}: the study has no {'.'.join([*parents, last][: depth + 1])!r}",
                near_miss(part, known),
                "set a key that the file already has, or edit the file",
            )
        if depth < len(parents):
            at = at[int(part)] if isinstance(at, list) else at[part]
    if isinstance(at, list):
        at[int(last)] = _toml_value(text)
    else:
        at[last] = _toml_value(text)


def _toml_value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


Located = TypeVar("Located", bound=TeacherSpec | SourceSpec)


def _resolve_paths(study: Study, base: Path) -> Study:
    """Relative paths of files are relative to the study file."""

    def absolute(spec: Located) -> Located:
        path = spec.model_dump(include={"path"}).get("path")
        if not path:
            return spec
        local = base / Path(path).expanduser()
        keep_hub_id = spec.may_be_on_hub and not local.exists()
        return spec if keep_hub_id else spec.model_copy(update={"path": str(local.resolve())})

    def local_model(name: str) -> str:
        return str((base / name).resolve()) if (base / name).is_dir() else name

    students: list[Student] = []
    for student in study.students:
        trained = {arm: local_model(name) for arm, name in student.trained.items()}
        students.append(student.model_copy(update={"base": local_model(student.base), "trained": trained}))
    return study.model_copy(
        update={
            "problems": absolute(study.problems),
            "teachers": {name: absolute(teacher) for name, teacher in study.teachers.items()},
            "benchmarks": {name: absolute(source) for name, source in study.benchmarks.items()},
            "evaluate": study.evaluate.model_copy(
                update={"authors": {name: absolute(author) for name, author in study.evaluate.authors.items()}}
            ),
            "verify": _rulings_at(study, base),
            "students": tuple(students),
            "run": _store_at(study, base),
        }
    )


def _store_at(study: Study, base: Path) -> Run:
    path = study.run.store
    found = None if path is None else str((base / Path(path).expanduser()).resolve())
    return study.run.model_copy(update={"store": found})


def _rulings_at(study: Study, base: Path) -> Verify:
    path = study.verify.overrides
    found = None if path is None else str((base / Path(path).expanduser()).resolve())
    return study.verify.model_copy(update={"overrides": found})
