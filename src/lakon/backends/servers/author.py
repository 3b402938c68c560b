"""A model in a folder as an author that is asked through a server, and answers as it would without one.

Prompts are rendered here, by the code that training and sampling use, and sent as token ids: a server that renders
them itself may differ by a token, and nothing would tell. Requests go through the window of any endpoint, so replies
are in the ledger before they are read, and a run that was killed asks only for what is missing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import orjson

from lakon.backends.chat_format import split_completion
from lakon.backends.checkpoint.author import read_sampled
from lakon.backends.checkpoint.tokens import Prompting, load_prompting
from lakon.backends.endpoint.author import EndpointAuthor
from lakon.backends.endpoint.connection import AskProgress
from lakon.backends.endpoint.replies import reply_of
from lakon.backends.reasoning_formats import as_mapping
from lakon.backends.servers.commands import ServerSettings, show_command
from lakon.backends.servers.pool import ServedModel, ServerPool
from lakon.backends.servers.self_test import Probe, read_chat_ids, run_self_test
from lakon.core.errors import InputError
from lakon.core.messages import Messages
from lakon.core.protocols import Payload, Reply, Request

_PROBES = 2


class EitherSet(threading.Event):
    """Set when the run is to stop or the server is gone: what the window of requests looks at."""

    def __init__(self, *checks: Callable[[], bool]) -> None:
        super().__init__()
        self._checks = checks

    def is_set(self) -> bool:
        return any(check() for check in self._checks)


@dataclass(kw_only=True, repr=False, eq=False)
class TokenEndpoint(EndpointAuthor):
    """An endpoint that is asked with token ids, at `/completions`."""

    encode_ids: Callable[[Messages], list[int]]
    context: int | None = None
    """The most tokens of a prompt and its answer."""

    def encode(self, request: Request) -> bytes:
        """The body of a request."""
        ids = self.encode_ids(request.messages)
        cap = request.max_tokens if self.context is None else min(request.max_tokens, self.context - len(ids))
        body: dict[str, Any] = {**self._template, self._cap: max(1, cap), "prompt": ids}
        if self.send_seed:
            body["seed"] = request.seed % 2**31
        return orjson.dumps(body)


class ServedCheckpoint:
    """Asks a model in a folder through servers of its own; its identity is that of the model sampled here."""

    paid = True
    may_retry = True

    def __init__(
        self,
        folder: str,
        identity: object,
        *,
        pool: ServerPool,
        settings: ServerSettings,
        temperature: float,
        top_p: float,
        top_k: int | None,
        stop: threading.Event,
        on_progress: Callable[[AskProgress], None] | None = None,
        on_start: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self.identity = identity
        self._folder, self._pool, self._settings = folder, pool, settings
        self._sampling = (temperature, top_p, top_k)
        self._stop, self._on_progress, self._on_start = stop, on_progress, on_start
        self.facts: dict[str, str] = {}
        """What served, in which version, and what its self-test found: known once it was asked."""

    def ask(
        self,
        requests: Sequence[Request],
        put: Callable[[str, Payload], None],
        *,
        all_requests: Sequence[Request] | None = None,
        has_answered: Callable[[], bool] | None = None,
    ) -> None:
        """Start the server where it is not up, test it, and ask. Raises `AuthorError` for one that fails its test or
        dies for good."""
        prompting = load_prompting(self._folder)
        if self._settings.api == "chat" and any(r.messages[-1].role == "assistant" for r in requests):
            raise InputError(
                "a turn that the model is to go on with, and a server that is asked for whole turns",
                "a server that takes token ids: run.serving.server vllm or sglang",
                "take the ways of prompting with thinking_tokens out, or another server",
                where="run.serving",
            )
        with self._pool.lease(self._folder, self._stop, self._on_start) as model:
            self._test(model, requests, prompting)
            endpoint = self._endpoint(model, prompting)
            asked = [request for request in requests if not self._answer_full(request, endpoint, put)]
            endpoint.ask(asked, put, has_answered=has_answered)
            failed = model.failed()
            if failed is not None and not self._stop.is_set():
                raise failed.failure()

    def parse(self, payload: Payload) -> Reply:
        """A reply of a server, or one that was sampled in this process: both stand in one ledger."""
        if "text" in payload:
            return read_sampled(payload)
        if payload.get("api") != "completions":
            return reply_of(payload)
        reply = reply_of(payload)
        if reply.error is not None:
            return reply
        choices = as_mapping(payload.get("body")).get("choices")
        first = as_mapping(choices[0]) if isinstance(choices, list) and choices else {}
        reasoning, answer, _ = split_completion(str(first.get("text") or ""))
        return Reply(
            reasoning=reasoning,
            answer=answer,
            finish_reason=reply.finish_reason,
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
            served_model=reply.served_model,
            latency_s=reply.latency_s,
        )

    # -- asking ----------------------------------------------------------------------------------------------

    def _endpoint(self, model: ServedModel, prompting: Prompting) -> EndpointAuthor:
        temperature, top_p, top_k = self._sampling
        sampling: dict[str, Any] = {"temperature": temperature, "top_p": top_p}
        if top_k is not None:
            sampling["top_k"] = top_k
        common: dict[str, Any] = {
            "identity": self.identity,
            "model": model.asked_as,
            "urls": model.urls,
            "concurrency": self._settings.concurrency * len(model.urls),
            "timeout_s": 24 * 3600.0,
            "outage_s": self._settings.start_s + 60.0,  # a server that died is started again
            "retries": 12,
            "send_seed": self._settings.seeded,
            "stop": EitherSet(self._stop.is_set, lambda: model.failed() is not None),
            "on_progress": self._on_progress,
        }
        if self._settings.api == "chat":
            return EndpointAuthor(sampling=sampling, **common)
        sampling["extra"] = {"stop_token_ids": list(prompting.end_ids)}
        return TokenEndpoint(
            api="completions", sampling=sampling, encode_ids=prompting.encode, context=model.context, **common
        )

    def _answer_full(self, request: Request, endpoint: EndpointAuthor, put: Callable[[str, Payload], None]) -> bool:
        """A prompt that fills the context is cut off before its first token, as it is without a server."""
        if not isinstance(endpoint, TokenEndpoint) or endpoint.context is None:
            return False
        if len(endpoint.encode_ids(request.messages)) < endpoint.context:
            return False
        put(request.key, {"text": "", "n_tokens": 0, "finish_reason": "length", "max_tokens": request.max_tokens})
        return True

    def _test(self, model: ServedModel, requests: Sequence[Request], prompting: Prompting) -> None:
        """Once a server: before anything that it says is counted."""
        with model.testing:
            if model.tested is None:
                probes: list[Probe] = []
                for request in requests[:_PROBES]:
                    turns = [message._asdict() for message in request.messages]
                    probes.append(Probe(prompting.encode(request.messages), turns))
                found = [
                    run_self_test(url, model.asked_as, probes, api=self._settings.api, end_ids=prompting.end_ids)
                    for url in model.urls
                ]
                chat = read_chat_ids(model.urls[0], model.asked_as, probes[0])
                model.tested = {
                    "server": self._settings.kind,
                    "server's version": _version_of(model) or "not told",
                    "started as": show_command(self._settings),
                    "self-test": ", ".join(found[0].passed),
                    "its own chat template": "not asked" if chat is None else _agrees(chat, probes[0].ids),
                }
                if found[0].not_taken:
                    model.tested["self-test, not taken"] = ", ".join(found[0].not_taken)
        self.facts = dict(model.tested)


def _agrees(chat: list[int], ids: list[int]) -> str:
    return "renders the same tokens" if chat == ids else f"renders {len(chat)} tokens, and training {len(ids)}"


def _version_of(model: ServedModel) -> str | None:
    process = model.processes[0]
    found = process.get("/version", base=process.url.removesuffix("/v1"))
    if isinstance(found, dict) and found.get("version"):
        return str(found["version"])[:80]
    try:
        return version("transformers") if "transformers" in process.command[0] else None
    except PackageNotFoundError:
        return None
