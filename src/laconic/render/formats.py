"""How numbers are written in a report. What is missing is an empty cell or a dash, never a zero."""

from __future__ import annotations

import math
from collections.abc import Callable

from laconic.core.records import Score

Writer = Callable[[float], str]

MINUS = "\u2212"
TIMES = "\u00d7"
DASH = "\u2013"


def signed(text: str) -> str:
    """A true minus sign in place of the hyphen."""
    return text.replace("-", MINUS)


def percent(value: float, digits: int = 1) -> str:
    """A fraction as a percentage: 0.612 is `61.2%`."""
    return f"{_fixed(100 * value, digits)}%" if math.isfinite(value) else DASH


def points(value: float) -> str:
    """A difference of fractions in percentage points, with its sign."""
    if not math.isfinite(value):
        return DASH
    text = _fixed(100 * value, 1)
    return text if text.startswith(MINUS) or text == "0.0" else f"+{text}"


def count(value: float, digits: int = 0) -> str:
    """A count or a mean number of tokens, with separators."""
    if math.isinf(value):
        return "\u221e"
    return DASH if math.isnan(value) else signed(f"{value:,.{digits}f}")


def ratio(value: float) -> str:
    """A ratio with its sign: `0.20x`."""
    return f"{value:.2f}{TIMES}" if math.isfinite(value) else DASH


def p_value(value: float | None) -> str:
    """A p value, never printed as zero; empty when there is none."""
    if value is None or not math.isfinite(value):
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def seconds(value: float | None) -> str:
    """A duration for people: `42 s`, `12 min`, `3.5 h`."""
    if value is None or not math.isfinite(value):
        return ""
    if value < 120:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def accuracy_cell(score: Score | None) -> str:
    """`61.2% [55.1, 67.0]`."""
    return _cell(score, lambda value: percent(value), lambda value: _fixed(100 * value, 1))


def count_cell(score: Score | None) -> str:
    """`412 [398, 427]`; a decimal when the estimate is below 100."""
    digits = 1 if score is not None and abs(score.estimate) < 100 else 0
    return _cell(score, lambda value: count(value, digits), lambda value: count(value, digits))


def points_cell(score: Score | None) -> str:
    """`+11.1 [+5.2, +17.0]`."""
    return _cell(score, points, points)


def lead_cell(score: Score | None) -> str:
    """A difference in points whose direction the words beside it tell: `11.1 [5.3, 16.9]`."""
    return _cell(score, lambda value: _fixed(100 * value, 1), lambda value: _fixed(100 * value, 1))


def ratio_cell(score: Score | None) -> str:
    """`0.20x [0.19, 0.21]`."""
    return _cell(score, ratio, lambda value: f"{value:.2f}")


def interval_cell(score: Score | None) -> str:
    """Only the interval of an accuracy: `[55.1, 67.0]`."""
    if score is None or score.low is None or score.high is None:
        return ""
    return f"[{_fixed(100 * score.low, 1)}, {_fixed(100 * score.high, 1)}]"


def _cell(score: Score | None, whole: Writer, bound: Writer) -> str:
    if score is None:
        return ""
    if score.low is None or score.high is None:
        return whole(score.estimate)
    return f"{whole(score.estimate)} [{bound(score.low)}, {bound(score.high)}]"


def _fixed(value: float, digits: int) -> str:
    if not math.isfinite(value):
        return DASH
    rounded = round(value, digits) + 0.0  # a rounded -0.0 would print its sign
    return signed(f"{rounded:.{digits}f}")
