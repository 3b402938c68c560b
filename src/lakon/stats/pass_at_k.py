"""Accuracy of k samples together: at least one correct (pass@k), the majority correct (maj@k).

Invariant: each is the exact expectation over all subsets of k of a problem's K_i samples, so nothing here is random.
A k above the smallest K_i is refused, because no unbiased estimate of it exists. Sources: pass@k, Chen et al. 2021
(arXiv 2107.03374); majority vote, Wang et al. 2022 (2203.11171).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import comb
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from lakon.core.errors import InputError
from lakon.stats.intervals import Estimate, proportion_estimate
from lakon.stats.samples import BoolArray, FloatArray, IntArray, Samples, cluster_index

_Ways = dict[tuple[int, int], int]
"""(Samples drawn, groups tied at the top) to the number of subsets."""


def pass_at_k(samples: Samples, k: int, *, level: float = 0.95) -> Estimate:
    """The probability that at least one of k samples is correct: the mean over problems of 1 - C(K-c, k)/C(K, k).

    Raises `InputError` when k is below 1 or above the fewest samples that a problem has.
    """
    _check_k(samples, k)
    return _mean_estimate(samples, 1.0 - _chance_of_drawing_only(_wrong_counts(samples), samples.counts, k), level)


def maj_at_k(samples: Samples, answer_groups: Sequence[ArrayLike], k: int, *, level: float = 0.95) -> Estimate:
    """The probability that the most frequent answer of k samples is correct; tied answers share the vote equally.

    `answer_groups` holds one 1-D integer array for each problem: samples whose answers the verifier takes as equal
    share a number, and a negative number marks a sample without an answer, which never wins. Truncated samples have no
    answer. A group that was graded inconsistently counts by its share of correct samples. Raises `InputError` for a k
    out of range or rows that do not match the samples.
    """
    _check_k(samples, k)
    finished = cast("Sequence[BoolArray]", samples.finished)
    correct = cast("Sequence[BoolArray]", samples.correct)
    if len(answer_groups) != samples.n_problems:
        raise _misfit(f"{len(answer_groups)} rows of answer groups for {samples.n_problems} problems")
    rows = zip(answer_groups, correct, finished, strict=True)
    shares = [
        _majority_share(np.asarray(groups, dtype=np.int64), right, complete, k) for groups, right, complete in rows
    ]
    return _mean_estimate(samples, np.array(shares), level)


def _mean_estimate(samples: Samples, shares: FloatArray, level: float) -> Estimate:
    shares = np.clip(shares, 0.0, 1.0)
    return proportion_estimate(shares, cluster_index(samples), level=level, n_samples=samples.n_samples)


def _check_k(samples: Samples, k: int) -> None:
    fewest = int(samples.counts.min())
    if not 1 <= k <= fewest:
        raise InputError(
            f"k = {k} with {fewest} samples for the problem that has fewest",
            f"a k from 1 to {fewest}",
            "draw more samples (existing ones are kept), or choose a smaller k",
        )


def _wrong_counts(samples: Samples) -> IntArray:
    return np.bincount(samples.row, weights=~samples.flat_correct, minlength=samples.n_problems).astype(np.int64)


def _chance_of_drawing_only(kind: IntArray, counts: IntArray, k: int) -> FloatArray:
    """C(kind, k)/C(counts, k), as a product of k factors that neither overflows nor cancels."""
    steps = np.arange(k)
    factors = np.maximum(kind[:, None] - steps, 0) / (counts[:, None] - steps)
    return np.asarray(factors.prod(axis=1), dtype=np.float64)


def _majority_share(groups: IntArray, right: BoolArray, finished: BoolArray, k: int) -> float:
    if groups.shape != right.shape:
        raise _misfit(f"answer groups of shape {groups.shape} for {right.shape[0]} samples")
    answered = finished & (groups >= 0)
    labels, inverse = np.unique(groups[answered], return_inverse=True)
    sizes = np.bincount(inverse, minlength=len(labels))
    shares = np.bincount(inverse, weights=right[answered], minlength=len(labels)) / np.maximum(sizes, 1)
    table = sorted(zip(sizes.tolist(), shares.tolist(), strict=True), reverse=True)
    blanks = int((~answered).sum())
    total = 0.0
    for i, (_, share) in enumerate(table):
        if share > 0:
            others = tuple(size for j, (size, _) in enumerate(table) if j != i)
            total += share * _chance_to_win(table[i][0], others, blanks, k)
    return total


@lru_cache(maxsize=65_536)
def _chance_to_win(size: int, others: tuple[int, ...], blanks: int, k: int) -> float:
    """How often a group of `size` samples wins a vote of k samples drawn without replacement; a tie of t counts 1/t.

    For each winning number of votes, subsets are counted by (samples drawn, groups tied at the top). The counts are
    integers, so they are exact.
    """
    won = 0.0
    subsets = comb(size + sum(others) + blanks, k)
    for votes in range(1, min(size, k) + 1):
        ways = {(votes, 1): comb(size, votes)}
        for other in others:
            ways = _add_group(ways, other, most=votes, top=votes, k=k)
        ways = _add_group(ways, blanks, most=blanks, top=-1, k=k)
        won += sum(count / (subsets * tied) for (drawn, tied), count in ways.items() if drawn == k)
    return won


def _add_group(ways: _Ways, size: int, *, most: int, top: int, k: int) -> _Ways:
    after: _Ways = {}
    for (drawn, tied), count in ways.items():
        for n in range(min(size, most, k - drawn) + 1):
            key = (drawn + n, tied + (n == top))
            after[key] = after.get(key, 0) + count * comb(size, n)
    return after


def _misfit(found: str) -> InputError:
    return InputError(found, "one group number for each sample", "build the groups from the same samples")
