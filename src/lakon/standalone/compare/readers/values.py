"""What tools write for a grade, a number of tokens, a text: read as our own values, or refused with the reason."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from lakon.core.errors import InputError, near_miss
from lakon.core.records import UNGRADED as UNGRADED_OUTCOMES
from lakon.core.records import Outcome
from lakon.standalone.compare.results import RIGHT, UNGRADED, UNKNOWN, WRONG


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldNames:
    """Which fields a file has its values in; None where the reader finds them by itself."""

    id: str | None = None
    problem: str | None = None
    answer: str | None = None
    reference: str | None = None
    correct: str | None = None
    """A grade: true or false, 1 or 0, `C` or `I`, or an outcome of `lakon verify`."""
    tokens: str | None = None
    sample: str | None = None
    finish: str | None = None
    """The finish reason: `length` is an unfinished answer."""
    cluster: str | None = None
    metric: str | None = None
    """Of lm-eval, inspect and lighteval: the metric or scorer whose values are the grades."""
    filter: str | None = None
    """Of lm-eval: the filter whose rows are read."""
    benchmark: str | None = None


def parse_fields(text: str | None) -> FieldNames:
    """`id=..,correct=..` as names. Raises `InputError`."""
    known = [each.name for each in fields(FieldNames)]
    named: dict[str, str] = {}
    for pair in filter(None, (text or "").split(",")):
        name, equals, value = (part.strip() for part in pair.partition("="))
        if name not in known or not equals or not value:
            expected = near_miss(name, known) if name not in known else "NAME=FIELD"
            raise InputError(f"--fields {pair}", expected, "write for instance --fields id=task_id,correct=passed")
        named[name] = value
    return FieldNames(**named)


_GRADES = {
    "c": RIGHT, "correct": RIGHT, "true": RIGHT, "yes": RIGHT, "pass": RIGHT, "passed": RIGHT, "1": RIGHT, "1.0": RIGHT,
    "i": WRONG, "incorrect": WRONG, "false": WRONG, "no": WRONG, "fail": WRONG, "failed": WRONG, "0": WRONG,
    "0.0": WRONG, "n": WRONG, "": UNGRADED, "none": UNGRADED, "null": UNGRADED, "nan": UNGRADED,
}  # fmt: skip
_OUTCOMES: dict[str, int] = {str(outcome): WRONG for outcome in Outcome}
_OUTCOMES |= {str(outcome): UNGRADED for outcome in UNGRADED_OUTCOMES}
_OUTCOMES[str(Outcome.CORRECT)] = RIGHT


def read_grade(value: Any) -> int:
    """A grade of any tool. None and NaN are ungraded. Raises `ValueError` for what is neither right nor wrong."""
    if isinstance(value, Mapping) and len(value) == 1:
        value = next(iter(value.values()))
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return UNGRADED
    if isinstance(value, bool | int | float) and value in (0, 1):
        return RIGHT if value else WRONG
    if isinstance(value, str):
        word = value.strip().lower()
        grade = _GRADES.get(word, _OUTCOMES.get(word))
        if grade is not None:
            return grade
    raise ValueError(f"a grade of {str(value)[:40]!r}, which is neither right nor wrong")


def read_count(value: Any) -> int:
    """A number of tokens; `UNKNOWN` for what is none. Raises `ValueError` for a negative or broken one."""
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return UNKNOWN
    if isinstance(value, str):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1 << 40 or value != int(value):
        raise ValueError(f"{str(value)[:40]!r} tokens, which is no count")
    return int(value)


def read_index(value: Any) -> int | None:
    """The number of a sample; None where there is none. Raises `ValueError`."""
    count = read_count(value)
    return None if count == UNKNOWN else count


def read_text(value: Any) -> str:
    """A text; numbers are written out, a list gives its first text, everything else is empty."""
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value is None or isinstance(value, Mapping | list):
        return ""
    return str(value)


def read_id(value: Any) -> str:
    """An id: a text or a whole number; empty for anything else."""
    if isinstance(value, float) and value == value and value == int(value):
        value = int(value)
    return "" if isinstance(value, bool) else read_text(value)


def find_first(row: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The value of the first of these fields that the row has and that is not None; None where it has none."""
    for name in names:
        value = row.get(name)
        if value is not None:
            return value
    return None
