"""One `ask`: a sliding window over all requests, with retries in the same queue and no barrier anywhere.

Invariant: what the server returned is handed to `put` before anything interprets it; one bad row never costs
another; only faults of the whole raise, and what is in flight comes home first unless nothing ever succeeded.
Read `flow_control.py` for the arithmetic and `http.py` for what failures mean.
"""

from __future__ import annotations

import asyncio
import collections
import heapq
import itertools
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from lakon.backends.endpoint.connection import AskProgress, Connection
from lakon.backends.endpoint.flow_control import Route, Routes, Window, backoff_s
from lakon.backends.endpoint.http import Failure, FailureCategory, Success, send_request
from lakon.backends.endpoint.replies import Usage, usage_of
from lakon.core.errors import AuthorError, BudgetSpent, LakonError
from lakon.core.protocols import Payload, Request
from lakon.core.spending import NOTHING, Admission, Spent

log = logging.getLogger(__name__)

More = Callable[[], "list[Request] | None"]
"""See `LiveAuthor.ask_live`."""

TICK_S = 0.2
"""How often a stop is noticed and progress is told."""
THROTTLES_PER_RETRY = 4
"""A server that says "slower" is working: such answers use up a quarter of a retry each."""
RECENT = 200
"""Finished requests over which the error rate is taken."""
_PASSING = {FailureCategory.RETRY, FailureCategory.THROTTLED}
"""What may pass when the same request is made again."""
FIRST_NOT_FOUND = 3
"""First answers that must all be "not found" before the model or the path is taken to be wrong."""


@dataclass(slots=True)
class Attempt:
    """A request on its way through the queue."""

    request: Request
    tries: int = 0
    throttles: int = 0
    held: Spent = NOTHING
    """Room in the budget that is held while this is in flight."""


class RequestWindow:
    """The state of one `ask`."""

    def __init__(self, connection: Connection, more: More, put: Callable[[str, Payload], None]) -> None:
        now = time.monotonic()
        self._connection = connection
        self._more = more
        self._more_later = True
        """Whether `more` may know of further requests without a reply from here."""
        self._fresh: Iterator[Request] = iter(())
        self._next: Attempt | None = None
        self._put = put
        self._retries: list[tuple[float, int, Attempt]] = []
        self._order = itertools.count()
        self._window = Window(connection.concurrency)
        self._routes = Routes([Route(url, proxy) for url, proxy in connection.list_addresses()], now)
        self._pace = connection.pace
        self._flying: set[asyncio.Task[None]] = set()
        self._recent: collections.deque[bool] = collections.deque(maxlen=max(RECENT, connection.stop_after_errors))
        self._kinds: collections.Counter[str] = collections.Counter()
        self._said: dict[str, str] = {}
        self._held: list[tuple[str, Payload]] = []
        self._succeeded = False
        self._stopping: LakonError | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.progress = AskProgress()

    async def run(self) -> None:
        """Ask everything. Raises `AuthorError` for a fault of the whole, `RunStopped` when the budget has no room for
        another request, and whatever `put` raises."""
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        async with self._connection.open_session() as self._session:
            ticker = asyncio.create_task(self._tick())
            try:
                self._fill()
                await self._over
            finally:
                ticker.cancel()
                if self._timer:
                    self._timer.cancel()
                for task in self._flying:
                    task.cancel()
                await asyncio.gather(*self._flying, ticker, return_exceptions=True)
                self._tell()
        self._release_held()

    # -- the window ----------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Start as many requests as may start now; end when nothing is left."""
        if self._over.done():
            return
        try:
            wait_s = self._start_all()
        except Exception as error:
            self._end(error)
            return
        drained = self._next is None and not self._retries and not self._more_later
        if not self._flying and (self._halted or drained):
            self._end(self._stopping)
        elif wait_s is not None:
            self._wake_in(wait_s)

    def _start_all(self) -> float | None:
        """Seconds after which more may start; None when only a request in flight can make room."""
        while len(self._flying) < self._window.limit and not self._halted:
            now = time.monotonic()
            if (attempt := self._peek(now)) is None:
                return self._retries[0][0] - now if self._retries else None
            if (route := self._routes.choose(now)) is None:
                return self._routes.opens_in(now)
            tokens = self._pace.guess(attempt.request.messages, attempt.request.max_tokens)
            if (wait_s := self._pace.wait_s(tokens, now)) > 0:
                return wait_s
            if (admission := self._admit(attempt)) is not Admission.YES:
                return TICK_S if admission is Admission.LATER else None
            self._pop(attempt)
            self._pace.start(tokens)
            route.in_flight += 1
            task = asyncio.create_task(self._one(attempt, route, tokens))
            self._flying.add(task)
            task.add_done_callback(self._landed)
        return None

    def _peek(self, now: float) -> Attempt | None:
        """What is next: a retry that is due, else a fresh request."""
        if self._retries and self._retries[0][0] <= now:
            return self._retries[0][2]
        if self._next is None and (request := self._fresh_one()) is not None:
            self._next = Attempt(request)
        return self._next

    def _fresh_one(self) -> Request | None:
        request = next(self._fresh, None)
        if request is None:
            requests = self._more()
            self._more_later = requests is not None
            self.progress.total += len(requests or ())
            self._fresh = iter(requests or ())
            request = next(self._fresh, None)
        return request

    def _admit(self, attempt: Attempt) -> Admission:
        """Hold room in the budget; without any left, the run is over once what is in flight has come home."""
        admission, held = self._connection.account.admit(attempt.request.messages, attempt.request.max_tokens)
        if admission is Admission.YES:
            attempt.held = held
        elif admission is Admission.NEVER:
            found, expected = self._connection.account.describe(held)
            todo = "raise run.budget and run the same command again: every reply so far is kept"
            self._stopping = self._stopping or BudgetSpent(found, expected, todo, where="run.budget")
        return admission

    def _pop(self, attempt: Attempt) -> None:
        if attempt is self._next:
            self._next = None
        else:
            heapq.heappop(self._retries)

    def _wake_in(self, seconds: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(max(0.001, seconds), self._fill)

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._flying.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._end(error)
        self._fill()

    def _end(self, error: BaseException | None) -> None:
        if not self._over.done():
            if error:
                self._over.set_exception(error)
            else:
                self._over.set_result(None)

    @property
    def _halted(self) -> bool:
        return self._stopping is not None or self._connection.stop.is_set()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._tell()
            self._fill()

    def _tell(self) -> None:
        if self._connection.on_progress:
            silent_s = self._routes.silent_s(time.monotonic())
            flying, limit = len(self._flying), self._window.limit
            self._connection.on_progress(replace(self.progress, in_flight=flying, limit=limit, silent_s=silent_s))

    # -- one request ---------------------------------------------------------------------------------------

    async def _one(self, attempt: Attempt, route: Route, tokens: float) -> None:
        began = time.monotonic()
        data = self._connection.encode(attempt.request)
        try:
            url = f"{route.url}{self._connection.path}"
            idle_s, clean = self._connection.idle_timeout_s, self._connection.remove_key
            result = await send_request(self._session, url, data, proxy=route.proxy, idle_s=idle_s, clean=clean)
        finally:
            route.in_flight -= 1
        if isinstance(result, Success):
            self._routes.count_answer(route, time.monotonic())
            self._keep(attempt, result, tokens)
        else:
            self._connection.account.settle(attempt.held, None)
            self._fail(attempt, route, result, began)

    def _keep(self, attempt: Attempt, success: Success, tokens: float) -> None:
        payload: dict[str, object] = {
            "api": self._connection.api,
            "status": 200,
            "body": success.body,
            "served_model": success.body.get("model"),
            "max_tokens": attempt.request.max_tokens,
            "latency_s": success.latency_s,
            "tries": attempt.tries + attempt.throttles + 1,
        }
        if success.ttft_s is not None:
            payload["ttft_s"] = success.ttft_s
        self._put(attempt.request.key, payload)
        self._succeeded = self._connection.answered = True
        self._release_held()
        self._window.grow()
        usage = usage_of(success.body)
        self._connection.account.settle(attempt.held, _used(usage, attempt.held))
        used = (usage.prompt_tokens or 0) + (usage.completion_tokens or 0)
        self._pace.settle(tokens, used or None, usage.completion_tokens)
        self._count(None, prompt=usage.prompt_tokens or 0, completion=usage.completion_tokens or 0)

    def _fail(self, attempt: Attempt, route: Route, failure: Failure, began: float) -> None:
        now = time.monotonic()
        if failure.category is FailureCategory.UNREACHABLE:
            self._unreachable(attempt, route, failure, began)
            return
        if failure.status is not None:
            self._routes.count_answer(route, now)
        if failure.congested:
            self._window.shrink(began, now)
        if failure.retry_after_s:
            route.pause(now, failure.retry_after_s)
        if self._is_about_the_whole(failure):
            self._stop_because(failure, route)
        elif failure.category in _PASSING and self._requeue(attempt, failure, now):
            return
        elif self._connection.adapted_to(failure):
            self._again(attempt, now)
        elif not self._halted or failure.category not in _PASSING:
            self._give_up(attempt, failure, route)

    def _unreachable(self, attempt: Attempt, route: Route, failure: Failure, began: float) -> None:
        """The request is not to blame: it waits, and only an endpoint that stays away ends the run."""
        now = time.monotonic()
        route.count_refusal(began, now, self._connection.backoff_s)
        self._again(attempt, now)
        if self._routes.are_lost(now, self._connection.outage_s):
            self._stopping = self._stopping or self._connection.unreachable_fault(failure, self._succeeded)

    def _requeue(self, attempt: Attempt, failure: Failure, now: float) -> bool:
        """Back into the queue, unless the retries are used up or nothing new is to be asked."""
        throttled = failure.category is FailureCategory.THROTTLED
        spent = attempt.throttles if throttled else attempt.tries
        if self._halted or spent >= self._connection.retries * (THROTTLES_PER_RETRY if throttled else 1):
            return False
        attempt.throttles += throttled
        attempt.tries += not throttled
        wait_s = backoff_s(spent + 1, self._connection.backoff_s)
        self._again(attempt, now + max(wait_s, failure.retry_after_s or 0.0))
        return True

    def _again(self, attempt: Attempt, ready: float) -> None:
        heapq.heappush(self._retries, (ready, next(self._order), attempt))
        self.progress.retries += 1

    def _give_up(self, attempt: Attempt, failure: Failure, route: Route) -> None:
        payload: dict[str, object] = {
            "api": self._connection.api,
            "status": failure.status,
            "error": {"kind": failure.kind, "message": failure.message, "status": failure.status},
            "max_tokens": attempt.request.max_tokens,
            "tries": attempt.tries + attempt.throttles + 1,
        }
        if isinstance(failure.body, dict):
            payload["body"] = failure.body
        if failure.category is FailureCategory.MISDIRECTED and not self._works:
            self._held.append((attempt.request.key, payload))
            self._check_held(failure, route)
        else:
            self._put(attempt.request.key, payload)
        self._count(failure)
        self._check_rate(failure, route)

    # -- faults of the whole -------------------------------------------------------------------------------

    def _is_about_the_whole(self, failure: Failure) -> bool:
        if failure.category is FailureCategory.FORBIDDEN:
            return not self._works
        return failure.category is FailureCategory.WHOLE

    @property
    def _works(self) -> bool:
        """Whether the model, the path and the key have ever led to a reply, in this `ask` or another."""
        return self._connection.answered

    def _stop_because(self, failure: Failure, route: Route) -> None:
        self._stopping = self._stopping or self._connection.refusal_fault(failure, route.url)
        if not self._succeeded:
            # Nothing in flight can fare better, so there is nothing to wait for.
            self._end(self._stopping)

    def _check_held(self, failure: Failure, route: Route) -> None:
        """Not-found answers wait: a success makes them faults of their rows; without any, all are wrong."""
        if len(self._held) >= min(FIRST_NOT_FOUND, self.progress.total):
            self._held.clear()
            self._stop_because(failure, route)

    def _release_held(self) -> None:
        for key, payload in self._held:
            self._put(key, payload)
        self._held.clear()

    def _count(self, failure: Failure | None, *, prompt: int = 0, completion: int = 0) -> None:
        self._recent.append(failure is not None)
        self.progress.done += 1
        self.progress.errors += failure is not None
        self.progress.prompt_tokens += prompt
        self.progress.completion_tokens += completion

    def _check_rate(self, failure: Failure, route: Route) -> None:
        self._kinds[failure.kind] += 1
        self._said[failure.kind] = failure.message
        rate, n = sum(self._recent) / len(self._recent), len(self._recent)
        if n >= self._connection.stop_after_errors and rate > self._connection.stop_after_error_rate:
            kind, count = self._kinds.most_common(1)[0]
            self._stopping = self._stopping or AuthorError(
                f"{sum(self._recent)} of the last {n} requests failed; most often ({count}) {kind}: {self._said[kind]}",
                f"an error rate of at most {self._connection.stop_after_error_rate:.0%}",
                "mend what the message says and run again: every reply so far is kept",
                where=self._connection.show_url(route.url),
            )


def _used(usage: Usage, held: Spent) -> Spent:
    """What a reply took; a server that does not say is taken to have used all it could."""
    if usage.completion_tokens is None:
        return held
    return Spent(usage.prompt_tokens if usage.prompt_tokens is not None else held.prompt, usage.completion_tokens)
