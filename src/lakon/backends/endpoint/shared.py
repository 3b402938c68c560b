"""One endpoint that several steps ask at the same time: one window over all their requests, and each call made once.

Invariant: a call is asked once as long as this lives, whichever steps want it: who wants a call that is in flight waits
for its reply, and who wants one that has come takes it from the ledger. Steps wait for the window, never for one
another, and a window that ends lets all of them go, however it ended. So no step can leave another one hanging.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

from lakon.core.protocols import Payload, Reply, Request

if TYPE_CHECKING:
    from lakon.backends.endpoint.author import EndpointAuthor
    from lakon.backends.endpoint.connection import AskProgress

Put = Callable[[str, Payload], None]
Tell = Callable[["AskProgress"], None]


@dataclass(eq=False, slots=True)
class _Wait:
    """One step that waits for its calls."""

    tell: Tell | None
    n_open: int = 0
    """Calls without a reply."""
    given_up: bool = False
    """Whether the window ended before they had come."""
    failure: BaseException | None = None


@dataclass(eq=False, slots=True)
class _Call:
    """A call in the queue or in flight."""

    put: Put
    """Of the step that wanted it first: its reply is kept and counted once."""
    waits: list[_Wait] = field(default_factory=list[_Wait])


class SharedEndpoint:
    """The window of all steps at one endpoint: its concurrency, its rates and its budget are theirs together."""

    def __init__(self, author: EndpointAuthor) -> None:
        self.author = author
        author.on_progress = self._told
        self._changed = threading.Condition()
        self._asked: set[str] = set()
        """The keys of all calls so far; some hundred bytes each."""
        self._queue: list[Request] = []
        self._open: dict[str, _Call] = {}
        """Calls without a reply, in the order in which they are asked."""
        self._waiting: list[_Wait] = []
        self._serving = False

    def join(self, tell: Tell | None = None) -> StepEndpoint:
        """This endpoint for one step, which is told how far it is."""
        return StepEndpoint(self, tell)

    def ask(
        self,
        requests: Sequence[Request],
        put: Put,
        tell: Tell | None = None,
        *,
        has_answered: Callable[[], bool] | None = None,
    ) -> None:
        """Return when each request has a reply, be it put by `put` or by another step's, or when the author was
        stopped; raise what ended the window before that."""
        self.author.note_answered(has_answered)
        wait = _Wait(tell)
        with self._changed:
            for request in requests:
                self._join(request, put, wait)
            if self._queue and not self._serving:
                self._serving = True
                threading.Thread(target=self._serve, name="shared-endpoint", daemon=True).start()
            self._waiting.append(wait)
            self._changed.wait_for(lambda: not wait.n_open or wait.given_up)
            self._waiting.remove(wait)
        if wait.failure is not None:
            raise wait.failure

    def _join(self, request: Request, put: Put, wait: _Wait) -> None:
        call = self._open.get(request.key)
        if call is None:
            if request.key in self._asked:  # its reply came after the step had looked for it
                return
            call = self._open[request.key] = _Call(put)
            self._asked.add(request.key)
            self._queue.append(request)
        call.waits.append(wait)
        wait.n_open += 1

    # -- the window's thread ---------------------------------------------------------------------------------

    def _serve(self) -> None:
        failure: BaseException | None = None
        while self._goes_on(failure):
            try:
                self.author.ask_live(self._more, self._keep)
            except BaseException as error:  # whatever it is, those who wait must hear of it
                failure = error

    def _goes_on(self, failure: BaseException | None) -> bool:
        """Whether anything was asked for since the window ran dry; if not, those who still wait are let go."""
        with self._changed:
            if failure is None and self._queue and not self.author.stop.is_set():
                return True
            for call in self._open.values():
                for wait in call.waits:
                    wait.given_up, wait.failure = True, failure
            self._asked.difference_update(self._open)
            self._open.clear()
            self._queue.clear()
            self._serving = False
            self._changed.notify_all()
            return False

    def _more(self) -> list[Request] | None:
        # None even while steps are at work: a window that runs dry ends, and with it what it holds back. The next
        # request opens another one.
        with self._changed:
            queued, self._queue = self._queue, []
        return queued or None

    def _keep(self, key: str, payload: Payload) -> None:
        with self._changed:
            call = self._open[key]
        call.put(key, payload)  # the disk may take its time
        with self._changed:
            del self._open[key]
            for wait in call.waits:
                wait.n_open -= 1
            if not all(wait.n_open for wait in call.waits):
                self._changed.notify_all()

    def _told(self, asking: AskProgress) -> None:
        """Tell every step that waits; calls are asked in order, so the first ones are those in flight."""
        with self._changed:
            first = islice(self._open.values(), asking.in_flight)
            flying = Counter(wait for call in first for wait in call.waits)
            for wait in self._waiting:
                if wait.tell is not None:
                    wait.tell(replace(asking, in_flight=flying[wait]))


class StepEndpoint:
    """One step's side of a shared endpoint: an author like any other."""

    paid = True
    may_retry = True

    def __init__(self, shared: SharedEndpoint, tell: Tell | None) -> None:
        self._shared, self._tell = shared, tell

    @property
    def identity(self) -> object:
        """Who is asked."""
        return self._shared.author.identity

    def ask(
        self,
        requests: Sequence[Request],
        put: Put,
        *,
        all_requests: Sequence[Request] | None = None,
        has_answered: Callable[[], bool] | None = None,
    ) -> None:
        """See `SharedEndpoint.ask`: a reply that another step waits for as well is put by one of them."""
        self._shared.ask(requests, put, self._tell, has_answered=has_answered)

    def parse(self, payload: Payload) -> Reply:
        """One payload in the common schema; never raises."""
        return self._shared.author.parse(payload)
