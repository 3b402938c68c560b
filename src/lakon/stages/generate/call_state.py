"""What a ledger says about calls: which are owed, which are settled, and what they took.

Invariant: the note beside a reply tells most of this without reading the reply, so that a run of many thousand
replies resumes in seconds. Tokens in a note are those of all attempts at the call: a reply that was replaced by a
longer one was paid for too. A reply that was paid for is replaced by a reply alone, never by a failure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from lakon.core.protocols import ABSENT, CallLog, Payload, Reader, Reply, Request
from lakon.core.spending import Spent
from lakon.stages.generate.call_note import CallNote

RETRY_BUDGET = 3
"""How many runs ask a failed row again before it is left alone (until `--mode retry`)."""

AGAIN = "asked_again"
"""Stands in the payload of a reply for which another one was asked under another cap, in vain: how often, under which
cap, and the last error."""


def write_note(reply: Reply, before: int | None = None, *, in_vain: bool = False) -> int:
    """The ledger's note about a reply: the tokens of all attempts, and whether it is whole; `before` is the note that
    this reply replaces, or fails to (`in_vain`)."""
    earlier = CallNote.unpack(before)
    whole = earlier.whole if in_vain else reply.error is None and reply.finish_reason != "length"
    prompt_tokens = earlier.prompt_tokens + (reply.prompt_tokens or 0)
    return CallNote(whole, in_vain, prompt_tokens, earlier.completion_tokens + (reply.completion_tokens or 0)).pack()


def merge_reply(key: str, payload: Payload, reply: Reply, reader: Reader, log: CallLog) -> tuple[Payload, int]:
    """What goes into the ledger when `payload` comes, which reads as `reply`, and its note. A failure counts the runs
    that tried, and leaves the reply that is there, which was paid for."""
    before = log.get(key) if reply.error is not None else None
    if before is None or reader.parse(before).error is not None:
        if reply.error is not None:
            payload = {**payload, "attempts": 1 + (count_attempts(before) if before is not None else 0)}
        return payload, write_note(reply, log.note(key))
    cap, earlier = payload.get("max_tokens"), _again(before)
    n = 1 + (count_attempts(before) if earlier.get("max_tokens") == cap else 0)
    merged = {**before, AGAIN: {"attempts": n, "max_tokens": cap, "error": reply.error}}
    return merged, write_note(reply, log.note(key), in_vain=True)


def is_settled(note: CallNote, request: Request) -> bool:
    """Whether a note alone says that the reply is whole and within the request's cap."""
    return note.whole and note.completion_tokens <= request.max_tokens


def sum_spent(requests: Iterable[Request], log: CallLog) -> Spent:
    """What all calls of `requests` have taken so far."""
    return sum_spent_of_keys((request.key for request in requests), log)


def sum_spent_of_keys(keys: Iterable[str], log: CallLog) -> Spent:
    """What the calls under these keys have taken so far."""
    total = Spent()
    for key in keys:
        total = total.plus(CallNote.unpack(log.note(key)).spent)
    return total


def any_answered(log: CallLog) -> bool:
    """Whether any call in the log was answered, by a reply that took tokens."""
    return any(CallNote.unpack(log.note(key)).completion_tokens for key in log.keys())  # noqa: SIM118 - a log is no mapping


def is_owed(request: Request, reader: Reader, log: CallLog, *, retry: bool = False) -> bool:
    """Whether a request must be asked (again); reads the reply only when its note does not say. A note is worth
    something only beside a reply that can be read: otherwise the call would be owed for ever and never asked."""
    if is_settled(CallNote.unpack(log.note(request.key)), request) and log.has_payload(request.key):
        return False
    return owes(log.get(request.key), request, reader, retry=retry)


def owes(payload: Payload | None, request: Request, reader: Reader, *, retry: bool) -> bool:
    """Whether a request must be asked (again): never asked, failed within the budget, cut off by a smaller cap, or
    longer than the cap is now."""
    if payload is None:
        return True
    reply = reader.parse(payload)
    if reply.error == ABSENT:
        return False
    if reply.error is not None:
        return retry or has_retries(payload)
    cap = payload.get("max_tokens")
    cut = reply.finish_reason == "length" and isinstance(cap, int) and cap < request.max_tokens
    if not cut and not _too_long(reply, request):
        return False
    return retry or _failure(payload, request.max_tokens) is None or has_retries(payload)


def read_reply(request: Request, payload: Payload, reader: Reader) -> Reply:
    """The reply to a request: what stands in the payload, unless it is longer than the cap is now and a shorter one
    could not be had."""
    reply = reader.parse(payload)
    error = _failure(payload, request.max_tokens) if _too_long(reply, request) else None
    return reply if error is None else Reply(error=error)


def read_vain_error(key: str, cap: int, log: CallLog) -> str | None:
    """The error with which a reply was asked for again under this cap, so that the one that was there stays."""
    if not CallNote.unpack(log.note(key)).asked_in_vain:
        return None
    return _failure(log.get(key) or {}, cap)


def _failure(payload: Payload, cap: int) -> str | None:
    again = _again(payload)
    return str(again["error"]) if again.get("max_tokens") == cap else None


def _again(payload: Payload) -> Payload:
    value = payload.get(AGAIN)
    return cast("Payload", value) if isinstance(value, dict) else {}


def _too_long(reply: Reply, request: Request) -> bool:
    return (reply.completion_tokens or 0) > request.max_tokens


def has_retries(payload: Payload | None) -> bool:
    """Whether the next run asks this failed call again."""
    return payload is None or count_attempts(payload) < RETRY_BUDGET


def count_attempts(payload: Payload) -> int:
    """How many runs have tried and failed to get this reply, or another one in its place."""
    value = (_again(payload) or payload).get("attempts", 1)
    return value if isinstance(value, int) else 1
