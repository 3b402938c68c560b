"""Recorded traces looked at before a study starts: fields that rows do not have, and texts that are no problem of it.

Only files are read, and of each only the beginning, row by row: a trace may be long. What the run would stop at is a
fault, named by the study's field; that no trace belongs to any problem is a warning: the run would leave them all out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from lakon.core.errors import Fault, InputError, near_miss
from lakon.pipeline import sources
from lakon.stages.generate.specs import RecordedTeacher
from lakon.stages.problems.rows import matches_values, read_path, require_path
from lakon.study.pydantic_errors import is_broken
from lakon.study.schema import Study

LOOKED_AT = 2_000
"""Rows of a teacher that are looked at."""
READ = 20_000
"""Rows of a file that are read to find them: those of one teacher may come late."""
_NEEDED = ("problem_field", "answer_field", "text_field", "messages_field")
"""Fields without which the run stops."""
_OPTIONAL = ("reasoning_field", "finish_field", "tokens_field")
"""Fields that a row may lack; every row does only when the name is wrong."""


@dataclass(slots=True)
class _Look:
    """What the beginning of a file shows of one teacher."""

    n_read: int = 0
    n_rows: int = 0
    """Those that fit `where`."""
    keys: set[str] = field(default_factory=set[str])
    values: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    """Of the fields of `where`."""
    found: set[str] = field(default_factory=set[str])
    """Which of the optional fields any row has."""
    texts: dict[str, None] = field(default_factory=dict[str, None])
    """What the traces are about, without regard to white space."""


def trace_faults(study: Study, known: Sequence[Fault] = ()) -> list[Fault]:
    """What the beginning of every recorded teacher's file shows. Teachers of whom a fault is known are left alone."""
    no_problems = is_broken("problems", known)
    of_files = not no_problems and study.problems.file_path is not None
    faults: list[Fault] = []
    for name, teacher in study.recorded.items():
        where = f"teachers.{name}"
        if is_broken(where, known):
            continue
        if teacher.path is not None or of_files:
            try:
                faults += _of_teacher(where, teacher, study, matched=of_files)
            except InputError as error:
                faults.append(error.fault)
    return faults


def _of_teacher(where: str, teacher: RecordedTeacher, study: Study, *, matched: bool) -> list[Fault]:
    if missing := _missing_columns(where, teacher, study):
        return missing
    look = _look(where, teacher, study)
    if not look.n_rows:
        return [_nothing_fits(where, teacher, look)]
    never = [
        Fault(
            f"{where}.{name}",
            f"none of {look.n_rows:,} rows has a field {path!r}",
            near_miss(path, look.keys),
            f"correct {where}.{name}, or remove it",
            "warning",
        )
        for name in _OPTIONAL
        if (path := teacher.named_fields.get(name)) is not None and name not in look.found
    ]
    return never + (_unmatched(where, look, study) if matched else [])


def _look(where: str, teacher: RecordedTeacher, study: Study) -> _Look:
    """Read the beginning. Raises `InputError`, at the study's field, for a row that the run would stop at."""
    rows, _ = sources.trace_rows(teacher, study.problems, None)
    look = _Look(values={name: set() for name in teacher.where})
    for at, row in islice(rows(), READ):
        look.n_read += 1
        look.keys.update(map(str, row))
        for name, values in look.values.items():
            value = read_path(row, name)
            values.update(() if value is None else [str(value)])
        if not matches_values(row, teacher.where):
            continue
        for name in _NEEDED:
            if (path := teacher.named_fields.get(name)) is not None:
                require_path(row, path, at, field=f"{where}.{name}")
        look.found |= {
            name for name in _OPTIONAL if (p := teacher.named_fields.get(name)) and read_path(row, p) is not None
        }
        look.texts[_squeezed(read_path(row, teacher.problem_field))] = None
        look.n_rows += 1
        if look.n_rows == LOOKED_AT:
            break
    return look


def _nothing_fits(where: str, teacher: RecordedTeacher, look: _Look) -> Fault:
    """A fault when the whole file was read, else a warning."""
    level = "fault" if look.n_read < READ else "warning"
    for name, value in teacher.where.items():
        seen = look.values[name]
        if value not in seen:
            found = f"{name} = {value!r} in none of {look.n_read:,} rows"
            expected = near_miss(value, seen) if seen else near_miss(name, look.keys)
            return Fault(f"{where}.where", found, expected, "correct the name or the value", level)
    if not look.n_read:
        return Fault(f"{where}.path", "a file without rows", "at least one trace", "check the path")
    found = f"none of {look.n_read:,} rows has all of these values at once"
    return Fault(f"{where}.where", found, "at least one trace", "correct the values, or drop one", level)


def _missing_columns(where: str, teacher: RecordedTeacher, study: Study) -> list[Fault]:
    """Of Parquet, whose columns are known without a row, every field that is not there."""
    path = Path(teacher.path or study.problems.file_path or "")
    if not (path.is_dir() or path.suffix == ".parquet"):
        return []
    from lakon.backends.datasets import parquet

    columns = parquet.read_columns(path)
    named: list[tuple[str, str | None]] = [(name, teacher.named_fields.get(name)) for name in (*_NEEDED, *_OPTIONAL)]
    named += [("where", name) for name in teacher.where]
    return [
        Fault(
            f"{where}.{name}",
            f"no column for {path_!r} in {path.name}",
            near_miss(path_.split(".")[0], columns),
            f"correct {where}.{name}",
        )
        for name, path_ in named
        if path_ is not None and path_ not in columns and path_.split(".")[0] not in columns
    ]


def _unmatched(where: str, look: _Look, study: Study) -> list[Fault]:
    """Whether any problem's text is that of a trace. Reading ends at the first one that is."""
    try:
        problems = sources.problem_rows(study.problems, None)
        if any(_squeezed(getattr(problem, "prompt", None)) in look.texts for problem in problems):
            return []
    except InputError as error:
        return [] if study.problems.lines_path is not None else [error.fault]  # references say it of JSONL
    found = f"none of the first {look.n_rows:,} traces is about a problem of the study"
    shown = repr(next(iter(look.texts))[:60])
    todo = f"the texts must be the same, but for white space; the first trace's is {shown}: is this the right field?"
    return [Fault(f"{where}.problem_field", found, "traces of the study's problems", todo, "warning")]


def _squeezed(text: object) -> str:
    return "" if text is None else " ".join(str(text).split())
