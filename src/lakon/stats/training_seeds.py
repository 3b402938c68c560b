"""How much of a student's accuracy is the luck of its training seed.

Invariant: training seeds are a random effect crossed with problems (every seed's student meets the same
problems), so an interval over students needs at least two seeds, and with one it is None rather than a figure
that leaves the seed out. Sources: nested bootstrap, Davison and Hinkley 1997, chapter 3; crossed effects,
Searle, Casella and McCulloch 1992; degrees of freedom, Satterthwaite 1946; the size of the
effect, Hochlehnert et al. 2025 (arXiv 2504.07086).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lakon.core.errors import InputError
from lakon.stats.accuracy import accuracy
from lakon.stats.distributions import t_quantile
from lakon.stats.intervals import Estimate, check_level
from lakon.stats.ragged import Ragged
from lakon.stats.resampling import cluster_weights
from lakon.stats.samples import FloatArray, IntArray, Samples, cluster_index

_CHUNK_CELLS = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedSpread:
    """Accuracy over students that differ in their training seed only."""

    per_seed: dict[int, Estimate]
    """Each seed's student on its own, by training seed."""
    estimate: Estimate | None
    """The mean over seeds, with an interval over seeds, problems and samples; None with one seed."""
    seed_sd: float
    """The standard deviation of a student's true accuracy between seeds (0 where the noise explains all); NaN
    with one.
    """
    note: str
    """What a report says about it."""


def seed_spread(samples: Samples, *, seed: int = 0, level: float = 0.95, n_resamples: int = 2_000) -> SeedSpread:
    """What the training seed does to accuracy, from samples whose `seed_index` tells the students apart.

    The interval is value ± t SD of a nested bootstrap (seeds, then clusters of problems, then samples), with
    Satterthwaite's degrees of freedom: with two to five seeds the bootstrap's percentiles alone cover 79-92%.
    Raises `InputError` when the samples carry no seeds or a problem lacks one of them.
    """
    seeds = np.unique(samples.flat_seeds)
    if len(seeds) < 2:
        alone = {int(s): accuracy(samples, level=level) for s in seeds}
        return SeedSpread(per_seed=alone, estimate=None, seed_sd=math.nan, note=_ONE_SEED)
    shares, counts = _cells(samples, seeds)
    per_seed = {int(s): accuracy(_of_seed(samples, int(s)), level=level) for s in seeds}
    clusters = cluster_index(samples)
    squares = _mean_squares(shares)
    draws = _nested(shares, counts, clusters, seed, n_resamples)
    value = float(shares.mean())
    half = t_quantile(0.5 + check_level(level) / 2, _degrees(squares, shares.shape, clusters)) * float(
        draws.std(ddof=1)
    )
    method = f"nested bootstrap (training seed, problem, sample), t by Satterthwaite, seed {seed}"
    low, high = max(0.0, value - half), min(1.0, value + half)
    estimate = Estimate(value, low, high, method, samples.n_problems, samples.n_samples)
    sd = math.sqrt(max(0.0, (squares[0] - squares[2]) / samples.n_problems))
    note = f"{len(seeds)} training seeds, standard deviation between them {sd:.4f}"
    return SeedSpread(per_seed=per_seed, estimate=estimate, seed_sd=sd, note=note)


_ONE_SEED = "one training seed: the interval leaves out how much another seed's student would differ"


def _cells(samples: Samples, seeds: IntArray) -> tuple[FloatArray, IntArray]:
    """The share of right samples and their number for each seed and problem, shape (S, n) each."""
    cell = np.searchsorted(seeds, samples.flat_seeds) * samples.n_problems + samples.row
    size = len(seeds) * samples.n_problems
    counts = np.bincount(cell, minlength=size).reshape(len(seeds), samples.n_problems)
    if not counts.all():
        s, i = (int(index[0]) for index in np.nonzero(counts == 0))
        raise InputError(
            f"no sample of training seed {int(seeds[s])} for problem {samples.problem_ids[i]!r}",
            "samples of every training seed for every problem",
            "evaluate all students on the same problems, or compare on the common ones",
        )
    right = np.bincount(cell, weights=samples.flat_correct, minlength=size).reshape(counts.shape)
    return right / counts, counts.astype(np.int64)


def _of_seed(samples: Samples, seed: int) -> Samples:
    mine = samples.flat_seeds == seed
    counts = np.bincount(samples.row[mine], minlength=samples.n_problems)
    return Samples(
        problem_ids=samples.problem_ids, correct=Ragged(samples.flat_correct[mine], counts), clusters=samples.clusters
    )


def _mean_squares(shares: FloatArray) -> tuple[float, float, float]:
    """Mean squares of seeds, problems and the rest in the crossed layout (S, n)."""
    n_seeds, n = shares.shape
    by_seed, by_problem, value = shares.mean(axis=1), shares.mean(axis=0), shares.mean()
    rest = shares - by_seed[:, None] - by_problem + value
    free = max(1, (n_seeds - 1) * (n - 1))
    of_problems = n_seeds * float(by_problem.var(ddof=1)) if n > 1 else 0.0
    return n * float(by_seed.var(ddof=1)), of_problems, float((rest**2).sum()) / free


def _degrees(squares: tuple[float, float, float], shape: tuple[int, ...], clusters: IntArray) -> float:
    """Satterthwaite's degrees of freedom of (MS_seeds + MS_problems - MS_rest), at least 1."""
    n_seeds, n_clusters = shape[0], int(clusters.max()) + 1
    parts = zip(squares, (n_seeds - 1, n_clusters - 1, (n_seeds - 1) * (n_clusters - 1)), strict=True)
    below = sum(square**2 / max(df, 1) for square, df in parts)
    above = (squares[0] + squares[1] - squares[2]) ** 2
    return max(1.0, above / below) if below > 0 else 1.0


def _nested(shares: FloatArray, counts: IntArray, clusters: IntArray, seed: int, n_resamples: int) -> FloatArray:
    """Means of resamples; a cell's resampled samples are one binomial draw, and each seed drawn twice gets
    its own.
    """
    rng = np.random.default_rng(seed)
    n_seeds, draws = len(shares), list[FloatArray]()
    for weights in cluster_weights(clusters, n_resamples=n_resamples, seed=seed):
        step = max(1, _CHUNK_CELLS // shares.size)
        for part in np.array_split(weights, math.ceil(len(weights) / step)):
            chosen = rng.integers(0, n_seeds, size=(len(part), n_seeds))
            cells = rng.binomial(counts[chosen], shares[chosen]) / counts[chosen]
            draws.append((cells.mean(axis=1) * part).sum(axis=1) / part.sum(axis=1))
    return np.concatenate(draws)
