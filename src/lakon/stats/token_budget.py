"""The accuracy that each token budget buys, with a band that is valid for all budgets at once.

Invariant: under a budget of B a sample counts when it is correct and finished within B tokens, so the curve never falls
and ends at the accuracy. Sources: sup-t bands, Montiel Olea and Plagborg-Møller 2019, with the multiplier bootstrap of
Chernozhukov, Chetverikov and Kato 2013.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lakon.core.errors import InputError
from lakon.stats.distributions import t_quantile
from lakon.stats.intervals import check_level, clustered_error, lacks_variation, proportion_interval_at
from lakon.stats.samples import FloatArray, IntArray, Samples, cluster_index

_GRID = 64
_MULTIPLIERS = 8_000_000
"""Multipliers that may be drawn one by one: 64 MB. 30,000 problems would take 2.4 GB and ten seconds an author."""
_BLOCK = 20_000
"""Clusters processed at a time: a few megabytes."""
_JITTER = 1e-10
"""Added to the diagonal of a covariance that may be singular (no sample finished between two budgets)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BudgetCurve:
    """Accuracy under each budget with a simultaneous band; shapes are (m,)."""

    budgets: FloatArray
    """Tokens, ascending."""
    values: FloatArray
    low: FloatArray
    high: FloatArray
    critical: float
    """The multiple of the standard error: above the t quantile, because the band covers all budgets at once."""
    method: str
    n_problems: int
    n_samples: int


def accuracy_within_budget(
    samples: Samples,
    budgets: Sequence[int] | None = None,
    *,
    seed: int = 0,
    level: float = 0.95,
    n_resamples: int = 10_000,
) -> BudgetCurve:
    """Accuracy when only B tokens may be spent, for each B of `budgets` (tokens; by default 64 from least to most).

    Raises `InputError` without token counts or with an empty or negative list of budgets.
    """
    grid = _budget_grid(samples, budgets)
    # One budget after the other: shares of all problems under all budgets would be most of the memory of scoring.
    errors = [clustered_error(_shares_within(samples, budget), cluster_index(samples)) for budget in grid]
    varying = [budget for budget, error in zip(grid, errors, strict=True) if not lacks_variation(error)]
    critical = _simultaneous_critical(samples, varying, errors[0].df, seed, check_level(level), n_resamples)
    values = np.clip([_shares_within(samples, budget).mean() for budget in grid], 0.0, 1.0)
    band = [proportion_interval_at(float(v), e, critical=critical) for v, e in zip(values, errors, strict=True)]
    # The true curve never falls either, so the band may be narrowed to what monotone curves allow.
    low, high = (
        np.maximum.accumulate([b[0] for b in band]),
        np.minimum.accumulate([b[1] for b in band][::-1])[::-1],
    )
    return BudgetCurve(
        budgets=grid,
        values=values,
        low=np.minimum(low, values),
        high=np.maximum(high, values),
        critical=critical,
        method=f"simultaneous {level:.0%} band, multiplier bootstrap over clusters, seed {seed}",
        n_problems=samples.n_problems,
        n_samples=samples.n_samples,
    )


def _budget_grid(samples: Samples, budgets: Sequence[int] | None) -> FloatArray:
    if budgets is None:
        least, most = max(1, int(samples.flat_tokens.min())), max(1, int(samples.flat_tokens.max()))
        return np.unique(np.rint(np.geomspace(least, most, _GRID)))
    if not budgets or min(budgets) < 0:
        raise InputError(
            f"token budgets {list(budgets)!r}", "budgets of 0 tokens or more", "omit them for a default grid"
        )
    return np.unique(np.asarray(budgets, dtype=np.float64))


def _shares_within(samples: Samples, budget: float) -> FloatArray:
    """Each problem's share of samples that are correct within a budget, shape (n,)."""
    return samples.problem_means(samples.flat_correct & (samples.flat_tokens <= budget))


def _simultaneous_critical(
    samples: Samples, varying: Sequence[float], df: float, seed: int, level: float, n_resamples: int
) -> float:
    """The `level` quantile of max_B |error(B)| / SE(B) over the budgets whose error varies; at least the t quantile."""
    if not varying:
        return t_quantile(0.5 + level / 2, max(df, 1))
    columns = _ClusterErrors.of(samples, varying)
    rng = np.random.default_rng(seed)
    # Normal multipliers over a chi: for one budget this is exactly Student's t, so 30 problems get a wide enough band.
    normal = _multiplier_sums(columns, rng, n_resamples)
    scale = np.sqrt(rng.chisquare(df, size=n_resamples) / df)
    worst = np.abs(normal).max(axis=1) / scale
    return max(float(np.quantile(worst, level)), t_quantile(0.5 + level / 2, df))


@dataclass(frozen=True, slots=True, eq=False)
class _ClusterErrors:
    """The contribution of each cluster to the error under each budget, computed in blocks of clusters.

    For 300,000 problems all of it at once would be 50 MB.
    """

    right: NDArray[np.unsignedinteger]
    """Correct samples of each problem within each budget, shape (m, n), with the problems sorted by cluster."""
    counts: IntArray
    """K_i of each problem, in the same order."""
    starts: IntArray
    """The index of each cluster's first problem, and the number of problems; shape (G + 1,)."""

    @staticmethod
    def of(samples: Samples, budgets: Sequence[float]) -> _ClusterErrors:
        clusters, counts = cluster_index(samples), samples.counts
        order = np.argsort(clusters, kind="stable")
        right = np.empty((len(budgets), samples.n_problems), dtype=np.min_scalar_type(counts.max()))
        for row, budget in zip(right, budgets, strict=True):
            within = samples.flat_correct & (samples.flat_tokens <= budget)
            row[:] = np.bincount(samples.row, weights=within, minlength=len(counts))[order]
        starts = np.searchsorted(clusters[order], np.arange(int(clusters.max()) + 2))
        return _ClusterErrors(right, counts[order], starts)

    @property
    def shape(self) -> tuple[int, int]:
        """(G, m)."""
        return len(self.starts) - 1, len(self.right)

    def blocks(self) -> Iterator[FloatArray]:
        """The sum over each cluster's problems of share minus mean share: blocks of shape (g, m), (G, m) together."""
        means = np.array([(row / self.counts).mean() for row in self.right])
        for first in range(0, self.shape[0], _BLOCK):
            starts = self.starts[first : first + _BLOCK + 1]
            block = slice(starts[0], starts[-1])
            centred = self.right[:, block] / self.counts[block] - means[:, None]
            yield np.add.reduceat(centred, starts[:-1] - starts[0], axis=1).T


def _multiplier_sums(columns: _ClusterErrors, rng: np.random.Generator, n_resamples: int) -> FloatArray:
    """Sums over clusters under normal multipliers, scaled to a variance of one for each budget; shape (n_resamples, m).

    With many clusters the sums are drawn directly: they are normal with the covariance of the columns. So the work does
    not grow with the number of clusters.
    """
    n, m = columns.shape
    if n * n_resamples <= _MULTIPLIERS:
        errors = np.concatenate(list(columns.blocks()))
        return rng.standard_normal((n_resamples, n)) @ (errors / np.sqrt((errors**2).sum(axis=0)))
    covariance = np.zeros((m, m))
    for block in columns.blocks():
        covariance += block.T @ block
    scale = np.sqrt(np.diag(covariance))
    root = np.linalg.cholesky(covariance / np.outer(scale, scale) + _JITTER * np.eye(m))
    return rng.standard_normal((n_resamples, m)) @ root.T
