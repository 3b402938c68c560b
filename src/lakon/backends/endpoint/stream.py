"""Server-sent events back into the body that the same call would have returned without streaming.

Invariant: the result has the shape of an unstreamed body, so that one parser reads both; a stream that ends
without a finish reason, `[DONE]` or a final event is a problem, never a short reply.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import aiohttp
import orjson

from lakon.backends.reasoning_formats import as_mapping

FINAL_EVENTS = frozenset({"response.completed", "response.incomplete", "response.failed"})


class Streamed(NamedTuple):
    """A stream put together, or what was wrong with it."""

    body: dict[str, Any]
    problem: str | None
    ttft_s: float | None
    """Seconds to the first token."""


async def read_stream(
    content: aiohttp.StreamReader, began: float, *, idle_s: float, clean: Callable[[bytes], bytes]
) -> Streamed:
    """Read events to the end of the stream. Raises `TimeoutError` after `idle_s` without a byte.

    The clock starts with the first byte: before it, a request may wait in the server's queue for long.
    """
    assembly = Assembly(began)
    rest = b""
    async with asyncio.timeout(None) as idle:
        async for block in content.iter_any():
            idle.reschedule(asyncio.get_running_loop().time() + idle_s)
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                if line.startswith(b"data:"):
                    assembly.add(clean(line[5:]).strip())
    if rest.startswith(b"data:"):
        assembly.add(clean(rest[5:]).strip())
    return assembly.result()


class Parts:
    """A content of parts. Pieces of one thought or text become one part, which grows in place: a thought comes in tens
    of thousands of pieces, and copying it for each would hold up every other reply."""

    def __init__(self, *, joined: bool = True) -> None:
        self._joined = joined
        self._parts: list[Any] = []
        self._field = ""
        """The field of the last part that pieces were added to."""
        self._pieces: list[str] = []
        """That field's text so far, when it is a text."""

    def add(self, part: Any) -> None:
        """Take a part, or a piece of the last one."""
        if not (self._joined and self._grow(part)):
            self._settle()
            self._parts.append(part)

    def all_parts(self) -> list[Any]:
        """All parts so far."""
        self._settle()
        return self._parts

    def _grow(self, part: Any) -> bool:
        last, more = as_mapping(self._parts[-1] if self._parts else None), as_mapping(part)
        if not last or last.get("type") != more.get("type"):
            return False
        for name in ("thinking", "text"):
            mine: Any = last.get(name)
            piece: Any = more.get(name)
            if isinstance(mine, list) and isinstance(piece, list):
                mine.extend(piece)  # type: ignore[arg-type]
                return True
            if isinstance(mine, str) and isinstance(piece, str):
                if not self._pieces or self._field != name:
                    self._settle()
                    self._field, self._pieces = name, [mine]
                self._pieces.append(piece)
                return True
        return False

    def _settle(self) -> None:
        if self._pieces:
            self._parts[-1][self._field] = "".join(self._pieces)
            self._pieces = []


class Assembly:
    """The body so far."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._body: dict[str, Any] = {}
        self._message: dict[str, Any] = {}
        self._parts: dict[str, Parts] = {}
        self._texts: dict[str, list[str]] = {}
        self._finish: str | None = None
        self._done = False
        self._problem: str | None = None
        self._ttft_s: float | None = None

    def add(self, data: bytes) -> None:
        """One event's data."""
        if data == b"[DONE]":
            self._done = True
            return
        try:
            event = as_mapping(orjson.loads(data))
        except orjson.JSONDecodeError:
            self._problem = f"an event is not JSON: {data[:100].decode(errors='replace')!r}"
            return
        if isinstance(kind := event.get("type"), str) and kind.startswith("response."):
            self._add_response_event(kind, event)
        else:
            self._add_chunk(event)

    def _add_response_event(self, kind: str, event: Any) -> None:
        if kind in FINAL_EVENTS:
            self._body, self._done = dict(as_mapping(event.get("response"))), True
        elif kind.endswith(".delta"):
            self._mark_first_token()

    def _add_chunk(self, event: Any) -> None:
        for name, value in event.items():
            if name != "choices" and value is not None:
                self._body[name] = value
        for choice in map(as_mapping, event.get("choices") or ()):
            self._finish = choice.get("finish_reason") or self._finish  # type: ignore[assignment]
            for name, value in as_mapping(choice.get("delta")).items():
                self._merge(name, value)

    def _merge(self, name: str, value: Any) -> None:
        if not value or name == "role":
            return
        self._mark_first_token()
        if isinstance(value, str):
            self._texts.setdefault(name, []).append(value)
        elif isinstance(value, list):
            parts = self._parts.setdefault(name, Parts(joined=name == "content"))
            for part in value:
                parts.add(part)
        else:
            self._message[name] = value

    def _mark_first_token(self) -> None:
        if self._ttft_s is None:
            self._ttft_s = round(time.monotonic() - self._began, 4)

    def result(self) -> Streamed:
        """The body, with the choice that the deltas add up to."""
        if "error" in self._body and "output" not in self._body:
            return Streamed(self._body, self._problem, self._ttft_s)  # half a reply is none
        ended = self._done or self._finish is not None
        problem = self._problem or (None if ended else "the stream broke off")
        self._message |= {name: parts.all_parts() for name, parts in self._parts.items()}
        if "output" not in self._body and (self._message or self._texts or self._finish):
            message = {"role": "assistant", "content": None, **self._message, **self._joined()}
            self._body["choices"] = [{"index": 0, "message": message, "finish_reason": self._finish}]
        return Streamed(self._body, problem, self._ttft_s)

    def _joined(self) -> dict[str, Any]:
        """Texts by name; behind parts of that name (Mistral thinks in parts, then answers) as one more."""
        joined: dict[str, Any] = {}
        for name, pieces in self._texts.items():
            text = "".join(pieces)
            parts = self._message.get(name)
            joined[name] = [*parts, {"type": "text", "text": text}] if isinstance(parts, list) else text
        return joined
