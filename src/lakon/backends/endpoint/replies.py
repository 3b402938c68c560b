"""From the payload in the ledger to a `Reply`: finish reason, usage, refusal, one schema for reasoning.

Invariant: total. Every payload gives a reply, and an unreadable one gives a reply that says so; since the
payload stays in the ledger, a better version of this file can be applied to it without asking again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, cast

from lakon.backends.reasoning_formats import Split, as_mapping, split_message, split_output, split_reasoning
from lakon.core.protocols import Reply

FINISH: dict[str, str] = {
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "completed": "stop",
    "complete": "stop",
    "safety": "content_filter",
    "sensitive": "content_filter",
}
"""What providers call it to what we call it; other words are kept as they are."""


class Usage(NamedTuple):
    """The provider's own token counts."""

    prompt_tokens: int | None
    completion_tokens: int | None
    reasoning_tokens: int | None


def reply_of(payload: Mapping[str, object], *, prefills_think: bool = False) -> Reply:
    """The reply in a payload that `EndpointAuthor.ask` put; never raises."""
    try:
        return _reply(payload, prefills_think)
    except Exception as error:
        return Reply(error=f"unreadable: {type(error).__name__}: {error}")


def _reply(payload: Mapping[str, object], prefills_think: bool) -> Reply:
    if failure := as_mapping(payload.get("error")):
        found = f"{failure.get('kind')}: {failure.get('message')}"
        return Reply(error=found, latency_s=_number(payload.get("latency_s")))
    body = as_mapping(payload.get("body"))
    split, finish, error = _responses(body) if "output" in body else _chat(body, prefills_think)
    usage = usage_of(body)
    return Reply(
        reasoning=split.reasoning,
        answer=split.answer,
        finish_reason=finish and FINISH.get(finish.lower(), finish),
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        served_model=_text(body.get("model")) or _text(payload.get("served_model")),
        latency_s=_number(payload.get("latency_s")),
        first_token_s=_number(payload.get("ttft_s")),
        error=error,
    )


def _chat(body: Mapping[str, object], prefills_think: bool) -> tuple[Split, str | None, str | None]:
    choice = first_choice(body)
    if not choice:
        return Split("", "", False), None, "empty: the response has no choices"
    finish = _text(choice.get("finish_reason"))
    message = as_mapping(choice.get("message"))
    if not message:
        return split_reasoning(_text(choice.get("text")) or "", prefills_think=prefills_think), finish, None
    split = split_message(message, prefills_think=prefills_think)
    if (refusal := _refusal(message)) and not split.answer:
        return split._replace(answer=refusal), "refusal", None
    return split, finish, None


def _responses(body: Mapping[str, object]) -> tuple[Split, str | None, str | None]:
    items = _list(body.get("output"))
    split = split_output(items)
    status = _text(body.get("status"))
    if status in {"failed", "cancelled"}:
        return (
            split,
            status,
            f"{status}: {as_mapping(body.get('error')).get('message') or 'no reason was given'}",
        )
    if status == "incomplete":
        return split, _text(as_mapping(body.get("incomplete_details")).get("reason")) or status, None
    refusals = [_refusal(as_mapping(item)) for item in items]
    if any(refusals) and not split.answer:
        return split._replace(answer="".join(filter(None, refusals))), "refusal", None
    return split, status or "stop", None


def first_choice(body: Mapping[str, object]) -> Mapping[str, object]:
    """The first choice of a chat completion, or an empty mapping."""
    choices = _list(body.get("choices"))
    return as_mapping(choices[0]) if choices else {}


def _refusal(message: Mapping[str, object]) -> str:
    parts = [as_mapping(part) for part in _list(message.get("content"))]
    texts = [_text(message.get("refusal")), *(_text(part.get("refusal")) for part in parts)]
    return "".join(filter(None, texts))


def usage_of(body: Mapping[str, object]) -> Usage:
    """Token counts under the names of either API."""
    usage = as_mapping(body.get("usage"))
    details = as_mapping(usage.get("completion_tokens_details")) or as_mapping(usage.get("output_tokens_details"))
    return Usage(
        _count(usage.get("prompt_tokens", usage.get("input_tokens"))),
        _count(usage.get("completion_tokens", usage.get("output_tokens"))),
        _count(details.get("reasoning_tokens", usage.get("reasoning_tokens"))),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _count(value: object) -> int | None:
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0 else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []
