"""The one comparison of two authors: everything that a study's report and `lakon compare` say about a pair.

Invariant: a pair is judged by its `claim` alone, so no table, sentence or terminal can contradict another. What belongs
to one family is the caller's statement; its size is kept and printed. Read next: `paired_error`, `margins`,
`simultaneous`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from lakon.core.claims import Claim
from lakon.stats.distributions import t_quantile
from lakon.stats.intervals import Estimate, Interval, has_plenty
from lakon.stats.margins import MarginTest, equivalence, inferiority, non_inferiority
from lakon.stats.paired import detectable_difference, estimate_paired_difference, holm_adjust
from lakon.stats.paired_error import PairedAccuracy, measure_pair
from lakon.stats.samples import AlignedPair, Samples, align_samples
from lakon.stats.simultaneous import simultaneous_level
from lakon.stats.tokens import token_ratio, tokens_per_correct_ratio

FEW_PROBLEMS = 64
"""Below so many clusters of problems margin tests near 0 and 1 pass up to twice as often as they should."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One author (`a`) against another (`b`) on their common problems. Differences are shares: a minus b."""

    difference: Estimate
    """Of accuracy, with the interval of this comparison alone and its own p-value."""
    adjusted_p: float | None
    """Holm's, within the family; None where nothing is claimed because of the floor."""
    family_size: int
    """Comparisons in the declared family, those at the floor left out; 1 for a comparison alone."""
    simultaneous: Interval
    """The interval that holds together with those of the whole family."""
    non_inferiority: MarginTest
    equivalence: MarginTest
    inferiority: MarginTest
    """Worse by more than the margin."""
    detectable: float
    """The smallest true difference found with 80% power; NaN when the data show no spread."""
    token_ratio: Estimate | None
    """Mean tokens of a over those of b; its method says when samples were capped. None without tokens."""
    tokens_per_correct_ratio: Estimate | None
    """None without tokens or where one side has no correct sample."""
    only_a: int
    """Problems that only `a` has."""
    only_b: int
    n_seeds: tuple[int, int]
    """Training seeds of each side; with one, claims are about this one training."""
    floor: bool
    """Whether both accuracies are too near 0 (or, on few problems, 1) for the tests to be trusted."""
    level: float

    @property
    def margin(self) -> float:
        """The margin of the three margin tests."""
        return self.non_inferiority.margin

    @property
    def claim(self) -> Claim:
        """The strongest statement that this comparison carries."""
        if self.floor:
            return Claim.FLOOR
        low, high = self.difference.low, self.difference.high
        excludes_zero = low > 0 or high < 0
        if excludes_zero and self.adjusted_p is not None and self.adjusted_p <= 1 - self.level + 1e-9:
            if self.difference.value > 0:
                return Claim.BETTER
            return Claim.WORSE_THAN_MARGIN if self.inferiority.holds else Claim.WORSE
        if self.equivalence.holds:
            return Claim.EQUIVALENT
        if self.non_inferiority.holds:
            return Claim.NOT_INFERIOR
        return Claim.SUGGESTED if excludes_zero else Claim.OPEN


class _Measured(NamedTuple):
    aligned: AlignedPair
    pair: PairedAccuracy


def compare_samples(a: Samples, b: Samples, *, margin: float, seed: int = 0, level: float = 0.95) -> Comparison:
    """One comparison that is a family of its own. The tests of the margin have alpha = 1 - `level`.

    Raises `InputError` without common problems or for a margin outside (0, 1).
    """
    return compare_family([(a, b)], margin=margin, seed=seed, level=level)[0]


def compare_family(
    pairs: Sequence[tuple[Samples, Samples]], *, margin: float, seed: int = 0, level: float = 0.95
) -> list[Comparison]:
    """The comparisons of one declared family, in the order given.

    Holm adjusts over the family, and the simultaneous intervals hold together over it; comparisons at the floor are
    left out of both. Pass one and the same `Samples` where comparisons share a side. Raises `InputError` as
    `compare_samples` does.
    """
    measured: list[_Measured] = []
    for a, b in pairs:
        aligned = align_samples(a, b)
        measured.append(_Measured(aligned, measure_pair(aligned)))
    alone = [_compare_alone(each, margin, seed, level) for each in measured]
    within = [i for i, comparison in enumerate(alone) if not comparison.floor]
    adjusted = holm_adjust([_p_of(alone[i].difference) for i in within], level=level)[0]
    joint = simultaneous_level(
        [measured[i].aligned for i in within],
        [measured[i].pair for i in within],
        [(id(pairs[i][0]), id(pairs[i][1])) for i in within],
        seed=seed,
        level=level,
    )
    for i, p_value in zip(within, adjusted, strict=True):
        pair = measured[i].pair
        low, high = pair.limits(t_quantile(0.5 + joint / 2, max(pair.error.df, 1)))
        method = f"{pair.method}, simultaneous over {len(within)} by joint sign flips, seed {seed}"
        band = Interval(low, high, method)
        alone[i] = replace(alone[i], adjusted_p=p_value, family_size=len(within), simultaneous=band)
    return alone


def _p_of(difference: Estimate) -> float:
    """A difference without a p-value claims nothing."""
    return 1.0 if difference.p_value is None else difference.p_value


def _compare_alone(measured: _Measured, margin: float, seed: int, level: float) -> Comparison:
    aligned, pair = measured
    a, b = aligned.a, aligned.b
    difference = estimate_paired_difference(aligned, pair, seed=seed, level=level)
    alpha = 1 - level
    counted = a.tokens is not None and b.tokens is not None and a.flat_tokens.any() and b.flat_tokens.any()
    return Comparison(
        difference=difference,
        adjusted_p=None,
        family_size=1,
        simultaneous=Interval(difference.low, difference.high, difference.method),
        non_inferiority=non_inferiority(pair, margin, alpha=alpha),
        equivalence=equivalence(pair, margin, alpha=alpha),
        inferiority=inferiority(pair, margin, alpha=alpha),
        detectable=detectable_difference(pair, level=level),
        token_ratio=token_ratio(a, b, level=level) if counted else None,
        tokens_per_correct_ratio=tokens_per_correct_ratio(a, b, level=level) if counted else None,
        only_a=len(aligned.only_a),
        only_b=len(aligned.only_b),
        n_seeds=(pair.seeds[0].n_seeds, pair.seeds[1].n_seeds),
        floor=_is_at_floor(pair, margin),
        level=level,
    )


def _is_at_floor(pair: PairedAccuracy, margin: float) -> bool:
    """Below twice the margin "not inferior" would mean nothing; on few problems the ceiling is no better."""
    sides = (pair.a, pair.b)
    if max(sides) < 2 * margin:
        return True
    few = pair.error.n_clusters < FEW_PROBLEMS and min(sides) > 1 - 2 * margin
    return few and not (has_plenty(pair.a, pair.error_a) and has_plenty(pair.b, pair.error_b))
