"""Two authors on the same problems: the paired difference, its permutation test, and Holm's adjustment.

Invariant: a difference is always taken problem by problem on common problem ids. A p-value comes from flipping the
signs of whole clusters, so it assumes no distribution of the differences. Sources: paired standard errors and power,
Miller 2024 (arXiv 2411.00640); sign-flip test, Fisher 1935; Holm 1979.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lakon.core.errors import InputError
from lakon.stats.distributions import normal_quantile, t_quantile, t_two_sided
from lakon.stats.intervals import Estimate, check_level, lacks_variation
from lakon.stats.paired_error import PairedAccuracy
from lakon.stats.samples import AlignedPair, FloatArray, IntArray

_MAX_LISTED_CLUSTERS = 20
"""Up to this many clusters, all 2^G sign patterns are enumerated (a million sums)."""
_DRAWS = 100_000
_LATTICE, _LATTICE_WORK = 1 << 20, 50_000_000
"""The largest lattice on which sums are counted, and the most cosines that this may take (about a second).

Above either, seeded draws are used.
"""
_REACH = 9.0
"""Standard deviations beyond which sums are ignored: by Hoeffding's inequality their probability is at most 6e-18."""
_SMALLEST = 1e-12
"""The smallest p-value reported from a lattice: below it rounding dominates, and beyond `_REACH` all are smaller."""
_CHUNK_CELLS = 1_000_000
"""Signs drawn at a time: 8 MB of float64."""


def estimate_paired_difference(
    aligned: AlignedPair, pair: PairedAccuracy, *, seed: int = 0, level: float = 0.95
) -> Estimate:
    """The difference of accuracies, with an interval and a two-sided p-value.

    The interval is clustered t, or MOVER of both Wilson intervals near 0 and 1. With several training seeds both
    interval and p-value hold their variance, and the p-value is that of t. Otherwise it comes from sign flips: exact
    up to 20 clusters, and with more as long as the differences lie on a lattice of manageable size (300,000 problems
    with a common K of 64 do, down to 1e-12); else from 100,000 draws by `seed`.
    """
    low, high = pair.limits(t_quantile(0.5 + check_level(level) / 2, max(pair.error.df, 1)))
    if max(part.n_seeds for part in pair.seeds) > 1 and not lacks_variation(pair.error):
        # Flipping signs over problems would leave the training seeds out.
        p_value, how = t_two_sided(pair.value / pair.error.se, pair.error.df), "t"
    else:
        p_value, how = sign_flip_p(pair.sums, unit=_lattice_unit(aligned), seed=seed)
    method = f"paired {pair.method}; p by {how}"
    return Estimate(pair.value, low, high, method, pair.n_problems, pair.n_samples, p_value)


def sign_flip_p(sums: FloatArray, *, unit: float = 0.0, seed: int = 0) -> tuple[float, str]:
    """The two-sided p-value of sum(sums) if the sign of each of the G entries were random, and the method's name.

    `unit` > 0 states that all entries are multiples of it.
    """
    moving = sums[np.abs(sums) > 1e-12]
    if len(moving) <= _MAX_LISTED_CLUSTERS:
        return _p_by_listing(moving), "exact sign flips"
    if unit > 0 and abs(float(moving.sum())) > _REACH * math.sqrt(float(moving @ moving)):
        return _SMALLEST, "exact sign flips"
    # Check the size before the cast: K_i without common factors make a lattice too fine for 64 bits.
    if unit > 0 and (points := _lattice_points(moving / unit)) <= _LATTICE:
        steps = np.rint(moving / unit).astype(np.int64)
        sizes, counts = np.unique(np.abs(steps), return_counts=True)
        if len(sizes) * points <= _LATTICE_WORK:
            return _p_by_lattice(abs(int(steps.sum())), sizes, counts, points), "exact sign flips"
    return _p_by_draws(moving, seed), f"{_DRAWS} sign flips, seed {seed}"


def holm_adjust(p_values: Sequence[float], *, level: float = 0.95) -> tuple[list[float], list[bool]]:
    """Holm's adjusted p-values in the order given, and which of them are at most 1 - `level`.

    Raises `InputError` for a value outside [0, 1].
    """
    if not all(0.0 <= p <= 1.0 for p in p_values):
        raise InputError("p-values outside [0, 1]", "numbers from 0 to 1", "pass only comparisons that have a p-value")
    alpha = 1.0 - check_level(level)
    raw = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(raw, kind="stable")
    # The i-th smallest of m is multiplied by m - i + 1; the running maximum keeps them in order.
    stepped = np.maximum.accumulate(raw[order] * np.arange(len(raw), 0, -1))
    adjusted = np.empty(len(raw))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted.tolist(), (adjusted <= alpha).tolist()


def detectable_difference(pair: PairedAccuracy, *, power: float = 0.8, level: float = 0.95) -> float:
    """The smallest true difference that this comparison would find significant with probability `power`.

    (t_{level} + z_{power}) SE of the paired difference; NaN when the data show no spread.
    """
    if lacks_variation(pair.error):
        return math.nan
    return (t_quantile(0.5 + check_level(level) / 2, pair.error.df) + normal_quantile(power)) * pair.error.se


def _lattice_unit(pair: AlignedPair) -> float:
    """1 over the least common multiple of all K_i; every difference is a multiple of it. 0 where that is too fine."""
    counts = np.unique(np.concatenate([pair.a.counts, pair.b.counts])).tolist()
    multiple = math.lcm(*counts)
    return 1.0 / multiple if multiple <= _LATTICE else 0.0


def _p_by_listing(sums: FloatArray) -> float:
    totals = np.zeros(1)
    for entry in sums:
        totals = np.concatenate([totals + entry, totals - entry])
    return float(np.mean(_at_least_as_far(totals, float(sums.sum()))))


def _lattice_points(steps: FloatArray) -> int:
    """The points that a circular lattice needs so that sums of `steps` under random signs do not wrap onto each other.

    The bound is the largest possible sum, or `_REACH` standard deviations where that is less. `steps` are whole numbers
    up to rounding.
    """
    reach, observed = float(np.abs(steps).sum()), abs(float(steps.sum()))
    return math.ceil(min(2 * reach, observed + _REACH * math.sqrt(float(steps @ steps)))) + 2


def _p_by_lattice(observed: int, sizes: IntArray, counts: IntArray, points: int) -> float:
    """The probability that `counts` steps of each of `sizes`, under random signs, sum to `observed` or more in size.

    The characteristic function of that sum is the product of cos(size t). An inverse FFT on at least `points` points
    turns it into probabilities.
    """
    if observed == 0:
        return 1.0
    n = 1 << (points - 1).bit_length()
    turn = np.arange(n // 2 + 1, dtype=np.int64)
    logarithm, negative = np.zeros(len(turn)), np.zeros(len(turn), dtype=np.bool_)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        angle = 2 * math.pi / n * (turn * size % n)
        logarithm += count * _log_cosine(angle)
        negative ^= (np.cos(angle) < 0) & bool(count % 2)
    chances = np.fft.irfft(np.where(negative, -1.0, 1.0) * np.exp(logarithm), n)
    return min(1.0, max(_SMALLEST, float(chances[observed : n - observed + 1].sum())))


def _log_cosine(angle: FloatArray) -> FloatArray:
    """The logarithm of |cos|; where |cos| is near 1 it comes from the sine, which avoids cancellation."""
    sine, out = np.sin(angle), np.empty(len(angle))
    flat = np.abs(sine) < 0.5
    out[flat] = np.log1p(-(sine[flat] ** 2)) / 2
    with np.errstate(divide="ignore"):
        out[~flat] = np.log(np.abs(np.cos(angle[~flat])))
    return out


def _p_by_draws(sums: FloatArray, seed: int) -> float:
    rng = np.random.default_rng(seed)
    chunk = max(1, _CHUNK_CELLS // len(sums))
    total, extreme = float(sums.sum()), 0
    for start in range(0, _DRAWS, chunk):
        rows = min(chunk, _DRAWS - start)
        signs = rng.integers(0, 2, size=(rows, len(sums)), dtype=np.int8)
        extreme += int(_at_least_as_far(2.0 * (signs @ sums) - total, total).sum())
    return (extreme + 1) / (_DRAWS + 1)


def _at_least_as_far(totals: FloatArray, observed: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    # Sums that are equal in exact arithmetic differ by rounding; the slack makes every tie count.
    return np.abs(totals) >= abs(observed) - 1e-9 * max(1.0, abs(observed))
