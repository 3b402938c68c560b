"""From a source's spec to its rows: which adapter reads it, and at which commit of a data set on the hub.

Problems and recorded traces are read here, so that both have the same kinds of source.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from lakon.core.digest import digest
from lakon.core.errors import LakonError
from lakon.core.plugins import find_plugin
from lakon.core.records import Exclusion, Problem
from lakon.pipeline.places import files_digest
from lakon.stages.generate.specs import RecordedTeacher
from lakon.stages.problems.rows import Rows, read_jsonl
from lakon.stages.problems.sources import (
    HuggingFaceProblems,
    JsonlProblems,
    NoProblems,
    ParquetProblems,
    ProblemSource,
    SyntheticProblems,
    generate_problems,
    problems_of_rows,
)

WORD_PROBLEMS = {"word-problems": "lakon.miniature.problems:generate"}


def revision_of(source: ProblemSource) -> str | None:
    """The commit that is read now; None for what is not on the hub. Raises `InputError` when it cannot be had."""
    if not isinstance(source, HuggingFaceProblems):
        return None
    from lakon.backends.datasets import huggingface

    return huggingface.resolve_commit(source.path, source.revision)


def problem_rows(source: ProblemSource, revision: str | None) -> Iterable[Problem | Exclusion]:
    """A source's rows as problems; those that are none are exclusions."""
    if isinstance(source, NoProblems):
        return ()
    if isinstance(source, SyntheticProblems):
        path = WORD_PROBLEMS.get(source.generator, source.generator)
        return generate_problems(source, find_plugin(path, {}, "generator"))
    return problems_of_rows(_rows(source, source.fields, revision), source)


def trace_rows(
    teacher: RecordedTeacher, source: ProblemSource | None, revision: str | None
) -> tuple[Callable[[], Rows], str]:
    """A way to read a recorded teacher's rows, and what they are: the digest of their files or the data set's name."""
    if teacher.path is not None:
        return functools.partial(_of_path, Path(teacher.path), teacher.fields), files_digest(teacher.path)
    if source is None or isinstance(source, SyntheticProblems | NoProblems):
        raise LakonError(
            "a recorded teacher without a path, and problems that are made",
            "files of traces",
            "give the teacher a path = ...",
        )
    named = (source.config, source.split, source.revision) if isinstance(source, HuggingFaceProblems) else ()
    who = files_digest(source.path) or digest([source.path, *named])
    return functools.partial(_rows, source, teacher.fields, revision), who


def _rows(
    source: JsonlProblems | ParquetProblems | HuggingFaceProblems, fields: Sequence[str], revision: str | None
) -> Rows:
    if not isinstance(source, HuggingFaceProblems):
        return _of_path(Path(source.path), fields, kind=source.kind)
    from lakon.backends.datasets import huggingface

    return huggingface.read_rows(
        source.path, config=source.config, split=source.split, revision=revision or source.revision, fields=fields
    )


def _of_path(path: Path, fields: Sequence[str], kind: str | None = None) -> Rows:
    """Files as their kind says, or as their names do. Columns that are not in `fields` are not read from Parquet."""
    if (kind or ("parquet" if path.is_dir() or path.suffix == ".parquet" else "jsonl")) == "jsonl":
        return read_jsonl(path)
    from lakon.backends.datasets import parquet

    return parquet.read_rows(path, fields)
