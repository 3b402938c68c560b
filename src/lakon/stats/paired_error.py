"""The error of a paired difference: problems, and the training seeds of each side.

Invariant: training seeds are a random effect of each side, crossed with problems. Their variance is added to the paired
variance over problems: with several seeds an interval covers another training run too, with one it cannot.
Sources: crossed effects, Searle, Casella and McCulloch 1992; degrees of freedom, Satterthwaite 1946; limits from
the limits of both sides (MOVER), Zou and Donner 2008; paired proportions, Newcombe 1998.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lakon.stats.distributions import t_cdf
from lakon.stats.intervals import (
    ClusteredError,
    clopper_pearson_interval,
    cluster_sums,
    clustered_error,
    has_plenty,
    lacks_variation,
    wilson_interval,
)
from lakon.stats.samples import AlignedPair, FloatArray, Samples, cluster_index
from lakon.stats.training_seeds import mean_squares


class SeedError(NamedTuple):
    """What training seeds add to the variance of one side's mean."""

    variance: float
    """(MS_seed - MS_rest)/(n S), at least 0; 0 with one seed."""
    spread: float
    """The sum of squared parts over their degrees of freedom, for Satterthwaite's formula."""
    n_seeds: int


def seed_error(samples: Samples, flat: NDArray[np.generic]) -> SeedError:
    """The seeds' part in the variance of the mean of `flat`, shape (sum K_i,).

    Only problems that every seed answered tell seeds from noise; with fewer than two of them nothing is added.
    """
    if samples.seed_index is None:
        return SeedError(0.0, 0.0, 1)
    seeds, of_seed = np.unique(samples.flat_seeds, return_inverse=True)
    if len(seeds) < 2:
        return SeedError(0.0, 0.0, 1)
    cell, shape = of_seed * samples.n_problems + samples.row, (len(seeds), samples.n_problems)
    counts = np.bincount(cell, minlength=math.prod(shape)).reshape(shape)
    sums = np.bincount(cell, weights=flat.astype(np.float64), minlength=math.prod(shape)).reshape(shape)
    complete = counts.all(axis=0)
    if complete.sum() < 2:
        return SeedError(0.0, 0.0, len(seeds))
    n_seeds, n = len(seeds), int(complete.sum())
    of_seeds, _, rest = mean_squares(sums[:, complete] / counts[:, complete])
    scale = 1.0 / (n * n_seeds)
    spread = (of_seeds * scale) ** 2 / (n_seeds - 1) + (rest * scale) ** 2 / ((n_seeds - 1) * (n - 1))
    return SeedError(max(0.0, (of_seeds - rest) * scale), spread, n_seeds)


def add_seed_errors(error: ClusteredError, *seeds: SeedError) -> ClusteredError:
    """The error with the variance of training seeds, and Satterthwaite's degrees of freedom."""
    several = [seed for seed in seeds if seed.n_seeds > 1]
    if not several or error.n_clusters < 2:
        return error
    variance = error.se**2 + sum(seed.variance for seed in several)
    below = error.se**4 / error.df + sum(seed.spread for seed in several)
    df = max(1.0, variance**2 / below) if below > 0 else error.df
    return ClusteredError(math.sqrt(variance), min(df, error.df), error.n_clusters)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairedAccuracy:
    """The accuracies of two sides on the same problems, and the errors of both and of their difference."""

    a: float
    b: float
    error_a: ClusteredError
    error_b: ClusteredError
    error: ClusteredError
    """Of `a - b`, with the variance of training seeds."""
    problem_variance: float
    """The part of the squared error that shrinks with more problems."""
    seeds: tuple[SeedError, SeedError]
    covariance: float
    sums: FloatArray
    """The sum of each cluster's differences, shape (G,)."""
    n_problems: int
    n_samples: int

    @property
    def value(self) -> float:
        """a - b."""
        return self.a - self.b

    @property
    def seed_variance(self) -> float:
        """The part of the squared error that training seeds make."""
        return self.seeds[0].variance + self.seeds[1].variance

    @property
    def is_sparse(self) -> bool:
        """Whether one side has so few successes or failures that the t interval is not to be trusted."""
        return not (has_plenty(self.a, self.error_a) and has_plenty(self.b, self.error_b))

    @property
    def method(self) -> str:
        """The name of the interval."""
        n = self.error.n_clusters
        if n < 2:
            return "one cluster: the whole range"
        if lacks_variation(self.error):
            return f"no variation: Clopper-Pearson on {n} clusters"
        name = f"MOVER of Wilson limits on {n} clusters" if self.is_sparse else f"t on {n} clusters"
        several = max(seed.n_seeds for seed in self.seeds) > 1
        return f"{name}, training seeds crossed, df {self.error.df:.1f}" if several else name

    def limits(self, critical: float) -> tuple[float, float]:
        """The limits of a - b at a critical value of t: those of the interval of level 1 - 2 P(T > critical)."""
        if self.error.n_clusters < 2:
            return -1.0, 1.0
        value = self.value
        if lacks_variation(self.error):
            # Less than `unseen` of the population differs from the value seen, and may lie anywhere.
            unseen = 1.0 - t_cdf(-critical, self.error.df) ** (1.0 / self.error.n_clusters)
            return value - unseen * (1.0 + value), value + unseen * (1.0 - value)
        if not self.is_sparse:
            half = critical * self.error.se
            return max(-1.0, value - half), min(1.0, value + half)
        low_a, high_a = _side_limits(self.a, self.error_a, critical, self.error.df)
        low_b, high_b = _side_limits(self.b, self.error_b, critical, self.error.df)
        down = _combine_sides(self.a - low_a, high_b - self.b, self._correlation)
        up = _combine_sides(high_a - self.a, self.b - low_b, self._correlation)
        return max(-1.0, value - down), min(1.0, value + up)

    @property
    def _correlation(self) -> float:
        scale = self.error_a.se * self.error_b.se
        return min(1.0, max(-1.0, self.covariance / scale)) if scale > 0 else 0.0


def measure_pair(pair: AlignedPair) -> PairedAccuracy:
    """Accuracies, errors and cluster sums of two sides on the same problems."""
    clusters, n = cluster_index(pair.a), pair.a.n_problems
    first, second = pair.a.accuracies, pair.b.accuracies
    sums_a = cluster_sums(first - first.mean(), clusters)
    sums_b = cluster_sums(second - second.mean(), clusters)
    groups = len(sums_a)
    covariance = groups / max(1, groups - 1) * float(sums_a @ sums_b) / n**2
    seeds = (seed_error(pair.a, pair.a.flat_correct), seed_error(pair.b, pair.b.flat_correct))
    over_problems = clustered_error(first - second, clusters)
    return PairedAccuracy(
        a=float(first.mean()),
        b=float(second.mean()),
        error_a=add_seed_errors(clustered_error(first, clusters), seeds[0]),
        error_b=add_seed_errors(clustered_error(second, clusters), seeds[1]),
        error=add_seed_errors(over_problems, *seeds),
        problem_variance=over_problems.se**2,
        seeds=seeds,
        covariance=covariance,
        sums=cluster_sums(first - second, clusters),
        n_problems=n,
        n_samples=pair.a.n_samples + pair.b.n_samples,
    )


def _side_limits(value: float, error: ClusteredError, critical: float, df: float) -> tuple[float, float]:
    if lacks_variation(error):
        level = min(1 - 1e-12, max(1e-12, 2 * t_cdf(critical, df) - 1))
        return clopper_pearson_interval(value * error.n_clusters, error.n_clusters, level=level)
    return wilson_interval(value, value * (1 - value) / error.se**2, critical)


def _combine_sides(one: float, other: float, correlation: float) -> float:
    return math.sqrt(max(0.0, one**2 + other**2 - 2 * correlation * one * other))
