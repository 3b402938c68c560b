"""How far one step is, in counts, rates and one line of text."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from lakon.core.score_text import format_duration, format_money, pluralise

_STEADY_S = 0.5


@dataclass(slots=True)
class Meter:
    """How far one step is; safe to advance from several threads."""

    name: str
    total: int = 0
    done: int = 0
    before: int = 0
    """Done before this run: not counted in the rate."""
    unit: str = "rows"
    figures: dict[str, float] = field(default_factory=dict[str, float])
    began: float = field(default_factory=time.monotonic)
    shown: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, total: int, *, done: int = 0, unit: str = "rows") -> None:
        """Say how much there is, and how much of it was there already."""
        with self._lock:
            self.total, self.done, self.before, self.unit = total, done, done, unit
            lost = {name: n for name, n in self.figures.items() if name == "lost"}  # said before the step has begun
            self.began, self.figures = time.monotonic(), lost

    def advance(self, n: int = 1, **figures: float) -> None:
        """`n` more are done; figures are added up, except a loss, which replaces the last one."""
        with self._lock:
            self.done += n
            for name, value in figures.items():
                self.figures[name] = value if name == "loss" else self.figures.get(name, 0.0) + value

    def show(self, **figures: float) -> None:
        """Figures of this moment, which replace those shown before."""
        with self._lock:
            self.figures |= figures

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def rate(self) -> float:
        """Units a second in this run; 0 while it is too early to tell."""
        return (self.done - self.before) / self.seconds if self.seconds > _STEADY_S else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds to go at this rate."""
        return (self.total - self.done) / self.rate if self.rate > 0 and self.total else None

    def facts(self) -> dict[str, Any]:
        """The meter as plain values, for the status file."""
        shown = {"step": self.name, "done": self.done, "total": self.total, "unit": self.unit}
        figures = {**shown, "rate": round(self.rate, 3), "left_s": self.left_s, **self.figures}
        return {**figures, "text": self.describe()}

    def describe(self) -> str:
        """`512/1,024 traces, 33.1/s, 9,120 tokens/s, 2 errors, 0:15 left`; without a total, `512 traces, 33.1/s`."""
        if self.figures.get("starting_s"):
            return f"server starting, {format_duration(self.figures['starting_s'])}"
        if not self.total and not self.done:
            return "starting"
        parts = [f"{self.done:,}/{self.total:,} {self.unit}" if self.total else f"{self.done:,} {self.unit}"]
        if self.rate > 0:
            parts.append(f"{self.rate:,.1f}/s")
        if self.figures.get("tokens") and self.rate > 0:
            parts.append(f"{self.figures['tokens'] / self.seconds:,.0f} tokens/s")
        if "loss" in self.figures:
            parts.append(f"loss {self.figures['loss']:.3f}")
        if self.figures.get("cost"):
            parts.append(f"cost {format_money(self.figures['cost'])}")
        if self.figures.get("in_flight"):
            parts.append(f"{int(self.figures['in_flight'])} in flight")
        if self.figures.get("silent_s"):
            retries = pluralise(int(self.figures.get("retries", 0)), "retry", "retries")
            parts.append(f"no connection for {self.figures['silent_s']:,.0f} s, {retries}")
        if self.figures.get("errors"):
            parts.append(f"{pluralise(int(self.figures['errors']), 'error')}{self._kinds()}")
        if self.figures.get("lost"):
            parts.append(f"{pluralise(int(self.figures['lost']), 'damaged record')} of the ledger asked again")
        if self.left_s is not None and self.done < self.total:
            parts.append(f"{format_duration(self.left_s)} left")
        return ", ".join(parts)

    def _kinds(self) -> str:
        """` (3 timeout, 1 server_error)`."""
        kinds = {k.removeprefix("error: "): int(n) for k, n in self.figures.items() if k.startswith("error: ")}
        ordered = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
        return f" ({', '.join(f'{n} {kind}' for kind, n in ordered[:4])})" if ordered else ""
