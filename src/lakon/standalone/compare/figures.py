"""The figures of a comparison: each author alone, then pairs on the problems that both have.

Invariant: the p values of one family are adjusted together, and its size travels with every claim. A claim about a
margin is made only where the caller states the margin. The formulas are those of `stats`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from lakon.core.digest import derive_seed
from lakon.standalone.compare.join import Joined
from lakon.stats import (
    Estimate,
    MarginTest,
    Samples,
    accuracy,
    accuracy_difference,
    align_samples,
    detectable_difference,
    equivalence,
    holm_adjust,
    mean_tokens,
    non_inferiority,
    pass_at_k,
    token_ratio,
    tokens_per_correct,
    tokens_per_correct_ratio,
    truncation_rate,
)

Family = Literal["baseline", "all"]
"""`baseline`: every other author against the first; `all`: every pair."""
FLOOR = 0.02
"""Where neither author is right in more than this share, a difference says nothing."""
POWER = 0.8


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
    pass_at: dict[int, Estimate]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFigures:
    """An author against another one, on the problems that both have."""

    name: str
    baseline: str
    benchmark: str
    n_problems: int
    only_name: int
    """Problems of this benchmark that the other one lacks."""
    only_baseline: int
    difference: Estimate
    """Its p value is this pair's alone."""
    adjusted_p: float = 1.0
    """By Holm over the family."""
    family_size: int = 1
    verdict: str = ""
    """`better`, `worse`, `not established`, or `no claim: floor`."""
    detectable: float
    """The smallest true difference that these problems would establish with a power of 0.8, were it alone."""
    not_worse: MarginTest | None = None
    equivalent: MarginTest | None = None
    much_worse: bool = False
    """Whether it is worse by more than the margin: the whole interval lies below it."""
    token_ratio: Estimate | None = None
    cost_ratio: Estimate | None = None
    """Tokens per correct answer, over those of the other one."""


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
    pairs: list[PairFigures] = []
    for benchmark in joined.benchmarks:
        samples = _sample_sets(joined, benchmark, options)
        authors += [_figures_of(name, benchmark, one, options) for name, one in samples]
        pairs += _pairs(samples, benchmark, options, joined.sets[0].name)
    pairs = _adjusted(pairs, options)
    return Figures(tuple(authors), tuple(pairs), options.family, sum(not _is_floor(pair) for pair in pairs), options)


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
        pass_at={k: pass_at_k(samples, k, level=level) for k in ks},
    )


def _pairs(
    samples: Sequence[tuple[str, Samples]], benchmark: str, options: CompareOptions, first: str
) -> list[PairFigures]:
    """The pairs of the family that have a problem in common."""
    if options.family == "all":
        chosen = [(b, a) for a, b in itertools.combinations(samples, 2)]
    else:
        chosen = [(each, other) for other in samples for each in samples if other[0] == first and each[0] != first]
    found: list[PairFigures] = []
    for (name, mine), (baseline, theirs) in chosen:
        if len(np.intersect1d(mine.problem_ids, theirs.problem_ids)):
            found.append(_compare(name, mine, baseline, theirs, benchmark, options))
    return found


def _compare(
    name: str, mine: Samples, baseline: str, theirs: Samples, benchmark: str, options: CompareOptions
) -> PairFigures:
    a, b, only_a, only_b = align_samples(mine, theirs)
    level = options.confidence
    seed = derive_seed(options.seed, "pair", name, baseline, benchmark) % 2**32
    difference = accuracy_difference(a, b, seed=seed, level=level)
    margin, alpha = options.margin, 1 - level
    has_tokens = all(one.tokens is not None and one.flat_tokens.any() for one in (a, b))
    if margin and max(a.accuracies.mean(), b.accuracies.mean()) < 2 * margin:
        margin = None  # within the margin of nothing: "not inferior" would mean nothing
    not_worse = non_inferiority(a, b, margin, alpha=alpha) if margin else None
    return PairFigures(
        name=name,
        baseline=baseline,
        benchmark=benchmark,
        n_problems=a.n_problems,
        only_name=len(only_a),
        only_baseline=len(only_b),
        difference=difference,
        verdict=_floor_verdict(a, b),
        detectable=detectable_difference(a, b, power=POWER, level=level),
        not_worse=not_worse,
        equivalent=equivalence(a, b, margin, alpha=alpha) if margin else None,
        much_worse=bool(margin) and not_worse is not None and not_worse.difference.high < -(margin or 0),
        token_ratio=token_ratio(a, b, level=level) if has_tokens else None,
        cost_ratio=tokens_per_correct_ratio(a, b, level=level) if has_tokens else None,
    )


NO_CLAIM = "no claim: floor"


def _floor_verdict(a: Samples, b: Samples) -> str:
    return NO_CLAIM if max(a.accuracies.mean(), b.accuracies.mean()) <= FLOOR else ""


def _is_floor(pair: PairFigures) -> bool:
    return pair.verdict == NO_CLAIM


def _adjusted(pairs: list[PairFigures], options: CompareOptions) -> list[PairFigures]:
    """The pairs with Holm's p values over all of them that are not at the floor, and what they establish."""
    claimed = [pair for pair in pairs if not _is_floor(pair)]
    p_values = [1.0 if pair.difference.p_value is None else pair.difference.p_value for pair in claimed]
    adjusted, _ = holm_adjust(p_values, level=options.confidence)
    alpha = 1 - options.confidence + 1e-9
    found: list[PairFigures] = []
    values = iter(adjusted)
    for pair in pairs:
        if _is_floor(pair):
            found.append(replace(pair, family_size=len(claimed)))
            continue
        p_value, difference = next(values), pair.difference
        excludes_zero = difference.low > 0 or difference.high < 0
        word = "better" if difference.value > 0 else "worse"
        verdict = word if excludes_zero and p_value <= alpha else "not established"
        found.append(replace(pair, adjusted_p=p_value, family_size=len(claimed), verdict=verdict))
    return found
