"""How much a student's accuracy varies with its training seed.

Invariant: training seeds are a random effect crossed with problems (the students of all seeds answer the same
problems), so an interval over students needs at least two seeds. With one it is None, not a figure that ignores the
seed. Sources: nested bootstrap, Davison and Hinkley 1997, chapter 3; crossed effects,
Searle, Casella and McCulloch 1992; degrees of freedom, Satterthwaite 1946; the size of the
effect, Hochlehnert et al. 2025 (arXiv 2504.07086).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lakon.core.errors import InputError
from lakon.stats.accuracy import accuracy
from lakon.stats.distributions import t_quantile
from lakon.stats.intervals import Estimate, check_level
from lakon.stats.ragged import Ragged
from lakon.stats.samples import FloatArray, IntArray, Samples, cluster_index

_CHUNK_CELLS = 2_000_000
"""Cells of (seed, problem) drawn at a time: 16 MB of float64."""
_WEIGHT_CELLS = 4_000_000
"""Weights held at a time: 32 MB of float64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedSpread:
    """Accuracy over students that differ only in their training seed."""

    per_seed: dict[int, Estimate]
    """Training seed to the accuracy of its student alone."""
    estimate: Estimate | None
    """The mean over seeds, with an interval that covers seeds, problems and samples; None with one seed."""
    seed_sd: float
    """The standard deviation of true accuracy between seeds (0 where noise explains all of it); NaN with one seed."""
    note: str
    """The same in a sentence."""


def seed_spread(samples: Samples, *, seed: int = 0, level: float = 0.95, n_resamples: int = 2_000) -> SeedSpread:
    """The effect of the training seed on accuracy, from samples with a `seed_index`.

    The interval is value ± t SD of a nested bootstrap (seeds, then clusters of problems, then samples) with
    Satterthwaite's degrees of freedom; with two to five seeds the bootstrap's percentiles alone cover 79-92%. Raises
    `InputError` when the samples carry no seeds or a problem lacks one of them.
    """
    seeds = np.unique(samples.flat_seeds)
    if len(seeds) < 2:
        alone = {int(s): accuracy(samples, level=level) for s in seeds}
        return SeedSpread(per_seed=alone, estimate=None, seed_sd=math.nan, note=_ONE_SEED)
    shares, counts = _shares_by_seed(samples, seeds)
    per_seed = {int(s): accuracy(_samples_of_seed(samples, int(s)), level=level) for s in seeds}
    clusters = cluster_index(samples)
    squares = mean_squares(shares)
    draws = _nested_bootstrap(shares, counts, clusters, seed, n_resamples)
    value = float(shares.mean())
    half = t_quantile(0.5 + check_level(level) / 2, _satterthwaite_df(squares, shares.shape, clusters)) * float(
        draws.std(ddof=1)
    )
    method = f"nested bootstrap (training seed, problem, sample), t by Satterthwaite, seed {seed}"
    low, high = max(0.0, value - half), min(1.0, value + half)
    estimate = Estimate(value, low, high, method, samples.n_problems, samples.n_samples)
    sd = math.sqrt(max(0.0, (squares[0] - squares[2]) / samples.n_problems))
    note = f"{len(seeds)} training seeds, standard deviation between them {sd:.4f}"
    return SeedSpread(per_seed=per_seed, estimate=estimate, seed_sd=sd, note=note)


_ONE_SEED = "one training seed: the interval leaves out how much another seed's student would differ"


def _shares_by_seed(samples: Samples, seeds: IntArray) -> tuple[FloatArray, IntArray]:
    """The share of correct samples and the number of samples for each seed and problem, shape (S, n) each."""
    cell = np.searchsorted(seeds, samples.flat_seeds) * samples.n_problems + samples.row
    size = len(seeds) * samples.n_problems
    counts = np.bincount(cell, minlength=size).reshape(len(seeds), samples.n_problems)
    if not counts.all():
        s, i = (int(index[0]) for index in np.nonzero(counts == 0))
        raise InputError(
            f"no sample of training seed {int(seeds[s])} for problem {samples.problem_ids[i]!r}",
            "samples of every training seed for every problem",
            "evaluate all students on the same problems, or pass only the common ones",
        )
    right = np.bincount(cell, weights=samples.flat_correct, minlength=size).reshape(counts.shape)
    return right / counts, counts.astype(np.int64)


def _samples_of_seed(samples: Samples, seed: int) -> Samples:
    of_seed = samples.flat_seeds == seed
    counts = np.bincount(samples.row[of_seed], minlength=samples.n_problems)
    return Samples(
        problem_ids=samples.problem_ids,
        correct=Ragged(samples.flat_correct[of_seed], counts),
        clusters=samples.clusters,
    )


def mean_squares(shares: FloatArray) -> tuple[float, float, float]:
    """Mean squares of seeds, problems and the rest in the crossed layout (S, n)."""
    n_seeds, n = shares.shape
    by_seed, by_problem, value = shares.mean(axis=1), shares.mean(axis=0), shares.mean()
    rest = shares - by_seed[:, None] - by_problem + value
    free = max(1, (n_seeds - 1) * (n - 1))
    of_problems = n_seeds * float(by_problem.var(ddof=1)) if n > 1 else 0.0
    return n * float(by_seed.var(ddof=1)), of_problems, float((rest**2).sum()) / free


def _satterthwaite_df(squares: tuple[float, float, float], shape: tuple[int, ...], clusters: IntArray) -> float:
    """Satterthwaite's degrees of freedom of (MS_seeds + MS_problems - MS_rest), at least 1."""
    n_seeds, n_clusters = shape[0], int(clusters.max()) + 1
    parts = zip(squares, (n_seeds - 1, n_clusters - 1, (n_seeds - 1) * (n_clusters - 1)), strict=True)
    below = sum(square**2 / max(df, 1) for square, df in parts)
    above = (squares[0] + squares[1] - squares[2]) ** 2
    return max(1.0, above / below) if below > 0 else 1.0


def _nested_bootstrap(
    shares: FloatArray, counts: IntArray, clusters: IntArray, seed: int, n_resamples: int
) -> FloatArray:
    """The mean of each resample, shape (n_resamples,).

    The samples of a cell are one binomial draw; a seed that is drawn twice gets two of them.
    """
    rng = np.random.default_rng(seed)
    n_seeds, draws = len(shares), list[FloatArray]()
    for weights in cluster_weights(clusters, n_resamples=n_resamples, seed=seed):
        step = max(1, _CHUNK_CELLS // shares.size)
        for part in np.array_split(weights, math.ceil(len(weights) / step)):
            seeds = rng.integers(0, n_seeds, size=(len(part), n_seeds))
            cells = rng.binomial(counts[seeds], shares[seeds]) / counts[seeds]
            draws.append((cells.mean(axis=1) * part).sum(axis=1) / part.sum(axis=1))
    return np.concatenate(draws)


def cluster_weights(clusters: IntArray, *, n_resamples: int, seed: int) -> Iterator[FloatArray]:
    """How often each problem occurs in each resample: chunks of shape (rows, n), `n_resamples` rows together.

    A resample draws G whole clusters with replacement. The draws depend only on the seed and the cluster numbers, not
    on the order of the problems.
    """
    rng = np.random.default_rng(seed)
    n_clusters = int(clusters.max()) + 1
    chunk = max(1, _WEIGHT_CELLS // len(clusters))
    for start in range(0, n_resamples, chunk):
        rows = min(chunk, n_resamples - start)
        counts = rng.multinomial(n_clusters, np.full(n_clusters, 1.0 / n_clusters), size=rows)
        yield counts[:, clusters].astype(np.float64)
