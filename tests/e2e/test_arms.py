"""Arms from the command line: answers alone, a filter that a look tells of, and a strategy of one's own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from e2e_study import Cli, cli_in

STUDY = """
name = "mine"
tokenizer = "words"
[problems]
kind = "jsonl"
path = "problems.jsonl"
[teachers.prose]
kind = "recorded"
path = "prose.jsonl"
answer_field = "answer"
reasoning_field = "reasoning"
[teachers.boxes]
kind = "recorded"
path = "boxes.jsonl"
answer_field = "answer"
reasoning_field = "reasoning"
samples = 2
[curate]
require = "any"
match = "problems"
filters = { answer_in_reasoning = true }
[arms.boxes]
teacher = "boxes"
[arms.answers]
teacher = "prose"
style = "answer_only"
[arms.any-answers]
unverified = "prose"
style = "answer_only"
[arms.own]
strategy = "own_strategy:longest"
strategy_teachers = ["boxes", "prose"]
"""

OWN = '''
from lakon.stages.curate.candidates import Pick


def longest(pool, arm, seed):
    """The longest correct trace of any teacher."""
    def best(candidate):
        right = []
        for teacher in arm.strategy_teachers:
            traces = candidate.samples.get(teacher, ())
            right.extend((trace.n_tokens, teacher, trace.trace_id) for trace in traces if trace.correct)
        return max(right)
    return [Pick(c.problem_id, best(c)[1], best(c)[2]) for c in pool]
'''


def row(i: int, reasoning: str, answer: str) -> dict[str, object]:
    return {"problem": f"q{i}", "reasoning": reasoning, "answer": answer}


@pytest.fixture(scope="module")
def lakon(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """The command line in a folder where the study has been run."""
    folder = tmp_path_factory.mktemp("arms")
    tables = {
        "problems": [{"problem": f"q{i}", "answer": str(i)} for i in range(11, 15)],
        # Answers that tell their derivation once more; the last one comes to none.
        "prose": [row(i, f"so {i}", f"We add 4 and {i - 4}.\n\nTherefore, the answer is {i}.") for i in (11, 12, 13)]
        + [row(14, "I do not know", "Let us see what can be said about it.")],
        # The answer of q12 stands nowhere in the reasoning of its first sample: the second one takes its place.
        "boxes": [row(i, f"it is {'9' if i == 12 else i}", f"So \\boxed{{{i}}}.") for i in range(11, 15)]
        + [row(i, f"well well well, it is {i}", f"Still \\boxed{{{i}}}.") for i in range(11, 15)],
    }
    for name, rows in tables.items():
        lines = "".join(json.dumps(each) + "\n" for each in rows)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    (folder / "own_strategy.py").write_text(OWN, encoding="utf-8")
    (folder / "mine.toml").write_text(STUDY, encoding="utf-8")
    call = cli_in(folder)
    call("run", "mine.toml")
    return call


def shown(lakon: Cli, table: str, arm: str) -> list[dict[str, Any]]:
    done = lakon("show", "mine.toml", "--table", table, "--step", f"curate/{arm}", "--json")
    return json.loads(done.stdout)


def test_an_answer_only_arm_holds_no_derivation(lakon: Cli):
    rows = shown(lakon, "examples", "answers")
    assert [(r["prompt"], r["completion"]) for r in rows] == [(f"q{i}", f"\\boxed{{{i}}}") for i in (11, 12, 13)]
    assert [r["rule"] for r in shown(lakon, "exclusions", "answers")] == ["no_trace_of_teacher"]


def test_of_unverified_traces_one_that_comes_to_no_answer_is_left_out_by_name(lakon: Cli):
    rows = shown(lakon, "examples", "any-answers")
    assert {r["completion"] for r in rows} == {f"\\boxed{{{i}}}" for i in (11, 12, 13)}
    (left,) = shown(lakon, "exclusions", "any-answers")
    assert left["rule"] == "no_target"
    assert left["detail"].endswith("of prose")


def test_a_look_tells_which_traces_a_filter_left_out_of_an_arm(lakon: Cli):
    told = {row["step"]: row for row in json.loads(lakon("show", "mine.toml", "funnel", "--json").stdout)}
    assert told["screen/boxes"]["left_out"] == {"answer_in_reasoning": 1}
    assert "answer_in_reasoning" in lakon("show", "mine.toml", "funnel").stdout
    rows = shown(lakon, "examples", "boxes")
    assert [("Still" in r["completion"], r["prompt"]) for r in rows] == [
        (False, "q11"),
        (True, "q12"),
        (False, "q13"),
        (False, "q14"),
    ]


def test_a_strategy_of_ones_own_picks_what_an_arm_holds(lakon: Cli):
    rows = shown(lakon, "examples", "own")
    assert [(r["prompt"], r["teacher"], "well well" in r["completion"]) for r in rows] == [
        ("q11", "prose", False),
        ("q12", "prose", False),
        ("q13", "prose", False),
        ("q14", "boxes", True),
    ]
