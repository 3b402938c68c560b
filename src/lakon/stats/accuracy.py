"""Accuracy as two named estimands, and what it could be if the samples that say nothing were counted
otherwise.

Invariant: truncated and ungraded samples count as wrong in the headline figure; the bounds beside it say how
much that choice matters. Sources: Miller 2024 (arXiv 2411.00640) for both estimands; Bowyer et al. 2025
(2503.01747) for intervals on small benchmarks.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from lakon.stats.distributions import t_quantile
from lakon.stats.intervals import Estimate, check_level, proportion_estimate, wilson
from lakon.stats.samples import BoolArray, FloatArray, Samples, cluster_index


class AccuracyBounds(NamedTuple):
    """Accuracy by what becomes of a kind of sample (truncated, or not graded)."""

    rate: Estimate
    """How many samples are of that kind, as a share."""
    as_wrong: Estimate
    left_out: Estimate | None
    """Over the problems that keep a sample; None when none does."""
    as_right: Estimate


def accuracy(samples: Samples, *, level: float = 0.95) -> Estimate:
    """The mean of a_i, for problems seen as a sample of a population of such problems.

    Interval: clustered t, Wilson near 0 and 1, Clopper-Pearson when all a_i are equal (see
    `proportion_bounds`).
    """
    clusters = cluster_index(samples)
    return proportion_estimate(samples.accuracies, clusters, level=level, n_samples=samples.n_samples)


def accuracy_fixed(samples: Samples, *, level: float = 0.95) -> Estimate | None:
    """The mean of a_i for exactly these problems: the interval holds the noise of sampling again, nothing
    else.

    SE² = n⁻² sum a_i(1-a_i)/(K_i-1), t with sum(K_i-1) degrees of freedom. None
    when some problem has one sample only, because its noise can't be seen.
    """
    counts, shares = samples.counts, samples.accuracies
    if counts.min() < 2:
        return None
    value, df = float(shares.mean()), int((counts - 1).sum())
    se = resampling_error(samples)
    if se == 0.0:
        low, high = _no_disagreement(value, df, check_level(level))
        return _fixed(samples, value, low, high, f"no sample disagrees: Clopper-Pearson on {df} repeats")
    critical = t_quantile(0.5 + check_level(level) / 2, df)
    low, high, method = value - critical * se, value + critical * se, f"t on {df} repeats"
    if low < 0.0 or high > 1.0:
        effective = value * (1 - value) / se**2
        (low, high), method = wilson(value, effective, critical), f"Wilson, effective n {effective:.1f}"
    return _fixed(samples, value, low, high, method)


def resampling_error(samples: Samples) -> float:
    """The standard error of accuracy on these very problems; NaN when some problem has one sample only."""
    counts, shares = samples.counts, samples.accuracies
    if counts.min() < 2:
        return math.nan
    return math.sqrt(float((shares * (1 - shares) / (counts - 1)).sum())) / samples.n_problems


def truncation_rate(samples: Samples, *, level: float = 0.95) -> Estimate:
    """The share of samples that ran out of tokens, as a mean over problems."""
    return _rate(samples, ~samples.flat_finished, level)


def ungraded_rate(samples: Samples, *, level: float = 0.95) -> Estimate:
    """The share of samples that the verifier could not grade, as a mean over problems."""
    return _rate(samples, ~samples.flat_graded, level)


def truncation_bounds(samples: Samples, *, level: float = 0.95) -> AccuracyBounds:
    """Accuracy with the truncated samples wrong (the headline), left out, and right."""
    return _bounds(samples, ~samples.flat_finished, level)


def ungraded_bounds(samples: Samples, *, level: float = 0.95) -> AccuracyBounds:
    """Accuracy with the ungraded samples wrong (the headline), left out, and right."""
    return _bounds(samples, ~samples.flat_graded, level)


def _fixed(samples: Samples, value: float, low: float, high: float, method: str) -> Estimate:
    name = f"fixed benchmark, {method}"
    return Estimate(value, max(0.0, low), min(1.0, high), name, samples.n_problems, samples.n_samples)


def _no_disagreement(value: float, n_repeats: int, level: float) -> tuple[float, float]:
    # A repeat is a sample beyond a problem's first; none of them differed from it, so this bounds how often
    # one does.
    u = 1.0 - ((1.0 - level) / 2) ** (1.0 / n_repeats)
    return max(0.0, value - u), min(1.0, value + u)


def _rate(samples: Samples, which: BoolArray, level: float) -> Estimate:
    shares = samples.problem_means(which)
    return proportion_estimate(shares, cluster_index(samples), level=level, n_samples=samples.n_samples)


def _bounds(samples: Samples, which: BoolArray, level: float) -> AccuracyBounds:
    right = samples.problem_means(samples.flat_correct | which)
    clusters = cluster_index(samples)
    return AccuracyBounds(
        _rate(samples, which, level),
        accuracy(samples, level=level),
        _left_out(samples, which, level),
        proportion_estimate(right, clusters, level=level, n_samples=samples.n_samples),
    )


def _left_out(samples: Samples, which: BoolArray, level: float) -> Estimate | None:
    kept = np.bincount(samples.row, weights=(~which).astype(float), minlength=samples.n_problems)
    right = np.bincount(samples.row, weights=samples.flat_correct & ~which, minlength=samples.n_problems)
    rows = [int(i) for i in np.flatnonzero(kept)]
    if not rows:
        return None
    shares: FloatArray = right[rows] / kept[rows]
    clusters = cluster_index(samples.take(rows))
    return proportion_estimate(shares, clusters, level=level, n_samples=int(kept.sum()))
