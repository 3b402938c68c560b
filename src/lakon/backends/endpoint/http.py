"""One HTTP exchange with an OpenAI-compatible server: a usable body, or a failure with its category.

Invariant: `send_request` never raises for anything that a server or a network does; it returns a `Failure`. What
a category means for the queue is decided in `window.py`.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import time
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, NamedTuple

import aiohttp
import orjson

from lakon.backends.endpoint.replies import first_choice
from lakon.backends.endpoint.stream import read_stream
from lakon.backends.reasoning_formats import as_mapping


class FailureCategory(Enum):
    """What a failure says, and about whom."""

    RETRY = "retry"
    """The server's trouble: ask again later."""
    THROTTLED = "throttled"
    """The server asks for fewer requests: ask again later, and fewer at once."""
    UNREACHABLE = "unreachable"
    """No connection: says nothing about the request."""
    ROW = "row"
    """This request will fail however often it is sent."""
    MISDIRECTED = "misdirected"
    """Wrong model or wrong path, if no request fares better; otherwise as `ROW`."""
    FORBIDDEN = "forbidden"
    """Not allowed at all, if nothing was allowed before; otherwise as `ROW`."""
    WHOLE = "whole"
    """Every request will fail: the key, or the account."""


class Failure(NamedTuple):
    """Why there is no usable body."""

    category: FailureCategory
    kind: str
    message: str
    status: int | None = None
    retry_after_s: float | None = None
    body: object = None
    congested: bool = False
    """Whether fewer requests at once would have helped."""


class Success(NamedTuple):
    """A usable body, as the server sent it (a stream put together again)."""

    body: dict[str, Any]
    latency_s: float
    ttft_s: float | None


CATEGORIES: dict[int, tuple[FailureCategory, str]] = {
    401: (FailureCategory.WHOLE, "unauthorized"),
    402: (FailureCategory.WHOLE, "payment_required"),
    403: (FailureCategory.FORBIDDEN, "forbidden"),
    404: (FailureCategory.MISDIRECTED, "not_found"),
    405: (FailureCategory.MISDIRECTED, "not_found"),
    408: (FailureCategory.RETRY, "timeout"),
    409: (FailureCategory.RETRY, "conflict"),
    425: (FailureCategory.RETRY, "too_early"),
    429: (FailureCategory.THROTTLED, "rate_limited"),
    501: (FailureCategory.MISDIRECTED, "not_implemented"),
    503: (FailureCategory.THROTTLED, "overloaded"),
    529: (FailureCategory.THROTTLED, "overloaded"),
}
"""HTTP status to category and kind; what is not here goes by its hundred."""

MESSAGE_CHARS = 500
WAIT_MAX_S = 3600.0


async def send_request(
    session: aiohttp.ClientSession,
    url: str,
    data: bytes,
    *,
    proxy: Any,
    idle_s: float,
    clean: Callable[[bytes], bytes],
) -> Success | Failure:
    """Send one request and read the whole of its response; `clean` takes secrets out of the raw bytes."""
    began = time.monotonic()
    try:
        async with session.post(url, data=data, allow_redirects=False, **proxy) as response:
            if response.status == 200 and response.content_type == "text/event-stream":
                streamed = await read_stream(response.content, began, idle_s=idle_s, clean=clean)
                return _judged(200, response.headers, streamed.body, streamed.problem, began, streamed.ttft_s)
            raw = clean(await response.read())
            body = parse_json(raw)
            problem = None if body is not None else _unreadable(response, raw)
            return _judged(response.status, response.headers, body, problem, began, None)
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError, EOFError) as error:
        return _network_failure(error, clean)


def parse_json(raw: bytes) -> object:
    """JSON, or None; the slower parser takes what the faster refuses: NaN, lone surrogates, huge integers."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        try:
            return json.loads(raw)
        except (ValueError, RecursionError):
            return None


def _unreadable(response: aiohttp.ClientResponse, raw: bytes) -> str:
    text = raw[:200].decode(errors="replace")
    return f"{len(raw)} bytes of {response.content_type} that are not JSON, beginning {text!r}"


def _judged(
    status: int,
    headers: Mapping[str, str],
    body: object,
    problem: str | None,
    began: float,
    ttft_s: float | None,
) -> Success | Failure:
    if status != 200:
        return _http_failure(status, headers, body, problem)
    mapping = body if isinstance(body, dict) else {}
    if problem is None and (error := mapping.get("error")) and not ({"choices", "output"} & mapping.keys()):
        return _embedded_failure(error, mapping)
    problem = problem or _unusable(body)
    if problem:
        return Failure(FailureCategory.RETRY, "malformed", problem, status, body=body)
    return Success(mapping, round(time.monotonic() - began, 4), ttft_s)


def _unusable(body: object) -> str | None:
    """What keeps a body from being read as a reply, or None."""
    mapping = as_mapping(body)
    if isinstance(mapping.get("output"), list):
        return None
    choice = first_choice(mapping)
    if not choice:
        return "the response has no choices"
    if choice.get("finish_reason") == "error" or choice.get("error"):
        return f"the provider broke off: {_message(choice) or 'no reason was given'}"
    if not isinstance(choice.get("message"), dict) and not isinstance(choice.get("text"), str):
        return "the first choice has no message"
    return None


def _http_failure(status: int, headers: Mapping[str, str], body: object, problem: str | None) -> Failure:
    by_hundred = (FailureCategory.RETRY, "server") if status >= 500 else (FailureCategory.ROW, "bad_request")
    category, kind = CATEGORIES.get(status, by_hundred if status >= 400 else (FailureCategory.MISDIRECTED, "redirect"))
    message = _message(body) or problem or f"HTTP {status}"
    if kind == "redirect":
        message = f"HTTP {status} to {headers.get('Location', 'nowhere')}"
    if status == 429 and "insufficient_quota" in f"{body}":
        category, kind = FailureCategory.WHOLE, "quota"
    wait = retry_after(headers, time.time()) if category in {FailureCategory.THROTTLED, FailureCategory.RETRY} else None
    return Failure(category, kind, message, status, wait, body, congested=category is FailureCategory.THROTTLED)


def _embedded_failure(error: object, body: Mapping[str, object]) -> Failure:
    """An error inside a 200, as gateways send it: by its code when that is an HTTP status."""
    code = as_mapping(error).get("code")
    if isinstance(code, int) and 400 <= code < 600:
        return _http_failure(code, {}, body, None)
    return Failure(FailureCategory.RETRY, "provider", _message(body) or "no reason was given", 200, body=body)


def _message(body: object) -> str:
    """The server's own words: `error.message`, `error`, `message` or `detail`."""
    mapping = as_mapping(body)
    error = mapping.get("error")
    message = as_mapping(error).get("message") or error or mapping.get("message") or mapping.get("detail")
    return f"{message}"[:MESSAGE_CHARS] if message else ""


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait, from `Retry-After` (seconds or a date) or `retry-after-ms`; None when neither says."""
    try:
        if (ms := headers.get("retry-after-ms")) is not None:
            return min(max(0.0, float(ms) / 1000), WAIT_MAX_S)
        value = headers.get("Retry-After")
        if value is None:
            return None
        if value.strip().replace(".", "", 1).isdigit():
            return min(float(value), WAIT_MAX_S)
        return min(max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - now), WAIT_MAX_S)
    except (ValueError, TypeError, OverflowError):
        return None


def _network_failure(error: Exception, clean: Callable[[bytes], bytes]) -> Failure:
    text = clean(f"{type(error).__name__}: {error}".encode()).decode(errors="replace")[:MESSAGE_CHARS]
    if isinstance(error, aiohttp.InvalidURL):
        return Failure(FailureCategory.WHOLE, "url", text)
    if isinstance(
        error,
        (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientProxyConnectionError),
    ):
        return Failure(FailureCategory.UNREACHABLE, "connection", text)
    if isinstance(error, (TimeoutError, asyncio.TimeoutError)):
        return Failure(FailureCategory.RETRY, "timeout", "no complete reply in time", congested=True)
    if isinstance(error, aiohttp.ClientPayloadError):
        return Failure(FailureCategory.RETRY, "broken_off", text)
    return Failure(FailureCategory.RETRY, "connection", text)
