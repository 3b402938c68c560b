"""Familiarity on losses that are made up: which traces are measured, what the bins hold, what the summary says."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from lakon.core.records import LossBin, TraceLoss, VerdictOutcome
from lakon.core.report_data import Familiarity
from lakon.stages.report.familiarity_summary import summarise_familiarity
from lakon.stages.train.familiarity import (
    SURPRISING,
    MeasuredTrace,
    average_traces,
    bin_losses,
    choose_traces,
    part_complete,
)

IDS = [f"p{i}" for i in range(40)]


def verdict(teacher: str, problem: str, sample: int = 0, outcome: str = "correct") -> VerdictOutcome:
    return VerdictOutcome(f"{teacher}/{problem}.{sample}", problem, sample, outcome, None)


VERDICTS = {
    "a": [verdict("a", p, sample, "correct" if sample else "incorrect") for p in IDS for sample in (2, 1, 0)],
    "b": [verdict("b", p, outcome="correct" if i % 2 else "truncated") for i, p in enumerate(IDS)],
}


def chosen(
    teachers: Sequence[str], count: int, seed: int = 0, filtered: Mapping[str, Iterable[str]] | None = None
) -> dict[str, dict[str, str]]:
    left_out = {name: set(ids) for name, ids in (filtered or {}).items()}
    return choose_traces(IDS, teachers, VERDICTS.__getitem__, left_out, count=count, seed=seed)


def test_the_traces_are_first_right_ones_of_problems_that_all_teachers_got_right():
    found = chosen(("a", "b"), 8)
    assert list(found["a"]) == list(found["b"])
    assert len(found["a"]) == 8
    assert all(IDS.index(problem) % 2 for problem in found["a"])
    assert all(trace == f"a/{problem}.1" for problem, trace in found["a"].items())
    assert len(chosen(("a", "b"), 99)["b"]) == 20
    assert len(chosen(("a",), 99)["a"]) == 40


def test_a_larger_count_contains_a_smaller_one_and_the_order_of_teachers_does_not_matter():
    few, many = chosen(("a", "b"), 5)["a"], chosen(("a", "b"), 12)["a"]
    assert list(many)[:5] == list(few)
    turned = chosen(("b", "a"), 5)
    assert turned == {"b": chosen(("a", "b"), 5)["b"], "a": few}
    assert list(chosen(("a", "b"), 5, seed=1)["a"]) != list(few)


def test_a_filtered_trace_is_as_if_it_were_not_there():
    gone = {"a": [f"a/{IDS[1]}.1"], "b": [f"b/{IDS[3]}.0"]}
    found = chosen(("a", "b"), 99, filtered=gone)
    assert found["a"][IDS[1]] == f"a/{IDS[1]}.2"
    assert IDS[3] not in found["a"]


def measured(teacher: str, problem: str, losses: Iterable[float] | None) -> MeasuredTrace:
    values = None if losses is None else np.asarray(list(losses), dtype=np.float32)
    return MeasuredTrace(
        trace_id=f"{teacher}/{problem}",
        problem_id=problem,
        teacher=teacher,
        n_tokens=999 if values is None else len(values),
        losses=values,
    )


def test_a_problem_that_was_not_measured_for_one_teacher_is_left_out_for_all():
    rows = [
        measured("a", "long", [1.0]),
        measured("a", "odd", [1.0, math.nan]),
        measured("a", "good", [1.0]),
        measured("b", "long", None),
        measured("b", "odd", [2.0]),
        measured("b", "good", [2.0]),
    ]
    kept, left_out = part_complete(rows)
    assert [row.trace_id for row in kept] == ["a/good", "b/good"]
    assert {e.subject: e.rule for e in left_out} == {
        "a/long": "other_trace_not_measured",
        "b/long": "longer_than_context",
        "a/odd": "loss_not_finite",
        "b/odd": "other_trace_not_measured",
    }


def random_traces(teacher: str, lengths: Iterable[int], scale: float = 1.0) -> list[MeasuredTrace]:
    rng = np.random.default_rng(sum(map(ord, teacher)))
    return [measured(teacher, f"p{i}", scale * rng.exponential(size=n)) for i, n in enumerate(lengths)]


def of_scale(bins: Iterable[LossBin], scale: str) -> list[LossBin]:
    return [row for row in bins if row.scale == scale]


def test_the_bins_of_a_scale_add_up_to_all_tokens():
    lengths = [3, 17, 300, 5000, 20_000]
    traces = random_traces("a", lengths)
    bins = list(bin_losses(traces, ("a",)))
    (whole,) = of_scale(bins, "all")
    together = np.concatenate([row.losses for row in traces if row.losses is not None]).astype(np.float64)
    assert whole.n_tokens == sum(lengths)
    assert whole.loss == pytest.approx(together.mean(), rel=1e-9)
    assert (whole.median, whole.q90, whole.q99) == pytest.approx(tuple(np.quantile(together, (0.5, 0.9, 0.99))))
    assert whole.surprising == pytest.approx(float((together > SURPRISING).mean()))
    for scale in ("tokens", "tenths"):
        rows = of_scale(bins, scale)
        assert sum(row.n_tokens for row in rows) == sum(lengths)
        assert sum(row.n_tokens * row.loss for row in rows) == pytest.approx(together.sum(), rel=1e-9)
        assert sum(row.n_tokens * row.surprising for row in rows) == pytest.approx((together > SURPRISING).sum())


def test_positions_are_counted_from_the_beginning_and_in_tenths():
    bins = list(bin_losses([measured("a", "p", range(20)), measured("a", "q", [7.0])], ("a",)))
    first, second = of_scale(bins, "tokens")
    assert (first.start, first.stop, first.n_tokens, first.n_traces) == (0, 16, 17, 2)
    assert (second.start, second.stop, second.n_tokens, second.n_traces) == (16, 64, 4, 1)
    assert second.loss == pytest.approx((16 + 17 + 18 + 19) / 4)
    tenths = of_scale(bins, "tenths")
    assert [row.n_tokens for row in tenths] == [3, *[2] * 9]
    assert tenths[9].loss == pytest.approx(18.5)
    far = of_scale(bin_losses([measured("a", "p", np.ones(16_385))], ("a",)), "tokens")[-1]
    assert (far.start, far.stop, far.n_tokens) == (16_384, None, 1)


def test_a_surprising_token_is_one_of_less_than_a_percent():
    (whole,) = of_scale(bin_losses([measured("a", "p", [-math.log(0.011), -math.log(0.009)])], ("a",)), "all")
    assert whole.surprising == 0.5


def test_a_teachers_figures_do_not_depend_on_the_others():
    a, b = random_traces("a", [5, 50]), random_traces("b", [9, 90])
    both = list(bin_losses([*a, *b], ("a", "b")))
    turned = list(bin_losses([*b, *a], ("b", "a")))
    assert [row for row in both if row.teacher == "a"] == list(bin_losses(a, ("a",)))
    assert sorted(both, key=repr) == sorted(turned, key=repr)


def test_perplexity_is_a_number_however_large_the_loss():
    small, large = average_traces([measured("a", "p", [1.0, 3.0]), measured("a", "q", [5000.0])])
    assert small.perplexity == pytest.approx(math.exp(2.0))
    assert math.isfinite(large.perplexity)


# -- the summary -----------------------------------------------------------------------------------------------

LABELS = {"a": "a (teacher)", "b": "b"}


def summary(
    losses: Sequence[TraceLoss], clusters: Mapping[str, str] | None = None, labels: Mapping[str, str] = LABELS
) -> Familiarity:
    own = {row.problem_id: row.problem_id for row in losses}
    return summarise_familiarity(
        losses,
        [],
        labels,
        clusters or own,
        student="",
        left_out={"longer_than_context": 3, "other_trace_not_measured": 1},
        context=100,
        level=0.95,
        seed=0,
    )


def trace_losses(n: int) -> list[TraceLoss]:
    traces = [*random_traces("a", [20] * n), *random_traces("b", [30] * n, scale=1.5)]
    return list(average_traces(traces))


def test_means_and_the_paired_difference_have_students_interval():
    losses = trace_losses(30)
    found = summary(losses)
    a, b = (np.asarray([row.loss for row in losses if row.teacher == name]) for name in "ab")
    assert [style.teacher for style in found.styles] == ["a (teacher)", "b"]
    low, high = stats.t.interval(0.95, 29, a.mean(), stats.sem(a))
    assert (found.styles[0].loss.value, found.styles[0].loss.low, found.styles[0].loss.high) == pytest.approx(
        (a.mean(), low, high)
    )
    (gap,) = found.gaps
    low, high = stats.t.interval(0.95, 29, (b - a).mean(), stats.sem(b - a))
    assert (gap.teacher, gap.baseline) == ("b", "a (teacher)")
    assert (gap.difference.value, gap.difference.low, gap.difference.high) == pytest.approx(((b - a).mean(), low, high))
    assert gap.p_value < 0.01
    assert (found.n_problems, found.n_left_out, found.n_too_long, found.context) == (30, 2, 3, 100)


def test_near_duplicates_are_one_cluster():
    losses = trace_losses(30)
    doubled = [*losses, *(replace(row, problem_id=f"{row.problem_id}'") for row in losses)]
    groups = {row.problem_id: row.problem_id.rstrip("'") for row in doubled}
    once, twice = summary(losses).gaps[0], summary(doubled, groups).gaps[0]
    assert (twice.difference.low, twice.difference.high) == pytest.approx((once.difference.low, once.difference.high))
    assert twice.p_value == pytest.approx(once.p_value, abs=2e-3)
    apart = summary(doubled).gaps[0]
    assert apart.difference.high - apart.difference.low < 0.8 * (once.difference.high - once.difference.low)


def test_the_order_of_traces_does_not_matter_and_one_teacher_has_no_gap():
    losses = trace_losses(12)
    assert summary(losses[::-1]) == summary(losses)
    alone = summary([row for row in losses if row.teacher == "a"], labels={"a": "a"})
    assert (len(alone.styles), alone.gaps) == (1, ())


def test_without_a_common_problem_there_are_no_figures():
    found = summary([])
    assert (found.n_problems, found.styles, found.gaps) == (0, (), ())
