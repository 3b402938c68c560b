"""What a request needs of its server: addresses, headers, body, limits, and messages without secrets.

Invariant: the API key is in a request's header and nowhere else: no message, payload, repr or log has it.
"""

from __future__ import annotations

import json
import re
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
import yarl

from lakon.backends.endpoint.flow_control import Pace
from lakon.backends.endpoint.http import Failure
from lakon.core.errors import AuthorError, Fault, near_miss
from lakon.core.protocols import Request
from lakon.core.spending import Account

PATHS = {"chat": "/chat/completions", "responses": "/responses", "completions": "/completions"}
_CONVERSATION = {"chat": "messages", "responses": "input"}
"""The field of a body in which the conversation stands."""


@dataclass(slots=True)
class AskProgress:
    """How far an `ask` is; whoever is told gets a copy."""

    total: int = 0
    """Requests that have become known so far."""
    done: int = 0
    errors: int = 0
    """Of those done: requests that failed for good."""
    retries: int = 0
    in_flight: int = 0
    limit: int = 0
    """How many may be in flight at the moment."""
    silent_s: float = 0.0
    """For how long no URL has accepted a connection; 0 while one does."""
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(kw_only=True, repr=False, eq=False)
class Connection:
    """One server and how it is asked: addresses, key, body, limits. Built from plain values."""

    model: str
    urls: Sequence[str]
    """Base URLs, usually ending in `/v1`; requests go to the least busy."""
    api_key: str | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """`temperature` and `top_p` (1.0 unless said, and always sent: servers have defaults of their own),
    `top_k`, and under `extra` whatever else the body shall carry. None leaves a field out."""
    api: str = "chat"
    stream: bool = False
    concurrency: int = 64
    timeout_s: float = 600.0
    """For one request from its start to the last byte."""
    idle_timeout_s: float = 120.0
    """Without a byte, once a stream has begun."""
    connect_timeout_s: float = 30.0
    retries: int = 6
    backoff_s: float = 0.5
    outage_s: float = 120.0
    """How long every URL may refuse connections after having worked."""
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    stop_after_error_rate: float = 0.5
    stop_after_errors: int = 50
    """Finished requests before the error rate can end the run."""
    send_seed: bool = False
    account: Account = field(default_factory=Account)
    """Where each request asks for room in the budget."""
    on_progress: Callable[[AskProgress], None] | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    """Once set, nothing new is asked; `ask` returns when what is in flight has come home."""

    def __post_init__(self) -> None:
        if self.api not in PATHS:
            raise AuthorError(f"api = {self.api!r}", near_miss(self.api, PATHS), "correct the api")
        if not self.urls:
            raise AuthorError("no URL", "at least one base URL", "set [run].endpoints.NAME.url")
        self._cap = "max_output_tokens" if self.api == "responses" else "max_tokens"
        self._template = self._body()
        self.pace = Pace(self.requests_per_minute, self.tokens_per_minute)
        self._secrets = _spellings(self.api_key)
        self.answered = False
        """Whether it has answered such requests, in an earlier `ask` or an earlier run: then a refusal is about its
        row."""

    def note_answered(self, has_answered: Callable[[], bool] | None) -> None:
        """Ask once whether an earlier run had replies from here, unless this one has had some."""
        if not self.answered and has_answered is not None:
            self.answered = has_answered()

    @property
    def path(self) -> str:
        """What follows the base URL."""
        return PATHS[self.api]

    def open_session(self) -> aiohttp.ClientSession:
        """Connections that are kept alive, as many as the window wants."""
        headers = {"Content-Type": "application/json", "User-Agent": "lakon"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        timeout = aiohttp.ClientTimeout(total=self.timeout_s, sock_connect=self.connect_timeout_s)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=headers,
            timeout=timeout,
        )

    def list_addresses(self) -> list[tuple[str, dict[str, Any]]]:
        """Each base URL with the proxy that the environment names for it.

        Looked up once: aiohttp's `trust_env` would do it for each request, and take logins from ~/.netrc.
        """
        # A login in the URL would be a second Authorization header beside the key.
        urls = [str(yarl.URL(url).with_user(None)) if self.api_key else url for url in self.urls]
        bases = [url.rstrip("/").removesuffix(self.path).rstrip("/") for url in urls]
        return [(url, _proxy(url)) for url in bases]

    def encode(self, request: Request) -> bytes:
        """The body of a request."""
        body = {**self._template, self._cap: request.max_tokens}
        if self.send_seed:
            body["seed"] = request.seed
        messages = request.messages
        if self.api == "responses" and messages[0].role == "system":
            body["instructions"] = messages[0].content
            messages = messages[1:]
        body[_CONVERSATION[self.api]] = [message._asdict() for message in messages]
        try:
            return orjson.dumps(body)
        except TypeError:  # a lone surrogate in a message
            return json.dumps(body).encode()

    def _body(self) -> dict[str, Any]:
        extra = self.sampling.get("extra") or {}
        stated = {name: value for name, value in self.sampling.items() if name not in {"extra", "max_tokens"}}
        body = {"model": self.model, "temperature": 1.0, "top_p": 1.0, **stated, **extra}
        if self.stream:
            body["stream"] = True
            if self.api == "chat":
                body["stream_options"] = {"include_usage": True}
        return {name: value for name, value in body.items() if value is not None}

    def adapted_to(self, failure: Failure) -> bool:
        """Whether the cap now has the name that the server asks for, so that asking again may work."""
        if failure.status != 400 or "max_completion_tokens" not in failure.message or self.api != "chat":
            return False
        # Requests sent before the change fail once more with the old name in the message.
        self._cap = "max_completion_tokens"
        return "'max_tokens'" in failure.message or "`max_tokens`" in failure.message

    # -- messages without secrets --------------------------------------------------------------------------

    def remove_key(self, raw: bytes) -> bytes:
        """`raw` without the key, should the server have repeated it."""
        for secret in self._secrets:
            if secret in raw:
                raw = raw.replace(secret, b"***")
        return raw

    def remove_key_from_text(self, text: str) -> str:
        return self.remove_key(text.encode(errors="replace")).decode(errors="replace")

    def show_url(self, url: str) -> str:
        """A URL as messages show it: no login, no query."""
        parts = urllib.parse.urlsplit(url)
        return self.remove_key_from_text(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")

    def refusal_fault(self, failure: Failure, url: str) -> AuthorError:
        """The fault of the whole that a response speaks of."""
        found = f"HTTP {failure.status}: {failure.message}" if failure.status else failure.message
        if failure.kind in {"unauthorized", "forbidden"}:
            fault = self.key_fault(url, found)
            return AuthorError(fault.found, fault.expected, fault.remedy, where=fault.where)
        if failure.kind in {"payment_required", "quota"}:
            return AuthorError(found, "an account with credit", "top it up and run again", where=self.show_url(url))
        expected = f"the model {self.model!r} at {self.path}"
        remedy = "correct the model or the url"
        if failure.status == 404 and not re.search(r"/v\d+\w*(/|$)", urllib.parse.urlsplit(url).path):
            remedy = f"most servers are at /v1: try {self.show_url(url)}/v1, or else {remedy}"
        return AuthorError(found, expected, remedy, where=self.show_url(url))

    def unreachable_fault(self, failure: Failure, succeeded: bool) -> AuthorError:
        """No URL accepts connections."""
        since = f"no connection for {self.outage_s:.0f} s" if succeeded else "no connection"
        remedy = "start the server or correct the url, then run again: every reply so far is kept"
        where = ", ".join(self.show_url(url) for url in self.urls)
        return AuthorError(f"{since}: {failure.message}", "a running server", remedy, where=where)

    def key_fault(self, url: str, found: str) -> Fault:
        have = "the key was not accepted" if self.api_key else "there is no key"
        remedy = "set api_key_env to the variable that holds a valid key, and check what the key may use"
        return Fault(self.show_url(url), f"{found}: {have}", "a key that this server accepts", remedy)


def _proxy(url: str) -> dict[str, Any]:
    parts = urllib.parse.urlsplit(url)
    proxies = urllib.request.getproxies()
    named = proxies.get(parts.scheme) or proxies.get("all")
    if not named or not named.startswith("http") or urllib.request.proxy_bypass(parts.hostname or ""):
        return {}
    address = yarl.URL(named)
    login = aiohttp.BasicAuth(address.user, address.password or "") if address.user else None
    return {"proxy": address.with_user(None), "proxy_auth": login}


def _spellings(key: str | None) -> list[bytes]:
    """The key as it may stand in a response: plain, or escaped as JSON text."""
    if not key:
        return []
    plain, escaped = key.encode(), json.dumps(key)[1:-1].encode()
    return sorted({plain, escaped, plain.replace(b"/", b"\\/")})
