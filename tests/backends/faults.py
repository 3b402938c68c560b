"""A real HTTP server on the loopback that misbehaves as its prompts say: `hang`, `status500*2 and more`.

The first word of a prompt names the fault and how often it happens (always, without a number); after that,
and for any word it doesn't know, the server answers properly. So a test reads as what it asks for.
"""

from __future__ import annotations

import asyncio
import collections
import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from aiohttp import web

KEY = "sk-loopback/1234567890"


class FaultServer:
    """Runs in a thread of its own; `seen` holds every request's body, in order of arrival."""

    def __init__(
        self,
        *,
        delay_s: float = 0.0,
        models: Any = ("m",),
        key: str | None = None,
        parallel: int = 0,
        answers: Callable[[dict[str, Any], int], tuple[str, int]] | None = None,
        tls: ssl.SSLContext | None = None,
        messages: Mapping[str, dict[str, object]] | None = None,
        together: int = 0,
    ) -> None:
        self.delay_s = delay_s
        self.together = together
        """The first replies wait until so many requests are here at once, or 20 s."""
        self.answers = answers
        """(body, how often its prompt has been asked) to the reply's text and its completion tokens."""
        self.tls = tls
        self.messages = messages or {}
        """A prompt that is one of these names gets this message of a chat completion."""
        self.models = models
        self.key = key
        self.parallel = parallel
        """More requests at once than this get a 429; 0 is no limit."""
        self.seen: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.times: list[float] = []
        self.at_once = self.most_at_once = 0
        self._asked: collections.Counter[str] = collections.Counter()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.port = 0

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> FaultServer:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set_result, None)
        self._thread.join(10)

    def stop(self) -> None:
        """Close the port and all connections, as a crashed server does."""
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)

    def start(self) -> None:
        """Open the same port again."""
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._main())
        self._loop.close()

    async def _main(self) -> None:
        self._over: asyncio.Future[None] = self._loop.create_future()
        await self._listen()
        self._ready.set()
        await self._over
        await self._runner.cleanup()

    async def _listen(self) -> None:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/responses", self._responses)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.0, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True, ssl_context=self.tls)
        await site.start()
        assert site._server is not None
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]

    async def _models(self, request: web.Request) -> web.StreamResponse:
        if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
            return _error(401, f"Incorrect API key: {request.headers.get('Authorization')}")
        if isinstance(self.models, int):
            return _error(self.models, "no list")
        return web.json_response({"data": [{"id": name} for name in self.models]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, lambda body: body["messages"][-1]["content"])

    async def _responses(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, lambda body: body["input"][-1]["content"])

    async def _answer(self, request: web.Request, prompt_of: Any) -> web.StreamResponse:
        body = await request.json()
        self.seen.append(body)
        self.paths.append(str(request.rel_url))
        self.times.append(time.monotonic())
        if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
            return _error(401, f"Incorrect API key: {request.headers.get('Authorization')}")
        if self.parallel and self.at_once >= self.parallel:
            return _error(429, "too many at once")
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.delay_s)
            until = time.monotonic() + 20
            while self.most_at_once < self.together and time.monotonic() < until:
                await asyncio.sleep(0.01)
            return await self._misbehave(request, body, prompt_of(body))
        finally:
            self.at_once -= 1

    async def _misbehave(self, request: web.Request, body: dict[str, Any], prompt: str) -> web.StreamResponse:
        word, times = re.match(r"([\w.-]*)(?:\*(\d+))?", prompt).groups()  # type: ignore[union-attr]
        self._asked[prompt] += 1
        if times and self._asked[prompt] > int(times):
            word = "ok"
        if word.startswith("status"):
            return _status(word.removeprefix("status"), body)
        fault = getattr(self, f"_{word.replace('-', '_')}", None)
        if fault is not None:
            return await fault(request, body)
        if prompt in self.messages:
            reply = _reply(body, "")
            reply["choices"][0]["message"] = {"role": "assistant", **self.messages[prompt]}
            return await _send(request, body, reply)
        if self.answers is not None:
            text, n_tokens = self.answers(body, self._asked[prompt])
            reply = _reply(body, text)
            reply["usage"]["completion_tokens"] = n_tokens
            return await _send(request, body, reply)
        return await _send(request, body, _reply(body, prompt))

    # -- faults ----------------------------------------------------------------------------------------------

    async def _hang(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if body.get("stream"):
            response = await _begin_stream(request)
            await response.write(_event({"choices": [{"delta": {"content": "Well"}}]}))
        await asyncio.sleep(30)
        return web.Response()

    async def _reset(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "100000"})
        await response.prepare(request)
        await response.write(b'{"choices": [{"message": {"content": "half of')
        assert request.transport
        request.transport.abort()  # type: ignore[attr-defined]
        return response

    async def _refuse(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        assert request.transport
        request.transport.abort()  # type: ignore[attr-defined]
        return web.Response()

    async def _truncated(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if body.get("stream"):
            response = await _begin_stream(request)
            await response.write(_event({"choices": [{"delta": {"content": "half of"}}]}))
            return response
        return web.Response(body=b'{"choices": [{"message": {"content": "half', content_type="application/json")

    async def _html(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.Response(text="<html>Welcome to the gateway</html>", content_type="text/html")

    async def _mislabelled(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.Response(body=json.dumps(_reply(body, "4")).encode(), content_type="text/plain")

    async def _empty(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({"id": "x", "choices": []})

    async def _embedded(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({"error": {"code": 400, "message": "context too long"}})

    async def _length(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return await _send(request, body, _reply(body, "<think>on and on", finish="length"))

    async def _filter(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return await _send(request, body, _reply(body, "", finish="content_filter"))

    async def _big(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return await _send(request, body, _reply(body, "word " * 1_000_000))

    async def _other_model(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return await _send(request, body, {**_reply(body, "4"), "model": "m-turbo-quantized"})

    async def _surrogate(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        text = json.dumps(_reply(body, "X")).replace('"X"', '"\\ud83d NaN"')
        return web.Response(text=text, content_type="application/json")

    async def _leak(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return await _send(request, body, _reply(body, f"Your header: {request.headers.get('Authorization')}"))

    async def _renamed_cap(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if "max_tokens" in body:
            return _error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        return await _send(request, body, _reply(body, "4"))


def _error(status: int, message: str, **headers: str) -> web.Response:
    return web.json_response({"error": {"message": message, "type": "fault"}}, status=status, headers=headers)


def _status(word: str, body: dict[str, Any]) -> web.Response:
    """`429` and, with a Retry-After, `429-0.3`; `429-quota` for an account without credit."""
    code, _, more = word.partition("-")
    if more == "quota":
        return web.json_response({"error": {"message": "no credit", "code": "insufficient_quota"}}, status=429)
    headers = {"Retry-After": more} if more else {}
    return _error(int(code), f"the server says {code} about {body['model']}", **headers)


def _reply(body: dict[str, Any], text: str, *, finish: str = "stop") -> dict[str, Any]:
    usage = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
    if "input" in body:
        part = {"type": "output_text", "text": text}
        items = [{"type": "reasoning", "summary": [{"text": "Hm."}]}, {"type": "message", "content": [part]}]
        counts = {"input_tokens": 7, "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 2}}
        return {"id": "r", "model": body["model"], "status": "completed", "output": items, "usage": counts}
    message = {"role": "assistant", "content": text, "reasoning_content": None}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {"id": "c", "model": body["model"], "choices": [choice], "usage": usage}


async def _send(request: web.Request, body: dict[str, Any], reply: dict[str, Any]) -> web.StreamResponse:
    if not body.get("stream"):
        return web.json_response(reply)
    response = await _begin_stream(request)
    if "input" in body:
        await response.write(_event({"type": "response.output_text.delta", "delta": "x"}))
        await response.write(_event({"type": "response.completed", "response": reply}))
        return response
    await response.write(b": keep-alive\n\n")
    choice = reply["choices"][0]
    for name, value in choice["message"].items():
        step = max(1, len(value or "") // 7)
        for i in range(0, len(value or ""), step):
            delta = {name: value[i : i + step]}
            await response.write(_event({"model": reply["model"], "choices": [{"index": 0, "delta": delta}]}))
    await response.write(_event({"choices": [{"delta": {}, "finish_reason": choice["finish_reason"]}]}))
    await response.write(_event({"choices": [], "usage": reply["usage"]}) + b"data: [DONE]\n\n")
    return response


async def _begin_stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    return response


def _event(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\r\n\r\n".encode()
