"""The mean of any figure over problems, and the paired mean difference of two authors, with clustered intervals.

Invariant: one value a problem, and values of two authors in the same order of problems. The formulas are those of
`intervals` and `paired`; this file serves figures that are neither shares nor counts of tokens, such as losses.
"""

from __future__ import annotations

import math

from lakon.stats.intervals import ClusteredError, Estimate, cluster_sums, clustered_error, t_interval
from lakon.stats.paired import sign_flip_p
from lakon.stats.samples import FloatArray, IntArray


def estimate_mean(values: FloatArray, clusters: IntArray, *, level: float = 0.95) -> Estimate:
    """The mean of `values`, shape (n,), with a t interval over `clusters`, shape (n,), numbered from 0."""
    value, error = float(values.mean()), clustered_error(values, clusters)
    low, high, method = _interval(value, error, level)
    return Estimate(value, low, high, method, len(values), len(values))


def estimate_difference(
    a: FloatArray, b: FloatArray, clusters: IntArray, *, seed: int = 0, level: float = 0.95
) -> Estimate:
    """The mean of `a - b`, both of shape (n,), with a t interval over `clusters` and a sign-flip p-value.

    The p-value is exact up to 20 clusters; with more it comes from 100,000 draws by `seed`.
    """
    differences = a - b
    value, error = float(differences.mean()), clustered_error(differences, clusters)
    low, high, method = _interval(value, error, level)
    p_value, how = sign_flip_p(cluster_sums(differences, clusters), seed=seed)
    return Estimate(value, low, high, f"paired {method}; p by {how}", len(a), 2 * len(a), p_value)


def _interval(value: float, error: ClusteredError, level: float) -> tuple[float, float, str]:
    if error.n_clusters < 2:
        return -math.inf, math.inf, "one cluster: no interval"
    return t_interval(value, error, level=level)
