"""Seeded resamples of clusters as weights, so that every bootstrap resamples the same units in bounded
memory.

Invariant: whole clusters are drawn, and the draws depend on the seed and the cluster labels only, not on the
order of the problems. Source: the cluster bootstrap, Davison and Hinkley 1997, chapter 3.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lakon.stats.intervals import check_level
from lakon.stats.samples import FloatArray, IntArray

_CHUNK_CELLS = 4_000_000
"""Weights held at a time: 32 MB of float64."""


def cluster_weights(clusters: IntArray, *, n_resamples: int, seed: int) -> Iterator[FloatArray]:
    """How often each problem occurs in each resample, in chunks of shape (rows, n) that add up to
    `n_resamples` rows.

    A resample draws G clusters with replacement; a problem counts as often as its cluster.
    """
    rng = np.random.default_rng(seed)
    n_clusters = int(clusters.max()) + 1
    chunk = max(1, _CHUNK_CELLS // len(clusters))
    for start in range(0, n_resamples, chunk):
        rows = min(chunk, n_resamples - start)
        drawn = rng.multinomial(n_clusters, np.full(n_clusters, 1.0 / n_clusters), size=rows)
        yield drawn[:, clusters].astype(np.float64)


def weighted_median(values: FloatArray, weights: FloatArray) -> FloatArray:
    """The median of `values` (n,) under each row of whole-number `weights` (rows, n), shape (rows,).

    Equals the median of the values written out as often as their weights say.
    """
    order = np.argsort(values, kind="stable")
    running = np.cumsum(weights[:, order], axis=1)
    half = running[:, -1:] / 2
    lower = values[order][np.argmax(running >= half, axis=1)]
    upper = values[order][np.argmax(running > half, axis=1)]
    return np.asarray((lower + upper) / 2, dtype=np.float64)


def percentile_bounds(draws: FloatArray, *, level: float, value: float) -> tuple[float, float]:
    """The percentile interval of bootstrap `draws` (any shape), widened to hold `value` should it lie
    outside.
    """
    tail = (1.0 - check_level(level)) / 2
    low, high = np.quantile(draws, [tail, 1.0 - tail])
    return min(float(low), value), max(float(high), value)
