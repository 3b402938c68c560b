"""Authors compared in pairs: each against the baseline of its family, on the problems that both were asked."""

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
from lakon.stats import Estimate, Samples, accuracy_difference, holm_adjust, non_inferiority, token_ratio


class _Comparison(NamedTuple):
    result: AuthorResults
    baseline: AuthorResults
    samples: Samples
    """Of `result`."""
    difference: Estimate


def compare_authors(
    sampled: Sequence[tuple[AuthorResults, Samples]],
    baselines: Mapping[str, str],
    *,
    seed: int,
    confidence: float,
    margin: float,
) -> list[Score]:
    """Each author against its family's baseline; p values adjusted by Holm over everything compared here."""
    compared: list[_Comparison] = []
    extra: list[Score] = []
    for result, samples in sampled:
        against = _baseline(sampled, result, baselines)
        if against is None:
            continue
        other, theirs = against
        pair_seed = derive_seed(seed, "pair", result.author, other.author, result.benchmark) % 2**32
        difference = accuracy_difference(samples, theirs, seed=pair_seed, level=confidence)
        compared.append(_Comparison(result, other, samples, difference))
        extra.extend(_costs(result, other, samples, theirs, confidence, margin))
    p_values = [1.0 if pair.difference.p_value is None else pair.difference.p_value for pair in compared]
    adjusted, _ = holm_adjust(p_values, level=confidence)
    scores: list[Score] = []
    for pair, p_value in zip(compared, adjusted, strict=True):
        method = f"{pair.difference.method}; Holm over {len(compared)}"
        estimate = replace(pair.difference, p_value=p_value, method=method)
        scores.append(
            make_score(pair.result, "accuracy_difference", estimate, pair.samples, baseline=pair.baseline.author)
        )
    return scores + extra


def _baseline(
    sampled: Sequence[tuple[AuthorResults, Samples]], result: AuthorResults, baselines: Mapping[str, str]
) -> tuple[AuthorResults, Samples] | None:
    name = baselines.get(result.family)
    if not result.family or name is None or name == result.author:
        return None
    for other, samples in sampled:
        named = (other.author, other.benchmark, other.family) == (name, result.benchmark, result.family)
        if named and len(np.intersect1d(other.answers.problem, result.answers.problem)):
            return other, samples
    return None


def _costs(
    a: AuthorResults, b: AuthorResults, mine: Samples, theirs: Samples, confidence: float, margin: float
) -> Iterator[Score]:
    test = non_inferiority(mine, theirs, margin)
    result = "shown" if test.holds else "not shown"
    method = f"margin {margin:g}: {result}; power {test.power:.2f}; {test.difference.method}"
    yield make_score(a, "non_inferiority", replace(test.difference, method=method), mine, baseline=b.author)
    if test.n_needed is not None:
        needed = replace(
            test.difference,
            value=float(test.n_needed),
            low=math.inf,
            high=math.inf,
            p_value=None,
            method=f"for a power of 0.9 within the margin of {margin:g}, were there no difference",
        )
        yield make_score(a, "problems_needed", needed, mine, baseline=b.author)
    if mine.flat_tokens.any() and theirs.flat_tokens.any():
        yield make_score(a, "token_ratio", token_ratio(mine, theirs, level=confidence), mine, baseline=b.author)
