"""Rows of data sets as their authors wrote them: JSON lines read with their place, fields found by dotted paths.

What is no JSON is the user's to mend and names the file and line; what a row lacks is for its reader to judge.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import cast

from lakon.core.errors import InputError, near_miss

Rows = Iterable[tuple[str, Mapping[str, object]]]
"""Where a row stands (`file:line`) and the row."""


def read_jsonl(path: Path, chosen: Container[int] | None = None) -> Iterator[tuple[str, dict[str, object]]]:
    """`(file:line, object)` for every line that is not blank, or only for the `chosen` line numbers.

    Raises `InputError` naming file and line.
    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip() and (chosen is None or number in chosen):
                    yield f"{path}:{number}", _object(line, f"{path}:{number}")
    except OSError as error:
        raise InputError(
            str(error.strerror), "a readable JSONL file", "check the path in the study", where=str(path)
        ) from error
    except UnicodeDecodeError as error:
        raise InputError("bytes that are not UTF-8", "UTF-8 text", "convert the file", where=str(path)) from error


def _object(line: str, where: str) -> dict[str, object]:
    try:
        row: object = json.loads(line)
    except ValueError as error:
        shown = line.strip()[:60]
        raise InputError(
            f"not JSON ({error}): {shown!r}", "one JSON object a line", "mend or remove the line", where=where
        ) from error
    if not isinstance(row, dict):
        raise InputError(
            f"a JSON {type(row).__name__}", "one JSON object a line", "mend or remove the line", where=where
        )
    return cast("dict[str, object]", row)


def read_path(row: object, path: str) -> object:
    """The value at a dotted path (`messages.0.content`); text on the way is read as JSON. None when absent."""
    value = row
    if isinstance(row, Mapping) and path in cast("Mapping[str, object]", row):
        return cast("Mapping[str, object]", row)[path]
    for part in path.split("."):
        if isinstance(value, str):
            value = _maybe_json(value)
        if isinstance(value, Mapping):
            value = cast("Mapping[str, object]", value).get(part)
        elif isinstance(value, list):
            value = _item(cast("list[object]", value), part)
        else:
            return None
    return value


def _item(items: list[object], part: str) -> object:
    within = part.lstrip("-").isdigit() and -len(items) <= int(part) < len(items)
    return items[int(part)] if within else None


def _maybe_json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def matches_values(row: Mapping[str, object], where: Mapping[str, str]) -> bool:
    """Whether the row has these values at these dotted paths; values that are no text compare as they print."""
    return all(str(read_path(row, path)) == value for path, value in where.items())


def require_path(row: Mapping[str, object], path: str, at: str, *, field: str) -> None:
    """Raises `InputError` at `field`, the study's, for a row that does not have what stands at `path`; null is had."""
    head = path.split(".")[0]
    if read_path(row, path) is None and head not in row:
        known = [str(key) for key in row]
        raise InputError(f"{at} has no field {path!r}", near_miss(head, known), f"correct {field}", where=field)


def broken_json(row: Mapping[str, object], path: str) -> str | None:
    """The field on the way to a dotted path whose text should be JSON and is not, or None."""
    head, _, rest = path.partition(".")
    text = row.get(head)
    if path in row or not rest or not isinstance(text, str) or not text.strip():
        return None
    return head if _maybe_json(text) is None else None
