"""How many requests at once, where to, and how fast: the arithmetic of the window, without any I/O.

Invariant: nothing here reads a clock or sleeps; every function is given the time, so tests need no waiting.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from lakon.core.messages import Messages

BACKOFF_MAX_S = 60.0


def backoff_s(failures: int, base_s: float) -> float:
    """Seconds before the next attempt after `failures` of them: doubling, with jitter over its upper half."""
    return min(base_s * 2 ** min(failures - 1, 16), BACKOFF_MAX_S) * random.uniform(0.5, 1.0)


class Window:
    """How many requests may be in flight: additive increase, multiplicative decrease."""

    def __init__(self, ceiling: int) -> None:
        self._ceiling = ceiling
        self._limit = float(ceiling)
        self._cut_at = float("-inf")

    @property
    def limit(self) -> int:
        """Whole requests, at least one."""
        return max(1, int(self._limit))

    def grow(self) -> None:
        """After a success; a window's worth adds a twentieth of the ceiling, since replies take minutes."""
        if self._limit < self._ceiling:
            self._limit = min(self._ceiling, self._limit + max(1.0, self._ceiling / 20) / self._limit)

    def shrink(self, began: float, now: float) -> None:
        """After congestion met by a request begun at `began`; those from before the last cut don't count."""
        if began >= self._cut_at:
            self._limit = max(1.0, self._limit * 0.7)
            self._cut_at = now


@dataclass(slots=True)
class Route:
    """One URL, with what is in flight there and whether it is to be left alone for now."""

    url: str
    proxy: dict[str, object] = field(default_factory=dict)
    in_flight: int = 0
    refusals: int = 0
    """Connections refused in a row; while there are any, one request at a time probes."""
    answered: bool = False
    open_at: float = 0.0
    """Not before this time."""

    def is_free(self, now: float) -> bool:
        """Whether a request may be sent here."""
        return now >= self.open_at and not (self.refusals and self.in_flight)

    def count_refusal(self, began: float, now: float, base_s: float) -> None:
        """A connection could not be made; refusals of requests that began together count once."""
        if began >= self.open_at:
            self.refusals += 1
            self.open_at = now + backoff_s(self.refusals, base_s)

    def pause(self, now: float, seconds: float) -> None:
        """The server asked not to be asked for so long."""
        self.open_at = max(self.open_at, now + seconds)


class Routes:
    """The URLs of one endpoint; the least busy one is next."""

    def __init__(self, routes: list[Route], began: float) -> None:
        self.all = routes
        self._answered_at = began
        self._turn = 0

    def choose(self, now: float) -> Route | None:
        """The free route with the fewest requests in flight, in turn when several have."""
        free = [route for route in self.all if route.is_free(now)]
        if not free:
            return None
        self._turn += 1
        fewest = min(route.in_flight for route in free)
        idle = [route for route in free if route.in_flight == fewest]
        return idle[self._turn % len(idle)]

    def opens_in(self, now: float) -> float | None:
        """Seconds until a closed route opens; None when only a request in flight can open one."""
        waits = [route.open_at - now for route in self.all if route.open_at > now]
        return min(waits, default=None)

    def count_answer(self, route: Route, now: float) -> None:
        """An HTTP response of any kind came from `route`."""
        route.answered, route.refusals = True, 0
        self._answered_at = now

    def silent_s(self, now: float) -> float:
        """For how long every route has refused connections; 0 while one of them accepts."""
        return now - self._answered_at if all(route.refusals for route in self.all) else 0.0

    def are_lost(self, now: float, outage_s: float) -> bool:
        """Whether all are refusing: from the start, or for longer than an outage may last."""
        if not all(route.refusals for route in self.all):
            return False
        return not any(route.answered for route in self.all) or now - self._answered_at > outage_s


class Bucket:
    """A budget per minute that refills steadily. What was used more than guessed is a debt to wait off."""

    def __init__(self, per_minute: float | None, *, burst_s: float = 1.0) -> None:
        self._rate = per_minute / 60 if per_minute else None
        self._capacity = max(1.0, self._rate * burst_s) if self._rate else 0.0
        self._level = self._capacity
        self._at: float | None = None

    def wait_s(self, cost: float, now: float) -> float:
        """Seconds until `cost` can be taken; more than the whole budget needs just a full one."""
        if self._rate is None:
            return 0.0
        elapsed = now - self._at if self._at is not None else 0.0
        self._level = min(self._capacity, self._level + elapsed * self._rate)
        self._at = now
        missing = min(cost, self._capacity) - self._level
        # The margin keeps a timer that fires a hair early from being set again and again.
        return missing / self._rate if missing > 1e-6 else 0.0

    def take(self, cost: float) -> None:
        """Spend `cost`; negative gives back."""
        if self._rate is not None:
            self._level -= cost


class Pace:
    """Requests and tokens per minute; what a reply will take is guessed from those before it."""

    def __init__(self, requests_per_minute: float | None, tokens_per_minute: float | None) -> None:
        self._requests = Bucket(requests_per_minute)
        self._tokens = Bucket(tokens_per_minute, burst_s=5.0)
        self._mean = 1000.0

    def guess(self, messages: Messages, max_tokens: int) -> float:
        """Tokens that a request will take, all of its messages counted."""
        n_chars = sum(len(message.content) for message in messages)
        return n_chars / 4 + min(self._mean, max_tokens)

    def wait_s(self, tokens: float, now: float) -> float:
        """Seconds until a request of so many tokens may start."""
        return max(self._requests.wait_s(1, now), self._tokens.wait_s(tokens, now))

    def start(self, tokens: float) -> None:
        """A request starts."""
        self._requests.take(1)
        self._tokens.take(tokens)

    def settle(self, guessed: float, used: float | None, completion: float | None) -> None:
        """It used this many; the difference goes back, and the guess learns."""
        if used is not None:
            self._tokens.take(used - guessed)
        if completion is not None:
            self._mean += 0.05 * (completion - self._mean)
