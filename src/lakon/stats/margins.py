"""Whether a paired difference lies within, or beyond, a margin that was stated beforehand.

Invariant: a test holds exactly when the interval of level 1 - 2 alpha lies on its side of the margin, so a table can
never contradict an interval. Near 0 and 1 that interval is MOVER's: the t test passes a true difference of exactly
the margin in 10-18% of cases instead of 5. Source: two one-sided tests, Schuirmann 1987.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from lakon.core.errors import InputError
from lakon.stats.distributions import noncentral_t_cdf, normal_quantile, t_cdf, t_quantile
from lakon.stats.intervals import Estimate, lacks_variation
from lakon.stats.paired_error import PairedAccuracy

_MOST_CRITICAL, _HALVINGS = 1_000.0, 60


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginTest:
    """Whether a difference lies within (or beyond) a margin that was stated beforehand."""

    difference: Estimate
    """Its interval has level 1 - 2 alpha and decides the test; its p-value is that of the margin test."""
    margin: float
    holds: bool
    power: float
    """The probability of passing the test if the two were truly equal, at the observed spread; NaN for `worse`."""
    n_needed: int | None
    """Problems needed for a power of 0.9; None without spread, or where training seeds alone vary too much for it."""

    @property
    def p_value(self) -> float:
        """The p-value of the margin test."""
        return self.difference.p_value if self.difference.p_value is not None else 1.0


def non_inferiority(pair: PairedAccuracy, margin: float, *, alpha: float = 0.05) -> MarginTest:
    """Tests whether `a` is worse than `b` by less than `margin` (in accuracy: 0.05 is five points), one-sided.

    Raises `InputError` unless 0 < margin < 1.
    """
    p_value = _p_above(pair, -_check_margin(margin))
    return _margin_test(pair, margin, alpha, p_value, "one-sided", sides=1)


def equivalence(pair: PairedAccuracy, margin: float, *, alpha: float = 0.05) -> MarginTest:
    """Tests whether `a` and `b` differ by less than `margin` in either direction: two one-sided tests (TOST).

    Raises `InputError` unless 0 < margin < 1.
    """
    p_value = max(_p_above(pair, -_check_margin(margin)), _p_below(pair, margin))
    return _margin_test(pair, margin, alpha, p_value, "TOST", sides=2)


def inferiority(pair: PairedAccuracy, margin: float, *, alpha: float = 0.05) -> MarginTest:
    """Tests whether `a` is worse than `b` by more than `margin`, one-sided.

    Raises `InputError` unless 0 < margin < 1.
    """
    p_value = _p_below(pair, -_check_margin(margin))
    return _margin_test(pair, margin, alpha, p_value, "one-sided, worse", sides=0)


def _margin_test(
    pair: PairedAccuracy, margin: float, alpha: float, p_value: float, name: str, *, sides: int
) -> MarginTest:
    low, high = pair.limits(t_quantile(1 - alpha, max(pair.error.df, 1)))
    method = f"{name}, paired {pair.method}"
    return MarginTest(
        difference=Estimate(pair.value, low, high, method, pair.n_problems, pair.n_samples, p_value),
        margin=margin,
        holds=p_value < alpha,
        power=_find_power(pair, margin, alpha, sides) if sides else math.nan,
        n_needed=_count_needed(pair, margin, alpha, sides) if sides else None,
    )


def _check_margin(margin: float) -> float:
    if not 0.0 < margin < 1.0:
        raise InputError(f"a margin of {margin!r}", "a share between 0 and 1", "write 0.05 for five points")
    return margin


def _p_above(pair: PairedAccuracy, bound: float) -> float:
    """The one-sided p-value of "the true difference is at most `bound`": where the lower limit reaches the bound."""
    return _p_beyond(pair, bound, upper=False)


def _p_below(pair: PairedAccuracy, bound: float) -> float:
    """The one-sided p-value of "the true difference is at least `bound`"."""
    return _p_beyond(pair, bound, upper=True)


def _p_beyond(pair: PairedAccuracy, bound: float, *, upper: bool) -> float:
    error = pair.error
    if error.n_clusters < 2:
        return 1.0
    inside = pair.value < bound if upper else pair.value > bound
    if not inside:
        return 1.0 - _tail_at(pair, bound, upper=not upper)
    return _tail_at(pair, bound, upper=upper)


def _tail_at(pair: PairedAccuracy, bound: float, *, upper: bool) -> float:
    """P(T > c) for the c at which the upper (or lower) limit of the interval reaches `bound`."""
    if not (lacks_variation(pair.error) or pair.is_sparse):
        return t_cdf(-abs(pair.value - bound) / pair.error.se, pair.error.df)
    low, high = 0.0, _MOST_CRITICAL
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        limit = pair.limits(middle)[1 if upper else 0]
        if (limit < bound) if upper else (limit > bound):
            low = middle
        else:
            high = middle
    return t_cdf(-low, pair.error.df)


def _find_power(pair: PairedAccuracy, margin: float, alpha: float, sides: int) -> float:
    error = pair.error
    if error.n_clusters < 2:
        return 0.0
    if lacks_variation(error):
        return float((1.0 - margin) ** error.n_clusters < alpha)
    critical, shift = t_quantile(1 - alpha, error.df), margin / error.se
    if sides == 1:
        return 1.0 - noncentral_t_cdf(critical, error.df, shift)
    return max(0.0, 2 * t_cdf(shift - critical, error.df) - 1)


def _count_needed(pair: PairedAccuracy, margin: float, alpha: float, sides: int) -> int | None:
    """((z_{1-alpha} + z_.90) sd / margin)², z_.95 for two sides; more problems do not help against training seeds."""
    quantiles = normal_quantile(1 - alpha) + normal_quantile(0.90 if sides == 1 else 0.95)
    room = (margin / quantiles) ** 2 - pair.seed_variance
    if lacks_variation(pair.error) or room <= 0:
        return None
    return math.ceil(pair.problem_variance * pair.n_problems / room)
