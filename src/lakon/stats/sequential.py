"""Anytime-valid intervals: a confidence sequence that holds at every sample size at once.

Invariant: with probability `level` the true mean lies inside the interval at all sample sizes together, so a study may
stop at any of them. Repeated t tests give 24% false positives after 16 looks. Source:
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
"""The largest share of the capital that a bet may stake (the paper's c)."""


class BettingSequence(NamedTuple):
    """The interval after each observation, shape (t,) each. It never widens."""

    low: FloatArray
    high: FloatArray
    p_value: FloatArray | None
    """Anytime-valid p-values for the hypothesis that the mean is `null`; None without one."""


def betting_sequence(
    x: ArrayLike, *, lower: float = 0.0, upper: float = 1.0, level: float = 0.95, null: float | None = None
) -> BettingSequence:
    """Anytime-valid intervals of the mean of `x`: shape (t,), values in [lower, upper], in the order of arrival.

    The values must be independent: one mean for each cluster of problems, never one value for each sample. For a paired
    difference pass lower=-1. Raises `InputError` for values (or a null) outside the range or an empty sequence.
    """
    unit = _rescaled(x, lower, upper)
    if null is not None:
        _rescaled([null], lower, upper)
    bets = _bet_sizes(unit, 1.0 - check_level(level))
    grid = np.linspace(0.0, 1.0, _GRID + 1)
    plausible = _log_capital(unit, bets, grid) < math.log(1.0 / (1.0 - level))
    low, high = _interval_of(plausible, np.cumsum(unit) / np.arange(1, len(unit) + 1))
    scale = upper - lower
    p_value = None
    if null is not None:
        wealth = _log_capital(unit, bets, np.array([(null - lower) / scale]))[:, 0]
        p_value = np.exp(-np.maximum(wealth, 0.0))
    return BettingSequence(lower + scale * low, lower + scale * high, p_value)


def betting_interval(
    x: ArrayLike, *, lower: float = 0.0, upper: float = 1.0, level: float = 0.95, null: float | None = None
) -> Estimate:
    """The last interval of `betting_sequence` with the mean of `x`: valid for any rule of when to stop.

    The interval is widened to contain the mean where the mean lies outside the running intersection, which happens
    with probability below 1 - level.
    """
    sequence = betting_sequence(x, lower=lower, upper=upper, level=level, null=null)
    values = np.asarray(x, dtype=np.float64)
    value = float(values.mean())
    p_value = None if sequence.p_value is None else float(sequence.p_value[-1])
    low, high = min(value, float(sequence.low[-1])), max(value, float(sequence.high[-1]))
    return Estimate(value, low, high, "betting confidence sequence, anytime-valid", len(values), len(values), p_value)


def _rescaled(x: ArrayLike, lower: float, upper: float) -> FloatArray:
    values = np.asarray(x, dtype=np.float64)
    if values.ndim != 1 or not values.size or not lower < upper:
        raise InputError(
            f"values of shape {values.shape} in [{lower}, {upper}]", "a 1-D array, lower < upper", "check x"
        )
    if not (values.min() >= lower and values.max() <= upper):
        raise InputError(
            f"values from {values.min()} to {values.max()}",
            f"values in [{lower}, {upper}]",
            "state the possible range beforehand (lower=, upper=); the data cannot tell it",
        )
    return (values - lower) / (upper - lower)


def _bet_sizes(unit: FloatArray, alpha: float) -> FloatArray:
    """lambda_t = sqrt(2 log(2/alpha) / (variance_{t-1} t log(1+t))): a bet depends on past values only."""
    t = np.arange(1, len(unit) + 1)
    means = (0.5 + np.cumsum(unit)) / (t + 1)
    variances = (0.25 + np.cumsum((unit - means) ** 2)) / (t + 1)
    before = np.concatenate([[0.25], variances[:-1]])
    return np.asarray(np.sqrt(2 * math.log(2 / alpha) / (before * t * np.log1p(t))), dtype=np.float64)


def _log_capital(unit: FloatArray, bets: FloatArray, means: FloatArray) -> FloatArray:
    """The running maximum of the log capital against each mean, shape (t, means); half is bet upward, half downward."""
    with np.errstate(divide="ignore"):
        up = np.minimum(bets[:, None], _CAP / means)
        down = np.minimum(bets[:, None], _CAP / (1.0 - means))
    gap = unit[:, None] - means
    rising, falling = np.cumsum(np.log1p(up * gap), axis=0), np.cumsum(np.log1p(-down * gap), axis=0)
    return np.maximum.accumulate(np.maximum(rising, falling) + math.log(0.5), axis=0)


def _interval_of(plausible: BoolArray, running_mean: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The ends of the range of plausible means, one grid step wider so that none between grid points is lost."""
    step, last = 1.0 / _GRID, plausible.shape[1] - 1
    low = np.maximum(0.0, (np.argmax(plausible, axis=1) - 1) * step)
    high = np.minimum(1.0, (last - np.argmax(plausible[:, ::-1], axis=1) + 1) * step)
    empty = ~plausible.any(axis=1)
    low, high = np.where(empty, running_mean, low), np.where(empty, running_mean, high)
    return np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
