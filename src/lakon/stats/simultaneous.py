"""One critical value for all comparisons of a family: the quantile of the largest t when nothing differs (max-t).

Invariant: signs are flipped jointly, problem by problem over all comparisons, so shared problems and a shared baseline
keep their correlation. Sources: Westfall and Young 1993; multiplier bootstrap, Chernozhukov, Chetverikov and Kato 2013.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lakon.stats.distributions import normal_cdf
from lakon.stats.intervals import check_level, cluster_sums
from lakon.stats.paired_error import PairedAccuracy
from lakon.stats.samples import AlignedPair, FloatArray, IntArray, cluster_index

_DRAWS = 20_000
_CHUNK_CELLS = 4_000_000
"""Signs drawn at a time: 16 MB of float32."""
_MOST_SIGNS = 60_000_000
"""Up to this many signs are flipped one by one; above it the sums are drawn from their normal limit."""
_JITTER = 1e-9


def simultaneous_level(
    aligned: Sequence[AlignedPair],
    pairs: Sequence[PairedAccuracy],
    sides: Sequence[tuple[int, int]],
    *,
    seed: int = 0,
    level: float = 0.95,
) -> float:
    """The level at which each interval has to be taken so that all of them hold together with probability `level`.

    `sides` numbers the two sides of each comparison: a side that several comparisons share brings the same training
    seeds into all of them. A single comparison keeps `level`.
    """
    moving = [i for i, pair in enumerate(pairs) if pair.error.n_clusters > 1 and pair.error.se > 0]
    if len(moving) < 2:
        return check_level(level)
    rng = np.random.default_rng(seed)
    errors = _joint_errors([aligned[i] for i in moving])
    errors /= np.array([pairs[i].n_problems * pairs[i].error.se for i in moving])
    statistic = _flip_signs(errors, rng) + _draw_seeds([pairs[i] for i in moving], [sides[i] for i in moving], rng)
    critical = float(np.quantile(np.abs(statistic).max(axis=1), check_level(level)))
    return max(level, 2 * normal_cdf(critical) - 1)


def _joint_errors(aligned: Sequence[AlignedPair]) -> FloatArray:
    """Each cluster's sum of centred differences for each comparison, shape (clusters of all, m)."""
    rows = _common_rows(aligned)
    columns = np.zeros((max(int(row.max()) for row in rows) + 1, len(aligned)))
    for column, (pair, row) in enumerate(zip(aligned, rows, strict=True)):
        differences = pair.a.accuracies - pair.b.accuracies
        sums = cluster_sums(differences - differences.mean(), row)
        columns[: len(sums), column] = sums
    return columns


def _common_rows(aligned: Sequence[AlignedPair]) -> list[IntArray]:
    """The cluster of each problem of each comparison, numbered over all comparisons."""
    first = aligned[0].a
    if all((pair.a.problem_ids, pair.a.clusters) == (first.problem_ids, first.clusters) for pair in aligned):
        return [cluster_index(first)] * len(aligned)
    numbers: dict[str, int] = {}
    rows: list[IntArray] = []
    for pair in aligned:
        labels = pair.a.clusters or (None,) * pair.a.n_problems
        names = (
            f"problem {problem}" if label is None else f"cluster {label}"
            for problem, label in zip(pair.a.problem_ids, labels, strict=True)
        )
        rows.append(np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64))
    return rows


def _flip_signs(errors: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Sums of `errors` under joint random signs, shape (draws, m)."""
    n, m = errors.shape
    if n * _DRAWS > _MOST_SIGNS:
        covariance = errors.T @ errors
        scale = np.sqrt(np.diag(covariance)) + 1e-300
        root = np.linalg.cholesky(covariance / np.outer(scale, scale) + _JITTER * np.eye(m))
        return rng.standard_normal((_DRAWS, m)) @ root.T * scale
    out = np.empty((_DRAWS, m))
    values = errors.astype(np.float32)
    step = max(1, _CHUNK_CELLS // n)
    for start in range(0, _DRAWS, step):
        rows = min(step, _DRAWS - start)
        signs = rng.integers(0, 2, size=(rows, n), dtype=np.int8).astype(np.float32) * 2 - 1
        out[start : start + rows] = signs @ values
    return out


def _draw_seeds(
    pairs: Sequence[PairedAccuracy], sides: Sequence[tuple[int, int]], rng: np.random.Generator
) -> FloatArray:
    """What training seeds add to each comparison in units of its error, shape (draws, m)."""
    draws: dict[int, FloatArray] = {}
    out = np.zeros((_DRAWS, len(pairs)))
    for column, (pair, numbers) in enumerate(zip(pairs, sides, strict=True)):
        for sign, part, number in zip((1, -1), pair.seeds, numbers, strict=True):
            if part.variance > 0:
                if number not in draws:
                    draws[number] = rng.standard_normal(_DRAWS)
                out[:, column] += sign * draws[number] * np.sqrt(part.variance) / pair.error.se
    return out
