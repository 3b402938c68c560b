"""What one step takes, as far as it is known, and sums over steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lakon.core.spending import Spent


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCost:
    """What one step takes; None is unknown. `money` is in the currency of the stated prices."""

    kind: str
    """`read` (traces that exist or cost nothing), `ask` (an endpoint), `judge` (an endpoint, about answers), `sample`
    (a student, base or checkpoint), or `train` (completion tokens)."""
    endpoint: str | None = None
    """Whom an `ask` asks, by the name under `run.endpoints`."""
    rows: int | None
    """Traces that are owed, or examples to train on."""
    tokens: int | None
    """Completion tokens."""
    prompt_tokens: int | None = None
    low: int | None = None
    high: int | None = None
    """95% bounds of `tokens`, when they are extrapolated."""
    kept: int = 0
    """Traces that the ledger has already: nothing is paid for them."""
    spent: Spent = Spent()  # noqa: RUF009
    """What those took."""
    longest: int | None = None
    """Tokens of the longest example to train on, where the arm is built."""
    at_most: bool = False
    """Whether `rows` is a bound: samples until the first correct one, a teacher that waits for another, or an endpoint
    of a study whose problems are not read yet."""
    gpu_hours: float | None = None
    money: float | None = None
    money_low: float | None = None
    money_high: float | None = None


def sum_costs(works: Sequence[StepCost], kind: str) -> StepCost:
    """The sum over works of one kind; a sum with an unknown part counts the known ones only. Bounds add up as if all
    estimates were off in the same direction: never too narrow."""
    whole = StepCost(kind=kind, rows=0, tokens=0, money=0.0)
    for work in works:
        if work.kind == kind:
            whole = _sum(whole, work)
    return whole


def _sum(a: StepCost, b: StepCost) -> StepCost:
    bounded = b.low is not None or a.low is not None
    return replace(
        a,
        rows=(a.rows or 0) + (b.rows or 0),
        tokens=(a.tokens or 0) + (b.tokens or 0),
        prompt_tokens=(a.prompt_tokens or 0) + (b.prompt_tokens or 0),
        kept=a.kept + b.kept,
        low=_first(a.low, a.tokens) + _first(b.low, b.tokens) if bounded else None,
        high=_first(a.high, a.tokens) + _first(b.high, b.tokens) if bounded else None,
        spent=a.spent.plus(b.spent),
        at_most=a.at_most or b.at_most,
        gpu_hours=_add(a.gpu_hours, b.gpu_hours),
        money=(a.money or 0.0) + (b.money or 0.0),
        money_low=_add(a.money_low, b.money_low),
        money_high=_add(a.money_high, b.money_high),
    )


def _first(bound: int | None, value: int | None) -> int:
    return bound if bound is not None else value or 0


def _add(a: float | None, b: float | None) -> float | None:
    return b if a is None else a if b is None else a + b
