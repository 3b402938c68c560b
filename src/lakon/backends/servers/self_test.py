"""What a server must show before its answers count: that it obeys what it is asked, one request after the other.

A server that ignores the temperature or adds a token to the prompt answers well, and every figure would be about
something else. All failures are told at once.
"""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import orjson

from lakon.core.errors import AuthorError

_TIMEOUT_S = 600.0
_MOST_BYTES = 4_000_000
_LENGTH = 16
_DRAWS = 8
_HOT = 2.0
"""A temperature at which sixteen tokens of eight draws are never all the same, unless it is ignored."""


class Probe(NamedTuple):
    """One prompt to test with."""

    ids: list[int]
    """Its tokens, as the model was trained with them."""
    messages: list[dict[str, str]]


class Asked(NamedTuple):
    """One reply."""

    text: str
    finish: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    model: str | None


class SelfTest(NamedTuple):
    """What was found: checks that passed, and those that this server does not take."""

    passed: tuple[str, ...]
    not_taken: tuple[str, ...]


Ask = Callable[[Probe, dict[str, Any]], Asked]


def run_self_test(url: str, model: str, probes: Sequence[Probe], *, api: str, end_ids: Sequence[int]) -> SelfTest:
    """Test a server with a few prompts. Raises `AuthorError` with everything that it does wrong."""

    def ask(probe: Probe, sampling: dict[str, Any]) -> Asked:
        body: dict[str, Any] = {"model": model, "top_p": 1.0, "max_tokens": _LENGTH, **sampling}
        if api == "chat":
            return _post(f"{url}/chat/completions", {**body, "messages": probe.messages})
        return _post(f"{url}/completions", {**body, "prompt": probe.ids, "stop_token_ids": list(end_ids)})

    failed: list[str] = []
    passed: list[str] = []
    not_taken: list[str] = []
    greedy = [ask(probe, {"temperature": 0.0}) for probe in probes]
    for name, found in _checks(ask, probes, greedy, model, api, end_ids):
        if found is None:
            passed.append(name)
        elif found == NOT_TAKEN:
            not_taken.append(name)
        else:
            failed.append(f"{name}: {found}")
    if failed:
        raise AuthorError(
            f"the server does not do what it is asked: {'; '.join(failed)}",
            "a server that obeys sampling parameters, request by request, and reads prompts as they are trained",
            "take another server or version (run.serving), or none: tiny models are sampled without one",
            where="run.serving",
        )
    return SelfTest(tuple(passed), tuple(not_taken))


NOT_TAKEN = "not taken"


def _checks(
    ask: Ask, probes: Sequence[Probe], greedy: Sequence[Asked], model: str, api: str, end_ids: Sequence[int]
) -> list[tuple[str, str | None]]:
    """Each check with what is wrong, None where nothing is."""
    first, told = probes[0], greedy[0]
    hot = [ask(first, {"temperature": _HOT}) for _ in range(_DRAWS)]
    again = [ask(probe, {"temperature": 0.0}) for probe in probes]
    narrow = ask(first, {"temperature": _HOT, "top_p": 1e-6})
    short = ask(first, {"temperature": 0.0, "max_tokens": 3})
    return [
        ("model", _is_asked_model(told.model, model)),
        ("temperature 0 repeats", _same(greedy, again)),
        ("temperature is obeyed", _differs(hot)),
        ("top_p is obeyed", None if narrow.text == told.text else "at a tiny top_p another text than the likeliest"),
        ("max_tokens is obeyed", _is_short(short, told)),
        ("prompts have the trained tokens", _prompt_tokens(probes, greedy, api)),
        ("the end token stops", _stops(ask, first, end_ids, api)),
    ]


def _is_asked_model(told: str | None, asked: str) -> str | None:
    """`transformers serve` puts a revision behind the name."""
    if told is None or told.partition("@")[0] == asked:
        return None
    return f"asked for {asked!r}, {told!r} answers"


def _same(before: Sequence[Asked], after: Sequence[Asked]) -> str | None:
    for one, other in zip(before, after, strict=True):
        if one.text != other.text:
            return f"{one.text[:40]!r} first, {other.text[:40]!r} after hotter requests"
    return None


def _differs(hot: Sequence[Asked]) -> str | None:
    if len({reply.text for reply in hot}) > 1:
        return None
    return f"{len(hot)} draws at temperature {_HOT:g} are all {hot[0].text[:40]!r}"


def _is_short(short: Asked, told: Asked) -> str | None:
    if told.completion_tokens is not None and told.completion_tokens < 3:
        return None  # the likeliest text ends before the cap
    if short.completion_tokens not in (None, 3):
        return f"{short.completion_tokens} tokens under a cap of 3"
    return None if short.finish == "length" else f"a reply under a cap of 3 tokens ends with {short.finish!r}"


def _prompt_tokens(probes: Sequence[Probe], greedy: Sequence[Asked], api: str) -> str | None:
    for probe, reply in zip(probes, greedy, strict=True):
        if reply.prompt_tokens not in (None, len(probe.ids)):
            how = "its chat template differs, or it adds a token" if api == "chat" else "it adds or drops tokens"
            return f"a prompt of {len(probe.ids)} tokens is read as {reply.prompt_tokens}: {how}"
    return None


def _stops(ask: Ask, probe: Probe, end_ids: Sequence[int], api: str) -> str | None:
    """With the end token made certain, the reply is empty and says that it stopped."""
    if not end_ids:
        return "the model names no end token"
    if api == "chat":
        return NOT_TAKEN
    try:
        reply = ask(probe, {"temperature": 0.0, "logit_bias": {str(end_ids[0]): 100}})
    except AuthorError:
        return NOT_TAKEN
    if reply.completion_tokens is not None and reply.completion_tokens > 1:
        return f"{reply.completion_tokens} tokens where the end token was certain"
    return None if reply.finish == "stop" else f"the end token ends a reply with {reply.finish!r}"


def read_chat_ids(url: str, model: str, probe: Probe) -> list[int] | None:
    """The tokens of a conversation as the server's own template renders it; None where it cannot be asked."""
    root = url.removesuffix("/v1")
    body = {"model": model, "messages": probe.messages, "add_generation_prompt": True}
    try:
        found = _send(f"{root}/tokenize", body)
    except AuthorError:
        return None
    ids = found.get("tokens")
    return [int(i) for i in ids] if isinstance(ids, list) else None


def _post(url: str, body: dict[str, Any]) -> Asked:
    reply = _send(url, body)
    choices = reply.get("choices") or [{}]
    choice = choices[0] if isinstance(choices[0], dict) else {}
    text = choice.get("text")
    if text is None:
        message = choice.get("message") or {}
        text = f"{message.get('reasoning') or message.get('reasoning_content') or ''}{message.get('content') or ''}"
    usage = reply.get("usage") or {}
    return Asked(
        str(text),
        choice.get("finish_reason"),
        usage.get("prompt_tokens"),
        usage.get("completion_tokens"),
        reply.get("model"),
    )


def _send(url: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(url, orjson.dumps(body), {"Content-Type": "application/json"})
    began = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as reply:
            found = orjson.loads(reply.read(_MOST_BYTES))
    except urllib.error.HTTPError as error:
        said = error.read(500).decode(errors="replace")
        raise AuthorError(
            f"HTTP {error.code} from {url}: {' '.join(said.split())[:300]}",
            "an answer to a plain request",
            "look at the server's log; correct run.serving",
            where="run.serving",
        ) from error
    except (OSError, ValueError) as error:
        raise AuthorError(
            f"no answer from {url} after {time.monotonic() - began:.0f} s: {error}",
            "an answer to a plain request",
            "look at the server's log; correct run.serving",
            where="run.serving",
        ) from error
    if not isinstance(found, dict):
        raise AuthorError(
            f"{url} answers with no JSON object", "a completion", "correct run.serving", where="run.serving"
        )
    return found
