"""Accuracy and tokens at once: accuracy under every token budget, and the point of an author on the frontier.

Invariant: under a budget of B a sample counts when it is right and finished within B tokens, so the curve
never falls and ends at the accuracy. Its band holds for all budgets at the same time. Sources: sup-t bands,
Montiel Olea and Plagborg-Møller 2019, with the multiplier bootstrap of Chernozhukov, Chetverikov and Kato
2013.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lakon.core.errors import InputError
from lakon.stats.accuracy import accuracy
from lakon.stats.distributions import t_quantile
from lakon.stats.intervals import Estimate, check_level, clustered_error, is_flat, proportion_band
from lakon.stats.resampling import cluster_weights
from lakon.stats.samples import FloatArray, IntArray, Samples, align, cluster_index
from lakon.stats.tokens import mean_tokens

_GRID = 64
_MULTIPLIERS = 8_000_000
"""Multipliers that are drawn one by one: 64 MB. For 30,000 problems they would be 2.4 GB and ten seconds an author."""
_BLOCK = 20_000
"""Clusters whose columns are worked out at a time: some megabytes."""
_JITTER = 1e-10
"""Added to a covariance that may be singular (two budgets between which nothing was finished)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BudgetCurve:
    """Accuracy under each budget with a band that holds for all of them at once; shapes are (m,)."""

    budgets: FloatArray
    """Tokens, ascending."""
    values: FloatArray
    low: FloatArray
    high: FloatArray
    critical: float
    """What the standard error is multiplied by: above the t quantile, because all budgets must hold at once.
    """
    method: str
    n_problems: int
    n_samples: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrontierPoint:
    """Where an author stands in (accuracy, log tokens), with the joint uncertainty of both."""

    accuracy: Estimate
    tokens: Estimate
    covariance: FloatArray
    """Of (accuracy, natural log of mean tokens), shape (2, 2)."""
    draws: FloatArray
    """Joint bootstrap of (accuracy, natural log of mean tokens), shape (n_resamples, 2)."""


def accuracy_within_budget(
    samples: Samples,
    budgets: Sequence[int] | None = None,
    *,
    seed: int = 0,
    level: float = 0.95,
    n_resamples: int = 10_000,
) -> BudgetCurve:
    """Accuracy when only B tokens may be spent, for each B of `budgets` (tokens; by default 64 from least to
    most).

    Raises `InputError` without token counts or with an empty or negative list of budgets.
    """
    grid = _grid(samples, budgets)
    # One budget after the other: the shares of all problems under all of them would be most of what scoring takes.
    errors = [clustered_error(_shares(samples, budget), cluster_index(samples)) for budget in grid]
    moving = [budget for budget, error in zip(grid, errors, strict=True) if not is_flat(error)]
    critical = _simultaneous(samples, moving, errors[0].df, seed, check_level(level), n_resamples)
    values = np.clip([_shares(samples, budget).mean() for budget in grid], 0.0, 1.0)
    band = [proportion_band(float(v), e, critical=critical) for v, e in zip(values, errors, strict=True)]
    # The truth never falls with the budget either, so the band may be tightened to what monotone curves
    # allow.
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


def frontier(samples: Samples, *, seed: int = 0, level: float = 0.95, n_resamples: int = 2_000) -> FrontierPoint:
    """Accuracy and mean tokens with their joint bootstrap over clusters.

    Raises `InputError` without token counts, or when no token was generated.
    """
    columns = np.stack([samples.accuracies, _positive(samples)], axis=1)
    draws = np.concatenate(
        [
            (weights @ columns) / weights.sum(axis=1, keepdims=True)
            for weights in cluster_weights(cluster_index(samples), n_resamples=n_resamples, seed=seed)
        ]
    )
    draws[:, 1] = np.log(np.maximum(draws[:, 1], np.finfo(float).tiny))
    covariance = np.cov(draws, rowvar=False)
    point, cost = accuracy(samples, level=level), mean_tokens(samples, level=level)
    return FrontierPoint(accuracy=point, tokens=cost, covariance=covariance, draws=draws)


def frontier_dominance(a: Samples, b: Samples, *, seed: int = 0, n_resamples: int = 4_000) -> float:
    """The share of paired resamples in which `a` is at least as accurate as `b` with no more tokens.

    A description of the bootstrap cloud, not a p-value. Raises `InputError` without common problems or token
    counts.
    """
    pair = align(a, b)
    gain = pair.a.accuracies - pair.b.accuracies
    extra = pair.a.token_means - pair.b.token_means
    hits = 0
    for weights in cluster_weights(cluster_index(pair.a), n_resamples=n_resamples, seed=seed):
        hits += int(((weights @ gain >= -1e-9) & (weights @ extra <= 1e-9)).sum())
    return hits / n_resamples


def _grid(samples: Samples, budgets: Sequence[int] | None) -> FloatArray:
    if budgets is None:
        least, most = max(1, int(samples.flat_tokens.min())), max(1, int(samples.flat_tokens.max()))
        return np.unique(np.rint(np.geomspace(least, most, _GRID)))
    if not budgets or min(budgets) < 0:
        raise InputError(f"token budgets {list(budgets)!r}", "budgets of 0 tokens or more", "leave them out for a grid")
    return np.unique(np.asarray(budgets, dtype=np.float64))


def _shares(samples: Samples, budget: float) -> FloatArray:
    """Each problem's share of samples that are right within a budget, shape (n,)."""
    return samples.problem_means(samples.flat_correct & (samples.flat_tokens <= budget))


def _simultaneous(
    samples: Samples, moving: Sequence[float], df: int, seed: int, level: float, n_resamples: int
) -> float:
    """The `level` quantile of max_B |error(B)| / SE(B) over the budgets that move; at least the t quantile."""
    if not moving:
        return t_quantile(0.5 + level / 2, max(df, 1))
    columns = _Columns.of(samples, moving)
    rng = np.random.default_rng(seed)
    # Normal multipliers over a chi: at one budget this is Student's t exactly, so 30 problems get a wide
    # enough band.
    normal = _multiplied(columns, rng, n_resamples)
    scale = np.sqrt(rng.chisquare(df, size=n_resamples) / df)
    worst = np.abs(normal).max(axis=1) / scale
    return max(float(np.quantile(worst, level)), t_quantile(0.5 + level / 2, df))


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """What each cluster adds to the error under each budget, made in blocks of clusters: for 300,000 problems all of it
    would be 50 MB."""

    right: NDArray[np.unsignedinteger]
    """How many samples of each problem are right within each budget, shape (m, n): problems by their clusters."""
    counts: IntArray
    """K_i of each problem, by clusters too."""
    starts: IntArray
    """Where among the problems each cluster starts, and the last one ends; shape (G + 1,)."""

    @staticmethod
    def of(samples: Samples, budgets: Sequence[float]) -> _Columns:
        clusters, counts = cluster_index(samples), samples.counts
        order = np.argsort(clusters, kind="stable")
        right = np.empty((len(budgets), samples.n_problems), dtype=np.min_scalar_type(counts.max()))
        for row, budget in zip(right, budgets, strict=True):
            within = samples.flat_correct & (samples.flat_tokens <= budget)
            row[:] = np.bincount(samples.row, weights=within, minlength=len(counts))[order]
        starts = np.searchsorted(clusters[order], np.arange(int(clusters.max()) + 2))
        return _Columns(right, counts[order], starts)

    @property
    def shape(self) -> tuple[int, int]:
        """(G, m)."""
        return len(self.starts) - 1, len(self.right)

    def blocks(self) -> Iterator[FloatArray]:
        """Sums over the problems of each cluster of share minus mean share, shape (g, m) each, (G, m) together."""
        means = np.array([(row / self.counts).mean() for row in self.right])
        for first in range(0, self.shape[0], _BLOCK):
            starts = self.starts[first : first + _BLOCK + 1]
            here = slice(starts[0], starts[-1])
            centred = self.right[:, here] / self.counts[here] - means[:, None]
            yield np.add.reduceat(centred, starts[:-1] - starts[0], axis=1).T


def _multiplied(columns: _Columns, rng: np.random.Generator, n_resamples: int) -> FloatArray:
    """Sums over clusters of their columns under normal multipliers, each budget's with a variance of one; shape
    (n_resamples, m). With many clusters they are drawn as what such sums are: normal, with the covariance of the
    columns, so that the work does not grow with them."""
    n, m = columns.shape
    if n * n_resamples <= _MULTIPLIERS:
        few = np.concatenate(list(columns.blocks()))
        return rng.standard_normal((n_resamples, n)) @ (few / np.sqrt((few**2).sum(axis=0)))
    covariance = np.zeros((m, m))
    for block in columns.blocks():
        covariance += block.T @ block
    scale = np.sqrt(np.diag(covariance))
    root = np.linalg.cholesky(covariance / np.outer(scale, scale) + _JITTER * np.eye(m))
    return rng.standard_normal((n_resamples, m)) @ root.T


def _positive(samples: Samples) -> FloatArray:
    means = samples.token_means
    if not means.any():
        raise InputError("an author without a single token", "a positive mean number of tokens", "check the counts")
    return means
