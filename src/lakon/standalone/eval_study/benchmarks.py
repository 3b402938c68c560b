"""Benchmarks as a command line names them: one of Lakon's own table, or a file, whose fields are found by their usual
names."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from lakon.core.errors import InputError, near_miss
from lakon.stages.problems.rows import read_jsonl, read_path
from lakon.standalone.eval_study.authors import make_name
from lakon.study.benchmarks import BENCHMARKS

PROMPTS = ("problem", "question", "prompt", "input", "query")
"""The usual names of the field with a problem's text."""
REFERENCES = ("answer", "reference", "gold", "target", "final_answer", "expected_answer", "solution")
"""The usual names of the field with its right answer."""
_LOOKED_AT = 20
_GSM8K_MARK = "####"


class EvaluatedBenchmark(NamedTuple):
    """One benchmark as the study will have it."""

    name: str
    table: dict[str, Any] | None
    """`[benchmarks.NAME]`; None for one of Lakon's table as it is there."""


def read_benchmarks(
    words: Sequence[str], *, count: int | None, prompt_field: str | None, reference_field: str | None
) -> list[EvaluatedBenchmark]:
    """Each benchmark that was named: `words` may hold several, apart by commas. `count` draws so many problems.

    Raises `InputError` for what is neither a known benchmark nor a file, and for a file whose fields cannot be told.
    """
    found: list[EvaluatedBenchmark] = []
    for part in ",".join(words).split(","):
        word = part.strip()
        if not word:
            continue
        if word in BENCHMARKS:
            known = BENCHMARKS[word]
            table = None if count is None else {**known.model_dump(exclude_unset=True, mode="json"), "count": count}
            found.append(EvaluatedBenchmark(word, None if table is None else {"kind": known.kind, **table}))
            continue
        path = Path(word).expanduser()
        if not path.exists():
            raise InputError(
                f"{word!r}, which is no benchmark and no file",
                near_miss(word, BENCHMARKS),
                "name a benchmark, or a JSONL or Parquet file",
            )
        name = make_name(path.stem, taken=[each.name for each in found])
        found.append(EvaluatedBenchmark(name, _table_of_file(path, count, prompt_field, reference_field)))
    if not found:
        raise InputError("no benchmark", near_miss("", BENCHMARKS), "name at least one: --on gsm8k")
    return found


def _table_of_file(
    path: Path, count: int | None, prompt_field: str | None, reference_field: str | None
) -> dict[str, Any]:
    kind = "parquet" if path.is_dir() or path.suffix == ".parquet" else "jsonl"
    rows = _first_rows(path, kind)
    if not rows:
        raise InputError("a file without rows", "at least one problem", "check the path", where=str(path))
    prompt = prompt_field or _find(PROMPTS, rows[0], path, "--problem-field")
    reference = reference_field or _find(REFERENCES, rows[0], path, "--answer-field")
    table: dict[str, Any] = {
        "kind": kind,
        "path": str(path.resolve()),
        "prompt_field": prompt,
        "reference_field": reference,
    }
    if all(_GSM8K_MARK in str(read_path(row, reference)) for row in rows):
        table["reference_after"] = _GSM8K_MARK
    if count is not None:
        table["count"] = count
    return table


def _first_rows(path: Path, kind: str) -> list[Any]:
    if kind == "jsonl":
        return [row for _, row in islice(read_jsonl(path), _LOOKED_AT)]
    from lakon.backends.datasets import parquet

    columns = parquet.read_columns(path)
    return [row for _, row in islice(parquet.read_rows(path, list(columns)), _LOOKED_AT)]


def _find(usual: Sequence[str], row: Collection[str], path: Path, option: str) -> str:
    for name in usual:
        if name in row:
            return name
    raise InputError(
        f"none of the fields {', '.join(usual)}",
        f"one of them; the rows have {', '.join(sorted(map(str, row)))}",
        f"name it with {option}",
        where=str(path),
    )
