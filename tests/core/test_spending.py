"""The budget: whatever requests turn out to take, and in whatever order they end, it is never exceeded."""

from __future__ import annotations

import pickle
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakon.core.messages import build_messages
from lakon.core.spending import Account, Admission, Budget, Rate, Spent


@given(
    limit=st.integers(100, 5_000),
    money=st.none() | st.floats(0.01, 5.0),
    takes=st.lists(st.integers(0, 200), max_size=60),
    seed=st.integers(0, 99),
)
def test_what_is_spent_never_exceeds_the_budget(limit: int, money: float | None, takes: list[int], seed: int):
    rng, budget = random.Random(seed), Budget(tokens=limit, money=money)
    accounts = [Account(budget, Rate(10.0, 1000.0)), Account(budget, Rate(0.0, 300.0))]
    flying: list[tuple[Account, Spent, int]] = []
    for take in takes:
        account = rng.choice(accounts)
        admission, held = account.admit(build_messages("a prompt"), 200)
        if admission is Admission.YES:
            flying.append((account, held, take))
        while flying and rng.random() < 0.5:
            owner, room, used = flying.pop(rng.randrange(len(flying)))
            owner.settle(room, Spent(4, used) if rng.random() < 0.9 else None)
    for owner, room, used in flying:
        owner.settle(room, Spent(4, used))
    assert budget.spent.tokens <= limit
    assert money is None or budget.cost <= money + 1e-6


def test_room_that_is_held_comes_back_and_a_full_budget_says_never():
    account = Account(Budget(tokens=300))
    first, held = account.admit(build_messages(""), 150)
    assert (first, account.admit(build_messages(""), 150)[0]) == (Admission.YES, Admission.LATER)
    account.settle(held, Spent(1, 9))
    again, held = account.admit(build_messages(""), 150)
    assert again is Admission.YES
    account.settle(held, Spent(64, 150))
    assert account.admit(build_messages(""), 150)[0] is Admission.NEVER
    found, expected = account.describe(Spent(64, 150))
    assert found == "224 tokens are spent, and one more request may take 214"
    assert expected == "at most the 300 tokens of run.budget"


def test_a_budget_without_limits_admits_everything_and_counts():
    account = Account(rate=Rate(1.0, 2.0))
    account.add_earlier(Spent(1_000_000, 0))
    assert account.admit(build_messages("x" * 10_000), 10**9)[0] is Admission.YES
    assert (account.budget.spent, account.budget.cost) == (Spent(1_000_000, 0), 1.0)


def test_all_messages_of_a_request_are_held_room_for():
    account = Account(Budget(tokens=1_000))
    _, prompt = account.admit(build_messages("x" * 200), 10)
    _, both = account.admit(build_messages("x" * 200, "y" * 100), 10)
    assert both.prompt - prompt.prompt == 50


def test_a_budget_is_not_copied_to_another_process():
    with pytest.raises(TypeError, match="no copy"):
        pickle.dumps(Budget())
