"""Generate: five rows by hand through a function author, and the rules of what is owed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

import pytest

from lakon.core.errors import RunStopped
from lakon.core.messages import read_prompt
from lakon.core.protocols import ABSENT, Payload, Reply, Request
from lakon.core.records import Problem, Trace
from lakon.core.spec import Sampling
from lakon.stages.generate.call_note import CallNote
from lakon.stages.generate.call_state import RETRY_BUDGET, has_retries, read_vain_error
from lakon.stages.generate.generate import generate_traces, replay_traces
from lakon.stages.generate.requests import RequestPlan, list_requests

PROBLEMS = [Problem.of(f"{i}+{i}?", str(2 * i)) for i in range(5)]


class Scripted:
    """An author whose replies are a function of the request; it remembers what it was asked."""

    paid = True
    may_retry = True
    identity: object = "scripted"

    def __init__(self, reply: Callable[[Request], Payload | None]) -> None:
        self.reply, self.asked = reply, list[Request]()

    def ask(self, requests: Sequence[Request], put: Callable[[str, Payload], None], **facts: object) -> None:
        for request in requests:
            self.asked.append(request)
            payload = self.reply(request)
            if payload is not None:
                put(request.key, payload)

    def parse(self, payload: Payload) -> Reply:
        if "error" in payload:
            return Reply(error=str(payload["error"]))
        return Reply(
            reasoning="think",
            answer=str(payload["answer"]),
            finish_reason=str(payload.get("finish", "stop")),
            completion_tokens=30,
        )


Cell = tuple[int, int]
"""Which problem, which sample of it."""


class Replaying:
    """Replies that exist already and lie in an order of their own."""

    paid: Literal[False] = False
    identity: object = "replaying"
    parse = Scripted.parse

    def __init__(self, reply: Callable[[str, int], Payload | None], order: Callable[[list[Cell]], list[Cell]]) -> None:
        self.reply, self.order = reply, order
        self.unused: dict[str, int] = {}

    def replies(self, prompts: Iterable[str], samples: int) -> Iterator[tuple[int, int, Payload]]:
        asked = list(prompts)
        for number, sample in self.order([(i, k) for k in range(samples) for i in range(len(asked))]):
            payload = self.reply(asked[number], sample)
            if payload is not None:
                yield number, sample, payload


def replayed(author: Replaying, log: Log, *, samples: int = 1, stop: threading.Event | None = None) -> list[Trace]:
    asked = RequestPlan(lambda: PROBLEMS, len(PROBLEMS), author.identity, "Q: {problem}", Sampling(), samples)
    halt = stop or threading.Event()
    return list(replay_traces(asked, author, label="a", log=log, counter=Letters(), progress=Silence(), stop=halt))


class Letters:
    name = "letters"

    def count(self, texts: Sequence[str]) -> list[int]:
        return [len(text) for text in texts]


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


class Silence:
    def start(self, total: int, *, done: int = 0, unit: str = "rows") -> None: ...

    def advance(self, n: int = 1, **figures: float) -> None: ...

    def show(self, **figures: float) -> None: ...


def traces(
    author: Scripted, log: Log, *, samples: int = 1, cap: int = 100, retry: bool = False, stop: bool = False
) -> list[Trace]:
    halt = threading.Event()
    if stop:
        halt.set()
    asked = list_requests(
        PROBLEMS, author.identity, template="Q: {problem}", sampling=Sampling(max_tokens=cap), samples=samples
    )
    author.asked.clear()
    return list(
        generate_traces(
            asked, author, label="a", log=log, counter=Letters(), progress=Silence(), stop=halt, retry=retry
        )
    )


def answer(request: Request) -> Payload:
    return {"answer": read_prompt(request.messages).removeprefix("Q: "), "max_tokens": request.max_tokens}


def test_five_problems_give_five_traces_in_order_with_their_counts():
    rows = traces(Scripted(answer), Log())
    assert [(t.problem_id, t.answer, t.n_reasoning, t.n_answer, t.sample_index) for t in rows] == [
        (p.problem_id, p.prompt, 5, 4, 0) for p in PROBLEMS
    ]


def test_more_samples_pay_only_for_what_is_new():
    author, log = Scripted(answer), Log()
    first = traces(author, log, samples=2)
    assert len(author.asked) == 10
    grown = traces(author, log, samples=3)
    assert [r.sample_index for r in author.asked] == [2] * 5
    assert grown[:10] == first


def test_nothing_is_asked_twice():
    author, log = Scripted(answer), Log()
    traces(author, log)
    traces(author, log)
    assert author.asked == []


def test_a_truncated_row_is_asked_again_under_a_larger_cap_only():
    author = Scripted(lambda r: {**answer(r), "finish": "length" if read_prompt(r.messages) == "Q: 1+1?" else "stop"})
    log = Log()
    traces(author, log, cap=100)
    traces(author, log, cap=50)
    assert author.asked == []
    rows = traces(author, log, cap=200)
    assert [(read_prompt(r.messages), r.max_tokens) for r in author.asked] == [("Q: 1+1?", 200)]
    assert rows[1].finish_reason == "length"


def test_an_error_is_a_row_and_is_owed_again_within_the_budget():
    author, log = Scripted(lambda r: {"error": "boom"} if read_prompt(r.messages) == "Q: 2+2?" else answer(r)), Log()
    assert [t.error for t in traces(author, log)] == [None, None, "boom", None, None]
    for _ in range(RETRY_BUDGET - 1):
        traces(author, log)
        assert [read_prompt(r.messages) for r in author.asked] == ["Q: 2+2?"]
    traces(author, log)
    assert author.asked == []
    traces(author, log, retry=True)
    assert [read_prompt(r.messages) for r in author.asked] == ["Q: 2+2?"]


def test_what_a_recorded_author_lacks_is_no_trace_at_all():
    author = Scripted(lambda r: {"error": ABSENT} if read_prompt(r.messages) == "Q: 0+0?" else answer(r))
    assert [t.answer for t in traces(author, Log())] == ["1+1?", "2+2?", "3+3?", "4+4?"]


@pytest.mark.parametrize(
    ("order", "kept"),
    [
        (lambda cells: cells, []),
        (lambda cells: [cells[1], cells[0], *cells[2:]], [1]),
        (lambda cells: cells[::-1], [9, 8, 7, 6, 5, 4, 3, 2, 1]),
        (lambda cells: sorted(cells), [5, 6, 7, 8]),
    ],
)
def test_replies_that_exist_come_in_the_order_asked_and_only_early_ones_are_kept(
    order: Callable[[list[Cell]], list[Cell]], kept: list[int]
):
    author, log = Replaying(lambda prompt, sample: {"answer": f"{prompt} {sample}"}, order), Log()
    found = replayed(author, log, samples=2)
    assert [t.answer for t in found] == [f"Q: {p.prompt} {i}" for i in range(2) for p in PROBLEMS]
    assert [(t.n_reasoning, t.n_answer) for t in found] == [(5, 9)] * 10
    assert [int(place, 16) for place in log] == kept


def test_replayed_traces_have_the_keys_and_order_of_requests():
    author = Replaying(lambda prompt, sample: {"answer": prompt}, lambda cells: cells)
    asked = list_requests(PROBLEMS, author.identity, template="Q: {problem}", sampling=Sampling(), samples=2)
    found = replayed(author, Log(), samples=2)
    assert [(t.trace_id, t.problem_id, t.sample_index) for t in found] == [
        (r.key, r.problem_id, r.sample_index) for r in asked
    ]


def test_an_author_whose_replies_exist_lacks_some():
    author = Replaying(lambda p, _: None if p == "Q: 1+1?" else {"answer": p[3:]}, lambda cells: cells[::-1])
    assert [t.answer for t in replayed(author, Log())] == ["0+0?", "2+2?", "3+3?", "4+4?"]


def test_an_unfinished_step_raises_and_keeps_what_came():
    author, log = Scripted(lambda r: answer(r) if read_prompt(r.messages) == "Q: 0+0?" else None), Log()
    with pytest.raises(RunStopped, match="4 of 5 traces of 'a' are missing"):
        traces(author, log, stop=True)
    assert len(log) == 1


def test_the_call_key_depends_on_everything_but_the_cap():
    def keys(**changes: object) -> list[str]:
        spec = {"template": "{problem}", "sampling": Sampling(), "samples": 1, **changes}
        return [r.key for r in list_requests(PROBLEMS, "scripted", **spec)]  # type: ignore[arg-type]

    assert keys() == keys(sampling=Sampling(max_tokens=7))
    assert not set(keys()) & set(keys(sampling=Sampling(temperature=0.5)))
    assert not set(keys()) & set(keys(template="Q {problem}"))
    assert keys(samples=2)[:5] == keys()


def test_a_smaller_cap_asks_again_only_for_what_is_longer():
    author, log = Scripted(answer), Log()
    traces(author, log, cap=100)
    traces(author, log, cap=30)
    assert author.asked == []
    traces(author, log, cap=29)
    assert len(author.asked) == 5


def replying(payload: Payload) -> Scripted:
    return Scripted(lambda request: {**payload, "max_tokens": request.max_tokens})


CUT, WHOLE, FAILED = {"answer": "4", "finish": "length"}, {"answer": "4"}, {"error": "timeout: no reply"}


def test_a_failed_top_up_leaves_the_reply_that_was_paid_for_and_is_owed_within_the_budget():
    log = Log()
    traces(replying(CUT), log, cap=40)
    for attempt in range(RETRY_BUDGET + 2):
        failing = replying(FAILED)
        trace = traces(failing, log, cap=90)[0]
        assert (trace.answer, trace.finish_reason, trace.error) == ("4", "length", None)
        assert len(failing.asked) == (5 if attempt < RETRY_BUDGET else 0)
        assert read_vain_error(trace.trace_id, 90, log) == "timeout: no reply"
        assert CallNote.unpack(log.note(trace.trace_id)).completion_tokens == 30, "what it took is still told of"
    key = next(iter(log))
    assert not has_retries(log[key])
    nothing = replying(FAILED)
    assert [t.finish_reason for t in traces(nothing, log, cap=40)] == ["length"] * 5
    assert (nothing.asked, read_vain_error(key, 40, log)) == ([], None), "under the old cap there is nothing to ask for"
    again = replying(WHOLE)
    assert [t.finish_reason for t in traces(again, log, cap=95)] == ["stop"] * 5
    assert (len(again.asked), read_vain_error(key, 95, log)) == (5, None)


def test_a_longer_reply_survives_a_failed_call_under_a_smaller_cap():
    log = Log()
    traces(replying(WHOLE), log, cap=40)
    trace = traces(replying(FAILED), log, cap=20)[0]
    assert (trace.answer, trace.error) == ("", "timeout: no reply"), "no reply keeps to this cap"
    back = replying(FAILED)
    trace = traces(back, log, cap=40)[0]
    assert (trace.answer, trace.error, back.asked) == ("4", None, [])


def test_reading_recorded_traces_ends_at_the_row_at_which_it_is_stopped() -> None:
    halt, read = threading.Event(), list[str]()

    def stopped_at_the_second(prompt: str, sample: int) -> Payload:
        read.append(prompt)
        if len(read) == 2:
            halt.set()
        return {"answer": prompt}

    with pytest.raises(RunStopped, match="stopped while the traces of 'a' were read"):
        replayed(Replaying(stopped_at_the_second, lambda cells: cells), Log(), stop=halt)
    assert len(read) == 2 < len(PROBLEMS)
