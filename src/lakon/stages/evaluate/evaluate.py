"""Scores: every author on every benchmark, with intervals clustered by problem, and arms compared in pairs.

Invariant: every figure's denominator is all samples of all problems that the author was asked; what could not be
graded counts as wrong and is counted apart. The formulas live in `stats`; this file only decides what is scored of one
author. `pairs.py` compares authors with each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field

from lakon.core.columns import PackedStrings
from lakon.core.digest import derive_seed
from lakon.core.records import Score
from lakon.core.spec import Name, Sampling, Spec
from lakon.stages.evaluate.answer_columns import AuthorResults, ProblemIndex, select_samples
from lakon.stages.evaluate.pairs import compare_authors
from lakon.stages.evaluate.prompting import PROMPTS, Prompting
from lakon.stages.evaluate.score_rows import make_score
from lakon.stages.generate.specs import Teacher
from lakon.stats import (
    Estimate,
    Samples,
    accuracy,
    accuracy_fixed,
    accuracy_within_budget,
    mean_tokens,
    pass_at_k,
    seed_spread,
    tokens_per_correct,
    truncation_rate,
    ungraded_rate,
)
from lakon.stats.ragged import Ragged
from lakon.stats.samples import IntArray


class Evaluate(Spec):
    """On what, how and against whom students are evaluated."""

    benchmarks: tuple[Name, ...] = ()
    """Known benchmarks, and those of `[benchmarks.NAME]`, by name."""
    samples: Annotated[int, Field(ge=1, le=1024)] = 8
    """Answers of each student to each problem."""
    sampling: Sampling = Sampling(temperature=0.6, top_p=0.95)
    """How students are sampled."""
    pass_at: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """The k of pass@k; all samples unless given."""
    base: bool = True
    """Evaluate the base models, too."""
    teachers: tuple[Name, ...] = ()
    """Teachers that answer the benchmarks, too, asked and sampled as students are."""
    authors: dict[Name, Teacher] = {}
    """Whoever else answers the benchmarks: an endpoint, a model in a folder or on the hub, recorded answers. What one
    leaves out of `samples`, `sampling` and `prompt` is as for students."""
    prompting: tuple[Name, ...] = ()
    """Ways in which every base and student is asked once more, beside the study's own prompt: `direct`,
    `chain-of-thought`, `few-shot`, `forced-256`, `forced-1024`, `forced-4096`, or those of `evaluate.prompts`."""
    prompts: dict[Name, Prompting] = {}
    """Ways of one's own."""
    familiarity: Annotated[int, Field(ge=0)] = 64
    """Before training, the loss of every base is measured on each teacher's traces of so many problems, the same ones
    for all teachers; 0 leaves it out."""
    baseline: Name | None = None
    """The arm that the others are compared with, or the author that other authors are; the first one unless given."""
    group_by: tuple[str, ...] = ()
    """Problem tags by which accuracy is broken down, for instance `steps`."""
    margin: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Non-inferiority margin in accuracy, stated before the run: 0.05 is five points."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Of every interval."""

    def way(self, name: str) -> Prompting:
        """A way of prompting by its name: the study's own, else the known one."""
        return self.prompts[name] if name in self.prompts else PROMPTS[name]

    @property
    def margin_stated(self) -> bool:
        """Whether the study states its margin; else it is Lakon's own, and the report says so."""
        return "margin" in self.model_fields_set


def score_authors(
    results: Sequence[AuthorResults],
    indexes: Mapping[str, ProblemIndex],
    spec: Evaluate,
    *,
    seed: int,
    baselines: Mapping[str, str],
) -> list[Score]:
    """All scores. `indexes` are by benchmark; `baselines` name the author to compare with, by family."""
    sampled = [
        (result, select_samples(result.answers, indexes[result.benchmark])) for result in results if len(result.answers)
    ]
    scores: list[Score] = []
    for result, samples in sampled:
        scores.extend(_figures(result, samples, spec, seed))
        scores.extend(_breakdowns(result, samples, indexes[result.benchmark], spec))
    scores.extend(compare_authors(sampled, baselines, seed=seed, confidence=spec.confidence, margin=spec.margin))
    return scores


def _figures(result: AuthorResults, samples: Samples, spec: Evaluate, seed: int) -> Iterator[Score]:
    """The figures of one author alone."""
    level = spec.confidence
    estimates: list[tuple[str, float | None, Estimate | None]] = [
        ("accuracy", None, _accuracy(result, samples, spec, seed)),
        ("accuracy_fixed", None, accuracy_fixed(samples, level=level)),
        ("tokens", None, mean_tokens(samples, level=level)),
        ("truncation_rate", None, truncation_rate(samples, level=level)),
        ("ungraded_rate", None, ungraded_rate(samples, level=level)),
    ]
    estimates += [("pass_at_k", k, estimate) for k, estimate in _pass_at(samples, spec)]
    if samples.flat_tokens.any():
        estimates.append(("tokens_per_correct", None, tokens_per_correct(samples, level=level)))
    for name, at, estimate in estimates:
        if estimate is not None:
            yield make_score(result, name, estimate, samples, at=at)
    yield from _token_means(result, samples)
    yield from _within_budget(result, samples, spec, seed)


def _accuracy(result: AuthorResults, samples: Samples, spec: Evaluate, seed: int) -> Estimate:
    """avg@k; with several training seeds the interval holds their spread, too, and is never the narrower one."""
    plain = accuracy(samples, level=spec.confidence)
    own_seed = derive_seed(seed, "spread", result.author, result.benchmark) % 2**32
    spread = seed_spread(samples, seed=own_seed, level=spec.confidence).estimate
    if spread is None:
        return plain
    return replace(spread, low=min(spread.low, plain.low), high=max(spread.high, plain.high))


def _pass_at(samples: Samples, spec: Evaluate) -> Iterator[tuple[int, Estimate]]:
    """pass@k of one student: samples of different training seeds are never drawn together.

    A problem is then a row for each seed, and its rows are one cluster.
    """
    starts = _runs(samples)
    most = int(np.diff(starts, append=samples.n_samples).min())
    ks = [k for k in spec.pass_at or (most,) if 1 < k <= most]
    apart = _by_seed(samples, starts) if ks else samples
    for k in ks:
        yield k, replace(pass_at_k(apart, k, level=spec.confidence), n_problems=samples.n_problems)


def _runs(samples: Samples) -> IntArray:
    """Where, among all samples, those of each training seed begin within each problem: they lie side by side."""
    row, seeds = samples.row, samples.flat_seeds
    begins = (row[1:] != row[:-1]) | (seeds[1:] != seeds[:-1])
    return np.concatenate([[0], np.flatnonzero(begins) + 1])


def _by_seed(samples: Samples, starts: IntArray) -> Samples:
    labels = samples.clusters or samples.problem_ids
    rows: list[int] = samples.row[starts].tolist()
    seeds: list[int] = samples.flat_seeds[starts].tolist()
    return Samples(
        problem_ids=PackedStrings(f"{samples.problem_ids[row]}#{seed}" for row, seed in zip(rows, seeds, strict=True)),
        correct=Ragged(samples.flat_correct, np.diff(starts, append=samples.n_samples)),
        clusters=tuple(labels[row] or samples.problem_ids[row] for row in rows),
    )


def _token_means(result: AuthorResults, samples: Samples) -> Iterator[Score]:
    """Means without intervals: reasoning and answer apart, and the provider's own count where there is one."""
    answers = result.answers
    parts = {
        "reasoning_tokens": answers.n_reasoning,
        "answer_tokens": answers.n_answer,
        "provider_tokens": answers.provider_tokens,
        "latency_s": answers.latency_s,
    }
    for name, values in parts.items():
        if len(values):
            yield Score(
                benchmark=result.benchmark,
                author=result.author,
                metric=name,
                estimate=math.fsum(values) / len(values),
                method="mean over samples",
                n_problems=samples.n_problems,
                n_samples=len(values),
            )


def _breakdowns(result: AuthorResults, samples: Samples, index: ProblemIndex, spec: Evaluate) -> Iterator[Score]:
    """Accuracy in parts: each training seed's own, so that their spread can be seen, and that on each value of each tag
    that the study names."""
    for seed in sorted(result.answers.seeds) if len(result.answers.seeds) > 1 else ():
        part = select_samples(result.answers, index, seed=seed)
        yield make_score(result, "accuracy", accuracy(part, level=spec.confidence), part, group=f"training seed={seed}")
    places: list[int] = np.unique(result.answers.problem).tolist() if spec.group_by else []
    for tag in spec.group_by:
        rows: dict[str, list[int]] = {}
        for i, place in enumerate(places):
            value = index.tag(place, tag)
            if value is not None:
                rows.setdefault(value, []).append(i)
        for value in sorted(rows, key=_natural):
            part = samples.take(rows[value])
            yield make_score(result, "accuracy", accuracy(part, level=spec.confidence), part, group=f"{tag}={value}")


BUDGETS = 24


def _within_budget(result: AuthorResults, samples: Samples, spec: Evaluate, seed: int) -> Iterator[Score]:
    """Accuracy when only samples count that are right *and* finished within a budget of tokens."""
    longest = int(samples.flat_tokens.max())
    if longest <= 0:
        return
    budgets = sorted({max(1, round(longest ** (i / BUDGETS))) for i in range(BUDGETS // 4, BUDGETS + 1)})
    curve = accuracy_within_budget(
        samples,
        budgets,
        seed=derive_seed(seed, "budget", result.author, result.benchmark) % 2**32,
        level=spec.confidence,
    )
    rows = zip(curve.budgets.tolist(), curve.values.tolist(), curve.low.tolist(), curve.high.tolist(), strict=True)
    for budget, value, low, high in rows:
        point = Estimate(value, low, high, curve.method, curve.n_problems, curve.n_samples)
        yield make_score(result, "accuracy_within_budget", point, samples, at=float(budget))


def _natural(value: str) -> tuple[float, str]:
    try:
        return float(value), value
    except ValueError:
        return math.inf, value
