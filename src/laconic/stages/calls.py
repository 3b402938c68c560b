"""What a ledger says about calls: which are owed, which are settled, and what they took.

Invariant: the note beside a reply tells most of this without reading the reply, so that a run of many thousand
replies resumes in seconds. Tokens in a note are those of all attempts at the call: a reply that was replaced by a
longer one was paid for too.
"""

from __future__ import annotations

from collections.abc import Iterable

from laconic.core.protocols import ABSENT, CallLog, Payload, Reader, Reply, Request
from laconic.core.spending import Spent

RETRY_BUDGET = 3
"""How many runs ask a failed row again before it is left alone (until `--mode retry`)."""

_SETTLED = 1 << 63
_PROMPT_SHIFT = 32
_PROMPT_MAX = (1 << 31) - 1
_COMPLETION_MAX = (1 << 32) - 1


def note_of(reply: Reply, before: int | None = None) -> int:
    """The ledger's note about a reply: the tokens of all attempts, and whether it is whole; `before` is the note that
    this reply replaces. Layout, high bit first: whole (1), prompt tokens (31), completion tokens (32)."""
    spent = spent_of(before).plus(Spent(reply.prompt_tokens or 0, reply.completion_tokens or 0))
    whole = reply.error is None and reply.finish_reason != "length"
    tokens = min(spent.prompt, _PROMPT_MAX) << _PROMPT_SHIFT | min(spent.completion, _COMPLETION_MAX)
    return _SETTLED | tokens if whole else tokens


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
    if (reply.completion_tokens or 0) > request.max_tokens:
        return True
    cap = payload.get("max_tokens")
    return reply.finish_reason == "length" and isinstance(cap, int) and cap < request.max_tokens


def has_retries(payload: Payload | None) -> bool:
    """Whether the next run asks this failed call again."""
    return payload is None or attempts(payload) < RETRY_BUDGET


def attempts(payload: Payload) -> int:
    """How many runs have tried and failed to get this reply."""
    value = payload.get("attempts", 1)
    return value if isinstance(value, int) else 1
