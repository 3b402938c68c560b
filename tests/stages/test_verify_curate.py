"""Verify and curate: five problems by hand, two teachers, and what every arm must then hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from lakon.core.errors import InputError
from lakon.core.protocols import Answered, Grading
from lakon.core.records import Example, Exclusion, Outcome, Problem, Trace, Verdict
from lakon.stages.curate.arms import NEEDS, SEEDED, STRATEGY_FIELDS, Arm, Route
from lakon.stages.curate.candidates import Candidate, Pick
from lakon.stages.curate.examples import build_examples, choose_budget, exclude_unmatched, pair_answers, repeat_examples
from lakon.stages.curate.matching import match_tokens
from lakon.stages.curate.pool import build_pool
from lakon.stages.curate.strategies import STRATEGIES, pick_traces
from lakon.stages.curate.styles import answer_only, verbatim
from lakon.stages.verify.join import join_problems
from lakon.stages.verify.verify import verify_traces

PROBLEMS = [Problem.of(f"p{i}", str(i), tags=(f"steps={i}",)) for i in range(5)]
IDS = [p.problem_id for p in PROBLEMS]


def trace(teacher: str, i: int, answer: str, *, sample: int = 0, error: str | None = None) -> Trace:
    return Trace(
        trace_id=f"{teacher}{i}.{sample}",
        problem_id=IDS[i],
        author=teacher,
        sample_index=sample,
        reasoning=f"r{i}",
        answer=answer,
        error=error,
    )


class Equality:
    version = "equality@1"

    def grade(self, rows: Iterable[Answered]) -> Iterator[Grading]:
        for row in rows:
            outcome = (
                Outcome.UNPARSED
                if row.answer == "?"
                else Outcome.CORRECT
                if row.answer == row.reference
                else Outcome.INCORRECT
            )
            yield Grading(outcome=outcome, extracted=row.answer, method="equality")


class Silence:
    def start(self, total: int, *, done: int = 0, unit: str = "rows") -> None: ...

    def advance(self, n: int = 1, **figures: float) -> None: ...

    def show(self, **figures: float) -> None: ...


# teacher a: wrong on 1; teacher b: first sample wrong and second right on 2, unparsed on 3, no trace for 4
A = [trace("a", 0, "0"), trace("a", 1, "9"), trace("a", 2, "2"), trace("a", 3, "3"), trace("a", 4, "4")]
B = [trace("b", 0, "0"), trace("b", 1, "8"), trace("b", 2, "7"), trace("b", 2, "2", sample=1), trace("b", 3, "?")]


def verdicts(rows: list[Trace]) -> list[Verdict]:
    return list(verify_traces(join_problems(rows, lambda: PROBLEMS), Equality(), progress=Silence(), total=len(rows)))


def test_each_trace_has_its_verdict_and_a_failed_call_is_an_error():
    rows = verdicts([*B, trace("b", 4, "", error="HTTP 500")])
    assert [v.outcome for v in rows] == ["correct", "incorrect", "incorrect", "correct", "unparsed", "error"]
    assert (rows[0].method, rows[0].verifier, rows[5].explanation) == ("equality", "equality@1", "HTTP 500")


def test_only_problems_that_all_got_right_are_paired_and_the_rest_say_why():
    made = build_pool(IDS, {"a": verdicts(A), "b": verdicts(B)}, count=None, seed=0)
    assert [(row.problem_id, row.teacher, row.trace_id, row.rate, row.pass_rate) for row in made.rows()] == [
        (IDS[0], "a", "a0.0", 1.0, 1.0),
        (IDS[0], "b", "b0.0", 1.0, 1.0),
        (IDS[2], "a", "a2.0", 1.0, 2 / 3),
        (IDS[2], "b", "b2.1", 0.5, 2 / 3),
    ]
    assert [(e.subject, e.rule, e.detail) for e in made.exclusions()] == [
        (IDS[1], "teacher_incorrect", "a: teacher_incorrect; b: teacher_incorrect"),
        (IDS[3], "teacher_unparsed", "b: teacher_unparsed"),
        (IDS[4], "no_trace", "b: no_trace"),
    ]


def test_a_count_takes_a_seeded_sample_and_the_rest_are_exclusions():
    made = build_pool(IDS, {"a": verdicts(A)}, count=2, seed=0)
    assert len(made) == len(list(made.rows())) == 2
    assert sorted(e.rule for e in made.exclusions()) == ["beyond_count", "beyond_count", "teacher_incorrect"]


def test_no_pair_at_all_is_an_input_error():
    with pytest.raises(InputError, match="no problem of 5"):
        build_pool(IDS, {"a": verdicts(A), "b": verdicts([])}, count=None, seed=0)


POOL = [
    Candidate(problem_id=f"p{i}", tags={"steps": str(i)}, pass_rate=i / 10, traces={"v": f"v{i}", "c": f"c{i}"})
    for i in range(10)
]


def test_a_single_arm_takes_one_teacher():
    assert list(pick_traces(POOL, Arm(teacher="v"), 0)) == [Pick(f"p{i}", "v", f"v{i}") for i in range(10)]


def test_a_mix_deals_exact_shares_each_problem_once():
    dealt = list(pick_traces(POOL, Arm(mix={"v": 3, "c": 2}), 0))
    assert [p.problem_id for p in dealt] == [c.problem_id for c in POOL]
    assert sum(p.teacher == "v" for p in dealt) == 6
    assert dealt == list(pick_traces(POOL, Arm(mix={"c": 2, "v": 3}), 0))
    assert dealt != list(pick_traces(POOL, Arm(mix={"v": 3, "c": 2}), 1))


def test_a_sequence_is_all_of_one_teacher_then_all_of_the_next():
    rows = list(pick_traces(POOL, Arm(sequence=("v", "c")), 0))
    assert [(p.teacher, p.phase) for p in rows] == [("v", 0)] * 10 + [("c", 1)] * 10


@pytest.mark.parametrize(
    ("by", "threshold", "hard"), [("steps", 5, [5, 6, 7, 8, 9]), ("pass_rate", 0.3, [0, 1, 2]), ("level", 1, [])]
)
def test_a_route_sends_hard_problems_to_one_teacher(by: str, threshold: float, hard: list[int]):
    rows = list(pick_traces(POOL, Arm(route=Route(easy="c", hard="v", by=by, threshold=threshold)), 0))
    assert [i for i, p in enumerate(rows) if p.teacher == "v"] == hard


def test_the_table_of_strategies_is_what_an_arm_accepts():
    assert tuple(STRATEGIES) == STRATEGY_FIELDS
    assert set(STRATEGIES) < set(Arm.model_fields)
    assert set(NEEDS) | SEEDED <= set(STRATEGIES)


def test_matching_by_tokens_repeats_the_short_and_thins_the_long():
    assert sorted(match_tokens([10] * 10, 250, 0)) == [2] * 5 + [3] * 5
    assert sorted(match_tokens([50] * 10, 250, 0)) == [0] * 5 + [1] * 5
    assert match_tokens([25] * 10, 250, 0) == [1] * 10


def example(i: int, *, phase: int = 0, n: int = 10) -> Example:
    return Example(
        arm="x",
        problem_id=f"p{i}",
        trace_id=f"t{i}",
        teacher="v",
        style="verbatim",
        prompt="p",
        completion="c",
        phase=phase,
        n_tokens=n,
    )


def test_what_matching_leaves_out_is_an_exclusion():
    kept = list(repeat_examples([example(0), example(1)], [4, 0]))
    left = list(exclude_unmatched([example(0), example(1)], [4, 0], "x", "token"))
    assert [(e.problem_id, e.repeats) for e in kept] == [("p0", 4)]
    assert [(e.subject, e.arm, e.rule) for e in left] == [("p1", "x", "token_budget")]


@pytest.mark.parametrize(("rule", "expected"), [("largest", 9), ("smallest", 4), ("b", 4), (7, 7)])
def test_the_budget_follows_its_rule(rule: str | int, expected: int):
    assert choose_budget(rule, {"a": 9, "b": 4}) == expected


def test_examples_show_the_prompt_and_are_trained_on_the_styled_trace(tmp_path: Path):
    chosen = [Pick(IDS[0], "a", "a0.0"), Pick(IDS[2], "a", "a2.0", 1)]
    left: list[Exclusion] = []
    rows = build_examples(
        "x",
        chosen,
        PROBLEMS,
        {"a": [(t, None) for t in A]},
        style=verbatim,
        style_name="verbatim",
        template="Q {problem}",
        complete=lambda r, a: f"<{r}>{a}",
        count=lambda texts: [len(t) for t in texts],
        scratch=tmp_path / "scratch",
        without_target=left,
    )
    assert [(e.prompt, e.completion, e.n_tokens, e.phase, e.trace_id) for e in rows] == [
        ("Q p0", "<r0>0", 5, 0, "a0.0"),
        ("Q p2", "<r2>2", 5, 1, "a2.0"),
    ]

    assert left == []


@pytest.mark.parametrize(
    ("extracted", "target"),
    [
        (r"\frac{1}{2}", r"\boxed{\frac{1}{2}}"),
        ("seven", r"\boxed{seven}"),
        (r"\frac{1", None),
        ("1}{2", None),
        (" ", None),
        (None, None),
    ],
)
def test_answer_only_is_the_extracted_answer_in_a_box_and_nothing_else(extracted: str | None, target: str | None):
    made = answer_only("long reasoning", r"So 3+4 is \boxed{7}, as was shown", extracted)
    assert made == (None if target is None else ("", target))


def test_a_trace_that_a_style_makes_no_target_of_is_left_out_by_name_and_the_others_stay(tmp_path: Path):
    rows = [trace("a", i, f"First we add, then we find {i}.") for i in range(3)]
    found = dict(zip(range(3), ("0", None, "2"), strict=True))
    given = [
        Verdict(
            trace_id=t.trace_id,
            problem_id=t.problem_id,
            sample_index=0,
            outcome="correct",
            extracted=found[i],
            method="m",
            explanation="",
            verifier="v",
        )
        for i, t in enumerate(rows)
    ]
    left: list[Exclusion] = []
    made = build_examples(
        "x",
        [Pick(IDS[i], "a", f"a{i}.0") for i in (2, 1, 0)],
        PROBLEMS,
        {"a": pair_answers(rows, given)},
        style=answer_only,
        style_name="answer_only",
        template="{problem}",
        complete=lambda r, a: r + a,
        count=lambda texts: [len(t) for t in texts],
        scratch=tmp_path / "scratch",
        without_target=left,
    )
    assert [(e.prompt, e.completion) for e in made] == [("p2", r"\boxed{2}"), ("p0", r"\boxed{0}")]
    assert [(e.subject, e.arm, e.rule, e.detail) for e in left] == [
        (IDS[1], "x", "no_target", "answer_only makes no target of trace a1.0 of a")
    ]
    with pytest.raises(ValueError, match=r"verdict of 'a1\.0' beside trace 'a0\.0'"):
        list(pair_answers(rows[:2], reversed(given[:2])))
