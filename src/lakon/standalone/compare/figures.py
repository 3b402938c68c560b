"""The figures of a comparison: each author alone, then pairs on the problems that both have.

Invariant: the p values of one family are adjusted together, and its size travels with every claim. A claim about a
margin is made only where the caller states the margin. The formulas are those of `stats`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from lakon.core.claims import Claim
from lakon.standalone.compare.join import Joined
from lakon.stats import Estimate, Samples, accuracy, mean_tokens, pass_at_k, tokens_per_correct, truncation_rate
from lakon.stats.comparison import Comparison, compare_family

Family = Literal["baseline", "all"]
"""`baseline`: every other author against the first; `all`: every pair."""
NO_MARGIN = 0.01
"""What takes the place of a margin that was not stated: no test of it is shown, and both authors are at the floor where
neither is right in twice this share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareOptions:
    """What is stated before the figures are looked at."""

    family: Family = "baseline"
    margin: float | None = None
    """In accuracy (0.05 is five points); None makes no claim about a margin."""
    confidence: float = 0.95
    with_tokens: bool = True
    pass_at: tuple[int, ...] = ()
    """The k of pass@k; all samples of a problem unless given."""
    seed: int = 0


class AuthorFigures(NamedTuple):
    """One author on one benchmark."""

    name: str
    benchmark: str
    n_problems: int
    n_samples: int
    fewest: int
    """Samples of the problem that has fewest."""
    most: int
    n_ungraded: int
    accuracy: Estimate
    truncated: Estimate
    tokens: Estimate | None
    tokens_per_correct: Estimate | None
    refused_k: tuple[int, ...]
    """The k of pass@k that were asked for and that are above `fewest`."""
    pass_at: dict[int, Estimate]


class PairFigures(NamedTuple):
    """An author against another one, on the problems that both have."""

    name: str
    baseline: str
    benchmark: str
    n_problems: int
    comparison: Comparison
    """Its tests of a margin mean something only where the margin was stated."""
    claim: Claim
    """The comparison's own, without what rests on a margin that nobody stated."""


class Figures(NamedTuple):
    """All figures of a comparison."""

    authors: tuple[AuthorFigures, ...]
    pairs: tuple[PairFigures, ...]
    family: Family
    family_size: int
    options: CompareOptions


def compute_figures(joined: Joined, options: CompareOptions) -> Figures:
    """Every author on every benchmark, and all pairs of the family."""
    authors: list[AuthorFigures] = []
    family: list[_Pair] = []
    for benchmark in joined.benchmarks:
        samples = _sample_sets(joined, benchmark, options)
        authors += [_figures_of(name, benchmark, one, options) for name, one in samples]
        family += _list_pairs(samples, benchmark, options, joined.sets[0].name)
    compared = compare_family(
        [(pair.mine, pair.theirs) for pair in family],
        margin=options.margin or NO_MARGIN,
        seed=options.seed,
        level=options.confidence,
    )
    pairs = [_figures_of_pair(*both, options) for both in zip(family, compared, strict=True)]
    size = sum(pair.claim is not Claim.FLOOR for pair in pairs)
    return Figures(tuple(authors), tuple(pairs), options.family, size, options)


def _sample_sets(joined: Joined, benchmark: str, options: CompareOptions) -> list[tuple[str, Samples]]:
    found: list[tuple[str, Samples]] = []
    for side, one in enumerate(joined.sets):
        samples = joined.sample_set(side, benchmark, with_tokens=options.with_tokens and one.has_tokens)
        if samples is not None:
            found.append((one.name, samples))
    return found


def _figures_of(name: str, benchmark: str, samples: Samples, options: CompareOptions) -> AuthorFigures:
    level, fewest = options.confidence, int(samples.counts.min())
    has_tokens = samples.tokens is not None and bool(samples.flat_tokens.any())
    one_seed = len(np.unique(samples.flat_seeds)) == 1
    too_many = [k for k in options.pass_at if k > fewest]
    ks = [k for k in options.pass_at or (fewest,) if 1 < k <= fewest and one_seed]
    return AuthorFigures(
        name=name,
        benchmark=benchmark,
        n_problems=samples.n_problems,
        n_samples=samples.n_samples,
        fewest=fewest,
        most=int(samples.counts.max()),
        n_ungraded=int((~samples.flat_graded).sum()),
        accuracy=accuracy(samples, level=level),
        truncated=truncation_rate(samples, level=level),
        tokens=mean_tokens(samples, level=level) if has_tokens else None,
        tokens_per_correct=tokens_per_correct(samples, level=level) if has_tokens else None,
        refused_k=tuple(too_many),
        pass_at={k: pass_at_k(samples, k, level=level) for k in ks},
    )


class _Pair(NamedTuple):
    name: str
    mine: Samples
    baseline: str
    theirs: Samples
    benchmark: str


def _list_pairs(
    samples: Sequence[tuple[str, Samples]], benchmark: str, options: CompareOptions, first: str
) -> list[_Pair]:
    """The pairs of the family that have a problem in common."""
    if options.family == "all":
        chosen = [(b, a) for a, b in itertools.combinations(samples, 2)]
    else:
        chosen = [(each, other) for other in samples for each in samples if other[0] == first and each[0] != first]
    found: list[_Pair] = []
    for (name, mine), (baseline, theirs) in chosen:
        if not set(mine.problem_ids).isdisjoint(theirs.problem_ids):
            found.append(_Pair(name, mine, baseline, theirs, benchmark))
    return found


def _figures_of_pair(pair: _Pair, compared: Comparison, options: CompareOptions) -> PairFigures:
    claim = compared.claim
    if options.margin is None and claim in (Claim.WORSE_THAN_MARGIN, Claim.EQUIVALENT, Claim.NOT_INFERIOR):
        difference = compared.difference
        excludes_zero = difference.low > 0 or difference.high < 0
        weaker = Claim.SUGGESTED if excludes_zero else Claim.OPEN
        claim = Claim.WORSE if claim is Claim.WORSE_THAN_MARGIN else weaker
    n_problems = compared.difference.n_problems
    return PairFigures(pair.name, pair.baseline, pair.benchmark, n_problems, compared, claim)
