"""Authors compared in pairs: each against the baseline of its family, and each student against its base.

Invariant: both sides are asked the same problems. P-values are adjusted and simultaneous intervals hold within what is
declared here: all comparisons of one kind of author on one benchmark, those against the base apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from lakon.core.digest import derive_seed
from lakon.core.records import Score
from lakon.stages.evaluate.answer_columns import AuthorResults
from lakon.stages.evaluate.score_rows import make_score
from lakon.stats import Comparison, Estimate, Samples, compare_family

_Sampled = tuple[AuthorResults, Samples]


class _Pair(NamedTuple):
    result: AuthorResults
    baseline: AuthorResults
    samples: Samples
    """Of `result`."""
    others: Samples


def compare_authors(
    sampled: Sequence[_Sampled],
    baselines: Mapping[str, str],
    *,
    seed: int,
    confidence: float,
    margin: float,
) -> list[Score]:
    """Each author against its family's baseline, and each student against its base."""
    families: dict[tuple[str, str, str], list[_Pair]] = {}
    for result, samples in sampled:
        for against, pair in _list_pairs(sampled, result, samples, baselines):
            families.setdefault((result.benchmark, result.kind, against), []).append(pair)
    scores: list[Score] = []
    for name, pairs in families.items():
        compared = compare_family(
            [(pair.samples, pair.others) for pair in pairs],
            margin=margin,
            seed=derive_seed(seed, "family", *name) % 2**32,
            level=confidence,
        )
        for pair, comparison in zip(pairs, compared, strict=True):
            scores.extend(_score_comparison(pair, comparison))
    return scores


def _list_pairs(
    sampled: Sequence[_Sampled], result: AuthorResults, samples: Samples, baselines: Mapping[str, str]
) -> Iterator[tuple[str, _Pair]]:
    """The comparisons of one author, each with whom it is against: `baseline` or `base`."""
    named = {"baseline": baselines.get(result.family, "") if result.family else "", "base": result.base}
    for against, name in named.items():
        for other, theirs in sampled:
            found = name != result.author and (other.author, other.benchmark) == (name, result.benchmark)
            if against == "baseline" and other.family != result.family:
                continue
            if found and len(np.intersect1d(other.answers.problem, result.answers.problem)):
                yield against, _Pair(result, other, samples, theirs)


def _score_comparison(pair: _Pair, comparison: Comparison) -> Iterator[Score]:
    """The rows of one comparison."""
    for metric, estimate in _list_figures(comparison):
        claim = comparison.claim.value if metric == "accuracy_difference" else ""
        yield make_score(pair.result, metric, estimate, pair.samples, baseline=pair.baseline.author, claim=claim)


def _list_figures(comparison: Comparison) -> Iterator[tuple[str, Estimate]]:
    difference, band = comparison.difference, comparison.simultaneous
    size = comparison.family_size
    holm = "no claim at the floor" if comparison.floor else f"Holm over a family of {size}"
    yield (
        "accuracy_difference",
        replace(difference, p_value=comparison.adjusted_p, method=f"{difference.method}; {holm}"),
    )
    if not comparison.floor:
        together = replace(difference, low=band.low, high=band.high, p_value=None, method=band.method)
        yield "accuracy_difference_together", together
    tests = {
        "non_inferiority": comparison.non_inferiority,
        "equivalence": comparison.equivalence,
        "inferiority": comparison.inferiority,
    }
    for name, test in tests.items():
        result = "shown" if test.holds else "not shown"
        power = "" if math.isnan(test.power) else f"; power {test.power:.2f}"
        method = f"margin {test.margin:g}: {result}{power}; {test.difference.method}"
        yield name, replace(test.difference, method=method)
    needed = comparison.non_inferiority.n_needed
    if needed is not None:
        method = f"for a power of 0.9 within the margin of {comparison.margin:g}, were there no difference"
        yield "problems_needed", _without_interval(difference, float(needed), method)
    if math.isfinite(comparison.detectable):
        method = "the smallest true difference found with a power of 0.8"
        yield "detectable_difference", _without_interval(difference, comparison.detectable, method)
    if comparison.token_ratio is not None:
        yield "token_ratio", comparison.token_ratio
    if comparison.tokens_per_correct_ratio is not None:
        yield "tokens_per_correct_ratio", comparison.tokens_per_correct_ratio


def _without_interval(estimate: Estimate, value: float, method: str) -> Estimate:
    return replace(estimate, value=value, low=math.inf, high=math.inf, p_value=None, method=method)
