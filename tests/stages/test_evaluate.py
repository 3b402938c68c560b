"""Evaluate: five hand-made problems, two authors, two samples each, against figures worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from lakon.core.records import Problem, Score, Trace, Verdict
from lakon.stages.evaluate.answer_columns import (
    AnswerColumns,
    AuthorResults,
    ProblemIndex,
    Row,
    count_outcomes,
    select_samples,
)
from lakon.stages.evaluate.evaluate import Evaluate, score_authors

PROBLEMS = [Problem.of(f"p{i}", str(i), tags=(f"steps={1 + i % 2}",)) for i in range(5)]
INDEX = ProblemIndex.of(PROBLEMS)
A = ["cc", "cc", "ci", "ii", "tu"]
"""Outcome letters of two samples a problem: correct, incorrect, truncated, unparsed."""
B = ["cc", "ci", "ii", "ii", "ii"]
NAMES = {"c": "correct", "i": "incorrect", "t": "truncated", "u": "unparsed"}


def results_of(author: str, rows: list[str], tokens: int, *, family: str = "f") -> AuthorResults:
    return AuthorResults(
        author=author, benchmark="b", answers=AnswerColumns.of(worked(author, rows, tokens), INDEX), family=family
    )


def worked(author: str, rows: list[str], tokens: int, seed: int = 0) -> list[Row]:
    made = []
    for problem, letters in zip(PROBLEMS, rows, strict=True):
        for k, letter in enumerate(letters):
            key = f"{author}{seed}{problem.prompt}{k}"
            made.append(
                (
                    seed,
                    Trace(
                        trace_id=key,
                        problem_id=problem.problem_id,
                        author=author,
                        sample_index=k,
                        n_reasoning=tokens - 2,
                        n_answer=2,
                        completion_tokens=tokens + 1,
                    ),
                    Verdict(
                        trace_id=key,
                        problem_id=problem.problem_id,
                        sample_index=k,
                        outcome=NAMES[letter],
                        extracted=None,
                        method="m",
                        explanation="",
                        verifier="v@1",
                    ),
                )
            )
    return made


def scored(*results: AuthorResults, **spec: object) -> list[Score]:
    return score_authors(results, {"b": INDEX}, Evaluate(**spec), seed=0, baselines={"f": "a"})  # type: ignore[arg-type]


def one(scores: list[Score], author: str, metric: str, **more: object) -> Score:
    wanted = {"author": author, "metric": metric, "group": None, **more}
    found = [s for s in scores if all(getattr(s, name) == value for name, value in wanted.items())]
    assert len(found) == 1, found
    return found[0]


def test_the_figures_of_one_author():
    scores = scored(results_of("a", A, 10), pass_at=(1, 2))
    accuracy = one(scores, "a", "accuracy")
    # a_i = 1, 1, .5, 0, 0: mean .5, sd .5, t(4) = 2.776
    assert accuracy.estimate == pytest.approx(0.5)
    assert (accuracy.n_problems, accuracy.n_samples, accuracy.n_ungraded) == (5, 10, 1)
    assert accuracy.low is not None
    assert accuracy.low < 0.5
    assert one(scores, "a", "pass_at_k", at=2).estimate == pytest.approx(3 / 5)
    assert one(scores, "a", "tokens").estimate == 10
    assert one(scores, "a", "reasoning_tokens").estimate == 8
    assert one(scores, "a", "provider_tokens").estimate == 11
    assert one(scores, "a", "truncation_rate").estimate == pytest.approx(0.1)
    assert one(scores, "a", "ungraded_rate").estimate == pytest.approx(0.1)
    assert one(scores, "a", "tokens_per_correct").estimate == pytest.approx(20)


def test_a_pair_is_compared_on_the_same_problems():
    scores = scored(results_of("a", A, 10), results_of("b", B, 40))
    difference = one(scores, "b", "accuracy_difference")
    # differences 0, -.5, -.5, 0, 0
    assert difference.estimate == pytest.approx(-0.2)
    assert difference.baseline == "a"
    assert difference.low is not None
    assert difference.low < -0.2
    assert "MOVER" in difference.method
    # two signs that can flip: of four patterns, two are as extreme
    assert difference.p_value == pytest.approx(0.5)
    assert one(scores, "b", "token_ratio").estimate == pytest.approx(4.0)
    assert "not shown" in one(scores, "b", "non_inferiority").method
    # ((1.6449 + 1.2816) * sd / margin)^2 with sd = .27386 and the margin of 5 points
    needed = one(scores, "b", "problems_needed")
    assert (needed.estimate, needed.low, needed.p_value) == (math.ceil((2.92641 * 0.273861 / 0.05) ** 2), None, None)
    assert not [s for s in scores if s.author == "a" and s.baseline]


def test_p_values_are_adjusted_over_everything_compared():
    scores = scored(results_of("a", A, 10), results_of("b", B, 40), results_of("c", B, 40))
    assert one(scores, "b", "accuracy_difference").p_value == pytest.approx(1.0)
    assert "Holm over a family of 2" in one(scores, "c", "accuracy_difference").method


def test_a_student_is_compared_with_its_base_in_a_family_of_its_own():
    student = replace(results_of("b", B, 40), kind="student", base="base")
    first = replace(results_of("a", A, 10), kind="student")
    scores = scored(first, student, results_of("base", A, 5, family=""))
    against = {s.baseline: s.method for s in scores if s.metric == "accuracy_difference"}
    assert set(against) == {"a", "base"}
    assert all("Holm over a family of 1" in method for method in against.values())


def test_families_are_not_compared_with_each_other():
    scores = scored(results_of("a", A, 10), results_of("b", B, 40, family="other"), results_of("base", B, 5, family=""))
    assert not [s for s in scores if s.baseline]


def test_groups_are_tags_in_their_natural_order():
    scores = scored(results_of("a", A, 10), group_by=("steps", "nothing"))
    groups = [(s.group, s.estimate, s.n_problems) for s in scores if s.group]
    # steps=1: p0, p2, p4 (1, .5, 0); steps=2: p1, p3 (1, 0)
    assert groups == [("steps=1", pytest.approx(0.5), 3), ("steps=2", pytest.approx(0.5), 2)]


def test_a_budget_curve_rises_to_the_accuracy():
    curve = [s for s in scored(results_of("a", A, 10)) if s.metric == "accuracy_within_budget"]
    assert [s.at for s in curve] == sorted(s.at for s in curve if s.at is not None)
    assert (curve[0].estimate, curve[-1].estimate, curve[-1].at) == (0.0, pytest.approx(0.5), 10.0)
    assert all(math.isfinite(s.estimate) for s in curve)


def test_several_training_seeds_are_pooled_and_shown_apart():
    rows = [*worked("a", A, 10), *worked("a", B, 10, seed=1)]
    scores = scored(AuthorResults(author="a", benchmark="b", answers=AnswerColumns.of(rows, INDEX), family="f"))
    pooled = one(scores, "a", "accuracy")
    assert pooled.estimate == pytest.approx((0.5 + 0.3) / 2)
    assert "training seed" in pooled.method
    assert pooled.low is not None
    assert pooled.low < 0.4
    # pass@2 of each student, not of four samples of two students: 3/5 and 2/5
    assert one(scores, "a", "pass_at_k", at=2).estimate == pytest.approx(0.5)
    assert not [s for s in scores if s.metric == "pass_at_k" and s.at == 4]
    assert one(scores, "a", "accuracy", group="training seed=1").estimate == pytest.approx(0.3)


def test_outcomes_are_counted_by_author_and_benchmark():
    assert count_outcomes([results_of("a", A, 10)]) == {
        "a / b": {"correct": 5, "incorrect": 3, "truncated": 1, "unparsed": 1}
    }


def test_answers_are_put_in_the_order_of_the_benchmark_by_seed_and_sample():
    rows = [*worked("a", B, 40, seed=1), *worked("a", A, 10)]
    made = AnswerColumns.of(reversed(rows), INDEX)
    samples = select_samples(made, INDEX)
    assert list(samples.problem_ids) == [p.problem_id for p in PROBLEMS]
    assert samples.seed_index is not None
    assert [row.tolist() for row in samples.seed_index] == [[0, 0, 1, 1]] * 5
    assert samples.flat_tokens.tolist() == [10, 10, 40, 40] * 5
    assert samples.flat_correct.tolist()[:12] == [*[True] * 4, True, True, True, False, True, False, False, False]
    one = select_samples(made, INDEX, seed=1)
    assert one.n_samples == 10
    assert one.accuracies.tolist() == [1, 0.5, 0, 0, 0]


def test_problems_that_an_author_was_not_asked_are_not_among_its_samples():
    part = select_samples(AnswerColumns.of(worked("a", A, 10)[4:], INDEX), INDEX)
    assert list(part.problem_ids) == [p.problem_id for p in PROBLEMS[2:]]
    with pytest.raises(KeyError):
        AnswerColumns.of(worked("a", A, 10), ProblemIndex.of(PROBLEMS[1:]))
