"""From verified traces to arms: pairing rules, filters, profiles, strategies and matching, each on a few rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from lakon.backends.training.batches import Row, plan_steps
from lakon.core.errors import InputError
from lakon.core.records import Problem, Trace, Verdict
from lakon.stages.curate.arms import EFFORT, Arm, Route
from lakon.stages.curate.candidates import Candidate, CandidateTrace, Pick
from lakon.stages.curate.examples import build_examples, exclude_missing
from lakon.stages.curate.filters import FILTERS, Filters, repeated_share, screen_traces
from lakon.stages.curate.matching import count_steps, match_steps
from lakon.stages.curate.pool import AtLeast, Curate, build_pool
from lakon.stages.curate.profile import PROFILED, profile_trace, sample_problems, summarise_profiles
from lakon.stages.curate.strategies import pick_traces
from lakon.stages.curate.styles import verbatim
from lakon.stages.report.funnel import choose_showcase

PROBLEMS = [Problem.of(f"p{i}", str(i)) for i in range(4)]
IDS = [p.problem_id for p in PROBLEMS]


class Silence:
    def start(self, total: int, *, done: int = 0, unit: str = "rows") -> None: ...

    def advance(self, n: int = 1, **figures: float) -> None: ...

    def show(self, **figures: float) -> None: ...


def verdict(teacher: str, i: int, outcome: str, sample: int = 0) -> Verdict:
    return Verdict(
        trace_id=f"{teacher}{i}.{sample}",
        problem_id=IDS[i],
        sample_index=sample,
        outcome=outcome,
        extracted=str(i),
        method="",
        explanation="",
        verifier="",
    )


def trace(key: str = "t", *, reasoning: str = "2+2=4", answer: str = r"\boxed{4}", **given: object) -> Trace:
    return Trace(
        trace_id=key,
        problem_id=IDS[0],
        author="a",
        sample_index=0,
        reasoning=reasoning,
        answer=answer,
        **{"n_reasoning": 5, **given},  # type: ignore[arg-type]
    )


# a is right on 0, 1 and 2; b on 1 and 2; c on 2
ROWS = {
    "a": [verdict("a", i, "correct" if i < 3 else "incorrect") for i in range(4)],
    "b": [verdict("b", i, "correct" if i in (1, 2) else "incorrect") for i in range(4)],
    "c": [verdict("c", i, "correct" if i == 2 else "incorrect") for i in range(4)],
}


def test_held_out_problems_leave_the_pool_whatever_the_count():
    ids = [f"p{i}" for i in range(30)]
    rows = {
        name: [replace(verdict(name, 0, "correct"), problem_id=one, trace_id=name + one) for one in ids[:20]]
        for name in ("a", "b")
    }
    rows["a"] += [replace(verdict("a", 0, "correct"), problem_id=one, trace_id="a" + one) for one in ids[20:]]
    whole = build_pool(ids, rows, count=None, seed=3, needed=1, held_out=4)
    kept = {row.problem_id for row in whole.rows()}
    held_out = list(whole.held_out_rows())
    assert {row.teacher: row.trace_id for row in held_out[:2]} == {n: n + held_out[0].problem_id for n in ("a", "b")}
    chosen = {row.problem_id for row in held_out}
    assert len(chosen) == 4
    assert chosen <= set(ids[:20]), "of these alone every teacher has a trace"
    assert kept == set(ids) - chosen
    assert {e.subject: e.rule for e in whole.exclusions()} == dict.fromkeys(chosen, "held_out")
    counted = build_pool(ids, rows, count=7, seed=3, needed=1, held_out=4)
    assert {row.problem_id for row in counted.held_out_rows()} == chosen
    assert len({row.problem_id for row in counted.rows()} - chosen) == 7
    other = build_pool(ids, rows, count=None, seed=4, needed=1, held_out=4)
    assert {row.problem_id for row in other.held_out_rows()} != chosen
    single = build_pool(ids, rows, count=None, seed=3, needed=1, held_out=4, duplicated=chosen)
    assert not chosen & {row.problem_id for row in single.held_out_rows()}, "an arm may train on the near-duplicate"


@pytest.mark.parametrize("held_out", [2, 3])
def test_a_study_keeps_something_to_train_on(held_out: int):
    with pytest.raises(InputError, match=r"lower curate\.held_out"):
        build_pool(IDS, {"b": ROWS["b"]}, count=None, seed=0, held_out=held_out)


@pytest.mark.parametrize(
    ("require", "kept"), [("all", [2]), ("any", [0, 1, 2]), (AtLeast(at_least=2), [1, 2]), (AtLeast(at_least=3), [2])]
)
def test_the_pool_asks_for_as_many_teachers_as_the_study_says(require: object, kept: list[int]):
    spec = Curate(require=require)  # type: ignore[arg-type]
    made = build_pool(IDS, ROWS, count=None, seed=0, needed=spec.count_needed(3))
    rows = list(made.rows())
    assert [row.problem_id for row in rows if row.teacher == "a"] == [IDS[i] for i in kept]
    assert len(list(made.exclusions())) == 4 - len(kept)
    assert [row.trace_id for row in rows if row.teacher == "c"] == ["c2.0" if i == 2 else None for i in kept]
    assert [row.rate for row in rows if row.teacher == "b"] == [float(i in (1, 2)) for i in kept]


def test_what_an_arms_teacher_lacks_is_an_exclusion_of_that_arm():
    chosen = [Pick("p0", "b", ""), Pick("p1", "b", "t1")]
    assert [(e.subject, e.arm, e.rule) for e in exclude_missing("x", chosen)] == [("p0", "x", "no_trace_of_teacher")]


def test_a_filtered_trace_makes_way_for_the_next_correct_one():
    rows = {"a": [verdict("a", 0, "correct"), verdict("a", 0, "correct", 1), verdict("a", 1, "correct")]}
    made = build_pool(IDS, rows, count=None, seed=0, filtered={"a": {"a0.0": "repetition", "a1.0": "repetition"}})
    assert [row.trace_id for row in made.rows()] == ["a0.1"]
    assert [e.rule for e in made.exclusions()] == ["teacher_filtered_repetition", "no_trace", "no_trace"]


LOOP = "and so we go round and round again in this one " * 9
BAD = {
    "truncated": (True, trace(finish_reason="length")),
    "max_tokens": (4, trace()),
    "repetition": (0.5, trace(reasoning=LOOP)),
    "language": ({"script": "latin"}, trace(reasoning="два плюс два")),
    "answer_in_reasoning": (True, trace(reasoning="two and two")),
    "one_answer": (True, trace(answer=r"\boxed{4} or \boxed{5}")),
    "empty_reasoning": (True, trace(reasoning=" \n")),
    "custom": (("test_corpus:shouts",), trace(reasoning="FOUR")),
}


def right(*rows: Trace) -> list[tuple[Trace, Verdict]]:
    """Traces with verdicts that all are right and name the answer 4."""
    return [
        (row, replace(verdict("a", 0, "correct"), trace_id=row.trace_id, problem_id=row.problem_id, extracted="4"))
        for row in rows
    ]


def shouts(made: Trace, extracted: str | None) -> str | None:
    """A filter of one's own."""
    return "it shouts" if made.reasoning.isupper() else None


@pytest.mark.parametrize("name", BAD)
def test_each_filter_finds_what_it_is_for_and_lets_the_rest_pass(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    setting, bad = BAD[name]
    filters = Filters.model_validate({name: setting})
    assert filters.active
    good = trace("good", reasoning="so 4", n_reasoning=1)
    found = screen_traces(right(bad, good), [IDS[0]], filters, progress=Silence())
    assert [(e.subject, e.rule) for e in found.exclusions] == [("t", "shouts" if name == "custom" else name)]
    assert found.exclusions[0].detail


def test_every_filter_is_off_unless_stated_and_has_its_row():
    assert not Filters().active
    assert set(FILTERS) | {"max_branching_quantile", "custom"} == set(Filters.model_fields)
    assert screen_traces(right(trace(reasoning="")), [IDS[0]], Filters(), progress=Silence()).exclusions == []


def test_the_most_branching_traces_of_a_teacher_can_be_dropped():
    rows = [trace(f"t{i}", reasoning="Alternatively, 4. " * i) for i in range(10)]
    found = screen_traces(right(*rows), [IDS[0]], Filters(max_branching_quantile=0.8), progress=Silence())
    assert [e.subject for e in found.exclusions] == ["t8", "t9"]
    assert len(found.profiles) == 8


def test_the_profiled_problems_are_the_first_by_id_however_many_pass():
    ids = [f"{i * 7919 % 10_007:05d}" for i in range(10_007)]
    assert sample_problems([*ids, *ids]) == set(sorted(ids)[:PROFILED])


def test_the_problem_shown_is_the_first_by_id_on_which_authors_differ_and_all_wrote():
    def work(outcomes: dict[str, str], sample: int = 0) -> list[tuple[Trace, Verdict]]:
        made = [replace(verdict("a", 0, outcome, sample), problem_id=key) for key, outcome in outcomes.items()]
        return [(replace(trace(v.trace_id), problem_id=v.problem_id, sample_index=sample), v) for v in made]

    first, second, third = sorted(IDS[:3])
    right = work({second: "correct", first: "correct"})
    assert choose_showcase(set(IDS), [right, work({first: "correct", second: "incorrect"})]) == second
    assert choose_showcase(set(IDS), [right, right]) == first
    assert choose_showcase({second, third}, [right, right]) == second
    # what one author alone wrote about, and later samples, are not set beside anything
    assert choose_showcase(set(IDS), [right, work({second: "correct", third: "incorrect"})]) == second
    assert choose_showcase(set(IDS), [right, right, work({second: "incorrect"}, sample=1)]) == first
    assert choose_showcase(set(IDS), [[], []]) is None


def test_a_profile_counts_what_a_trace_does():
    text = "We need to find x.\n\nLet me try 3.\n\nWait, no. Let me check: 4.\n\nAlternatively, 5."
    made = profile_trace(trace(reasoning=text))
    assert (made.steps, made.backtracks, made.self_checks, made.restatements, made.branches) == (4, 1, 1, 1, 2)
    row = summarise_profiles("a", [made, made], 0.95)
    assert row is not None
    assert row.means["steps"] == (4.0, 4.0, 4.0)
    assert summarise_profiles("a", [], 0.95) is None


def test_repetition():
    assert repeated_share("a b c") == 0
    assert repeated_share(" ".join(map(str, range(50)))) == 0
    assert repeated_share("x " * 100) > 0.9


def candidate(i: int, **given: object) -> Candidate:
    return Candidate(
        **{"problem_id": f"p{i}", "tags": {}, "pass_rate": i / 10, "traces": {"v": f"v{i}", "c": f"c{i}"}, **given}
    )  # type: ignore[arg-type]


POOL = [
    candidate(
        i,
        rates={"v": 1 - i / 10},
        lengths={"v": 100 * i, "c": 10},
        agreement=i / 10,
        samples={"v": [CandidateTrace(f"v{i}.{k}", k, 9 - k, correct=k > 0) for k in range(3)]},
    )
    for i in range(10)
]


@pytest.mark.parametrize(
    ("given", "hard"),
    [
        ({"by": "pass_rate", "quantile": 0.7}, [0, 1, 2]),
        ({"by": "pass_rate", "of": "v", "threshold": 0.25}, [8, 9]),
        ({"by": "agreement", "threshold": 0.2}, [0, 1]),
        ({"by": "length", "of": "v", "quantile": 0.8}, [8, 9]),
        ({"by": "length", "threshold": 405}, [8, 9]),
    ],
)
def test_a_route_knows_difficulty_in_several_units(given: dict[str, object], hard: list[int]):
    arm = Arm(route=Route(easy="c", hard="v", **given))  # type: ignore[arg-type]
    assert [i for i, p in enumerate(pick_traces(POOL, arm, 0)) if p.teacher == "v"] == hard


def test_a_route_has_one_border():
    with pytest.raises(ValidationError, match="threshold and quantile"):
        Route(easy="c", hard="v", threshold=1, quantile=0.5)
    with pytest.raises(ValidationError, match="neither"):
        Route(easy="c", hard="v")


def test_the_shortest_correct_sample_is_taken():
    assert [p.trace_id for p in pick_traces(POOL, Arm(shortest="v"), 0)] == [f"v{i}.2" for i in range(10)]


def test_effort_shows_every_style_under_its_own_system_message():
    rows = list(pick_traces(POOL, Arm(effort={"low": "c", "high": "v"}), 0))
    assert len(rows) == 20
    assert {(p.teacher, p.system) for p in rows} == {
        ("c", EFFORT.format(level="low")),
        ("v", EFFORT.format(level="high")),
    }


def test_unverified_takes_as_many_first_traces_as_the_pool_has_problems():
    mixed = [candidate(i, samples=POOL[i].samples, paired=i < 4) for i in range(10)]
    rows = list(pick_traces(mixed, Arm(unverified="v"), 0))
    assert len(rows) == 4
    assert all(p.trace_id.endswith(".0") for p in rows)
    assert rows == list(pick_traces(mixed, Arm(unverified="v"), 0)) != list(pick_traces(mixed, Arm(unverified="v"), 1))


def backwards(pool: list[Candidate], arm: Arm, seed: int) -> list[Pick]:
    """A strategy of one's own."""
    return [Pick(c.problem_id, "v", c.traces["v"]) for c in reversed(pool)]


def test_a_strategy_of_ones_own(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    rows = list(pick_traces(POOL, Arm(strategy="test_corpus:backwards", strategy_teachers=("v",)), 0))
    assert [p.trace_id for p in rows] == [f"v{i}" for i in reversed(range(10))]
    with pytest.raises(ValidationError, match="strategy_teachers"):
        Arm(strategy="test_corpus:backwards")


def test_a_teacher_without_a_trace_leaves_a_pick_without_one():
    lacking = [candidate(0, traces={"v": "v0"}), candidate(1)]
    assert [p.trace_id for p in pick_traces(lacking, Arm(teacher="c"), 0)] == ["", "c1"]


def test_steps_are_those_of_the_trainer():
    lengths = [(i * 37) % 90 + 5 for i in range(200)]
    phases = [i % 2 for i in range(200)]
    rows = [Row(start=0, n_tokens=n, n_prompt=0, phase=p, repeats=1) for n, p in zip(lengths, phases, strict=True)]
    assert count_steps(lengths, phases, 300) == len(plan_steps(rows, epochs=1, batch_tokens=300, seed=0))


def test_large_steps_are_those_of_the_trainer_but_for_one():
    lengths, phases = [(i * 371) % 1_900 + 50 for i in range(900)], [0] * 900
    rows = [Row(start=0, n_tokens=n, n_prompt=0, phase=0, repeats=1) for n in lengths]
    made = len(plan_steps(rows, epochs=1, batch_tokens=40_000, seed=0))
    assert made > 15
    assert abs(count_steps(lengths, phases, 40_000) - made) <= 1


@pytest.mark.parametrize("wanted", [5, 40, 77])
def test_matching_by_steps_gives_the_trainer_that_many(wanted: int):
    lengths, phases = [(i * 37) % 90 + 5 for i in range(200)], [0] * 200
    repeats = match_steps(lengths, phases, wanted, batch_tokens=300, seed=0)
    rows = [
        Row(start=0, n_tokens=n, n_prompt=0, phase=0, repeats=r) for n, r in zip(lengths, repeats, strict=True) if r
    ]
    assert len(plan_steps(rows, epochs=1, batch_tokens=300, seed=0)) == wanted


def test_examples_in_any_order_come_from_a_scratch_file_that_is_gone(tmp_path: Path):
    rows = [
        Trace(trace_id=f"t{i}", problem_id=IDS[i], author="a", sample_index=0, reasoning="é" * i, answer=f"{i}")
        for i in range(4)
    ]
    order = [Pick(IDS[i], "a", f"t{i}", system="Reasoning effort: low") for i in (3, 0, 2, 0)]
    made = list(
        build_examples(
            "x",
            order,
            PROBLEMS,
            {"a": [(row, None) for row in rows]},
            style=verbatim,
            style_name="verbatim",
            template="{problem}",
            complete=lambda r, a: r + a,
            count=lambda texts: [len(t) for t in texts],
            scratch=tmp_path / "scratch",
            without_target=[],
        )
    )
    assert [(e.prompt, e.completion, e.n_tokens) for e in made] == [
        ("p3", "ééé3", 4),
        ("p0", "0", 1),
        ("p2", "éé2", 3),
        ("p0", "0", 1),
    ]
    assert made[0].system == "Reasoning effort: low"
    assert made[0].n_prompt == 2 + len("Reasoning effort: low")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("style", "says"),
    [
        (lambda reasoning, answer, extracted: reasoning + answer, "gave str for trace"),
        (lambda reasoning, answer, extracted: (reasoning, None), "gave tuple for trace"),
        (lambda reasoning, answer, extracted: reasoning[99], "failed on trace"),
    ],
)
def test_a_style_of_the_users_that_fails_is_theirs_to_mend(tmp_path: Path, style: Any, says: str):
    row, pick = trace(), Pick(IDS[0], "a", "t")
    with pytest.raises(InputError, match=says) as caught:
        list(
            build_examples(
                "x",
                [pick],
                PROBLEMS,
                {"a": [(row, None)]},
                style=style,
                style_name="mine:style",
                template="{problem}",
                complete=lambda r, a: r + a,
                count=lambda texts: [len(t) for t in texts],
                scratch=tmp_path / "s",
                without_target=[],
            )
        )
    assert "'mine:style'" in str(caught.value)
