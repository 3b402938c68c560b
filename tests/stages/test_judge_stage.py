"""The judge as a stage: whom it hears under each policy, votes and their price, the audit draw, and what stays put."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest

from lakon.core.errors import RunStopped
from lakon.core.messages import read_prompt
from lakon.core.protocols import Answered, Grading, Payload, Reply, Request
from lakon.core.records import Outcome, Problem, Trace, Verdict
from lakon.core.report_data import JudgeAccount
from lakon.core.spec import Sampling
from lakon.domains.judge import LlmJudgePrompt
from lakon.stages.verify.judge import JudgeSession, judge_answers
from lakon.stages.verify.judge_queue import JudgeQueue
from lakon.stages.verify.overrides import NO_OVERRIDES, Overrides, Ruling
from lakon.stages.verify.verify import Judge, Verify, verify_traces

Script = Callable[[str, int], str]
"""Answer and sample index to the judge's reply."""


class Scripted:
    """A judge whose replies are a function of the answer it is shown; it remembers what it was asked."""

    paid = True
    may_retry = True
    identity: object = "scripted"

    def __init__(self, script: Script) -> None:
        self.script, self.asked = script, list[tuple[str, int]]()

    def ask(self, requests: Sequence[Request], put: Callable[[str, Payload], None], **facts: object) -> None:
        for request in requests:
            answer = read_prompt(request.messages).partition("<answer")[2].split("\n")[1]
            self.asked.append((answer, request.sample_index))
            said = self.script(answer, request.sample_index)
            if said != "silence":
                put(request.key, {"said": said, "max_tokens": request.max_tokens})

    def parse(self, payload: Payload) -> Reply:
        said = str(payload["said"])
        if said.startswith("HTTP"):
            return Reply(error=said)
        finish = "length" if said.endswith("...") else "stop"
        return Reply(reasoning="Judgement: Yes", answer=said, finish_reason=finish, completion_tokens=10)


class Log(dict[str, Payload]):
    def __init__(self) -> None:
        self.notes: dict[str, int] = {}

    def note(self, key: str) -> int | None:
        return self.notes.get(key)

    def has_payload(self, key: str) -> bool:
        return key in self

    def put(self, key: str, payload: Payload, *, note: int = 0) -> None:
        self[key], self.notes[key] = payload, note

    def flush(self) -> None: ...


class Meter:
    def __init__(self) -> None:
        self.total = self.done = 0

    def start(self, total: int, *, done: int = 0, unit: str = "rows") -> None:
        self.total, self.done = total, done

    def advance(self, n: int = 1, **figures: float) -> None:
        self.done += n

    def show(self, **figures: float) -> None: ...


class Rules:
    """Grades by the last word of an answer: `7 correct`, `7 veto`, `7 timeout`."""

    version = "rules@1"

    def grade(self, rows: Iterable[Answered]) -> Iterator[Grading]:
        for row in rows:
            word = row.answer.rpartition(" ")[2] or "incorrect"
            if word == "veto":
                yield Grading(outcome=Outcome.INCORRECT, method="veto-x", disputed=True)
            else:
                yield Grading(outcome=Outcome(word), method="word")


PROBLEM = Problem.of("Six times seven?", "42")
NOWHERE = Problem.of("Which?", " ")


def trace(i: int, answer: str, problem: Problem = PROBLEM) -> Trace:
    return Trace(trace_id=f"{i:04x}", problem_id=problem.problem_id, author="a", sample_index=i, answer=answer)


def judged(
    traces: list[Trace],
    script: Script,
    log: Log | None = None,
    *,
    votes: int = 1,
    overrides: Overrides = NO_OVERRIDES,
    seed: int = 0,
    cap: int = 100,
    retry: bool = False,
    stopped: bool = False,
    **spec: Any,
) -> tuple[list[Verdict], JudgeAccount, Scripted]:
    author, stop, meter = Scripted(script), threading.Event(), Meter()
    if stopped:
        stop.set()
    queue = JudgeQueue(Verify(judge=Judge(model="m", votes=votes), **spec), seed)
    by_id = {p.problem_id: p for p in (PROBLEM, NOWHERE)}
    first = list(
        verify_traces(
            [(trace, by_id[trace.problem_id]) for trace in traces],
            Rules(),
            overrides=overrides,
            observe=queue.add,
            progress=Meter(),
            total=0,
        )
    )
    session = JudgeSession(
        author=author,
        prompt=LlmJudgePrompt(votes=votes),
        sampling=Sampling(max_tokens=cap),
        ledger=log if log is not None else Log(),
        progress=meter,
        stop=stop,
        retry=retry,
    )
    verdicts, account, _ = judge_answers(((t, by_id[t.problem_id]) for t in traces), lambda: first, queue, session)
    assert meter.done == meter.total or not author.asked
    return list(verdicts), account, author


def always(said: str) -> Script:
    return lambda answer, index: said


YES, NO, UNSURE = "Judgement: Yes", "Judgement: No", "Hard to say."
ROWS = [
    trace(i, answer)
    for i, answer in enumerate(
        ["a correct", "b incorrect", "c unparsed", "d timeout", "e veto", "f truncated", "g refused", "h error", " "]
    )
] + [trace(9, "i unparsed", NOWHERE)]
KEPT = ["truncated", "refused", "error", "incorrect", "unparsed"]
"""What no policy changes: rows f to h, a blank answer, and one without a reference."""


@pytest.mark.parametrize(
    ("policy", "said", "outcomes", "asked"),
    [
        ("rules-then-judge", YES, ["correct", "incorrect", "correct", "correct", "correct"], 3),
        ("rules-then-judge", NO, ["correct", "incorrect", "incorrect", "incorrect", "incorrect"], 3),
        ("judge", NO, ["incorrect"] * 5, 5),
        ("judge", YES, ["correct"] * 5, 5),
    ],
)
def test_each_policy_hears_the_judge_about_its_rows(policy: str, said: str, outcomes: list[str], asked: int):
    verdicts, account, author = judged(ROWS, always(said), policy=policy)
    assert [v.outcome for v in verdicts] == outcomes + KEPT
    assert [v.trace_id for v in verdicts] == [t.trace_id for t in ROWS]
    assert len(author.asked) == asked
    assert (account.n_answers, account.n_judgeable, account.n_asked, account.n_decided) == (10, 5, asked, asked)
    decided = [v for v in verdicts if v.method == "judge"]
    assert len(decided) == asked
    assert {(v.verifier, v.judge_tokens) for v in decided} == {("judge@1", 10)}
    assert decided[-1].explanation.endswith("the rules said incorrect by veto-x")
    assert {v.verifier for v in verdicts if v.method != "judge"} <= {"rules@1"}


def test_a_reply_without_a_judgement_is_asked_again_once_and_then_left_undecided():
    replies = {"c unparsed": [UNSURE, YES], "d timeout": [UNSURE, UNSURE], "e veto": ["Judgement: Yes...", NO]}
    verdicts, account, author = judged(ROWS, lambda a, i: replies[a][i], policy="rules-then-judge")
    assert [v.outcome for v in verdicts[2:5]] == ["correct", "unparsed", "incorrect"]
    assert sorted(author.asked) == sorted((answer, i) for answer in replies for i in (0, 1))
    assert (account.n_calls, account.n_undecided, account.n_tokens) == (6, 1, 60)
    assert verdicts[3].explanation.startswith("yes 0, no 0, without a judgement 2; the rules said timeout")


def test_an_undecided_judge_never_makes_an_answer_wrong_or_right():
    verdicts, _, _ = judged(ROWS, always(UNSURE), policy="judge")
    assert [v.outcome for v in verdicts[:5]] == ["unparsed"] * 5


def test_the_majority_of_three_decides_and_only_what_is_open_is_asked_again():
    replies = {
        "c unparsed": [YES, NO, YES],
        "d timeout": [NO, UNSURE, NO],
        "e veto": [YES, UNSURE, NO, YES],
    }
    verdicts, account, author = judged(ROWS, lambda a, i: replies[a][i], votes=3, policy="rules-then-judge")
    assert [v.outcome for v in verdicts[2:5]] == ["correct", "incorrect", "correct"]
    assert ("e veto", 3) in author.asked
    assert ("d timeout", 3) not in author.asked
    assert account.n_calls == 10


def test_nothing_is_paid_for_twice_and_three_votes_pay_for_two_more():
    log = Log()
    once, first_account, _ = judged(ROWS, always(YES), log, policy="judge")
    again, same_account, author = judged(ROWS, always(NO), log, policy="judge")
    assert author.asked == []
    assert (again, same_account) == (once, first_account)
    _, _, author = judged(ROWS, always(YES), log, votes=3, policy="judge")
    assert sorted({index for _, index in author.asked}) == [1, 2]
    assert len(author.asked) == 10
    _, _, author = judged(ROWS, always(YES), log, votes=3, policy="rules-then-judge", audit=9)
    assert author.asked == []


def test_answers_that_read_the_same_share_one_judgement_and_its_price_stands_once():
    rows = [trace(i, "7 unparsed") for i in range(4)]
    verdicts, account, author = judged(rows, always(YES), policy="rules-then-judge")
    assert len(author.asked) == 1
    assert [v.judge_tokens for v in verdicts] == [10, None, None, None]
    assert (account.n_asked, account.n_calls, account.n_tokens) == (4, 1, 10)


def test_sharing_holds_across_batches(monkeypatch: pytest.MonkeyPatch):
    rows = [trace(i, f"{i % 3} unparsed") for i in range(10)]
    whole = judged(rows, always(YES), policy="rules-then-judge")
    monkeypatch.setattr("lakon.stages.verify.judge.BATCH", 2)
    parts = judged(rows, always(YES), policy="rules-then-judge")
    assert parts[:2] == whole[:2]
    assert len(parts[2].asked) == 3


def test_a_failed_call_is_no_judgement_and_is_counted():
    verdicts, account, author = judged(ROWS, always("HTTP 500: no"), policy="rules-then-judge")
    assert [v.outcome for v in verdicts[2:5]] == ["unparsed"] * 3
    assert (account.n_errors, account.n_calls, len(author.asked)) == (6, 6, 6)


def test_a_truncated_judgement_is_topped_up_under_a_larger_cap():
    log = Log()
    judged(ROWS, always("Judgement: Yes..."), log, policy="rules-then-judge")
    verdicts, _, author = judged(ROWS, always(YES), log, policy="rules-then-judge", cap=200)
    assert sorted({index for _, index in author.asked}) == [0]
    assert [v.outcome for v in verdicts[2:5]] == ["correct"] * 3


def test_a_stopped_run_raises_and_keeps_the_votes_that_came():
    log = Log()
    with pytest.raises(RunStopped, match=r"2 of 3 .* 'judge' are missing"):
        judged(ROWS, lambda a, i: YES if a[0] == "c" else "silence", log, stopped=True, policy="rules-then-judge")
    _, _, author = judged(ROWS, always(YES), log, policy="rules-then-judge")
    assert [answer for answer, _ in author.asked] == ["d timeout", "e veto"]


MANY = [trace(i, f"{i} {'correct' if i % 4 else 'incorrect'}") for i in range(400)]


def test_an_audit_is_a_seeded_sample_of_accepts_and_rejects_that_changes_no_verdict():
    def right_below_200(answer: str, index: int) -> str:
        return YES if int(answer.split()[0]) < 200 else NO

    verdicts, account, author = judged(MANY, right_below_200, audit=30)
    assert [v.outcome for v in verdicts] == ["correct" if i % 4 else "incorrect" for i in range(400)]
    assert {v.method for v in verdicts} == {"word"}
    assert sum(v.judge_tokens == 10 for v in verdicts) == 60
    counts = account.audit
    assert counts is not None
    assert (counts.n_accepts, counts.n_rejects) == (300, 100)
    assert counts.upheld_accepts + counts.overturned_accepts == counts.overturned_rejects + counts.upheld_rejects == 30
    asked = {int(answer.split()[0]) for answer, _ in author.asked}
    wrong = {i for i in asked if i % 4 and i >= 200} | {i for i in asked if not i % 4 and i < 200}
    assert {int(trace_id, 16) for trace_id in counts.disagreements} == wrong
    assert counts.overturned_accepts + counts.overturned_rejects == len(wrong) > 10
    assert (account.n_asked, account.n_decided) == (60, 0)


def answers_asked(audit: int, seed: int, rows: list[Trace] = MANY, log: Log | None = None) -> set[str]:
    return {answer for answer, _ in judged(rows, always(YES), log, audit=audit, seed=seed)[2].asked}


def test_an_audit_depends_on_its_seed_and_not_on_order_and_a_larger_one_holds_the_smaller():
    assert answers_asked(20, 0) == answers_asked(20, 0, MANY[::-1])
    assert answers_asked(20, 0) != answers_asked(20, 1)
    log = Log()
    small = answers_asked(20, 0, MANY, log)
    assert len(small) == 40
    assert answers_asked(30, 0, MANY, log) == answers_asked(30, 0) - small
    assert small < answers_asked(30, 0)


def test_an_audit_takes_neither_what_the_judge_decides_nor_what_is_settled():
    verdicts, account, _ = judged(ROWS, always(NO), policy="rules-then-judge", audit=50)
    assert account.audit is not None
    assert (account.audit.overturned_accepts, account.audit.upheld_rejects) == (1, 1)
    assert (account.n_asked, account.n_decided) == (5, 3)
    assert verdicts[0].outcome == "correct"


def test_what_a_person_ruled_is_not_judged():
    ruled = Overrides({"0002": Ruling(line=1, about="0002", outcome=Outcome.CORRECT, who="Ada", why="same")}, {})
    verdicts, account, author = judged(ROWS, always(NO), overrides=ruled, policy="judge", audit=50)
    assert (verdicts[2].outcome, verdicts[2].method) == ("correct", "override")
    assert "c unparsed" not in {answer for answer, _ in author.asked}
    assert account.n_judgeable == 4


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"policy": "judge"}, "found policy 'judge' and no judge; expected a judge"),
        ({"audit": 5}, "found an audit and no judge"),
        ({"judge": {"model": "m"}}, "found a judge that nothing uses"),
        ({"policy": "judge", "judge": {"model": "m", "votes": 2}}, "found 2; expected an odd number"),
        ({"policy": "judge", "judge": {"model": "m", "template": "{problem}"}}, "found no {reference} and no {answer}"),
    ],
)
def test_a_judge_and_its_use_come_together(given: dict[str, Any], says: str):
    with pytest.raises(ValueError, match=re.escape(says)):
        Verify.model_validate(given)
