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

RETRY_BUDGET = 3
"""How many runs ask a failed row again before it is left alone (until `--mode retry`)."""

AGAIN = "asked_again"
"""Stands in the payload of a reply for which another one was asked under another cap, in vain: how often, under which
cap, and the last error."""

_SETTLED = 1 << 63
_IN_VAIN = 1 << 62
_PROMPT_SHIFT = 32
_PROMPT_MAX = (1 << 30) - 1
_COMPLETION_MAX = (1 << 32) - 1


def note_of(reply: Reply, before: int | None = None, *, in_vain: bool = False) -> int:
    """The ledger's note about a reply: the tokens of all attempts, and whether it is whole; `before` is the note that
    this reply replaces, or fails to (`in_vain`). Layout, high bit first: whole (1), asked again in vain (1), prompt
    tokens (30), completion tokens (32)."""
    spent = spent_of(before).plus(Spent(reply.prompt_tokens or 0, reply.completion_tokens or 0))
    tokens = min(spent.prompt, _PROMPT_MAX) << _PROMPT_SHIFT | min(spent.completion, _COMPLETION_MAX)
    if in_vain:
        return (before or 0) & _SETTLED | _IN_VAIN | tokens
    whole = reply.error is None and reply.finish_reason != "length"
    return _SETTLED | tokens if whole else tokens


def to_keep(key: str, payload: Payload, reply: Reply, reader: Reader, log: CallLog) -> tuple[Payload, int]:
    """What goes into the ledger when `payload` comes, which reads as `reply`, and its note. A failure counts the runs
    that tried, and leaves the reply that is there, which was paid for."""
    before = log.get(key) if reply.error is not None else None
    if before is None or reader.parse(before).error is not None:
        if reply.error is not None:
            payload = {**payload, "attempts": 1 + (attempts(before) if before is not None else 0)}
        return payload, note_of(reply, log.note(key))
    cap, earlier = payload.get("max_tokens"), _again(before)
    n = 1 + (attempts(before) if earlier.get("max_tokens") == cap else 0)
    kept = {**before, AGAIN: {"attempts": n, "max_tokens": cap, "error": reply.error}}
    return kept, note_of(reply, log.note(key), in_vain=True)


def spent_of(note: int | None) -> Spent:
    """The tokens in a note."""
    return Spent((note or 0) >> _PROMPT_SHIFT & _PROMPT_MAX, (note or 0) & _COMPLETION_MAX)


def settled(note: int | None, request: Request) -> bool:
    """Whether a note alone says that the reply is whole and within the request's cap."""
    return note is not None and bool(note & _SETTLED) and spent_of(note).completion <= request.max_tokens


def spent_on(requests: Iterable[Request], log: CallLog) -> Spent:
    """What all calls of `requests` have taken so far."""
    return spent_on_keys((request.key for request in requests), log)


def spent_on_keys(keys: Iterable[str], log: CallLog) -> Spent:
    """What the calls under these keys have taken so far."""
    total = Spent()
    for key in keys:
        total = total.plus(spent_of(log.note(key)))
    return total


def is_owed(request: Request, reader: Reader, log: CallLog, *, retry: bool = False) -> bool:
    """Whether a request must be asked (again); reads the reply only when its note does not say. A note is worth
    something only beside a reply that can be read: otherwise the call would be owed for ever and never asked."""
    if settled(log.note(request.key), request) and log.sound(request.key):
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


def reply_to(request: Request, payload: Payload, reader: Reader) -> Reply:
    """The reply to a request: what stands in the payload, unless it is longer than the cap is now and a shorter one
    could not be had."""
    reply = reader.parse(payload)
    error = _failure(payload, request.max_tokens) if _too_long(reply, request) else None
    return reply if error is None else Reply(error=error)


def in_vain(key: str, cap: int, log: CallLog) -> str | None:
    """The error with which a reply was asked for again under this cap, so that the one that was there stays."""
    if not (log.note(key) or 0) & _IN_VAIN:
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
    return payload is None or attempts(payload) < RETRY_BUDGET


def attempts(payload: Payload) -> int:
    """How many runs have tried and failed to get this reply, or another one in its place."""
    value = (_again(payload) or payload).get("attempts", 1)
    return value if isinstance(value, int) else 1
