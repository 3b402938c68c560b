"""What k samples of a problem are worth: any right (pass@k), all right (pass^k), the majority right (maj@k).

Invariant: each is the exact expectation over all subsets of k of the K_i samples that were drawn, so nothing
here is random, and a k above the smallest K_i is refused because no unbiased estimate of it exists. Sources:
pass@k, Chen et al. 2021 (arXiv 2107.03374); pass^k, Yao et al. 2024 (2406.12045); majority vote, Wang et al.
2022 (2203.11171).
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


def pass_at_k(samples: Samples, k: int, *, level: float = 0.95) -> Estimate:
    """The chance that at least one of k samples is right: the mean over problems of 1 - C(K-c, k)/C(K, k).

    Raises `InputError` when k is below 1 or above the fewest samples that a problem has.
    """
    return _mean(samples, 1.0 - _all_of(_right(samples, wrong=True), samples.counts, _checked(samples, k)), level)


def pass_hat_k(samples: Samples, k: int, *, level: float = 0.95) -> Estimate:
    """The chance that all of k samples are right (pass^k): the mean over problems of C(c, k)/C(K, k).

    Raises `InputError` when k is below 1 or above the fewest samples that a problem has.
    """
    return _mean(samples, _all_of(_right(samples, wrong=False), samples.counts, _checked(samples, k)), level)


def maj_at_k(samples: Samples, answer_groups: Sequence[ArrayLike], k: int, *, level: float = 0.95) -> Estimate:
    """The chance that the most frequent answer of k samples is right, ties shared equally.

    `answer_groups` holds one 1-D integer array a problem: samples whose answers the verifier takes for the
    same share a number; a negative number is a sample without an answer, which never wins. Truncated samples
    have none. A group whose samples were graded differently counts by the share of them that is right.
    Counted exactly for every K, so the result is the same each time. Raises `InputError` for a k out of range
    or rows that do not fit.
    """
    _checked(samples, k)
    finished = cast("Sequence[BoolArray]", samples.finished)
    correct = cast("Sequence[BoolArray]", samples.correct)
    if len(answer_groups) != samples.n_problems:
        raise _misfit(f"{len(answer_groups)} rows of answer groups for {samples.n_problems} problems")
    rows = zip(answer_groups, correct, finished, strict=True)
    shares = [_majority(np.asarray(groups, dtype=np.int64), right, done, k) for groups, right, done in rows]
    return _mean(samples, np.array(shares), level)


def _mean(samples: Samples, shares: FloatArray, level: float) -> Estimate:
    shares = np.clip(shares, 0.0, 1.0)
    return proportion_estimate(shares, cluster_index(samples), level=level, n_samples=samples.n_samples)


def _checked(samples: Samples, k: int) -> int:
    fewest = int(samples.counts.min())
    if not 1 <= k <= fewest:
        raise InputError(
            f"k = {k} with {fewest} samples for the problem that has fewest",
            f"a k from 1 to {fewest}",
            "draw more samples (those already drawn are kept), or ask for a smaller k",
        )
    return k


def _right(samples: Samples, *, wrong: bool) -> IntArray:
    flags = samples.flat_correct != wrong
    return np.bincount(samples.row, weights=flags, minlength=samples.n_problems).astype(np.int64)


def _all_of(kind: IntArray, counts: IntArray, k: int) -> FloatArray:
    """C(kind, k)/C(counts, k) as a product of k factors, which neither overflows nor cancels."""
    steps = np.arange(k)
    factors = np.maximum(kind[:, None] - steps, 0) / (counts[:, None] - steps)
    return np.asarray(factors.prod(axis=1), dtype=np.float64)


def _majority(groups: IntArray, right: BoolArray, finished: BoolArray, k: int) -> float:
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
    """How often a group of `size` samples wins a vote of k drawn without replacement, a tie of t counting
    1/t.

    Counts subsets by (samples drawn, groups tied at the top) for each number of votes that wins; integers, so
    exact.
    """
    won = 0.0
    subsets = comb(size + sum(others) + blanks, k)
    for votes in range(1, min(size, k) + 1):
        ways = {(votes, 1): comb(size, votes)}
        for other in others:
            ways = _draw(ways, other, most=votes, top=votes, k=k)
        ways = _draw(ways, blanks, most=blanks, top=-1, k=k)
        won += sum(count / (subsets * tied) for (drawn, tied), count in ways.items() if drawn == k)
    return won


def _draw(ways: dict[tuple[int, int], int], size: int, *, most: int, top: int, k: int) -> dict[tuple[int, int], int]:
    after: dict[tuple[int, int], int] = {}
    for (drawn, tied), count in ways.items():
        for taken in range(min(size, most, k - drawn) + 1):
            key = (drawn + taken, tied + (taken == top))
            after[key] = after.get(key, 0) + count * comb(size, taken)
    return after


def _misfit(found: str) -> InputError:
    return InputError(found, "one group number for each sample", "build the groups from the same samples")
