"""Training seeds, the judge's errors and looking early: closed forms, oracles and simulated coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakon.core.errors import InputError
from lakon.stats import (
    Audit,
    Estimate,
    accuracy,
    betting_interval,
    betting_sequence,
    cohen_kappa,
    false_accept_rate,
    false_reject_rate,
    judge_error_corrected,
    seed_spread,
    weighted_agreement,
)

QUICK = settings(max_examples=30, deadline=None, derandomize=True)


def students(make, n, k, n_seeds, spread, seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.5, 2, size=(n, 1, 1)) + rng.normal(0, spread, size=(1, n_seeds, 1))
    right = rng.random((n, n_seeds, k)) < 1 / (1 + np.exp(-logits))
    index = np.repeat(np.arange(n_seeds), k)
    return make.rows(list(right.reshape(n, -1)), seed_index=[index] * n)


def test_seed_means_and_their_interval(make):
    s = make.rows([[1, 1, 0, 0], [1, 0, 1, 0], [1, 1, 1, 0]], seed_index=[[0, 0, 7, 7]] * 3)
    got = seed_spread(s)
    assert {seed: e.value for seed, e in got.per_seed.items()} == {
        0: pytest.approx(5 / 6),
        7: pytest.approx(1 / 3),
    }
    assert got.estimate is not None
    assert got.estimate.value == pytest.approx(7 / 12)
    assert got.estimate.low < 1 / 3, "two seeds half a point apart leave nearly everything open"
    assert got == seed_spread(s)


def test_one_seed_says_so(make):
    got = seed_spread(make.rows([[1, 0], [1, 1]], seed_index=[[3, 3], [3, 3]]))
    assert got.estimate is None
    assert math.isnan(got.seed_sd)
    assert "one training seed" in got.note


def test_a_missing_seed_is_refused(make):
    with pytest.raises(InputError, match="seed 2 for problem 'p1'"):
        seed_spread(make.rows([[1, 0], [1, 1]], seed_index=[[1, 2], [1, 1]]))
    with pytest.raises(InputError, match="seed_index"):
        seed_spread(make.rows([[1, 0]]))


def test_seeds_that_differ_widen_the_interval(make):
    same, apart = (seed_spread(students(make, 200, 4, 4, spread, 1)) for spread in (0.0, 1.0))
    assert same.estimate is not None
    assert apart.estimate is not None
    assert apart.estimate.high - apart.estimate.low > 1.5 * (same.estimate.high - same.estimate.low)
    assert same.seed_sd < 0.02 < apart.seed_sd


def test_simulated_coverage_over_students(make):
    rng = np.random.default_rng(0)
    logits = rng.normal(0.5, 2, size=400_000) + rng.normal(0, 0.5, size=400_000)
    truth, runs = float((1 / (1 + np.exp(-logits))).mean()), 120
    covered = 0
    for run in range(runs):
        got = seed_spread(students(make, 60, 4, 3, 0.5, run), n_resamples=200).estimate
        assert got is not None
        covered += got.low <= truth <= got.high
    assert 0.88 <= covered / runs <= 0.995


AUDIT = Audit(accepts_right=95, accepts_wrong=5, rejects_right=10, rejects_wrong=90)


def test_judge_correction_by_hand():
    raw = Estimate(0.6, 0.5, 0.7, "t on 100 clusters", 100, 800)
    got = judge_error_corrected(raw, AUDIT)
    # .6 * .95 + .4 * .10
    assert got.value == pytest.approx(0.61)
    assert got.low < 0.61 - 0.85 * 0.1, "wider than the raw interval times the slope"
    assert got.high > 0.61 + 0.85 * 0.1
    assert "95" not in got.method
    assert "100 accepts and 100 rejects" in got.method
    assert false_accept_rate(AUDIT).value == 0.05
    assert false_reject_rate(AUDIT).value == 0.10
    assert false_reject_rate(AUDIT).low < 0.10 < false_reject_rate(AUDIT).high


def test_judge_correction_of_a_part_by_hand():
    raw = Estimate(0.6, 0.5, 0.7, "", 100, 800)
    got = judge_error_corrected(raw, AUDIT, accepts=0.5, rejects=0.2)
    # .6 - .5 * .05 + .2 * .10: a tenth was accepted by somebody else, a fifth was cut off
    assert got.value == pytest.approx(0.595)
    assert judge_error_corrected(raw, AUDIT, accepts=0.6, rejects=0.4) == judge_error_corrected(raw, AUDIT)
    untouched = judge_error_corrected(raw, AUDIT, accepts=0.0, rejects=0.0)
    assert (untouched.value, untouched.low, untouched.high) == pytest.approx((0.6, 0.5, 0.7))
    with pytest.raises(InputError, match=r"accepts that are 0.7 and rejects that are 0.2"):
        judge_error_corrected(raw, AUDIT, accepts=0.7, rejects=0.2)


def test_the_interval_of_a_corrected_accuracy_covers():
    rng = np.random.default_rng(11)
    covered, runs = 0, 300
    for _ in range(runs):
        truth = rng.random(2000) < 0.55
        said = np.where(truth, rng.random(2000) > 0.12, rng.random(2000) < 0.06)
        accepts, rejects = np.flatnonzero(said), np.flatnonzero(~said)
        up, down = truth[rng.choice(accepts, 100, replace=False)], truth[rng.choice(rejects, 100, replace=False)]
        audit = Audit(
            accepts_right=int(up.sum()),
            accepts_wrong=int((~up).sum()),
            rejects_right=int(down.sum()),
            rejects_wrong=int((~down).sum()),
        )
        share = float(said.mean())
        half = 1.96 * (share * (1 - share) / 2000) ** 0.5
        got = judge_error_corrected(Estimate(share, share - half, share + half, "", 2000, 2000), audit)
        covered += got.low <= 0.55 <= got.high
    assert 0.92 <= covered / runs <= 0.99


def test_a_flawless_audit_is_not_taken_for_a_flawless_judge():
    raw = Estimate(0.6, 0.5, 0.7, "", 100, 800)
    got = judge_error_corrected(raw, Audit(accepts_right=20, accepts_wrong=0, rejects_right=0, rejects_wrong=20))
    assert got.value == 0.6
    assert got.high - got.low > 0.21


def test_an_audit_needs_both_kinds():
    with pytest.raises(InputError, match="5 accepts and 0 rejects"):
        Audit(accepts_right=5, accepts_wrong=0, rejects_right=0, rejects_wrong=0)


def test_agreement_weighs_accepts_and_rejects_by_how_many_there_are():
    audit = Audit(accepts_right=90, accepts_wrong=10, rejects_right=20, rejects_wrong=80)
    got = weighted_agreement(audit, accepts=900, rejects=100)
    assert got.value == pytest.approx(0.9 * 0.9 + 0.1 * 0.8)
    assert got.low < got.value < got.high <= 1
    alike = weighted_agreement(audit, accepts=500, rejects=500)
    assert alike.value == pytest.approx(0.85)
    flawless = Audit(accepts_right=5, accepts_wrong=0, rejects_right=0, rejects_wrong=5)
    assert weighted_agreement(flawless, accepts=50, rejects=50).low < 1
    with pytest.raises(InputError, match="out of 99 and 100"):
        weighted_agreement(audit, accepts=99, rejects=100)


def test_the_interval_of_agreement_covers():
    rng, hits, runs = np.random.default_rng(0), 0, 2000
    truth = 0.7 * 0.95 + 0.3 * 0.85
    for _ in range(runs):
        wrong, missed = int(rng.binomial(100, 0.05)), int(rng.binomial(100, 0.15))
        audit = Audit(accepts_right=100 - wrong, accepts_wrong=wrong, rejects_right=missed, rejects_wrong=100 - missed)
        got = weighted_agreement(audit, accepts=7000, rejects=3000)
        hits += got.low <= truth <= got.high
    assert 0.93 < hits / runs < 0.99


def test_kappa_by_hand():
    # Observed .7; chance .5*.6 + .5*.4 = .5; (.7 - .5)/.5 = .4 (Cohen's own kind of example).
    first = ["y"] * 25 + ["n"] * 25
    second = ["y"] * 20 + ["n"] * 5 + ["y"] * 10 + ["n"] * 15
    got = cohen_kappa(first, second)
    assert got.value == pytest.approx(0.4)
    assert got.low < 0.4 < got.high
    assert cohen_kappa(second, first).low == pytest.approx(got.low)


def test_kappa_at_its_ends():
    perfect = cohen_kappa([True, False] * 10, [True, False] * 10)
    assert perfect.value == pytest.approx(1.0)
    assert perfect.low < 0.9
    assert math.isnan(cohen_kappa([1, 1], [1, 1]).value)
    for pair in (([1, 0, 1], [1, 1, 1]), ([0, 0, 0], [1, 0, 1])):
        got = cohen_kappa(*pair)
        assert (got.value, got.low, got.high) == (0.0, -1.0, 1.0)
    with pytest.raises(InputError, match="2 and 1 gradings"):
        cohen_kappa([1, 1], [1])


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
