"""What paid calls take, and the budget that they may not exceed.

Invariant: a request starts only when the budget has room for the most that it can take, so a stated budget is never
exceeded, not even by what is in flight when it runs out. Authors of one study share one `Budget`; each has an
`Account` in it, with its own rates.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from lakon.core.messages import Messages
from lakon.core.score_text import format_money

PROMPT_BYTES_PER_TOKEN = 2
"""No tokenizer in use gives more than a token for every two bytes of ordinary prompts: a bound, not an estimate."""
TEMPLATE_TOKENS = 64
"""What a chat template adds to a conversation."""


class Spent(NamedTuple):
    """Tokens that calls took."""

    prompt: int = 0
    completion: int = 0

    def plus(self, other: Spent) -> Spent:
        """Both together."""
        return Spent(self.prompt + other.prompt, self.completion + other.completion)

    @property
    def tokens(self) -> int:
        """Prompt and completion."""
        return self.prompt + self.completion


NOTHING = Spent()


@dataclass(frozen=True, slots=True)
class Rate:
    """Money for a million tokens, in whatever currency the study states."""

    input_per_million: float = 0.0
    output_per_million: float = 0.0

    def cost(self, spent: Spent) -> float:
        """Money for these tokens."""
        return (spent.prompt * self.input_per_million + spent.completion * self.output_per_million) / 1e6


class Admission(Enum):
    """Whether a request may start."""

    YES = "yes"
    LATER = "later"
    """Only when requests in flight turn out to take less than they could."""
    NEVER = "never"
    """Not under this budget, whatever the requests in flight take."""


class Budget:
    """The most that all accounts together may take; safe to use from several threads."""

    def __init__(self, *, tokens: int | None = None, money: float | None = None) -> None:
        self.tokens, self.money = tokens, money
        self.spent = Spent()
        self.cost = 0.0
        self._held = Spent()
        self._held_cost = 0.0
        self._lock = threading.Lock()

    def __getstate__(self) -> object:
        raise TypeError("a Budget is shared by threads of one process; it has no copy")

    def add(self, spent: Spent, cost: float) -> None:
        """File what was spent, now or by an earlier run."""
        with self._lock:
            self.spent, self.cost = self.spent.plus(spent), self.cost + cost

    def admit(self, most: Spent, cost: float) -> Admission:
        """Hold room for a request that can take at most so much, if there is any."""
        with self._lock:
            if not self._fits(most.tokens, cost):
                return Admission.NEVER
            if not self._fits(most.tokens + self._held.tokens, cost + self._held_cost):
                return Admission.LATER
            self._held, self._held_cost = self._held.plus(most), self._held_cost + cost
            return Admission.YES

    def release(self, most: Spent, cost: float) -> None:
        """The request that held this room is over."""
        with self._lock:
            self._held = Spent(self._held.prompt - most.prompt, self._held.completion - most.completion)
            self._held_cost -= cost

    def _fits(self, tokens: int, cost: float) -> bool:
        if self.tokens is not None and self.spent.tokens + tokens > self.tokens:
            return False
        return self.money is None or self.cost + cost <= self.money + 1e-9

    def describe(self, most: Spent, cost: float) -> tuple[str, str]:
        """What was spent, and the limit in the way of a request that can take so much: for a message."""
        if self.tokens is not None and self.spent.tokens + most.tokens > self.tokens:
            return (
                f"{self.spent.tokens:,} tokens are spent, and one more request may take {most.tokens:,}",
                f"at most the {self.tokens:,} tokens of run.budget",
            )
        limit = self.money or 0.0
        return (
            f"{format_money(self.cost)} is spent, and one more request may cost {format_money(cost)}",
            f"at most run.budget's {format_money(limit)}",
        )


class Account:
    """One author's side of a budget."""

    def __init__(self, budget: Budget | None = None, rate: Rate | None = None) -> None:
        self.budget, self.rate = budget or Budget(), rate or Rate()

    def add_earlier(self, spent: Spent) -> None:
        """File what earlier runs spent on this author's calls."""
        self.budget.add(spent, self.rate.cost(spent))

    def admit(self, messages: Messages, max_tokens: int) -> tuple[Admission, Spent]:
        """Hold room for a request, all of its messages counted; what is held is to be given to `settle`."""
        n_bytes = sum(len(message.content.encode(errors="replace")) for message in messages)
        most = Spent(TEMPLATE_TOKENS + n_bytes // PROMPT_BYTES_PER_TOKEN, max_tokens)
        return self.budget.admit(most, self.rate.cost(most)), most

    def settle(self, held: Spent, used: Spent | None) -> None:
        """A request is over: it took `used`, or nothing when it failed."""
        self.budget.release(held, self.rate.cost(held))
        if used is not None:
            self.budget.add(used, self.rate.cost(used))

    def describe(self, held: Spent) -> tuple[str, str]:
        """See `Budget.describe`."""
        return self.budget.describe(held, self.rate.cost(held))
