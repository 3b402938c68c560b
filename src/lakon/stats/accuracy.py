"""Accuracy for two estimands, and the shares of samples that were truncated or could not be graded.

Invariant: truncated and ungraded samples count as wrong. Sources: Miller 2024 (arXiv 2411.00640) for both estimands;
Bowyer et al. 2025 (2503.01747) for intervals on small benchmarks.
"""

from __future__ import annotations

import math

from lakon.stats.distributions import t_quantile
from lakon.stats.intervals import (
    Estimate,
    check_level,
    clustered_error,
    korn_graubard_interval,
    proportion_estimate,
    wilson_interval,
)
from lakon.stats.samples import BoolArray, Samples, cluster_index


def accuracy(samples: Samples, *, level: float = 0.95) -> Estimate:
    """The mean of a_i, with the problems taken as a sample of all such problems.

    Interval: clustered t, Wilson near 0 and 1, Clopper-Pearson when all a_i are equal (see
    `proportion_interval`).
    """
    clusters = cluster_index(samples)
    return proportion_estimate(samples.accuracies, clusters, level=level, n_samples=samples.n_samples)


def accuracy_fixed(samples: Samples, *, level: float = 0.95) -> Estimate | None:
    """The mean of a_i for exactly these problems: the interval covers the noise of sampling again and nothing else.

    SE² = n⁻² sum a_i(1-a_i)/(K_i-1), t with sum(K_i-1) degrees of freedom. None when a problem has only one sample,
    because one sample shows no noise.
    """
    counts, shares = samples.counts, samples.accuracies
    if counts.min() < 2:
        return None
    value, df = float(shares.mean()), int((counts - 1).sum())
    se = _resampling_error(samples)
    if se == 0.0:
        low, high = _bounds_without_disagreement(value, df, check_level(level))
        return _fixed_estimate(samples, value, low, high, f"no sample disagrees: Clopper-Pearson on {df} repeats")
    critical = t_quantile(0.5 + check_level(level) / 2, df)
    low, high, method = value - critical * se, value + critical * se, f"t on {df} repeats"
    if low < 0.0 or high > 1.0:
        effective = value * (1 - value) / se**2
        (low, high), method = wilson_interval(value, effective, critical), f"Wilson, effective n {effective:.1f}"
    return _fixed_estimate(samples, value, low, high, method)


def _resampling_error(samples: Samples) -> float:
    """The standard error of accuracy on exactly these problems, which have at least two samples each."""
    counts, shares = samples.counts, samples.accuracies
    return math.sqrt(float((shares * (1 - shares) / (counts - 1)).sum())) / samples.n_problems


def truncation_rate(samples: Samples, *, level: float = 0.95) -> Estimate:
    """The share of samples that ran out of tokens, as a mean over problems."""
    return _share_of_samples(samples, ~samples.flat_finished, level)


def ungraded_rate(samples: Samples, *, level: float = 0.95) -> Estimate:
    """The share of samples that the verifier could not grade, as a mean over problems."""
    return _share_of_samples(samples, ~samples.flat_graded, level)


def _fixed_estimate(samples: Samples, value: float, low: float, high: float, method: str) -> Estimate:
    name = f"fixed benchmark, {method}"
    return Estimate(value, max(0.0, low), min(1.0, high), name, samples.n_problems, samples.n_samples)


def _bounds_without_disagreement(value: float, n_repeats: int, level: float) -> tuple[float, float]:
    # A repeat is a sample after a problem's first. None differed from the first, so this bounds how often one does.
    u = 1.0 - ((1.0 - level) / 2) ** (1.0 / n_repeats)
    return max(0.0, value - u), min(1.0, value + u)


def _share_of_samples(samples: Samples, which: BoolArray, level: float) -> Estimate:
    shares = samples.problem_means(which)
    value = min(1.0, max(0.0, float(shares.mean())))
    bounds = korn_graubard_interval(value, clustered_error(shares, cluster_index(samples)), level=level)
    return Estimate(value, bounds.low, bounds.high, bounds.method, samples.n_problems, samples.n_samples)
