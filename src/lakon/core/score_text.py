"""How figures are worded: the same digits, signs and brackets in the verdict's sentences and in every table.

It stands in the core because stages and render both write numbers and may not import one another. What is
missing is an empty cell or a dash, never a zero; the rule by which a difference counts as established lives
here too, so that no table can contradict a sentence.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from lakon.core.records import Score

Writer = Callable[[float], str]
Finder = Callable[[str, str, str | None], Score | None]
"""Author, metric and baseline to the one score of that name."""

MINUS = "\u2212"
TIMES = "\u00d7"
DASH = "\u2013"
OWN_PROBLEMS = "problems"
"""The pseudo-benchmark on which teachers are scored."""


def benchmark_title(name: str) -> str:
    """The benchmark as a reader should call it."""
    return "the study's own problems" if name == OWN_PROBLEMS else name


def fixed(value: float, digits: int = 1) -> str:
    """A number with so many decimals, a true minus sign, and no sign on a rounded zero."""
    if not math.isfinite(value):
        return DASH
    rounded = round(value, digits) + 0.0  # a rounded -0.0 would print its sign
    return f"{rounded:.{digits}f}".replace("-", MINUS)


def rough(value: float) -> str:
    """Two significant digits, for a quantity that is itself an estimate: `8.6`, `61`."""
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"


def counted(n: int, what: str, many: str = "") -> str:
    """`1 trace`, `2 traces`."""
    return f"{n:,} {what}" if n == 1 else f"{n:,} {many or f'{what}s'}"


def money(value: float) -> str:
    """An amount with at least two decimals, and as many as two significant digits take: `3,000.00`, `0.042`."""
    digits = 2 if value == 0 or not math.isfinite(value) else max(2, 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def percent(value: float, digits: int = 1) -> str:
    """A fraction as a percentage: 0.612 is `61.2%`."""
    return f"{fixed(100 * value, digits)}%" if math.isfinite(value) else DASH


def points(value: float) -> str:
    """A difference of fractions in percentage points, with its sign."""
    text = fixed(100 * value)
    return text if text.startswith(MINUS) or text in ("0.0", DASH) else f"+{text}"


def count(value: float, digits: int = 0) -> str:
    """A count or a mean number of tokens, with separators."""
    if math.isinf(value):
        return "\u221e"
    return DASH if math.isnan(value) else f"{value:,.{digits}f}".replace("-", MINUS)


def ratio(value: float) -> str:
    """A ratio with its sign: `0.20x`."""
    return f"{value:.2f}{TIMES}" if math.isfinite(value) else DASH


def p_value(value: float | None) -> str:
    """A p value, never printed as zero; empty when there is none."""
    if value is None or not math.isfinite(value):
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def joined(names: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def interval(score: Score, write: Writer) -> str:
    """` [low, high]` with the space before it, or nothing."""
    if score.low is None or score.high is None:
        return ""
    return f" [{write(score.low)}, {write(score.high)}]"


def accuracy_cell(score: Score | None) -> str:
    """`61.2% [55.1, 67.0]`."""
    return f"{percent(score.estimate)}{interval(score, _hundredths)}" if score else ""


def count_cell(score: Score | None) -> str:
    """`412 [398, 427]`; a decimal when the estimate is below 100."""
    if score is None:
        return ""
    digits = 1 if abs(score.estimate) < 100 else 0
    return f"{count(score.estimate, digits)}{interval(score, lambda value: count(value, digits))}"


def points_cell(score: Score | None) -> str:
    """`+11.1 [+5.2, +17.0]`."""
    return f"{points(score.estimate)}{interval(score, points)}" if score else ""


def lead_cell(score: Score | None) -> str:
    """A difference in points whose direction the words beside it tell: `11.1 [5.3, 16.9]`."""
    return f"{_hundredths(score.estimate)}{interval(score, _hundredths)}" if score else ""


def ratio_cell(score: Score | None) -> str:
    """`0.20x [0.19, 0.21]`."""
    return f"{ratio(score.estimate)}{interval(score, lambda value: fixed(value, 2))}" if score else ""


def interval_cell(score: Score | None) -> str:
    """Only the interval of an accuracy: `[55.1, 67.0]`."""
    return interval(score, _hundredths).strip() if score else ""


def difference(score: Score, *, signed: bool = True) -> str:
    """A difference for a sentence: `+11.1 points [5.2, 17.0]`."""
    head = points(score.estimate) if signed else _hundredths(score.estimate)
    return f"{head} points{interval(score, _hundredths)}"


def _hundredths(value: float) -> str:
    return fixed(100 * value)


def established(score: Score, confidence: float) -> bool:
    """Whether a difference is one: its interval leaves out zero, and its adjusted p value, if any, agrees."""
    outside = score.low is not None and score.high is not None and (score.low > 0 or score.high < 0)
    return outside and (score.p_value is None or score.p_value < 1 - confidence + 1e-9)


def reversed_difference(score: Score) -> Score:
    """The same difference seen from the other side."""
    low = None if score.high is None else -score.high
    high = None if score.low is None else -score.low
    return replace(score, estimate=-score.estimate, low=low, high=high)


def lead(find: Finder, first: str, second: str) -> Score | None:
    """By how much `first` is ahead of `second`: the paired score, or the bare difference of accuracies."""
    paired = find(first, "accuracy_difference", second)
    if paired is not None:
        return paired
    backwards = find(second, "accuracy_difference", first)
    if backwards is not None:
        return reversed_difference(backwards)
    a, b = find(first, "accuracy", None), find(second, "accuracy", None)
    if a is None or b is None:
        return None
    # two separate intervals say nothing certain about a paired difference, so this one has none
    return replace(a, metric="accuracy_difference", estimate=a.estimate - b.estimate, low=None, high=None)


def clock(seconds: float) -> str:
    """`1:02:03` or `2:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
