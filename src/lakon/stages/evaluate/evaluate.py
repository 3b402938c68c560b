"""Scores: every author on every benchmark, with intervals clustered by problem, and arms compared in pairs.

Invariant: every figure's denominator is all samples of all problems that the author was asked; what could not be
graded counts as wrong and is counted apart. The formulas live in `stats`; this file only decides what is scored.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field

from lakon.core.columns import Texts
from lakon.core.digest import derive_seed
from lakon.core.records import Score
from lakon.core.spec import Name, Sampling, Spec
from lakon.stages.evaluate.answer_columns import Roll, Sheet, samples_of
from lakon.stats import (
    Estimate,
    Samples,
    accuracy,
    accuracy_difference,
    accuracy_fixed,
    accuracy_within_budget,
    holm,
    mean_tokens,
    non_inferiority,
    pass_at_k,
    seed_spread,
    token_ratio,
    tokens_per_correct,
    truncation_rate,
    ungraded_rate,
)
from lakon.stats.ragged import Ragged
from lakon.stats.samples import IntArray

VERSION = 5


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
    baseline: Name | None = None
    """The arm that the others are compared with; the first one unless given."""
    group_by: tuple[str, ...] = ()
    """Problem tags by which accuracy is broken down, for instance `steps`."""
    margin: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Non-inferiority margin in accuracy, stated before the run: 0.05 is five points."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Of every interval."""

    @property
    def margin_stated(self) -> bool:
        """Whether the study states its margin; else it is Lakon's own, and the report says so."""
        return "margin" in self.model_fields_set


def evaluate(
    sheets: Sequence[Sheet],
    rolls: Mapping[str, Roll],
    spec: Evaluate,
    *,
    seed: int,
    baselines: Mapping[str, str],
) -> list[Score]:
    """All scores. `rolls` are by benchmark; `baselines` name the author to compare with, by family."""
    sampled = [(sheet, samples_of(sheet.work, rolls[sheet.benchmark])) for sheet in sheets if len(sheet.work)]
    scores: list[Score] = []
    for sheet, samples in sampled:
        scores.extend(_own(sheet, samples, spec, seed))
        scores.extend(_apart(sheet, samples, rolls[sheet.benchmark], spec))
    scores.extend(_paired(sampled, spec, seed, baselines))
    return scores


def _own(sheet: Sheet, samples: Samples, spec: Evaluate, seed: int) -> Iterator[Score]:
    """The figures of one author alone."""
    level = spec.confidence
    given: list[tuple[str, float | None, Estimate | None]] = [
        ("accuracy", None, _accuracy(sheet, samples, spec, seed)),
        ("accuracy_fixed", None, accuracy_fixed(samples, level=level)),
        ("tokens", None, mean_tokens(samples, level=level)),
        ("truncation_rate", None, truncation_rate(samples, level=level)),
        ("ungraded_rate", None, ungraded_rate(samples, level=level)),
    ]
    given += [("pass_at_k", k, estimate) for k, estimate in _pass_at(samples, spec)]
    if samples.flat_tokens.any():
        given.append(("tokens_per_correct", None, tokens_per_correct(samples, level=level)))
    for name, at, estimate in given:
        if estimate is not None:
            yield _score(sheet, name, estimate, samples, at=at)
    yield from _parts(sheet, samples)
    yield from _within_budget(sheet, samples, spec, seed)


def _accuracy(sheet: Sheet, samples: Samples, spec: Evaluate, seed: int) -> Estimate:
    """avg@k; with several training seeds the interval holds their spread, too, and is never the narrower one."""
    plain = accuracy(samples, level=spec.confidence)
    own_seed = derive_seed(seed, "spread", sheet.author, sheet.benchmark) % 2**32
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
    wanted = [k for k in spec.pass_at or (most,) if 1 < k <= most]
    apart = _by_seed(samples, starts) if wanted else samples
    for k in wanted:
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
        problem_ids=Texts(f"{samples.problem_ids[row]}#{seed}" for row, seed in zip(rows, seeds, strict=True)),
        correct=Ragged(samples.flat_correct, np.diff(starts, append=samples.n_samples)),
        clusters=tuple(labels[row] or samples.problem_ids[row] for row in rows),
    )


def _parts(sheet: Sheet, samples: Samples) -> Iterator[Score]:
    """Means without intervals: reasoning and answer apart, and the provider's own count where there is one."""
    work = sheet.work
    parts = {
        "reasoning_tokens": work.n_reasoning,
        "answer_tokens": work.n_answer,
        "provider_tokens": work.provider_tokens,
        "latency_s": work.latency_s,
    }
    for name, values in parts.items():
        if len(values):
            yield Score(
                benchmark=sheet.benchmark,
                author=sheet.author,
                metric=name,
                estimate=math.fsum(values) / len(values),
                method="mean over samples",
                n_problems=samples.n_problems,
                n_samples=len(values),
            )


def _apart(sheet: Sheet, samples: Samples, roll: Roll, spec: Evaluate) -> Iterator[Score]:
    """Accuracy in parts: each training seed's own, so that their spread can be seen, and that on each value of each tag
    that the study names."""
    for seed in sorted(sheet.work.seeds) if len(sheet.work.seeds) > 1 else ():
        part = samples_of(sheet.work, roll, seed=seed)
        yield _score(sheet, "accuracy", accuracy(part, level=spec.confidence), part, group=f"training seed={seed}")
    places: list[int] = np.unique(sheet.work.problem).tolist() if spec.group_by else []
    for tag in spec.group_by:
        rows: dict[str, list[int]] = {}
        for i, place in enumerate(places):
            value = roll.tag(place, tag)
            if value is not None:
                rows.setdefault(value, []).append(i)
        for value in sorted(rows, key=_natural):
            part = samples.take(rows[value])
            yield _score(sheet, "accuracy", accuracy(part, level=spec.confidence), part, group=f"{tag}={value}")


BUDGETS = 24


def _within_budget(sheet: Sheet, samples: Samples, spec: Evaluate, seed: int) -> Iterator[Score]:
    """Accuracy when only samples count that are right *and* finished within a budget of tokens."""
    longest = int(samples.flat_tokens.max())
    if longest <= 0:
        return
    budgets = sorted({max(1, round(longest ** (i / BUDGETS))) for i in range(BUDGETS // 4, BUDGETS + 1)})
    curve = accuracy_within_budget(
        samples, budgets, seed=derive_seed(seed, "budget", sheet.author, sheet.benchmark) % 2**32, level=spec.confidence
    )
    rows = zip(curve.budgets.tolist(), curve.values.tolist(), curve.low.tolist(), curve.high.tolist(), strict=True)
    for budget, value, low, high in rows:
        point = Estimate(value, low, high, curve.method, curve.n_problems, curve.n_samples)
        yield _score(sheet, "accuracy_within_budget", point, samples, at=float(budget))


def _natural(value: str) -> tuple[float, str]:
    try:
        return float(value), value
    except ValueError:
        return math.inf, value


def _paired(
    sampled: Sequence[tuple[Sheet, Samples]], spec: Evaluate, seed: int, baselines: Mapping[str, str]
) -> list[Score]:
    """Each author against its family's baseline; p values adjusted by Holm over everything compared here."""
    made: list[tuple[Sheet, Sheet, Samples, Estimate]] = []
    extra: list[Score] = []
    for sheet, samples in sampled:
        against = _baseline(sampled, sheet, baselines)
        if against is None:
            continue
        other, theirs = against
        pair_seed = derive_seed(seed, "pair", sheet.author, other.author, sheet.benchmark) % 2**32
        made.append(
            (sheet, other, samples, accuracy_difference(samples, theirs, seed=pair_seed, level=spec.confidence))
        )
        extra.extend(_costs(sheet, other, samples, theirs, spec))
    adjusted, _ = holm([e.p_value if e.p_value is not None else 1.0 for *_, e in made], level=spec.confidence)
    differences = [
        _score(
            a,
            "accuracy_difference",
            replace(e, p_value=p, method=f"{e.method}; Holm over {len(made)}"),
            s,
            baseline=b.author,
        )
        for (a, b, s, e), p in zip(made, adjusted, strict=True)
    ]
    return differences + extra


def _baseline(
    sampled: Sequence[tuple[Sheet, Samples]], sheet: Sheet, baselines: Mapping[str, str]
) -> tuple[Sheet, Samples] | None:
    name = baselines.get(sheet.family)
    if not sheet.family or name is None or name == sheet.author:
        return None
    for other, samples in sampled:
        named = (other.author, other.benchmark, other.family) == (name, sheet.benchmark, sheet.family)
        if named and len(np.intersect1d(other.work.problem, sheet.work.problem)):
            return other, samples
    return None


def _costs(a: Sheet, b: Sheet, mine: Samples, theirs: Samples, spec: Evaluate) -> Iterator[Score]:
    test = non_inferiority(mine, theirs, spec.margin)
    result = "shown" if test.holds else "not shown"
    method = f"margin {spec.margin:g}: {result}; power {test.power:.2f}; {test.difference.method}"
    yield _score(a, "non_inferiority", replace(test.difference, method=method), mine, baseline=b.author)
    if test.n_needed is not None:
        needed = replace(
            test.difference,
            value=float(test.n_needed),
            low=math.inf,
            high=math.inf,
            p_value=None,
            method=f"for a power of 0.9 within the margin of {spec.margin:g}, were there no difference",
        )
        yield _score(a, "problems_needed", needed, mine, baseline=b.author)
    if mine.flat_tokens.any() and theirs.flat_tokens.any():
        yield _score(a, "token_ratio", token_ratio(mine, theirs, level=spec.confidence), mine, baseline=b.author)


def _score(
    sheet: Sheet,
    metric: str,
    estimate: Estimate,
    samples: Samples,
    *,
    at: float | None = None,
    baseline: str | None = None,
    group: str | None = None,
) -> Score:
    return Score(
        benchmark=sheet.benchmark,
        author=sheet.author,
        metric=metric,
        at=at,
        baseline=baseline,
        group=group,
        estimate=estimate.value,
        low=_finite(estimate.low),
        high=_finite(estimate.high),
        p_value=estimate.p_value,
        method=estimate.method,
        n_problems=estimate.n_problems,
        n_samples=samples.n_samples,
        n_ungraded=int((~samples.flat_graded).sum()),
    )


def _finite(bound: float) -> float | None:
    return bound if math.isfinite(bound) else None
