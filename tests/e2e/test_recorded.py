"""The `recorded` study on files: five hand-made problems, and the real traces where they are at hand."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from e2e_study import cli_in

from lakon import api
from lakon.core.records import Example, Exclusion, Outcome, Problem, Score, Trace, Verdict
from lakon.domains.math import DOMAIN
from lakon.store.artifacts import Artifact
from lakon.study.load import load_study

REAL = Path(os.environ.get("LAKON_DATA") or Path(__file__).parents[3] / "shared" / "data")


MORE = """
[arms.both]
effort = { low = "deepseek-reasoner", high = "r1-qwen-7b" }
[arms.answers]
teacher = "deepseek-reasoner"
style = "answer_only"
"""


def artifacts(study: Path) -> dict[str, Artifact]:
    """Step to artifact of a finished study."""
    states = api.plan(load_study(study), store=study.parent / ".lakon")
    return {state.step.name: state.artifact for state in states if state.artifact is not None}


def recorded(folder: Path, **replacements: str) -> Path:
    """A copy of the shipped study with its words replaced, as a user would edit it."""
    path = api.new(folder / "mine.toml", source="recorded")
    text = path.read_text(encoding="utf-8")
    for old, new in replacements.items():
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    return path


def write(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def trace(problem: str, teacher: str, answer: str) -> dict[str, object]:
    return {
        "problem": problem,
        "teacher": teacher,
        "thinking": "hmm",
        "answer_text": f"It is $\\boxed{{{answer}}}$.",
        "completion_tokens": 9,
    }


def test_two_recorded_teachers_are_verified_paired_and_compared(tmp_path: Path):
    references = ["2", "\\frac{1}{2}", "x+1", "90^\\circ", "7"]
    write(tmp_path / "problems.jsonl", [{"problem": f"q{i}", "answer": a} for i, a in enumerate(references)])
    first = [trace(f"q{i}", "first", a) for i, a in enumerate(["2", "0.5", "1+x", "90", "8"])]
    second = [trace(f"q{i}", "second", a) for i, a in enumerate(["3", "\\dfrac12", "x + 1", "90^\\circ"])]
    write(tmp_path / "traces.jsonl", [*first, *second])
    study = recorded(tmp_path)
    done = cli_in(tmp_path)("run", "mine.toml")
    assert "report: reports/recorded/report.html" in done.stdout
    made = artifacts(study)
    outcomes = [v.outcome for v in made["verify/first"].read("verdicts", Verdict)]
    assert outcomes == ["correct", "correct", "correct", "correct", "incorrect"]
    assert [e.rule for e in made["curate/pool"].read("exclusions", Exclusion)] == [
        "teacher_incorrect",
        "several_teachers_fail",
    ]
    for arm in ("first", "second"):
        assert len(list(made[f"curate/{arm}"].read("examples", Example))) == 3
    scores = {(s.author, s.metric): s for s in made["evaluate/scores"].read("scores", Score) if s.group is None}
    assert scores["first (teacher)", "accuracy"].estimate == pytest.approx(0.8)
    assert scores["second (teacher)", "accuracy"].n_problems == 4
    assert scores["second (teacher)", "accuracy_difference"].n_problems == 4


ARMS = """
name = "arms"
[problems]
kind = "jsonl"
path = "problems.jsonl"
[teachers.first]
kind = "recorded"
path = "first.jsonl"
answer_field = "answer"
samples = 3
[teachers.second]
kind = "recorded"
path = "second.jsonl"
answer_field = "answer"
[curate]
match = "problems"
[arms.shortest]
shortest = "first"
[arms.long-to-second]
route = { easy = "first", hard = "second", by = "length", of = "first", threshold = 10 }
[arms.disputed-to-second]
route = { easy = "first", hard = "second", by = "agreement", threshold = 0.9 }
[arms.failed-to-second]
route = { easy = "first", hard = "second", by = "pass_rate", of = "first", threshold = 0.5 }
[arms.curriculum]
sequence = ["second", "first"]
[arms.unverified]
unverified = "first"
"""


def test_arms_that_look_at_lengths_samples_agreement_and_problems_outside_the_pool(tmp_path: Path):
    def said(i: int, answer: int, words: int) -> dict[str, object]:
        return {"problem": f"q{i}", "answer": f"{'so ' * words}\\boxed{{{answer}}}"}

    (tmp_path / "mine.toml").write_text(ARMS, encoding="utf-8")
    write(tmp_path / "problems.jsonl", [{"problem": f"q{i}", "answer": str(i)} for i in range(4)])
    first = {0: [(0, 20), (0, 5), (0, 9)], 1: [(9, 1), (8, 1), (1, 3)], 2: [(2, 4), (2, 2), (2, 8)], 3: [(7, 1)] * 3}
    rows = [said(i, *samples[k]) for i, samples in reversed(first.items()) for k in range(3)]
    write(tmp_path / "first.jsonl", rows)
    write(tmp_path / "second.jsonl", [said(i, i, 30) for i in (2, 0, 3, 1)])
    api.run(tmp_path / "mine.toml", store=tmp_path / ".lakon", reports=tmp_path / "reports")
    made = artifacts(tmp_path / "mine.toml")

    def words(arm: str) -> list[tuple[str, int]]:
        rows = made[f"curate/{arm}"].read("examples", Example)
        return [(row.prompt[-2:], row.completion.count("so ")) for row in rows]

    assert words("shortest") == [("q0", 5), ("q1", 3), ("q2", 2)]
    assert words("long-to-second") == [("q0", 30), ("q1", 3), ("q2", 4)]
    assert words("disputed-to-second") == [("q0", 20), ("q1", 30), ("q2", 4)]
    assert words("failed-to-second") == [("q0", 20), ("q1", 30), ("q2", 4)]
    assert words("curriculum") == [("q0", 30), ("q1", 30), ("q2", 30), ("q0", 20), ("q1", 3), ("q2", 4)]
    assert len(words("unverified")) == 3
    assert set(words("unverified")) <= {("q0", 20), ("q1", 1), ("q2", 4), ("q3", 1)}
    assert not list((tmp_path / ".lakon").rglob("scratch*"))


def test_recorded_rows_that_became_no_trace_stand_in_the_funnel(tmp_path: Path):
    write(tmp_path / "problems.jsonl", [{"problem": f"q{i}", "answer": f"{i}"} for i in range(4)])
    first = [trace(f"q{i}", "first", f"{i}") for i in (0, 0, 1, 1, 2, 7)]
    write(tmp_path / "traces.jsonl", [*first, *(trace(f"q{i}", "second", f"{i}") for i in range(4))])
    study = recorded(tmp_path)
    api.run(study, store=tmp_path / ".lakon", reports=tmp_path / "reports")
    left = {row["step"]: row["left_out"] for row in api.look(study, "funnel", store=tmp_path / ".lakon")}
    assert left["generate/first"] == {
        "recorded rows beyond samples = 1": 2,
        "recorded rows of other problems": 1,
        "problems without a recorded trace": 1,
    }
    assert left["generate/second"] == {}
    said = (tmp_path / "reports" / "recorded" / "report.md").read_text(encoding="utf-8")
    assert (
        "| traces of first (teacher) | 3 | recorded rows beyond samples = 1: 2; recorded rows of other problems: 1"
        in said
    )
    assert "traces of second" not in said
    one = api.side_by_side(study, "", store=tmp_path / ".lakon")
    assert (one["matches"], one["problem"]["prompt"], len(one["traces"])) == (4, "q0", 2)
    assert "4 problem ids begin like this; the first is shown" in cli_in(tmp_path)("show", "mine.toml", "-p", "").stdout
    alone = api.side_by_side(study, one["problem"]["problem_id"], store=tmp_path / ".lakon")
    assert (alone["matches"], alone["traces"]) == (1, one["traces"])


def test_verifying_again_asks_nothing_and_lists_what_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path / "problems.jsonl", [{"problem": f"q{i}", "answer": f"{i}"} for i in range(4)])
    rows = [trace(f"q{i}", who, f"{i}") for who in ("first", "second") for i in range(4)]
    write(tmp_path / "traces.jsonl", rows)
    study, store, reports = recorded(tmp_path), tmp_path / ".lakon", tmp_path / "reports"
    api.run(study, store=store, reports=reports)
    monkeypatch.setattr("lakon.domains.math.DOMAIN", replace(DOMAIN, version="math@next"))
    again = api.run(study, store=store, reports=reports)
    assert [name for name in again.executed if name.startswith(("generate", "problems"))] == []
    assert {"verify/first", "verify/second"} <= set(again.executed)
    (said,) = [e.reasons for e in api.explain(study, store=store, step="verify/first")]
    assert said[1].startswith("0 verdicts changed since math@")
    ruled = list(artifacts(study)["verify/first"].read("verdicts", Verdict))[:2]
    rulings = [{"trace_id": v.trace_id, "outcome": "incorrect", "who": "Ann", "why": "x"} for v in ruled]
    write(tmp_path / "o.jsonl", rulings)
    study.write_text(study.read_text() + '\n[verify]\noverrides = "o.jsonl"\n', encoding="utf-8")
    api.run(study, store=store, reports=reports)
    (said,) = [e.reasons for e in api.explain(study, store=store, step="verify/first")]
    assert said[1] == "2 verdicts changed since math@next; correct → incorrect: 2"
    assert {line.split()[1][:-1] for line in said[2:]} == {v.trace_id[:12] for v in ruled}
    report = (reports / "recorded" / "report.md").read_text(encoding="utf-8")
    assert "Verdicts that changed since the last verification" in report
    assert ruled[0].trace_id[:12] in report


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("traces.jsonl", "{oops\n", "traces.jsonl:1"),
        ("traces.jsonl", '{"problem": "q"}\n', "no row with teacher = "),
        (
            "traces.jsonl",
            '{"problem": "q", "teacher": "first"}\n{"problem": "q", "teacher": "second"}\n',
            "no field 'answer_text'",
        ),
        ("problems.jsonl", "\n", "an empty problem set"),
        ("problems.jsonl", '{"question": "q", "answer": "1"}\n', "no field 'problem'"),
    ],
)
def test_a_broken_file_is_named_with_what_to_do(tmp_path: Path, file: str, content: str, says: str):
    write(tmp_path / "problems.jsonl", [{"problem": "q", "answer": "1"}])
    write(tmp_path / "traces.jsonl", [trace("q", "first", "1"), trace("q", "second", "1")])
    (tmp_path / file).write_text(content, encoding="utf-8")
    recorded(tmp_path)
    said = cli_in(tmp_path)("run", "mine.toml", "-q", expect=1).stderr
    assert says in said
    assert "to do:" in said
    assert "Traceback" not in said


def test_a_source_that_shrinks_between_two_runs_loses_nothing_that_was_made(tmp_path: Path):
    problems = [{"problem": f"Name the number {i}.", "answer": f"{i}"} for i in range(6)]
    write(tmp_path / "problems.jsonl", [*problems])
    write(
        tmp_path / "traces.jsonl",
        [trace(f"Name the number {i}.", who, f"{i}") for who in ("first", "second") for i in range(6)],
    )
    study = recorded(tmp_path)
    lakon = cli_in(tmp_path)
    lakon("run", "mine.toml", "-q")
    before = artifacts(study)
    write(tmp_path / "problems.jsonl", [*problems[:4]])
    (reasons,) = [e.reasons for e in api.explain(study, store=tmp_path / ".lakon", step="problems/problems")]
    assert reasons[0].startswith("source.path: file:")
    lakon("run", "mine.toml", "-q")
    assert artifacts(study)["curate/first"].manifest.rows["examples"] == 4
    write(tmp_path / "problems.jsonl", [*problems])
    assert api.run(study, store=tmp_path / ".lakon", reports=tmp_path / "reports").executed == []
    assert {name: made.folder.name for name, made in artifacts(study).items()} == {
        n: made.folder.name for n, made in before.items()
    }

    # Where the study says how many there are, a smaller source is a mistake, and what is there stays.
    text = study.read_text(encoding="utf-8").replace(
        'reference_field = "answer"', 'reference_field = "answer"\ncount = 6'
    )
    study.write_text(text, encoding="utf-8")
    lakon("run", "mine.toml", "-q")
    write(tmp_path / "problems.jsonl", [*problems[:4], problems[0]])
    said = lakon("run", "mine.toml", "-q", expect=1).stderr
    assert "4 problems in 5 rows (left out: duplicate_problem: 1)" in said
    assert "to do:" in said
    assert "lower `count`" in said
    write(tmp_path / "problems.jsonl", [*problems])
    assert api.run(study, store=tmp_path / ".lakon", reports=tmp_path / "reports").executed == []


@pytest.mark.skipif(not (REAL / "traces_real.jsonl").is_file(), reason="no real traces at hand (set LAKON_DATA)")
def test_real_traces_of_two_teachers_on_math_500(tmp_path: Path):
    study = recorded(
        tmp_path,
        **{
            '"problems.jsonl"': json.dumps(str(REAL / "math500.jsonl")),
            '"traces.jsonl"': json.dumps(str(REAL / "traces_real.jsonl")),
            'teacher = "first" }': 'teacher = "deepseek-reasoner" }',
            'teacher = "second" }': 'teacher = "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B" }\nmax_tokens = 32_768',
            "teachers.first": "teachers.deepseek-reasoner",
            "teachers.second": "teachers.r1-qwen-7b",
            'teacher = "first"\n': 'teacher = "deepseek-reasoner"\n',
            'teacher = "second"\n': 'teacher = "r1-qwen-7b"\n',
        },
    )
    study.write_text(study.read_text(encoding="utf-8") + MORE, encoding="utf-8")
    lakon = cli_in(tmp_path)
    lakon("run", "mine.toml", "-q")
    made = artifacts(study)
    lines = {
        p.problem_id: int(p.source.rpartition(":")[2]) for p in made["problems/problems"].read("problems", Problem)
    }

    # What failed, read by hand: of 20 traces each, both are wrong about one problem; the small model is cut off once
    # and wrong once more.
    failed: dict[str, dict[int, str]] = {}
    for name in ("deepseek-reasoner", "r1-qwen-7b"):
        problems = {t.trace_id: t.problem_id for t in made[f"generate/{name}"].read("traces", Trace)}
        verdicts = list(made[f"verify/{name}"].read("verdicts", Verdict))
        assert len(verdicts) == 20
        failed[name] = {lines[problems[v.trace_id]]: v.outcome for v in verdicts if v.outcome != Outcome.CORRECT}
    assert failed == {
        "deepseek-reasoner": {19: "incorrect"},
        "r1-qwen-7b": {10: "truncated", 12: "incorrect", 19: "incorrect"},
    }

    # The funnel: 500 problems, 480 without traces of both; of 20, three fail, and 17 are paired.
    left = list(made["curate/pool"].read("exclusions", Exclusion))
    assert Counter(e.rule for e in left) == {"no_trace": 480, "teacher_incorrect": 2, "teacher_truncated": 1}
    assert sorted(lines[e.subject] for e in left if e.rule != "no_trace") == [10, 12, 19]
    paired = set(range(1, 501)) - {lines[e.subject] for e in left}
    arms = {
        arm: list(made[f"curate/{arm}"].read("examples", Example)) for arm in ("first", "second", "both", "answers")
    }
    for arm, times in (("first", 1), ("second", 1), ("both", 2), ("answers", 1)):
        assert sorted(lines[e.problem_id] for e in arms[arm]) == sorted([*paired] * times)
    assert not any("<think>" in e.completion for e in arms["answers"])
    assert {e.system for e in arms["both"]} == {"Reasoning effort: low", "Reasoning effort: high"}

    # Profiles of what was right, and one epoch of every arm as others load it.
    looks = {row["teacher"]: row for row in api.look(study, "profile", store=tmp_path / ".lakon")}
    assert {name: row["traces"] for name, row in looks.items()} == {"deepseek-reasoner": 19, "r1-qwen-7b": 17}
    lakon("export", "mine.toml", "corpus", "--to", "out")
    datasets = pytest.importorskip("datasets")
    for arm, n in (("first", 17), ("second", 17), ("both", 34), ("answers", 17)):
        rows = datasets.load_dataset(str(tmp_path / "out"), arm, split="train", cache_dir=str(tmp_path / "cache"))
        assert len(rows) == n
        assert rows["messages"][0][-1]["content"] == arms[arm][0].completion

    scores = list(made["evaluate/scores"].read("scores", Score))
    (ratio,) = [s for s in scores if s.metric == "token_ratio"]
    assert ratio.n_problems == 20
    assert ratio.estimate > 1
