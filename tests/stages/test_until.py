"""Samples until the first correct one, with authors in the process: rounds, live, resumed, failing."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from test_generate import PROBLEMS, Letters, Log, Scripted, Silence

from lakon.core.errors import RunStopped
from lakon.core.protocols import LiveAuthor, Payload, Reply, Request
from lakon.core.records import Trace
from lakon.core.spec import Sampling
from lakon.stages.generate.call_note import CallNote
from lakon.stages.generate.call_state import is_settled, write_note
from lakon.stages.generate.generate import generate_traces
from lakon.stages.generate.requests import list_requests

RIGHT_AT = dict(zip((p.problem_id for p in PROBLEMS), (0, 1, 2, 3, 9), strict=True))
"""The sample at which each problem's reply is right; four are drawn at most."""


def reply(request: Request) -> Payload:
    return {"answer": "right" if request.sample_index >= RIGHT_AT[request.problem_id] else "wrong"}


def is_right(replies: Sequence[tuple[Request, Reply]]) -> list[bool]:
    return [reply.answer == "right" for _, reply in replies]


class Live(Scripted):
    """Answers in a random order, as a server does."""

    def ask_live(
        self, more: Callable[[], list[Request] | None], put: Callable[[str, Payload], None], **facts: object
    ) -> None:
        rng, flying = random.Random(3), list[Request]()
        while (known := more()) is not None or flying:
            flying += known or []
            if flying:
                super().ask([flying.pop(rng.randrange(len(flying)))], put)


def traces(
    author: Scripted, log: Log, correct: Callable[[Sequence[tuple[Request, Reply]]], list[bool]] = is_right
) -> list[Trace]:
    asked = list_requests(PROBLEMS, "scripted", template="{problem}", sampling=Sampling(max_tokens=100), samples=4)
    author.asked.clear()
    return list(
        generate_traces(
            asked,
            author,
            label="a",
            log=log,
            counter=Letters(),
            progress=Silence(),
            stop=threading.Event(),
            correct=correct,
        )
    )


@pytest.mark.parametrize("kind", [Scripted, Live])
def test_a_problem_is_drawn_until_its_first_correct_sample(kind: type[Scripted]):
    author, log = kind(reply), Log()
    assert isinstance(author, LiveAuthor) == (kind is Live)
    rows = traces(author, log)
    drawn = Counter(row.problem_id for row in rows)
    assert drawn == {p.problem_id: min(4, RIGHT_AT[p.problem_id] + 1) for p in PROBLEMS}
    assert len(author.asked) == len(rows) == 14
    assert traces(author, log) == rows
    assert author.asked == [], "what the log has is graded, not asked"


@pytest.mark.parametrize("kind", [Scripted, Live])
def test_half_a_log_is_gone_on_from(kind: type[Scripted]):
    author, log = kind(reply), Log()
    rows = traces(author, log)
    for key in random.Random(5).sample(sorted(log), 6):
        del log[key]
        del log.notes[key]
    assert traces(author, log) == rows
    assert len(author.asked) == 6


@pytest.mark.parametrize("kind", [Scripted, Live])
def test_a_grader_that_breaks_is_heard_of(kind: type[Scripted]):
    def broken(replies: Sequence[tuple[Request, Reply]]) -> list[bool]:
        raise ValueError("no grader today")

    with pytest.raises(ValueError, match="no grader today"):
        traces(kind(reply), Log(), broken)


@pytest.mark.parametrize("kind", [Scripted, Live])
def test_an_author_that_stays_silent_leaves_the_step_unfinished(kind: type[Scripted]):
    with pytest.raises(RunStopped, match="are missing"):
        traces(kind(lambda request: None), Log())


def test_an_error_is_not_a_correct_sample_and_the_next_one_is_drawn():
    author = Scripted(lambda r: {"error": "boom"} if r.sample_index == 0 else {"answer": "right"})
    assert Counter(row.sample_index for row in traces(author, Log())) == {0: 5, 1: 5}


def test_a_note_tells_tokens_of_all_attempts_and_whether_the_reply_is_whole():
    asked = list_requests(PROBLEMS[:1], "x", template="{problem}", sampling=Sampling(max_tokens=100), samples=1)[0]
    cut = write_note(Reply(answer="", finish_reason="length", prompt_tokens=10, completion_tokens=50))
    assert (CallNote.unpack(cut).spent, is_settled(CallNote.unpack(cut), asked)) == ((10, 50), False)
    whole = write_note(Reply(answer="a", finish_reason="stop", prompt_tokens=10, completion_tokens=80))
    assert (CallNote.unpack(whole).spent, is_settled(CallNote.unpack(whole), asked)) == ((10, 80), True)
    topped = write_note(Reply(answer="a", finish_reason="stop", prompt_tokens=10, completion_tokens=80), cut)
    assert CallNote.unpack(topped).spent == (20, 130)
    assert not is_settled(CallNote.unpack(topped), asked), (
        "its tokens are of two attempts: whether it is within the cap must be read"
    )
    assert not is_settled(CallNote.unpack(write_note(Reply(error="no"))), asked)
    assert not is_settled(CallNote.unpack(None), asked)
    assert (cut, whole, topped) == (10 << 32 | 50, 1 << 63 | 10 << 32 | 80, 1 << 63 | 20 << 32 | 130), "as on disks"
    vain = write_note(Reply(error="no", prompt_tokens=1), whole, in_vain=True)
    assert CallNote.unpack(vain) == CallNote(True, True, 11, 80)
    assert vain == 3 << 62 | 11 << 32 | 80
    assert CallNote.unpack(write_note(Reply(answer="a", completion_tokens=2**40))).completion_tokens == 2**32 - 1
