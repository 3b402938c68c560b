"""Formats figures: the same digits, signs and brackets in the sentences of a report and in every table.

It lies in the core because stages and render both write numbers and may not import each other. A missing figure is an
empty cell or a dash, never a zero. The rule by which a difference counts as established is here too, so that no table
can contradict a sentence.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from lakon.core.claims import Claim
from lakon.core.records import Score

Formatter = Callable[[float], str]
ScoreFinder = Callable[[str, str, str | None], Score | None]
"""Author, metric and baseline to the score with these names."""

MINUS = "\u2212"
TIMES = "\u00d7"
DASH = "\u2013"
OWN_PROBLEMS = "problems"
"""The pseudo-benchmark on which teachers are scored."""


def benchmark_title(name: str) -> str:
    """The benchmark's name for readers."""
    return "the study's own problems" if name == OWN_PROBLEMS else name


def format_fixed(value: float, digits: int = 1) -> str:
    """A number with `digits` decimals, a true minus sign, and no sign on a rounded zero."""
    if not math.isfinite(value):
        return DASH
    rounded = round(value, digits) + 0.0  # a rounded -0.0 would print its sign
    return f"{rounded:.{digits}f}".replace("-", MINUS)


def format_rough(value: float) -> str:
    """Two significant digits, for rough estimates: `8.6`, `61`."""
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"


def pluralise(n: int, noun: str, plural: str = "") -> str:
    """`1 trace`, `2 traces`."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {plural or f'{noun}s'}"


def format_money(value: float) -> str:
    """An amount with two decimals, or as many as two significant digits need: `3,000.00`, `0.042`."""
    digits = 2 if value == 0 or not math.isfinite(value) else max(2, 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def format_percent(value: float, digits: int = 1) -> str:
    """A fraction as a percentage: 0.612 is `61.2%`."""
    return f"{format_fixed(100 * value, digits)}%" if math.isfinite(value) else DASH


def format_points(value: float) -> str:
    """A difference of fractions in percentage points, with its sign."""
    text = format_fixed(100 * value)
    return text if text.startswith(MINUS) or text in ("0.0", DASH) else f"+{text}"


def format_count(value: float, digits: int = 0) -> str:
    """A count or a mean number of tokens, with separators."""
    if math.isinf(value):
        return "\u221e"
    return DASH if math.isnan(value) else f"{value:,.{digits}f}".replace("-", MINUS)


def format_ratio(value: float) -> str:
    """A ratio with a multiplication sign: `0.20x`."""
    return f"{value:.2f}{TIMES}" if math.isfinite(value) else DASH


def format_p_value(value: float | None) -> str:
    """A p value, never printed as zero; empty when there is none."""
    if value is None or not math.isfinite(value):
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def join_names(names: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def format_interval(score: Score, write: Formatter) -> str:
    """` [low, high]` with a leading space, or nothing without an interval."""
    if score.low is None or score.high is None:
        return ""
    return f" [{write(score.low)}, {write(score.high)}]"


def accuracy_cell(score: Score | None) -> str:
    """`61.2% [55.1, 67.0]`."""
    return f"{format_percent(score.estimate)}{format_interval(score, _hundredths)}" if score else ""


def count_cell(score: Score | None) -> str:
    """`412 [398, 427]`; a decimal when the estimate is below 100."""
    if score is None:
        return ""
    digits = 1 if abs(score.estimate) < 100 else 0
    return f"{format_count(score.estimate, digits)}{format_interval(score, lambda value: format_count(value, digits))}"


def points_cell(score: Score | None) -> str:
    """`+11.1 [+5.2, +17.0]`."""
    return f"{format_points(score.estimate)}{format_interval(score, format_points)}" if score else ""


def lead_cell(score: Score | None) -> str:
    """A difference in points without a sign, where the text names the direction: `11.1 [5.3, 16.9]`."""
    return f"{_hundredths(score.estimate)}{format_interval(score, _hundredths)}" if score else ""


def ratio_cell(score: Score | None) -> str:
    """`0.20x [0.19, 0.21]`."""
    return (
        f"{format_ratio(score.estimate)}{format_interval(score, lambda value: format_fixed(value, 2))}" if score else ""
    )


def interval_cell(score: Score | None) -> str:
    """Only the interval of an accuracy: `[55.1, 67.0]`."""
    return format_interval(score, _hundredths).strip() if score else ""


def format_difference(score: Score, *, signed: bool = True) -> str:
    """A difference for a sentence: `+11.1 points [5.2, 17.0]`."""
    head = format_points(score.estimate) if signed else _hundredths(score.estimate)
    return f"{head} points{format_interval(score, _hundredths)}"


def _hundredths(value: float) -> str:
    return format_fixed(100 * value)


def is_at_floor(score: Score) -> bool:
    """Whether a difference supports no claim, because both accuracies are at the floor."""
    return score.claim == Claim.FLOOR


def is_established(score: Score, confidence: float) -> bool:
    """Whether a difference is established: its interval excludes zero, and its adjusted p value, if any, agrees."""
    if is_at_floor(score):
        return False
    excludes_zero = score.low is not None and score.high is not None and (score.low > 0 or score.high < 0)
    return excludes_zero and (score.p_value is None or score.p_value < 1 - confidence + 1e-9)


def reverse_difference(score: Score) -> Score:
    """The same difference with author and baseline exchanged."""
    low = None if score.high is None else -score.high
    high = None if score.low is None else -score.low
    return replace(score, estimate=-score.estimate, low=low, high=high)


def find_lead(find: ScoreFinder, first: str, second: str) -> Score | None:
    """The lead of `first` over `second`: the paired score, or the difference of accuracies without an interval."""
    paired = find(first, "accuracy_difference", second)
    if paired is not None:
        return paired
    backwards = find(second, "accuracy_difference", first)
    if backwards is not None:
        return reverse_difference(backwards)
    a, b = find(first, "accuracy", None), find(second, "accuracy", None)
    if a is None or b is None:
        return None
    # Two separate intervals do not give the interval of a paired difference, so it has none.
    return replace(a, metric="accuracy_difference", estimate=a.estimate - b.estimate, low=None, high=None)


def format_duration(seconds: float) -> str:
    """`1:02:03` or `2:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
