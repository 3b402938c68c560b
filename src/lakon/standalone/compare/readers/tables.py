"""Rows with named fields: JSONL, CSV, Parquet; among them NeMo-Skills' `output-rs*.jsonl`, with names of its own."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lakon.core.errors import InputError
from lakon.stages.problems.rows import read_path
from lakon.standalone.compare.bounded import LONGEST_LINE, read_json, read_lines, read_text_lines
from lakon.standalone.compare.readers.values import (
    FieldNames,
    find_first,
    read_count,
    read_grade,
    read_id,
    read_index,
    read_text,
)
from lakon.standalone.compare.results import UNSCORED, ResultBuilder, SampleRow

Rows = Iterator[tuple[str, Mapping[str, Any] | None]]
"""Where a row stands, and the row; None for one that cannot be read."""

USUAL: dict[str, tuple[str, ...]] = {
    "id": ("id", "problem_id", "task_id", "question_id", "doc_id", "unique_id"),
    "problem": ("problem", "question", "prompt", "input"),
    "answer": ("answer", "prediction", "response", "generation", "completion", "output"),
    "reference": ("reference", "gold", "target", "expected_answer", "ground_truth"),
    "correct": ("correct", "is_correct", "outcome", "grade", "score", "symbolic_correct", "judge_correct"),
    "tokens": ("tokens", "n_tokens", "num_generated_tokens", "completion_tokens", "output_tokens"),
    "sample": ("sample", "sample_index", "epoch"),
    "finish": ("finish_reason", "stop_reason"),
    "benchmark": ("benchmark", "task"),
}
"""The fields that are looked for where none was named."""
_NEMO = {"generation", "expected_answer"}
_SEED = re.compile(r"output-rs(\d+)")
_CUT = ("length", "max_tokens", "model_length")


def is_nemo_skills(row: Mapping[str, Any]) -> bool:
    """Whether a JSON object is a row of NeMo-Skills' outputs."""
    return row.keys() >= _NEMO and ("predicted_answer" in row or "num_generated_tokens" in row or "problem" in row)


def read_nemo_skills(path: Path, into: ResultBuilder, names: FieldNames) -> None:
    """Take the rows of one seed: the number in the file's name is the number of the sample."""
    seed = _SEED.match(path.name)
    sample = int(seed[1]) if seed else 0
    _read_rows(read_json_rows(path), into, names, sample=sample)


def read_table(path: Path, into: ResultBuilder, names: FieldNames, kind: str) -> None:
    """Take the rows of a file of `kind` `jsonl`, `csv` or `parquet`. Raises `InputError`."""
    rows = {"jsonl": read_json_rows, "csv": _csv_rows, "parquet": read_parquet_rows}[kind](path)
    _read_rows(rows, into, names, sample=None)


def read_json_rows(path: Path) -> Rows:
    """The objects of a JSONL file."""
    for number, line in read_lines(path):
        try:
            row = read_json(line) if line is not None else None
        except ValueError:
            row = None
        yield f"{path}:{number}", row if isinstance(row, dict) else None


def _csv_rows(path: Path) -> Rows:
    csv.field_size_limit(LONGEST_LINE)  # Python's own limit is shorter than many a response
    reader = csv.DictReader(read_text_lines(path))
    try:
        for row in reader:
            yield f"{path}:{reader.line_num}", _named_cells(row)
    except csv.Error as error:
        raise InputError(f"no CSV: {error}", "rows with a header", "check the file", where=str(path)) from error


def _named_cells(row: Mapping[Any, Any]) -> dict[str, Any]:
    """The cells that have a name; a file that begins with a byte order mark has it in its first name."""
    return {name.removeprefix("\ufeff"): value for name, value in row.items() if name is not None}


def read_parquet_rows(path: Path) -> Rows:
    """The rows of a Parquet file, some thousand at a time. Raises `InputError`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=2_000):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}:row {number}", row
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"no Parquet: {error}", "a Parquet file", "check the file", where=str(path)) from error


class _Reader:
    """The fields of a file: those that were named, and of the others those that its rows have."""

    def __init__(self, names: FieldNames) -> None:
        self._named = {each: getattr(names, each) for each in (*USUAL, "cluster") if getattr(names, each)}
        self._n_without = dict.fromkeys(self._named, 0)
        self.n_rows = 0

    def value(self, row: Mapping[str, Any], field: str) -> Any:
        """What the row has for a field."""
        name = self._named.get(field)
        return read_path(row, name) if name else find_first(row, USUAL.get(field, ()))

    def has(self, row: Mapping[str, Any], field: str) -> bool:
        """Whether the row has a field, if only a null in it."""
        name = self._named.get(field)
        return name is not None or not row.keys().isdisjoint(USUAL[field])

    def note_missing(self, row: Mapping[str, Any]) -> None:
        """Count the named fields that a row lacks."""
        self.n_rows += 1
        for field, name in self._named.items():
            self._n_without[field] += name.split(".")[0] not in row and name not in row

    def check(self, into: ResultBuilder, known: list[str]) -> None:
        """Raise `InputError` for a field that was named and that no row has."""
        for field, n in self._n_without.items():
            if self.n_rows and n == self.n_rows:
                found = f"no row has the field {self._named[field]!r}"
                remedy = f"correct {field}= of --fields"
                raise InputError(found, f"one of: {', '.join(known[:12])}", remedy, where=", ".join(into.files[-1:]))


def _read_rows(rows: Rows, into: ResultBuilder, names: FieldNames, *, sample: int | None) -> None:
    reader = _Reader(names)
    known: dict[str, None] = {}
    for where, row in rows:
        if row is None:
            into.refuse(where, "no JSON object, or a line that is too long")
            continue
        reader.note_missing(row)
        if reader.n_rows <= 100:
            known.update(dict.fromkeys(map(str, row)))
        try:
            into.add(_sample(row, reader, sample), where)
        except ValueError as error:
            into.refuse(where, str(error))
    reader.check(into, list(known))


def _sample(row: Mapping[str, Any], reader: _Reader, sample: int | None) -> SampleRow:
    text = read_text(reader.value(row, "problem"))
    problem_id = read_id(reader.value(row, "id")) or text
    if not problem_id:
        raise ValueError("neither an id nor a problem")
    grade = reader.value(row, "correct")
    finish = read_text(reader.value(row, "finish"))
    index = reader.value(row, "sample") if sample is None else sample
    cluster = reader.value(row, "cluster")
    return SampleRow(
        problem_id=problem_id,
        text=text,
        reference=read_text(reader.value(row, "reference")) or None,
        answer=read_text(reader.value(row, "answer")),
        sample=read_index(index),
        grade=read_grade(grade) if reader.has(row, "correct") else UNSCORED,
        tokens=read_count(reader.value(row, "tokens")),
        finished=finish not in _CUT and grade != "truncated",
        cluster=read_text(cluster) or None,
        benchmark=read_text(reader.value(row, "benchmark")),
    )


def is_csv(head: bytes) -> bool:
    """Whether the beginning of a file reads as a table with a header of several names."""
    try:
        first = next(csv.reader(io.StringIO(head.decode("utf-8", "strict").partition("\n")[0])), [])
    except (UnicodeDecodeError, csv.Error):
        return False
    return len(first) > 1 and all(0 < len(name) < 100 and name.isprintable() for name in first)
