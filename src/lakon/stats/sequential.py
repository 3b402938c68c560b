"""Looking early without fooling oneself: a confidence sequence that holds at every sample size at once.

Invariant: with probability `level` the true mean lies inside the interval at every moment of looking, so
stopping when one likes is allowed. Repeated t tests give 24% false positives after 16 looks. Source:
Waudby-Smith and Ramdas 2023, "Estimating means of bounded random variables by betting" (arXiv 2010.09686),
the hedged capital process with predictable plug-in bets.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from lakon.core.errors import InputError
from lakon.stats.intervals import Estimate, check_level
from lakon.stats.samples import BoolArray, FloatArray

_GRID = 1_000
_CAP = 0.5
"""No bet stakes more than this share of what keeps the capital positive (the paper's c)."""


class BettingSequence(NamedTuple):
    """The interval after each observation, shape (t,) each; it never widens."""

    low: FloatArray
    high: FloatArray
    p_value: FloatArray | None
    """Anytime-valid, of the mean being `null`; None when no null was given."""


def betting_sequence(
    x: ArrayLike, *, lower: float = 0.0, upper: float = 1.0, level: float = 0.95, null: float | None = None
) -> BettingSequence:
    """The anytime-valid intervals of the mean of `x` (shape (t,), values in [lower, upper]), in the order of
    arrival.

    The values must be independent: one a cluster of problems (its mean), never one a sample. For a paired
    difference pass lower=-1. Raises `InputError` for values (or a null) outside the range or an empty
    sequence.
    """
    unit = _unit(x, lower, upper)
    if null is not None:
        _unit([null], lower, upper)
    bets = _bets(unit, 1.0 - check_level(level))
    grid = np.linspace(0.0, 1.0, _GRID + 1)
    kept = _capital(unit, bets, grid) < math.log(1.0 / (1.0 - level))
    low, high = _hull(kept, np.cumsum(unit) / np.arange(1, len(unit) + 1))
    scale = upper - lower
    p_value = None
    if null is not None:
        wealth = _capital(unit, bets, np.array([(null - lower) / scale]))[:, 0]
        p_value = np.exp(-np.maximum(wealth, 0.0))
    return BettingSequence(lower + scale * low, lower + scale * high, p_value)


def betting_interval(
    x: ArrayLike, *, lower: float = 0.0, upper: float = 1.0, level: float = 0.95, null: float | None = None
) -> Estimate:
    """The last interval of `betting_sequence` with the mean of `x`: valid however the moment to stop was
    chosen.

    A mean outside the running intersection (which happens with probability below 1 - level) widens it to hold
    the mean.
    """
    sequence = betting_sequence(x, lower=lower, upper=upper, level=level, null=null)
    values = np.asarray(x, dtype=np.float64)
    value = float(values.mean())
    p_value = None if sequence.p_value is None else float(sequence.p_value[-1])
    low, high = min(value, float(sequence.low[-1])), max(value, float(sequence.high[-1]))
    return Estimate(value, low, high, "betting confidence sequence, anytime-valid", len(values), len(values), p_value)


def _unit(x: ArrayLike, lower: float, upper: float) -> FloatArray:
    values = np.asarray(x, dtype=np.float64)
    if values.ndim != 1 or not values.size or not lower < upper:
        raise InputError(
            f"values of shape {values.shape} in [{lower}, {upper}]", "a 1-D array, lower < upper", "check x"
        )
    if not (values.min() >= lower and values.max() <= upper):
        raise InputError(
            f"values from {values.min()} to {values.max()}",
            f"values in [{lower}, {upper}]",
            "state the range that they can take beforehand (lower=, upper=); it can't be read off the data",
        )
    return (values - lower) / (upper - lower)


def _bets(unit: FloatArray, alpha: float) -> FloatArray:
    """lambda_t = sqrt(2 log(2/alpha) / (variance_{t-1} t log(1+t))): a bet knows only the past."""
    t = np.arange(1, len(unit) + 1)
    means = (0.5 + np.cumsum(unit)) / (t + 1)
    variances = (0.25 + np.cumsum((unit - means) ** 2)) / (t + 1)
    before = np.concatenate([[0.25], variances[:-1]])
    return np.asarray(np.sqrt(2 * math.log(2 / alpha) / (before * t * np.log1p(t))), dtype=np.float64)


def _capital(unit: FloatArray, bets: FloatArray, means: FloatArray) -> FloatArray:
    """The running maximum of the log capital against each mean, shape (t, means): half bets up, half bets
    down.
    """
    with np.errstate(divide="ignore"):
        up = np.minimum(bets[:, None], _CAP / means)
        down = np.minimum(bets[:, None], _CAP / (1.0 - means))
    gap = unit[:, None] - means
    rising, falling = np.cumsum(np.log1p(up * gap), axis=0), np.cumsum(np.log1p(-down * gap), axis=0)
    return np.maximum.accumulate(np.maximum(rising, falling) + math.log(0.5), axis=0)


def _hull(kept: BoolArray, running_mean: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The ends of the means not yet rejected, one grid step wider so that none is lost between."""
    step, last = 1.0 / _GRID, kept.shape[1] - 1
    low = np.maximum(0.0, (np.argmax(kept, axis=1) - 1) * step)
    high = np.minimum(1.0, (last - np.argmax(kept[:, ::-1], axis=1) + 1) * step)
    empty = ~kept.any(axis=1)
    low, high = np.where(empty, running_mean, low), np.where(empty, running_mean, high)
    return np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
