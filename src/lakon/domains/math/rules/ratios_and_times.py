"""Ratios and times of day, which share their colon."""

from __future__ import annotations

import re

from lakon.domains.math.rules import scalars
from lakon.domains.math.rules.decision import Decision
from lakon.domains.math.shapes.nodes import Chain, Colon, Node, Scalar
from lakon.domains.math.values.expression import Expression


def compare_colons(ours: Node, theirs: Node) -> Decision | None:
    """Where one of the two has a colon."""
    if isinstance(ours, Colon) and isinstance(theirs, Colon):
        return _both_colons(ours, theirs)
    if not (isinstance(ours, Colon) or isinstance(theirs, Colon)):
        return None
    colon, other = (ours, theirs) if isinstance(ours, Colon) else (theirs, ours)
    assert isinstance(colon, Colon)
    if colon.suffix and set(colon.parts[1:]) == {"00"} and isinstance(other, Scalar):
        return Decision(scalars.compare_scalars(Scalar(colon.parts[0]), other)[0], "time")
    if len(colon.parts) == 2 and not colon.suffix and isinstance(other, Scalar):
        return Decision(
            scalars.compare_scalars(Scalar(f"\\frac{{{colon.parts[0]}}}{{{colon.parts[1]}}}"), other)[0], "ratio"
        )
    return None if isinstance(other, Chain) else Decision(False, "shape")


def _both_colons(ours: Colon, theirs: Colon) -> Decision:
    if ours.suffix and theirs.suffix and ours.suffix != theirs.suffix:
        return Decision(False, "time")
    a = [part.lstrip("0") or "0" for part in ours.parts]
    b = [part.lstrip("0") or "0" for part in theirs.parts]
    if a == b:
        return Decision(True, "time" if ours.suffix or theirs.suffix else "ratio")
    if len(a) == len(b) and bool(ours.suffix) != bool(theirs.suffix):
        return Decision(_of_day(ours) == _of_day(theirs), "time")
    clock = re.compile(r"0\d|[1-5]\d")
    if len(a) != len(b) or all(clock.fullmatch(part) for part in (*ours.parts[1:], *theirs.parts[1:])):
        return Decision(False, "time")
    sizes = [(Expression(x).numeral, Expression(y).numeral) for x, y in zip(a, b, strict=True)]
    known = [(x, y) for x, y in sizes if x is not None and y is not None]
    products = [x * known[0][1] == y * known[0][0] for x, y in known]
    return Decision(len(products) == len(a) and all(products), "ratio")


def _of_day(time: Colon) -> tuple[int, ...] | None:
    """A time on the clock of 24 hours, `3:45 pm` as `15:45`; None for what is no time."""
    if not all(part.isdigit() for part in time.parts):
        return None
    hour = int(time.parts[0])
    if time.suffix:
        hour = hour % 12 + (12 if time.suffix == "pm" else 0)
    return (hour, *map(int, time.parts[1:]))
