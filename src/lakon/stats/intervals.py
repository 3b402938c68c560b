"""The `Estimate` that the statistics return, and the clustered intervals that they share.

Invariant: an interval contains its estimate, stays inside the quantity's range, and never has width zero:
where the data show no variation the width comes from how few clusters were seen (Clopper and Pearson 1934).
Sources: clustered standard errors, Miller 2024 (arXiv 2411.00640); Wilson 1927 with an effective n, Dean and
Pagano 2015. Read next: `accuracy`, `paired`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lakon.core.errors import InputError
from lakon.stats.distributions import beta_quantile, normal_quantile, t_cdf, t_quantile
from lakon.stats.samples import FloatArray, IntArray

_FLAT = 1e-12
"""A standard error below this share of the scale is rounding error, not variation."""
_FEW = 15.0
"""With fewer clusters' worth of successes or failures than this, Wilson's interval replaces the t interval.

Simulated at 30 and 500 problems with 1 and 8 samples and means from 0.5 to 0.99: t alone covers 77-100%, with
a threshold of 5 91-99%, with 15 92-98%, and at 30 problems Wilson's interval is the shorter one too.
"""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval, the method, and the sizes behind it. An infinite end means that there is no bound."""

    value: float
    low: float
    high: float
    method: str
    n_problems: int
    n_samples: int
    p_value: float | None = None


class ClusteredError(NamedTuple):
    """The standard error of a mean over clustered problems."""

    se: float
    """NaN when there is only one cluster."""
    df: float
    n_clusters: int


class Interval(NamedTuple):
    """An interval and the name of the method that gave it."""

    low: float
    high: float
    method: str


def clustered_error(values: FloatArray, clusters: IntArray) -> ClusteredError:
    """The standard error of `values.mean()`: sqrt(G/(G-1) sum_g (sum_{i in g} (v_i - mean))^2) / n.

    `values` and `clusters` have shape (n,). With a cluster a problem this is sd(ddof 1)/sqrt(n). Source: the
    cluster-robust variance of Liang and Zeger 1986, as in Miller 2024, section 2.2.
    """
    sums = cluster_sums(values - values.mean(), clusters)
    n_clusters = len(sums)
    if n_clusters < 2:
        return ClusteredError(math.nan, 0, n_clusters)
    se = math.sqrt(n_clusters / (n_clusters - 1) * float(sums @ sums)) / len(values)
    return ClusteredError(se, n_clusters - 1, n_clusters)


def cluster_sums(values: FloatArray, clusters: IntArray) -> FloatArray:
    """The sum of `values` in each cluster, shape (G,) for values (n,), (G, m) for values (n, m)."""
    n_clusters = int(clusters.max()) + 1
    sums = np.zeros((n_clusters, *values.shape[1:]))
    np.add.at(sums, clusters, values)
    return sums


def lacks_variation(error: ClusteredError, scale: float = 1.0) -> bool:
    """Whether the data show no variation, so that they give no standard error."""
    return not error.se > _FLAT * abs(scale)


def t_interval(value: float, error: ClusteredError, *, level: float) -> Interval:
    """value ± t(G-1) SE; the whole line when the data show no variation."""
    method = f"t on {error.n_clusters} clusters"
    if lacks_variation(error, value or 1.0):
        return Interval(-math.inf, math.inf, f"{method}: no variation, no interval")
    half = t_quantile(0.5 + check_level(level) / 2, error.df) * error.se
    return Interval(value - half, value + half, method)


def bounded_interval(value: float, error: ClusteredError, *, level: float, lower: float, upper: float) -> Interval:
    """As `t_interval`, for a mean of values in [lower, upper]; the width stays positive where all values are equal.

    In that case, with probability `level`, less than u = 1 - (alpha/2)^(1/G) of the population differs from the
    value seen (Clopper-Pearson for none in G), and that part may lie anywhere in the range.
    """
    if error.n_clusters < 2:
        return Interval(lower, upper, "one cluster: the whole range")
    if lacks_variation(error):
        u = 1.0 - ((1.0 - check_level(level)) / 2) ** (1.0 / error.n_clusters)
        method = f"no variation: Clopper-Pearson on {error.n_clusters} clusters"
        return Interval(value + u * (lower - value), value + u * (upper - value), method)
    low, high, method = t_interval(value, error, level=level)
    return Interval(max(low, lower), min(high, upper), method)


def proportion_estimate(values: FloatArray, clusters: IntArray, *, level: float, n_samples: int) -> Estimate:
    """The mean of per-problem values in [0, 1] with its interval: t, Wilson near 0 and 1, or Clopper-Pearson.

    `values` and `clusters` have shape (n,).
    """
    value = min(1.0, max(0.0, float(values.mean())))
    bounds = proportion_interval(value, clustered_error(values, clusters), level=level)
    return Estimate(value, bounds.low, bounds.high, bounds.method, len(values), n_samples)


def proportion_interval(value: float, error: ClusteredError, *, level: float) -> Interval:
    """The interval of a proportion from its clustered error.

    t(G-1) in the middle. Wilson with the effective n = value(1-value)/SE² where the t interval would leave [0, 1] or
    rests on fewer than 15 clusters' worth of successes or failures (so always on AIME's 30 problems).
    Clopper-Pearson on G where there is no variation.
    """
    if lacks_variation(error):
        low, high = clopper_pearson_interval(value * error.n_clusters, error.n_clusters, level=level)
        return Interval(low, high, f"Clopper-Pearson on {error.n_clusters} clusters")
    low, high, method = t_interval(value, error, level=level)
    effective = value * (1.0 - value) / error.se**2
    if has_plenty(value, error) and low >= 0.0 and high <= 1.0:
        return Interval(low, high, method)
    critical = t_quantile(0.5 + level / 2, error.df)
    return Interval(*wilson_interval(value, effective, critical), f"Wilson, effective n {effective:.1f}")


def has_plenty(value: float, error: ClusteredError) -> bool:
    """Whether there are at least 15 clusters' worth of successes and of failures, so that the t interval holds."""
    if lacks_variation(error):
        return False
    effective = value * (1.0 - value) / error.se**2
    return min(effective, error.n_clusters) * min(value, 1.0 - value) >= _FEW


def korn_graubard_interval(value: float, error: ClusteredError, *, level: float) -> Interval:
    """Clopper-Pearson on the effective n, scaled by the quantiles of z and t; on the clusters where nothing varies.

    For proportions that are often near 0 or 1. Source: Korn and Graubard 1998.
    """
    n = float(error.n_clusters)
    if not lacks_variation(error):
        scale = normal_quantile(0.5 + check_level(level) / 2) / t_quantile(0.5 + level / 2, error.df)
        n = value * (1.0 - value) / error.se**2 * scale**2
    low, high = clopper_pearson_interval(value * n, n, level=level)
    return Interval(low, high, f"Korn-Graubard, effective n {n:.1f}")


def wilson_interval(value: float, n: float, critical: float) -> tuple[float, float]:
    """Wilson's score interval of a proportion from an effective `n` and a critical value (z or t)."""
    square = critical**2 / n
    centre = (value + square / 2) / (1 + square)
    half = critical / (1 + square) * math.sqrt(value * (1 - value) / n + square / (4 * n))
    return max(0.0, min(value, centre - half)), min(1.0, max(value, centre + half))


def clopper_pearson_interval(successes: float, n: float, *, level: float = 0.95) -> tuple[float, float]:
    """The Clopper-Pearson interval; `successes` may be fractional (a mean of shares times n)."""
    tail = (1.0 - check_level(level)) / 2
    low = beta_quantile(tail, successes, n - successes + 1) if successes > 1e-9 else 0.0
    high = beta_quantile(1 - tail, successes + 1, n - successes) if successes < n - 1e-9 else 1.0
    return low, high


def proportion_interval_at(value: float, error: ClusteredError, *, critical: float) -> tuple[float, float]:
    """The interval of a proportion for a given critical value, such as that of a simultaneous band."""
    level = max(0.5, 2 * t_cdf(critical, max(error.df, 1)) - 1)
    bounds = korn_graubard_interval(value, error, level=level)
    return bounds.low, bounds.high


def check_level(level: float) -> float:
    """`level` itself. Raises `InputError` unless it lies strictly between 0 and 1."""
    if not 0.0 < level < 1.0:
        raise InputError(f"a confidence level of {level!r}", "a number between 0 and 1", "pass 0.95 for 95%")
    return level
