"""Betting intervals: hand-worked bets, invariances, and the error rate when looking after each value."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakon.core.errors import InputError
from lakon.stats import accuracy, betting_interval, betting_sequence

QUICK = settings(max_examples=30, deadline=None, derandomize=True)

values = st.lists(st.floats(0, 1), min_size=1, max_size=60)


@QUICK
@given(values)
def test_betting_intervals_only_narrow_and_hold_the_mean(x):
    sequence, got = betting_sequence(x), betting_interval(x)
    assert (np.diff(sequence.low) >= 0).all()
    assert (np.diff(sequence.high) <= 0).all()
    assert 0 <= got.low <= got.value <= got.high <= 1


@QUICK
@given(values)
def test_betting_mirrors_and_rescales(x):
    one, other = betting_sequence(x), betting_sequence([1 - v for v in x])
    assert other.low[-1] == pytest.approx(1 - one.high[-1], abs=0.0021)
    wide = betting_sequence([2 * v - 1 for v in x], lower=-1)
    assert wide.low[-1] == pytest.approx(2 * one.low[-1] - 1, abs=0.0041)


def test_two_bets_by_hand():
    # Bets sqrt(2 log 40 / (.25 log 2)) = 6.525 and, with variance (.25 + .25²)/2, sqrt(2 log 40 / (.3125 log
    # 3)) = 4.636. Against m the hedged capital after 1, 1 is (1 + 6.525 u)(1 + 4.636 u)/2 with u = 1 - m; it
    # is 20 at m = .0341.
    sequence = betting_sequence([1.0, 1.0], null=0.0)
    assert sequence.low.tolist() == [0.0, pytest.approx(0.034)]
    assert sequence.high.tolist() == [1.0, 1.0]
    assert sequence.p_value == pytest.approx([2 / 7.525, 2 / (7.525 * 5.636)], rel=1e-3)


def test_p_value_falls_with_evidence_and_never_rises_again():
    x = np.random.default_rng(0).random(300) < 0.8
    p_value = betting_sequence(x, null=0.5).p_value
    assert p_value is not None
    assert (np.diff(p_value) <= 0).all()
    assert p_value[0] > 0.4
    assert p_value[-1] < 1e-6
    assert betting_interval(x, null=0.8).p_value > 0.05


def test_looking_after_each_problem_keeps_the_level():
    rng, runs, missed = np.random.default_rng(4), 150, 0
    for _ in range(runs):
        x = rng.integers(0, 9, size=150) / 8 * (rng.random(150) < 0.6)
        sequence = betting_sequence(x)
        missed += bool(((sequence.low > 0.3) | (sequence.high < 0.3)).any())
    assert missed / runs <= 0.05


def test_the_interval_is_of_use():
    x = np.random.default_rng(1).beta(2, 2, size=500)
    got = betting_interval(x)
    assert got.high - got.low < 0.12


def test_values_outside_the_stated_range_are_refused():
    for bad in ([0.5, 1.5], [0.5, math.nan]):
        with pytest.raises(InputError, match="values from"):
            betting_interval(bad)
    with pytest.raises(InputError, match="1-D"):
        betting_interval([])
    with pytest.raises(InputError, match="values from"):
        betting_interval([0.5], null=2.0)


def test_accuracy_and_betting_agree_on_the_mean(make):
    s = make.drawn(50, 4, 0)
    assert betting_interval(s.accuracies).value == pytest.approx(accuracy(s).value)
