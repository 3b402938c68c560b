"""What a study's budget has room for: what its endpoints have taken so far against what is still owed.

Spent and owed are counted in the budget's own unit: tokens are prompt and completion together, as servers bill them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lakon.core.spending import Rate, Spent
from lakon.pipeline.step_cost import StepCost
from lakon.study.schema import JUDGE, Study


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetLine:
    """One limit of `run.budget`, and how far it goes."""

    unit: str
    """`tokens` (prompt and completion) or `money` (in the stated currency)."""
    limit: float
    spent: float
    """By all runs so far, pilots included."""
    owed: float
    """What is still to be asked, as far as it can be estimated."""
    unknown: tuple[str, ...]
    """Endpoints whose owed part cannot be estimated."""
    at_most: bool
    """Whether `owed` is a bound."""

    @property
    def left(self) -> float:
        """What may still be spent."""
        return max(0.0, self.limit - self.spent)

    @property
    def fits(self) -> bool:
        """Whether what is known to be owed is within what is left."""
        return self.owed <= self.left


def list_budget_lines(study: Study, works: Mapping[str, StepCost], spent: Mapping[str, Spent]) -> list[BudgetLine]:
    """Each limit that the study's budget states; `spent` is what each endpoint took, by its name."""
    budget, out = study.run.budget, list[BudgetLine]()
    paid = [
        (work.endpoint or JUDGE, work)
        for step, work in works.items()
        if work.kind in ("ask", "judge") and work.rows != 0
    ]
    at_most = any(work.at_most for _, work in paid)
    if budget.tokens is not None:
        took, owed = sum(each.tokens for each in spent.values()), sum(_tokens(work) or 0 for _, work in paid)
        unknown = tuple(dict.fromkeys(name for name, work in paid if _tokens(work) is None))
        out.append(
            BudgetLine(unit="tokens", limit=budget.tokens, spent=took, owed=owed, unknown=unknown, at_most=at_most)
        )
    if budget.money is not None:
        cost = sum(_rate(study, name).cost(each) for name, each in spent.items())
        still_owed = sum(work.money or 0.0 for _, work in paid)
        unknown = tuple(dict.fromkeys(name for name, work in paid if work.money is None))
        out.append(
            BudgetLine(unit="money", limit=budget.money, spent=cost, owed=still_owed, unknown=unknown, at_most=at_most)
        )
    return out


def _tokens(work: StepCost) -> int | None:
    return None if work.tokens is None else work.tokens + (work.prompt_tokens or 0)


def _rate(study: Study, name: str) -> Rate:
    price = study.run.prices.get(name)
    return Rate(price.input_per_million, price.output_per_million) if price else Rate()
