"""A whole study with a judge behind a real server: who is asked, what is paid, what the report says."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_study import clean_environment
from judge_server import JudgeServer

from lakon import api
from lakon.core.errors import StudyError
from lakon.core.records import Verdict
from lakon.store.artifacts import Artifact
from lakon.study.load import load_study

STUDY = """
name = "judged"
[problems]
kind = "jsonl"
path = "problems.jsonl"
[teachers.first]
kind = "recorded"
path = "traces.jsonl"
where = {{ teacher = "first" }}
text_field = "text"
finish_field = "finish"
[teachers.second]
kind = "recorded"
path = "traces.jsonl"
where = {{ teacher = "second" }}
text_field = "text"
finish_field = "finish"
[verify]
policy = "rules-then-judge"
audit = 5
overrides = "overrides.jsonl"
[verify.judge]
model = "m"
votes = 1
[curate]
require = "all"
[arms.one]
teacher = "first"
[run]
endpoints.judge = {{ url = "{url}", concurrency = 8, retries = 0 }}
"""
OPEN = [("40_9", "40"), ("x^2+@", "??+"), ("p \\implies q", "if p then q")]
"""Reference and answer: a veto, and two that the rules cannot read."""
PLAIN = 20
"""Whole numbers; both teachers miss every fourth."""


def answer_of(shown: str) -> str:
    return shown.rpartition("boxed{")[2].removesuffix("}")


def script(shown: str, n: int) -> str:
    """A judge that cannot read `??+`, likes words, and calls one wrong number right."""
    answer = answer_of(shown)
    if answer == "??+":
        return "Who knows."
    return "<think>Judgement: No</think>**Judgement:** " + ("No" if answer == "40" or answer.startswith("-") else "Yes")


@pytest.fixture
def server() -> Iterator[JudgeServer]:
    with JudgeServer(script) as running:
        yield running


@pytest.fixture
def study(tmp_path: Path, server: JudgeServer) -> Path:
    rows = [("q0", "40_9"), ("q1", "x^2+@"), ("q2", "p \\implies q"), ("cut", "1"), ("ruled", "17")]
    rows += [(f"n{i}", str(i)) for i in range(PLAIN)]
    traces: list[dict[str, str]] = []
    for who in ("first", "second"):
        for problem, (_, answer) in zip(("q0", "q1", "q2"), OPEN, strict=True):
            traces.append({"problem": problem, "text": f"<think>{who} guesses</think>\\boxed{{{answer}}}"})
        traces.append({"problem": "cut", "text": "<think>on and on", "finish": "length"})
        traces.append({"problem": "ruled", "text": "<think>h</think>\\boxed{seventeen-ish}"})
        for i in range(PLAIN):
            said = str(i) if i % 4 else f"-{i + 1}"
            traces.append({"problem": f"n{i}", "text": f"<think>h</think>I am {who}. \\boxed{{{said}}}"})
        for row in traces:
            row.setdefault("teacher", who)
            row.setdefault("finish", "stop")
    write(tmp_path / "problems.jsonl", [{"problem": q, "answer": a} for q, a in rows])
    write(tmp_path / "traces.jsonl", traces)
    ruling = {"reference": "17", "answer": "seventeen-ish", "outcome": "correct", "who": "Ada", "why": "close enough"}
    write(tmp_path / "overrides.jsonl", [ruling])
    path = tmp_path / "judged.toml"
    path.write_text(STUDY.format(url=server.url), encoding="utf-8")
    return path


def write(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def run(study: Path, **overrides: str) -> api.RunSummary:
    named = {name.replace("__", "."): value for name, value in overrides.items()}
    return api.run(study, store=study.parent / "store", reports=study.parent / "reports", overrides=named)


def tables(study: Path) -> dict[str, Artifact]:
    states = api.plan(load_study(study), store=study.parent / "store")
    return {state.step.name: state.artifact for state in states if state.artifact is not None}


def test_a_study_with_a_judge_from_traces_to_report(study: Path, server: JudgeServer):
    done = run(study)
    made = tables(study)["verify/first"]
    verdicts = list(made.read("verdicts", Verdict))
    assert [(v.outcome, v.method) for v in verdicts[:5]] == [
        ("incorrect", "judge"),
        ("unparsed", "judge"),
        ("correct", "judge"),
        ("truncated", "unfinished"),
        ("correct", "override"),
    ]
    assert [v.outcome for v in verdicts[5:]] == ["correct" if i % 4 else "incorrect" for i in range(PLAIN)]
    assert [v.method for v in made.read("gradings", Verdict)][:3] == ["veto-base", "unread", "unread"]
    assert not any("guesses" in shown for shown in server.shown)
    # Both teachers wrote the three open answers in the same words: asked once, the unreadable one once more.
    assert sum(answer_of(shown) in {answer for _, answer in OPEN} for shown in server.shown) == 4
    assert len(server.seen) == 4 + 2 * 10
    report = (study.parent / "reports" / "judged" / "report.md").read_text(encoding="utf-8")
    assert "The judge is m, by one vote on each answer" in report
    assert "decided 6 of 50 answers (2 of them left undecided) and was asked about 20 more for the audit" in report
    assert "| first / problems | 0 of 5: 0.0%" in report
    assert "Ada: close enough (the rules said" in report
    assert done.report.is_file()


def test_another_run_pays_nothing_and_more_votes_pay_for_the_new_ones(study: Path, server: JudgeServer):
    run(study)
    asked = len(server.seen)
    assert run(study).executed == []
    api.run(study, store=study.parent / "store", reports=study.parent / "reports", mode="force", steps=("verify",))
    assert len(server.seen) == asked
    run(study, verify__judge__votes="3")
    # 22 answers get two more votes; the unreadable one has had one of them, and three unparsed are asked again
    assert len(server.seen) == asked + 22 * 2 + 1 + 3
    before = len(server.seen)
    run(study, verify__policy='"judge"', verify__audit="0")
    assert len(server.seen) == before + 2 * (PLAIN - 10)


def as_made(study: Path) -> dict[str, object]:
    """What the verify steps made: their files' digests, and the facts that a later run goes by."""
    steps = {name: made.manifest for name, made in tables(study).items() if name.startswith("verify/")}
    named = ("errors", "owed", "asked")
    return {name: (made.files, {fact: made.facts[fact] for fact in named}) for name, made in steps.items()}


@pytest.mark.parametrize("failing", [False, True])
def test_authors_are_judged_at_the_same_time_and_as_they_were_one_after_the_other(
    study: Path, server: JudgeServer, monkeypatch: pytest.MonkeyPatch, failing: bool
):
    if failing:
        server.script = lambda shown, n: "[500]" if answer_of(shown) == "if p then q" else script(shown, n)
    text = study.read_text(encoding="utf-8")
    study.write_text(text.replace("concurrency = 8", "concurrency = 64"), encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr("lakon.store.runner.SIDE_BY_SIDE", 1)
        run(study)
    alone, n_alone = as_made(study), len(server.seen)
    assert server.most_at_once <= 13
    for folder in (study.parent / "store").iterdir():
        if folder.name in ("verify", "ledger"):
            shutil.rmtree(folder)
    server.together = 23  # what is asked about both authors, what they share counted once
    run(study)
    assert server.most_at_once == 23
    assert len(server.seen) == 2 * n_alone
    assert as_made(study) == alone


def states(study: Path) -> dict[str, str]:
    return {s.step.name: s.state for s in api.plan(load_study(study), store=study.parent / "store")}


def test_calls_that_failed_are_asked_again_by_the_next_runs_and_nothing_else_is(study: Path, server: JudgeServer):
    failing = {"if p then q"}
    server.script = lambda shown, n: "[500]" if answer_of(shown) in failing else script(shown, n)
    run(study)
    verdicts = list(tables(study)["verify/first"].read("verdicts", Verdict))
    assert (verdicts[2].outcome, verdicts[2].explanation.partition(";")[0]) == (
        "unparsed",
        "yes 0, no 0, without a judgement 2",
    )
    assert states(study)["verify/first"] == "owed"
    assert api.bill(study, store=study.parent / "store")[1]["verify/first"].rows == 2, "the call, and the one after it"
    before = server.shown.copy()
    run(study)
    assert {answer_of(shown) for shown in server.shown[len(before) :]} == failing
    server.stop()
    assert run(study).report.is_file(), "no fault: what there is stands"
    server.start()
    failing.clear()
    run(study)
    assert [v.outcome for v in tables(study)["verify/first"].read("verdicts", Verdict)][2] == "correct"
    assert states(study)["verify/first"] == "cached"
    asked = len(server.shown)
    assert run(study).executed == []
    assert len(server.shown) == asked


def test_calls_that_go_on_failing_are_left_alone_after_three_runs(study: Path, server: JudgeServer):
    server.script = lambda shown, n: "[500]" if answer_of(shown) == "if p then q" else script(shown, n)
    for _ in range(3):
        run(study)
    assert states(study)["verify/first"] == "cached"
    asked = len(server.seen)
    assert run(study).executed == []
    assert len(server.seen) == asked
    # Both teachers wrote it: it is asked for and asked for again, once a run.
    assert sum(answer_of(shown) == "if p then q" for shown in server.shown) == 3 * 2
    report = (study.parent / "reports" / "judged" / "report.md").read_text(encoding="utf-8")
    assert "4 of which failed" in report


def test_a_ruling_is_used_by_the_beginning_of_an_id_and_an_unused_one_is_told_of(study: Path, server: JudgeServer):
    run(study)
    trace_id = next(iter(tables(study)["verify/first"].read("verdicts", Verdict))).trace_id
    lines = study.parent / "overrides.jsonl"
    said = {"outcome": "correct", "who": "Ada", "why": "same"}
    stale = {"reference": "17", "answer": "nobody's", "outcome": "refused", "who": "Bob", "why": "a typing error"}
    write(lines, [json.loads(lines.read_text()), {"trace_id": trace_id[:12], **said}, stale])
    asked = len(server.seen)
    run(study)
    assert len(server.seen) == asked
    verdicts = list(tables(study)["verify/first"].read("verdicts", Verdict))
    assert (verdicts[0].trace_id, verdicts[0].outcome, verdicts[0].method) == (trace_id, "correct", "override")
    report = (study.parent / "reports" / "judged" / "report.md").read_text(encoding="utf-8")
    unused = report.partition("**Human rulings that decided no verdict**")[2].partition("\n\n**")[0]
    assert "| 3 | nobody's to 17 | refused | Bob: a typing error |" in unused
    assert "Ada" not in unused


def test_the_bill_of_another_policy_is_that_of_the_traces_that_are_there(study: Path, server: JudgeServer):
    rules = {"verify.policy": '"rules"', "verify.audit": "5"}
    api.run(study, store=study.parent / "store", reports=study.parent / "reports", overrides=rules)
    found = api.bill(study, store=study.parent / "store", overrides={"verify.policy": '"judge"'})[1]
    works = {name: (work.kind, work.rows, work.at_most) for name, work in found.items()}
    assert works == dict.fromkeys(("verify/first", "verify/second"), ("judge", PLAIN + 5, True))


def test_a_judge_that_begins_inside_its_thinking_is_read_so(study: Path, server: JudgeServer):
    text = study.read_text(encoding="utf-8")
    study.write_text(text.replace("votes = 1", "prefills_think = true"), encoding="utf-8")
    server.script = lambda shown, n: "They differ in form only. Judgement: Yes"
    run(study)
    verdicts = list(tables(study)["verify/first"].read("verdicts", Verdict))
    assert [v.outcome for v in verdicts if v.method == "judge"] == ["unparsed"] * 3


def test_a_larger_audit_pays_for_what_is_new(study: Path, server: JudgeServer):
    run(study)
    asked = len(server.seen)
    run(study, verify__audit="15")
    assert len(server.seen) == asked + 2 * PLAIN - 2 * 10


def test_rows_that_the_judge_refuses_are_rows_once_it_has_answered_in_an_earlier_run(study: Path, server: JudgeServer):
    run(study)
    asked = len(server.seen)
    server.script = lambda shown, n: "[403]"
    run(study, verify__audit="15")
    assert len(server.seen) == asked + 2 * (2 * PLAIN - 2 * 10), "each is a vote without a judgement: asked once more"
    states = {s.step.name: s for s in api.plan(study, store=study.parent / "store", overrides={"verify.audit": "15"})}
    made = states["verify/first"].artifact
    assert made is not None
    assert made.manifest.facts["errors"] == 20


def test_rules_alone_ask_nobody_and_keep_their_verdicts(study: Path, server: JudgeServer):
    text = study.read_text(encoding="utf-8")
    start, end = text.index("[verify]"), text.index("[curate]")
    study.write_text((text[:start] + text[end:]).partition("[run]")[0], encoding="utf-8")
    run(study)
    assert server.seen == []
    verdicts = list(tables(study)["verify/first"].read("verdicts", Verdict))
    assert [v.outcome for v in verdicts[:5]] == ["incorrect", "unparsed", "unparsed", "truncated", "incorrect"]
    report = (study.parent / "reports" / "judged" / "report.md").read_text(encoding="utf-8")
    assert "Rules decided every answer." in report


def test_a_judge_that_is_not_there_or_is_another_is_said_before_it_is_asked(study: Path, server: JudgeServer):
    with pytest.raises(StudyError, match="no model 'n' here") as caught:
        run(study, verify__judge__model='"n"')
    assert caught.value.where.startswith("run.endpoints.judge")
    assert server.seen == []


def test_a_run_that_is_interrupted_while_judging_goes_on_where_it_was(study: Path, server: JudgeServer):
    server.delay_s = 0.3
    command = [sys.executable, "-m", "lakon", "run", study.name, "--store", "store", "-q"]
    process = subprocess.Popen(command, cwd=study.parent, env=clean_environment(), stderr=subprocess.PIPE)
    until = time.monotonic() + 120
    while len(server.seen) < 4 and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert b"Traceback" not in said
    assert 4 <= len(server.seen) < 24
    server.delay_s = 0.0
    run(study)
    assert len(server.seen) == 24
