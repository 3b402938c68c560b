"""pass@k and maj@k against direct enumeration of every subset."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakon.core.errors import LakonError
from lakon.stats import accuracy, maj_at_k, pass_at_k

QUICK = settings(max_examples=30, deadline=None, derandomize=True)

row = st.lists(st.booleans(), min_size=1, max_size=7)


def test_by_hand(make):
    s = make.rows([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]])
    # 1 - C(3,2)/C(4,2) = 1/2; 1 - C(2,2)/C(4,2) = 5/6; 0.
    assert pass_at_k(s, 2).value == pytest.approx((1 / 2 + 5 / 6) / 3)
    assert pass_at_k(s, 4).value == pytest.approx(2 / 3)


@QUICK
@given(st.lists(row, min_size=1, max_size=4), st.data())
def test_equals_enumeration(make, correct, data):
    k = data.draw(st.integers(1, min(map(len, correct))))
    s = make.rows(correct)
    chances = [np.mean(list(map(any, combinations(r, k)))) for r in correct]
    assert pass_at_k(s, k).value == pytest.approx(np.mean(chances))


@QUICK
@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=2, max_size=9))
def test_k_of_one_is_accuracy_and_more_is_never_less(make, correct):
    s = make.rows(correct)
    assert pass_at_k(s, 1).value == pytest.approx(accuracy(s).value)
    values = [pass_at_k(s, k).value for k in (1, 2, 3, 4)]
    assert values == sorted(values)


@pytest.mark.parametrize("k", [0, 3])
def test_k_out_of_range_is_refused(make, k):
    s = make.rows([[1, 0], [1, 0, 1, 1]])
    with pytest.raises(LakonError, match="2 samples for the problem that has fewest"):
        pass_at_k(s, k)
    with pytest.raises(LakonError, match="fewest"):
        maj_at_k(s, [[0, 1], [0, 1, 0, 0]], k)


def test_many_samples_neither_overflow_nor_cancel(make):
    s = make.rows([[1] + [0] * 2047])
    assert pass_at_k(s, 1024).value == pytest.approx(0.5)


def majority(groups, right, k):
    def one(chosen):
        votes = Counter(groups[i] for i in chosen if groups[i] >= 0)
        if not votes:
            return 0.0
        top = [g for g, count in votes.items() if count == max(votes.values())]
        share = {g: np.mean([right[i] for i in range(len(groups)) if groups[i] == g]) for g in top}
        return sum(share.values()) / len(top)

    return np.mean([one(c) for c in combinations(range(len(groups)), k)])


@QUICK
@given(st.lists(st.integers(-1, 3), min_size=1, max_size=8), st.integers(0, 3), st.data())
def test_majority_equals_enumeration(make, groups, answer, data):
    k = data.draw(st.integers(1, len(groups)))
    right = [g == answer for g in groups]
    assert maj_at_k(make.rows([right]), [groups], k).value == pytest.approx(majority(groups, right, k))


def test_majority_by_hand(make):
    # Answers A A B, A is right; pairs AA AB AB: 1, a tie, a tie.
    assert maj_at_k(make.rows([[1, 1, 0]]), [[0, 0, 1]], 2).value == pytest.approx((1 + 0.5 + 0.5) / 3)
    # A truncated A has no answer: A, none, B as pairs give A, a tie, B.
    s = make.rows([[1, 1, 0]], finished=[[1, 0, 1]])
    assert maj_at_k(s, [[0, 0, 1]], 2).value == pytest.approx((1 + 0.5 + 0) / 3)
    # A group that was graded both ways counts by its share.
    assert maj_at_k(make.rows([[1, 0]]), [[5, 5]], 2).value == 0.5


def test_majority_counts_exactly_for_many_samples(make):
    s = make.rows([[1] * 33 + [0] * 31])
    groups = [[0] * 33 + [1] * 31]
    assert maj_at_k(s, groups, 64).value == 1.0
    assert 0.5 < maj_at_k(s, groups, 32).value < 0.75
    assert maj_at_k(s, groups, 1).value == pytest.approx(33 / 64)


def test_groups_that_do_not_fit_are_refused(make):
    s = make.rows([[1, 0]])
    with pytest.raises(LakonError, match="answer groups"):
        maj_at_k(s, [[0, 1], [0, 1]], 1)
    with pytest.raises(LakonError, match="answer groups"):
        maj_at_k(s, [[0]], 1)
