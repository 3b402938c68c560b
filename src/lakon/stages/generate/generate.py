"""Traces from authors: teachers for the corpus, students for the evaluation, through the same code.

Invariant: the raw response is durable before anything parses it, and a call that was paid for is never made
again: what an author has answered already comes from the ledger. A failed call is a trace with an `error`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from lakon.core.errors import RunStopped
from lakon.core.protocols import (
    ABSENT,
    Author,
    CallLog,
    LiveAuthor,
    Payload,
    Progress,
    ReplayingAuthor,
    Reply,
    Request,
    TokenCounter,
)
from lakon.core.records import Trace
from lakon.core.spending import Rate, Spent
from lakon.stages.generate.call_state import any_answered, is_owed, merge_reply, read_reply
from lakon.stages.generate.requests import RequestPlan, render_template
from lakon.stages.generate.until_correct import Correct, SampleChains


def generate_traces(
    requests: Sequence[Request],
    author: Author,
    *,
    label: str,
    log: CallLog,
    counter: TokenCounter,
    progress: Progress,
    stop: threading.Event,
    retry: bool = False,
    correct: Correct | None = None,
    rate: Rate | None = None,
) -> Iterator[Trace]:
    """The traces of `requests`, in that order; owed ones are asked first, into the ledger.

    With `correct`, a problem's samples are drawn one after the other until the first that it finds right. `rate`
    turns tokens into the cost that is shown. Raises `RunStopped` when `stop` was set before everything was
    asked: the step stays unfinished, the ledger keeps what came.
    """
    put = _putter(author, log, progress, rate, rows=1 if correct is None else 0)
    if correct is None:
        _ask_all(requests, author, log, put, progress, retry)
    else:
        requests = _ask_until(requests, author, log, put, progress, retry, correct)
    log.flush()
    missing = sum(request.key not in log for request in requests)
    if missing:
        reason = "stopped" if stop.is_set() else "the author gave no reply to some requests"
        raise RunStopped(
            f"{reason}: {missing} of {len(requests)} traces of {label!r} are missing",
            "everything that was answered is in the ledger",
            "run the same command again to go on from here",
            where="" if stop.is_set() else f"generate/{label}",
        )
    return _traces(((request, _reply(author, log, request)) for request in requests), label, counter)


Put = Callable[[str, Payload], None]


def _ask_all(
    requests: Sequence[Request], author: Author, log: CallLog, put: Put, progress: Progress, retry: bool
) -> None:
    owed = [request for request in requests if is_owed(request, author, log, retry=retry)]
    progress.start(len(requests), done=len(requests) - len(owed), unit="traces")
    if owed:
        author.ask(owed, put, all_requests=requests, has_answered=lambda: any_answered(log))


def _ask_until(
    requests: Sequence[Request],
    author: Author,
    log: CallLog,
    put: Put,
    progress: Progress,
    retry: bool,
    correct: Correct,
) -> list[Request]:
    """Ask for each problem until a sample is right; the requests that turned out to be needed, in order."""
    progress.start(len({request.problem_id for request in requests}), unit="problems")

    def keep(key: str, payload: Payload) -> None:
        put(key, payload)
        chains.mark_arrived(key)

    with SampleChains(requests, author, log, correct, retry=retry, ended=progress.advance) as chains:
        if isinstance(author, LiveAuthor):
            author.ask_live(chains.take_ready, keep, has_answered=lambda: any_answered(log))
        else:
            for batch in chains.list_rounds():
                author.ask(batch, keep, all_requests=requests, has_answered=lambda: any_answered(log))
    return [request for request in requests if chains.is_drawn(request)]


def _putter(author: Author, log: CallLog, progress: Progress, rate: Rate | None, *, rows: int) -> Put:
    def keep(key: str, payload: Payload) -> None:
        reply = author.parse(payload)
        failed = reply.error not in (None, ABSENT)
        payload, note = merge_reply(key, payload, reply, author, log)
        log.put(key, payload, note=note)
        figures: dict[str, float] = {"tokens": reply.completion_tokens or 0}
        if failed:
            figures |= {"errors": 1, f"error: {(reply.error or '').partition(':')[0]}": 1}
        if rate is not None:
            figures["cost"] = rate.cost(Spent(reply.prompt_tokens or 0, reply.completion_tokens or 0))
        progress.advance(rows, **figures)

    return keep


def replay_traces(
    plan: RequestPlan,
    author: ReplayingAuthor,
    *,
    label: str,
    log: CallLog,
    counter: TokenCounter,
    progress: Progress,
    stop: threading.Event,
) -> Iterator[Trace]:
    """The traces of `plan`, in that order, from replies that exist already. Raises `RunStopped` at the next row once
    `stop` is set."""
    progress.start(len(plan), unit="traces")
    return _traces(_replayed(plan, author, log, progress, label, stop), label, counter)


def _replayed(
    plan: RequestPlan, author: ReplayingAuthor, log: CallLog, progress: Progress, label: str, stop: threading.Event
) -> Iterator[tuple[Request, Reply]]:
    """What lies in the order of the requests, as most files do, goes on at once; what comes before its turn waits in
    the log."""
    rows = author.replies((render_template(plan.template, problem) for problem in plan.problems()), plan.samples)
    lying = ((sample * plan.n_problems + number, payload) for number, sample, payload in rows)
    lying = _until_stopped(lying, label, stop)
    for place, request in enumerate(plan):
        reply = author.parse(log.get(_place(place)) or {"error": ABSENT})
        while reply.error == ABSENT and (next_one := next(lying, None)) is not None:
            recorded_place, payload = next_one
            if recorded_place == place:
                reply = author.parse(payload)
            else:
                log.put(_place(recorded_place), payload)
        progress.advance(1, tokens=reply.completion_tokens or 0)
        yield request, reply
    for _ in lying:  # to its end, so that what nobody asked for is counted
        pass


def _place(number: int) -> str:
    """Where a reply waits for its turn: keys of a log are digests, or look like them."""
    return f"{number:032x}"


def _until_stopped(
    lying: Iterator[tuple[int, Payload]], label: str, stop: threading.Event
) -> Iterator[tuple[int, Payload]]:
    for row in lying:
        if stop.is_set():
            raise RunStopped(
                f"stopped while the traces of {label!r} were read",
                "nothing of this is paid for",
                "run the same command again to read them from the start",
            )
        yield row


def _reply(author: Author, log: CallLog, request: Request) -> Reply:
    return read_reply(request, log.get(request.key) or {"error": ABSENT}, author)


_CHUNK = 64
"""Replies that are counted together: some megabytes, at the lengths of the paper's traces."""


def _traces(replies: Iterator[tuple[Request, Reply]], label: str, counter: TokenCounter) -> Iterator[Trace]:
    """A reply that was never there to be had is no trace."""
    while chunk := list(islice(replies, _CHUNK)):
        n_reasonings = counter.count([reply.reasoning for _, reply in chunk])
        n_answers = counter.count([reply.answer for _, reply in chunk])
        for (request, reply), n_reasoning, n_answer in zip(chunk, n_reasonings, n_answers, strict=True):
            if reply.error != ABSENT:
                yield _trace(request, reply, label, n_reasoning, n_answer)


def _trace(request: Request, reply: Reply, label: str, n_reasoning: int, n_answer: int) -> Trace:
    return Trace(
        trace_id=request.key,
        problem_id=request.problem_id,
        author=label,
        sample_index=request.sample_index,
        reasoning=reply.reasoning,
        answer=reply.answer,
        finish_reason=reply.finish_reason,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
        reasoning_tokens=reply.reasoning_tokens,
        n_reasoning=n_reasoning,
        n_answer=n_answer,
        served_model=reply.served_model,
        latency_s=reply.latency_s,
        first_token_s=reply.first_token_s,
        error=reply.error,
    )
