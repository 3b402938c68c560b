"""Accuracy under a budget: shape of the curve, width of its band."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakon.core.errors import InputError
from lakon.stats import Samples, accuracy, accuracy_within_budget
from lakon.stats.distributions import t_quantile
from lakon.stats.samples import cluster_index

QUICK = settings(max_examples=30, deadline=None, derandomize=True)


def test_curve_by_hand(make):
    s = make.rows([[1, 1], [1, 0]], tokens=[[10, 50], [20, 5]], finished=[[1, 1], [1, 1]])
    curve = accuracy_within_budget(s, [60, 5, 10, 20])
    assert curve.budgets.tolist() == [5, 10, 20, 60]
    assert curve.values.tolist() == [0.0, 0.25, 0.5, 0.75]


def test_truncated_samples_never_count(make):
    s = make.rows([[1], [1]], tokens=[[10], [10]], finished=[[1], [0]])
    assert accuracy_within_budget(s, [10, 10_000]).values.tolist() == [0.5, 0.5]


@QUICK
@given(st.integers(2, 25), st.integers(1, 4), st.integers(0, 99))
def test_curve_rises_to_the_accuracy_inside_its_band(make, n, k, seed):
    s = make.drawn(n, k, seed)
    curve = accuracy_within_budget(s, seed=1, n_resamples=200)
    assert (np.diff(curve.values) >= -1e-12).all()
    assert (np.diff(curve.low) >= -1e-12).all()
    assert (np.diff(curve.high) >= -1e-12).all()
    assert curve.values[-1] == pytest.approx(accuracy(s).value)
    assert ((curve.low >= 0) & (curve.low <= curve.values)).all()
    assert ((curve.high <= 1) & (curve.high >= curve.values)).all()
    assert (curve.high - curve.low > 1e-6).all()


def test_band_is_seeded_wider_than_a_pointwise_one_and_blind_to_the_order_of_problems(make):
    s = make.drawn(60, 4, 2)
    curve, again = accuracy_within_budget(s, seed=3), accuracy_within_budget(s, seed=3)
    moved = accuracy_within_budget(s.take(list(range(59, -1, -1))), seed=3)
    assert curve.low.tolist() == again.low.tolist()
    assert moved.low == pytest.approx(curve.low)
    assert t_quantile(0.975, 59) * 1.1 < curve.critical < 4


def test_band_is_the_same_when_sums_are_drawn_from_their_covariance(make, monkeypatch):
    s = make.drawn(60, 4, 2)
    budgets = [*range(50, 1000, 50), 10**9, 2 * 10**9]  # the last two columns are equal: a singular covariance
    whole = accuracy_within_budget(s, budgets, seed=3, n_resamples=40_000)
    monkeypatch.setattr("lakon.stats.token_budget._MULTIPLIERS", 0)
    drawn = accuracy_within_budget(s, budgets, seed=3, n_resamples=40_000)
    assert drawn.critical == pytest.approx(whole.critical, rel=0.01)
    assert drawn.critical != whole.critical


@pytest.mark.parametrize("multipliers", [0, 8_000_000], ids=["covariance", "one by one"])
def test_band_is_the_same_however_many_clusters_are_worked_out_at_a_time(make, monkeypatch, multipliers):
    labels = tuple(None if i % 3 else f"g{i % 7}" for i in range(61))
    s = replace(make.drawn(61, 4, 2), clusters=labels)
    monkeypatch.setattr("lakon.stats.token_budget._MULTIPLIERS", multipliers)
    whole = accuracy_within_budget(s, seed=3, n_resamples=2_000)
    monkeypatch.setattr("lakon.stats.token_budget._BLOCK", 5)
    parts = accuracy_within_budget(s, seed=3, n_resamples=2_000)
    assert parts.critical == pytest.approx(whole.critical, rel=1e-9)
    # An independent way to the same columns: residuals summed by label, under the same multipliers.
    if multipliers:
        rng = np.random.default_rng(3)
        index = cluster_index(s)
        right = np.array(
            [[(c & (t <= b)).mean() for c, t in zip(s.correct, s.tokens, strict=True)] for b in whole.budgets]
        )
        sums = np.array([np.bincount(index, weights=row - row.mean()) for row in right]).T
        sums = sums[:, (np.abs(sums) > 1e-12).any(axis=0)]
        drawn = np.abs(rng.standard_normal((2_000, len(sums))) @ (sums / np.sqrt((sums**2).sum(axis=0))))
        df = len(sums) - 1
        worst = drawn.max(axis=1) / np.sqrt(rng.chisquare(df, size=2_000) / df)
        assert whole.critical == pytest.approx(np.quantile(worst, 0.95))


def test_one_budget_needs_no_more_than_t(make):
    s = make.drawn(60, 4, 2)
    curve = accuracy_within_budget(s, [10**9], n_resamples=20_000)
    assert curve.critical == pytest.approx(t_quantile(0.975, 59), rel=0.03)
    got = accuracy(s)
    assert curve.low[0] == pytest.approx(got.low, abs=0.01)


def test_budgets_are_checked(make):
    s = make.drawn(5, 2, 0)
    for budgets in ([], [-1, 5]):
        with pytest.raises(InputError, match="token budgets"):
            accuracy_within_budget(s, budgets)
    with pytest.raises(InputError, match="tokens"):
        accuracy_within_budget(make.drawn(5, 2, 0, tokens=False))


def test_simulated_coverage_holds_for_all_budgets_at_once():
    rng, n, k, runs = np.random.default_rng(8), 60, 4, 120
    ids, budgets = tuple(map(str, range(n))), np.geomspace(50, 5_000, 12).astype(int).tolist()

    def draw(size):
        ease = rng.beta(0.5, 0.5, size=(size, 1))
        tokens = np.exp(rng.normal(5 + 2 * (1 - ease), 0.5, size=(size, k))).astype(int)
        return rng.random((size, k)) < ease, tokens

    right, tokens = draw(200_000)
    truth = np.array([(right & (tokens <= b)).mean() for b in budgets])
    covered = 0
    for _ in range(runs):
        right, tokens = draw(n)
        s = Samples(problem_ids=ids, correct=list(right), tokens=list(tokens))
        curve = accuracy_within_budget(s, budgets, n_resamples=1_000)
        covered += bool(((curve.low <= truth) & (truth <= curve.high)).all())
    assert 0.89 <= covered / runs <= 0.995
