"""An author behind an OpenAI-compatible endpoint: chat completions or responses, one URL or several.

Invariant: the API key is in a request's header and nowhere else: no message, payload, repr or log has it.
Start here; `connection.py` says how a server is asked, `window.py` runs the requests, `http.py` one exchange,
`replies.py` reads what came back.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from lakon.backends.endpoint.connection import Connection
from lakon.backends.endpoint.http import parse_json
from lakon.backends.endpoint.replies import reply_of
from lakon.backends.endpoint.window import RequestWindow
from lakon.backends.reasoning_formats import as_mapping
from lakon.core.errors import Fault, near_miss
from lakon.core.protocols import Payload, Reply, Request

CHECK_TIMEOUT_S = 20.0
UNLISTED = frozenset({400, 404, 405, 501})
"""Statuses of `GET /models` that only say that the server has no such list."""


@dataclass(kw_only=True, repr=False, eq=False)
class EndpointAuthor(Connection):
    """Asks an endpoint. Built from plain values; one instance may be used by one thread at a time."""

    identity: object
    prefills_think: bool = False
    """Whether the chat template writes the opening think tag, so that a reply begins inside of it."""

    def __repr__(self) -> str:
        return f"EndpointAuthor(model={self.model!r}, urls={[self.show_url(url) for url in self.urls]!r})"

    def __getstate__(self) -> object:
        raise TypeError("an EndpointAuthor holds a key and a live stop event; build it where it is used")

    @property
    def paid(self) -> bool:
        """Every reply goes through the ledger."""
        return True

    @property
    def may_retry(self) -> bool:
        """A server that failed may be well again."""
        return True

    # -- the author ----------------------------------------------------------------------------------------

    def ask(
        self,
        requests: Sequence[Request],
        put: Callable[[str, Payload], None],
        *,
        all_requests: Sequence[Request] | None = None,
        has_answered: Callable[[], bool] | None = None,
    ) -> None:
        """Ask every request in one sliding window; returns early, without an error, once `stop` is set."""
        batches = iter([list(requests)])
        self.ask_live(lambda: next(batches, None), put, has_answered=has_answered)

    def ask_live(
        self,
        more: Callable[[], list[Request] | None],
        put: Callable[[str, Payload], None],
        *,
        has_answered: Callable[[], bool] | None = None,
    ) -> None:
        """As `ask`, with requests as they become known; see `LiveAuthor`."""
        self.note_answered(has_answered)
        _run(RequestWindow(self, more, put).run())

    def parse(self, payload: Payload) -> Reply:
        """One payload in the common schema; never raises."""
        return reply_of(payload, prefills_think=self.prefills_think)

    def check(self) -> list[Fault]:
        """What would keep every request from working, found without a paid one."""
        faults: list[Fault] = []

        async def all_urls() -> None:
            async with self.open_session() as session:
                checks = [self._check(session, url, proxy) for url, proxy in self.list_addresses()]
                faults.extend(fault for fault in await asyncio.gather(*checks) if fault)

        _run(all_urls())
        return faults

    async def _check(self, session: aiohttp.ClientSession, url: str, proxy: dict[str, Any]) -> Fault | None:
        limit = aiohttp.ClientTimeout(total=CHECK_TIMEOUT_S)
        try:
            async with session.get(f"{url}/models", timeout=limit, **proxy) as response:
                status, raw = response.status, self.remove_key(await response.read())
        except aiohttp.ClientConnectorCertificateError as error:
            found = self.remove_key_from_text(f"{type(error).__name__}: {error}")
            remedy = "name the authority that signed it in the variable SSL_CERT_FILE, or correct the url"
            return Fault(self.show_url(url), found, "a certificate that this machine trusts", remedy)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            return self._unreachable_fault(url, f"{type(error).__name__}: {error}")
        if status in {401, 403}:
            return self.key_fault(url, f"HTTP {status}")
        # A server that cannot list its models may serve them all the same: `transformers serve` answers 500 here when
        # it has no cache to scan. Whether it works, the first requests say.
        if status in UNLISTED or status >= 500:
            return None
        if status != 200:
            return self._unreachable_fault(url, f"GET /models gives HTTP {status}")
        return self._model_fault(url, _listed(raw))

    def _unreachable_fault(self, url: str, found: str) -> Fault:
        expected = "a running OpenAI-compatible server"
        return Fault(
            self.show_url(url), self.remove_key_from_text(found), expected, "start the server, or correct the url"
        )

    def _model_fault(self, url: str, listed: Sequence[str]) -> Fault | None:
        plain = self.model.partition(":")[0]
        if not listed or any(name in {self.model, plain} or name.endswith(f"/{plain}") for name in listed):
            return None
        found = f"no model {self.model!r} here"
        return Fault(self.show_url(url), found, near_miss(self.model, listed), "correct the model's name")


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end from any thread, also from one that has an event loop already (a notebook's)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(work)
        return
    raised: list[BaseException] = []

    def in_thread() -> None:
        try:
            asyncio.run(work)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=in_thread, name="endpoint")
    thread.start()
    thread.join()
    if raised:
        raise raised[0]


def _listed(raw: bytes) -> list[str]:
    body = parse_json(raw)
    rows = as_mapping(body).get("data") if isinstance(body, dict) else body
    names = [as_mapping(row).get("id") for row in rows] if isinstance(rows, list) else []
    return [name for name in names if isinstance(name, str)]
