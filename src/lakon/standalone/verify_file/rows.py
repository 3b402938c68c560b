"""One line of FILE as a row to grade, and its verdict as the end of a row of OUT.

Invariant: what a line says is never written anew. The row of OUT begins with the bytes of its line, so that long
numbers, key order and spelling stay as they were, and two files can be compared without reading values.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from lakon.core.errors import InputError, near_miss
from lakon.core.protocols import Answered, Grading
from lakon.core.records import Outcome
from lakon.stages.problems.rows import read_path

NO_ROW = "no-row"
"""The method of a row that has nothing to grade."""
VERDICT = ("outcome", "extracted", "method", "verifier")
OURS = (*VERDICT, "fault", "raw_line")
"""Every field that a row of OUT may have beside its own, before `Fields.prefix`: `fault` says why there is no verdict,
`raw_line` holds what was no JSON object."""
UNSTEADY = frozenset((Outcome.TIMEOUT, Outcome.ERROR))
"""Outcomes that another attempt may change; their rows say why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """Which fields of a row are graded; dotted paths lead into objects, lists and JSON text."""

    gold: str = "gold"
    prediction: str = "prediction"
    finish: str | None = None
    """The finish reason, if the rows have one: `length` makes an unfinished answer `truncated`."""
    prefix: str = ""
    """What stands before the names of our own fields, for rows that have fields called so."""

    def rename_own(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Our fields as they are named in OUT."""
        return {f"{self.prefix}{name}": value for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of FILE: what its row in OUT begins with, what is graded, and why nothing is, if so."""

    number: int
    start: bytes
    answered: Answered
    fault: str = ""


def parse_line(line: bytes) -> Any:
    """A line as values. orjson refuses NaN and lone surrogates, which Python's json writes: then numbers are texts."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return _as_written(line)


def _as_written(line: bytes) -> Any:
    return json.loads(line.decode("utf-8"), parse_int=str, parse_float=str)


def row_of(number: int, line: bytes, fields: Fields) -> Row:
    """A line as a row to grade, or as one that says why it cannot be graded. Never raises."""
    try:
        values = parse_line(line)
    except (ValueError, RecursionError) as error:
        return _no_object(number, line, fields, f"no JSON: {error}")
    if not isinstance(values, dict):
        return _no_object(number, line, fields, f"a JSON {type(values).__name__}, not an object")
    clashes = [name for name in fields.rename_own(dict.fromkeys(OURS)) if name in values]
    if clashes:
        return _no_object(number, line, fields, f"has a field {clashes[0]!r} already: a --prefix keeps the two apart")
    start = line[:-1].rstrip() + b"," if values else b"{"
    try:
        return Row(number, start, _answered(values, line, fields))
    except (ValueError, RecursionError) as error:
        return Row(number, start, _NOTHING, str(error))


_NOTHING = Answered(reference="", answer="")
"""What is given to the verifier for a row without an answer, so that there is one grading a row."""


def _no_object(number: int, line: bytes, fields: Fields, fault: str) -> Row:
    text = format_line(fields.rename_own({"raw_line": line.decode("utf-8", errors="backslashreplace")}))
    return Row(number, text[:-1] + b",", _NOTHING, fault)


def _answered(values: dict[str, Any], line: bytes, fields: Fields) -> Answered:
    finish = read_path(values, fields.finish) if fields.finish else None
    return Answered(
        reference=_text(values, line, fields.gold),
        answer=_text(values, line, fields.prediction),
        finish_reason=finish if isinstance(finish, str) else None,
    )


def _text(values: dict[str, Any], line: bytes, path: str) -> str:
    """The text at `path`; a number is its digits, null is empty. Raises `ValueError` saying what stands there."""
    value = read_path(values, path)
    if isinstance(value, float):  # orjson makes floats of numbers too long for 64 bits
        value = read_path(_as_written(line), path)
    if isinstance(value, str):
        return value
    if value is None and _is_there(values, path):
        return ""
    if value is None:
        raise ValueError(f"no field {path!r}")
    if isinstance(value, bool | dict | list) or value != value or value in (float("inf"), float("-inf")):
        raise ValueError(f"field {path!r} is neither text nor a number: {str(value)[:60]}")
    return str(value)


def _is_there(values: object, path: str) -> bool:
    """Whether `path` leads to anything, if only to a null on the way."""
    if read_path(values, path) is not None or (isinstance(values, Mapping) and path in values):
        return True
    above, dot, last = path.rpartition(".")
    if not dot:
        return False
    parent = read_path(values, above)
    if isinstance(parent, str):
        with contextlib.suppress(ValueError):
            parent = json.loads(parent)
    return _is_there(values, above) if parent is None else isinstance(parent, Mapping) and last in parent


def check_head(head: list[tuple[int, bytes]], fields: Fields, file: str) -> None:
    """Refuse a file whose first rows show that it is another kind of file. Raises `InputError`."""
    if not head:
        raise InputError("no rows", "one JSON object a line", "check the file", where=file)
    objects = list(_objects(line for _, line in head))
    if not objects:
        shown = head[0][1][:60].decode("utf-8", errors="replace")
        todo = "check the file; a JSON list becomes JSONL by jq -c '.[]'"
        raise InputError(f"no JSON object in its beginning: {shown!r}", "one JSON object a line", todo, where=file)
    named = {"--field-gold": fields.gold, "--field-prediction": fields.prediction, "--field-finish": fields.finish}
    for option, path in named.items():
        if path is not None and not any(_is_there(row, path) for row in objects):
            expected, todo = near_miss(path, _paths(objects)), f"name the right field with {option}"
            raise InputError(f"no field {path!r} in the first {len(head)} rows", expected, todo, where=file)
    clashes = sorted({name for row in objects for name in fields.rename_own(dict.fromkeys(OURS)) if name in row})
    if clashes:
        todo = (
            "give the verdict's fields other names, as in --prefix graded_; for a file that was graded before, give "
            "the one it was made from"
        )
        raise InputError(f"fields called {', '.join(clashes)}", "rows without fields of those names", todo, where=file)


def _objects(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        with contextlib.suppress(ValueError, RecursionError):
            values = parse_line(line)
            if isinstance(values, dict):
                yield values


def _paths(objects: list[dict[str, Any]]) -> set[str]:
    """The fields that rows have, and those one floor down."""
    below = {f"{k}.{name}" for row in objects for k, value in row.items() if isinstance(value, dict) for name in value}
    return {key for row in objects for key in row} | below


def verdict_of(row: Row, grading: Grading, version: str) -> dict[str, Any]:
    """The fields that OUT adds to a row, before `Fields.prefix`."""
    if row.fault:
        grading = Grading(outcome=Outcome.ERROR, method=NO_ROW, explanation=row.fault)
    verdict: dict[str, Any] = {
        "outcome": str(grading.outcome),
        "extracted": grading.extracted,
        "method": grading.method,
        "verifier": version,
    }
    return {**verdict, "fault": grading.explanation} if grading.outcome in UNSTEADY else verdict


def format_line(value: dict[str, Any]) -> bytes:
    """JSON on one line; a lone surrogate, which no UTF-8 can hold, is escaped."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode()
