"""Paired comparisons: numbers worked out by hand, scipy and statsmodels as oracles, simulated false
positives.
"""

from __future__ import annotations

import math
import time
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from lakon.core.errors import InputError
from lakon.stats import Estimate, Samples, holm_adjust
from lakon.stats.margins import equivalence, inferiority, non_inferiority
from lakon.stats.paired import detectable_difference, estimate_paired_difference, sign_flip_p
from lakon.stats.paired_error import PairedAccuracy, measure_pair
from lakon.stats.samples import align_samples

QUICK = settings(max_examples=30, deadline=None, derandomize=True)


def accuracy_difference(a: Samples, b: Samples, *, seed: int = 0, level: float = 0.95) -> Estimate:
    aligned = align_samples(a, b)
    return estimate_paired_difference(aligned, measure_pair(aligned), seed=seed, level=level)


def measured(a: Samples, b: Samples) -> PairedAccuracy:
    return measure_pair(align_samples(a, b))


rows = st.lists(st.lists(st.booleans(), min_size=2, max_size=2), min_size=2, max_size=12)


def test_difference_by_hand(make):
    # d = 1, .5, 0, .5 forty times: mean .5, variance .125 * 160/159, SE its root over sqrt(160).
    rows_a, rows_b = [[1, 1], [1, 1], [1, 0], [1, 0]], [[0, 0], [1, 0], [1, 0], [0, 0]]
    got = accuracy_difference(make.rows(rows_a * 40), make.rows(rows_b * 40))
    half = scipy_stats.t.ppf(0.975, 159) * math.sqrt(0.125 / 159)
    assert (got.low, got.high) == pytest.approx((0.5 - half, 0.5 + half))
    few = accuracy_difference(make.rows(rows_a), make.rows(rows_b))
    # Sums of ±1 ±.5 ±.5: only +++ and --- reach 2, so 2 of 8.
    assert few.p_value == 0.25
    assert "MOVER" in few.method
    assert (few.value, few.n_problems, few.n_samples) == (0.5, 4, 16)


def test_training_seeds_widen_the_difference_and_its_p_value():
    rng, n = np.random.default_rng(3), 400
    ids, seeds = tuple(map(str, range(n))), [np.repeat([0, 1, 2], 4)] * n
    ease = rng.beta(1, 1, size=(n, 1))
    shift = np.repeat([-0.15, 0.0, 0.25], 4)
    a = Samples(problem_ids=ids, correct=list(rng.random((n, 12)) < ease + shift), seed_index=seeds)
    b = Samples(problem_ids=ids, correct=list(rng.random((n, 12)) < ease), seed_index=seeds)
    pooled = [Samples(problem_ids=ids, correct=side.correct) for side in (a, b)]
    crossed, ignored = accuracy_difference(a, b), accuracy_difference(*pooled)
    assert crossed.high - crossed.low > 3 * (ignored.high - ignored.low)
    assert crossed.p_value is not None
    assert ignored.p_value is not None
    assert crossed.p_value > 0.05 > ignored.p_value


def test_worse_by_more_than_the_margin_is_the_mirror_of_non_inferiority(make):
    a, b = make.drawn(200, 4, 1), make.drawn(200, 4, 2)
    worse, not_worse = inferiority(measured(a, b), 0.05), non_inferiority(measured(a, b), 0.05)
    assert worse.p_value + not_worse.p_value == pytest.approx(1.0)
    assert worse.holds == (worse.difference.high < -0.05)


def test_p_value_by_listing_every_sign():
    sums = np.array([0.3, -0.1, 0.25, 0.0, 0.4, 0.05])
    every = [abs(np.dot(signs, sums)) >= sums.sum() - 1e-12 for signs in product([1, -1], repeat=6)]
    assert sign_flip_p(sums)[0] == pytest.approx(np.mean(every))


def test_p_value_agrees_with_scipy():
    sums = np.random.default_rng(0).normal(0.3, 1, size=10)
    theirs = scipy_stats.permutation_test(
        (sums,), lambda x, axis: x.sum(axis=axis), permutation_type="samples", vectorized=True
    )
    assert sign_flip_p(sums)[0] == pytest.approx(theirs.pvalue)


def test_the_three_ways_to_a_p_value_agree():
    steps = np.random.default_rng(1).integers(-8, 9, size=20)
    listed, how = sign_flip_p(steps / 8)
    assert how == "exact sign flips"
    more = np.concatenate([steps, [1, -1, 2, -2, 3]]) / 8
    counted, how = sign_flip_p(more, unit=1 / 8)
    assert how == "exact sign flips"
    drawn, how = sign_flip_p(more, seed=5)
    assert how == "100000 sign flips, seed 5"
    assert drawn == pytest.approx(counted, abs=0.01)
    assert sign_flip_p(np.concatenate([steps / 8, np.zeros(50)]))[0] == listed, "zeros have no sign"


def counted_in_whole_numbers(steps: list[int]) -> float:
    reach, observed = sum(map(abs, steps)), abs(sum(steps))
    ways = {0: 1}
    for step in steps:
        further = dict[int, int]()
        for total, n in ways.items():
            for sign in (1, -1):
                further[total + sign * step] = further.get(total + sign * step, 0) + n
        ways = further
    assert max(ways) == reach
    return float(Fraction(sum(n for total, n in ways.items() if abs(total) >= observed), 2 ** len(steps)))


@QUICK
@given(st.lists(st.integers(-8, 8).filter(bool), min_size=21, max_size=60), st.integers(0, 12))
def test_a_p_value_on_the_lattice_is_what_counting_in_whole_numbers_gives(steps, lift):
    steps = [min(8, step + lift) or 1 for step in steps]
    p_value, how = sign_flip_p(np.array(steps) / 8, unit=1 / 8)
    assert how == "exact sign flips"
    assert p_value == pytest.approx(max(1e-12, counted_in_whole_numbers(steps)), rel=1e-3, abs=1e-14)


@pytest.mark.parametrize("excess", [0, 2, 400, 1_200])
def test_a_p_value_of_many_single_samples_is_that_of_the_sign_test(excess: int):
    n = 46_000
    right = (n + excess) // 2
    p_value, how = sign_flip_p(np.repeat([1.0, -1.0], [right, n - right]), unit=1.0)
    assert how == "exact sign flips"
    expected = min(1.0, 2 * scipy_stats.binom.sf(right - 1, n, 0.5))
    assert p_value == pytest.approx(expected, rel=1e-6)


def test_no_p_value_on_the_lattice_is_zero():
    assert sign_flip_p(np.ones(500), unit=1.0)[0] == 1e-12


@pytest.mark.parametrize(("n", "count", "mean"), [(300_000, 64, 0.1), (300_000, 8, 0.25), (1_500_000, 1, 0.6)])
def test_a_large_effect_on_very_many_problems_is_exact_and_not_drawn(n: int, count: int, mean: float):
    differences = np.clip(np.rint(np.random.default_rng(0).normal(mean, 0.5, n) * count), -count, count) / count
    assert sign_flip_p(differences, unit=1 / count) == (1e-12, "exact sign flips")


def test_incommensurable_counts_do_not_overflow(make):
    counts = [31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131]
    rng = np.random.default_rng(2)
    a, b = (make.rows([rng.random(k) < 0.5 for k in counts]) for _ in range(2))
    got = accuracy_difference(a, b, seed=3)
    assert "100000 sign flips, seed 3" in got.method
    assert got.p_value == accuracy_difference(a, b, seed=3).p_value


def test_a_least_common_multiple_beyond_all_floats_is_no_fault(make):
    rng = np.random.default_rng(2)
    a, b = (make.rows([rng.random(k) < 0.5 for k in range(1, 900)]) for _ in range(2))
    assert "100000 sign flips" in accuracy_difference(a, b).method


def test_a_large_benchmark_is_exact_and_quick(make):
    a, b = make.drawn(1319, 8, 1), make.drawn(1319, 8, 2)
    began = time.process_time()
    got = accuracy_difference(a, b)
    assert "exact" in got.method
    assert time.process_time() - began < 2.0


@QUICK
@given(rows, rows)
def test_swapping_the_two_mirrors_the_difference(make, left, right):
    n = min(len(left), len(right))
    a, b = make.rows(left[:n]), make.rows(right[:n])
    one, other = accuracy_difference(a, b), accuracy_difference(b, a)
    assert (other.value, other.low, other.high) == pytest.approx((-one.value, -one.high, -one.low))
    assert other.p_value == one.p_value
    assert -1 <= one.low <= one.value <= one.high <= 1
    assert one.high - one.low > 1e-6


def test_equal_authors_still_have_a_width(make):
    s = make.rows([[1], [0]] * 15)
    got = accuracy_difference(s, s)
    u = 1 - 0.025 ** (1 / 30)
    assert (got.value, got.p_value) == (0.0, 1.0)
    assert (got.low, got.high) == (pytest.approx(-u), pytest.approx(u))


def test_one_cluster_says_nothing(make):
    a, b = make.rows([[1], [1]], clusters=("g", "g")), make.rows([[0], [1]])
    got = accuracy_difference(a, b)
    assert (got.low, got.high, got.method.split(";")[0]) == (-1.0, 1.0, "paired one cluster: the whole range")
    assert got.p_value == 1.0


def test_holm_by_hand():
    # Sorted .01 .02 .04: times 3, 2, 1 and never falling: .03, .04, .04.
    adjusted, significant = holm_adjust([0.04, 0.01, 0.02])
    assert adjusted == pytest.approx([0.04, 0.03, 0.04])
    assert significant == [True, True, True]
    assert holm_adjust([0.04, 0.03])[1] == [False, False]
    assert holm_adjust([]) == ([], [])
    with pytest.raises(InputError, match=r"outside \[0, 1\]"):
        holm_adjust([0.5, math.nan])


@pytest.mark.parametrize(
    ("p_values", "expected"),
    [
        ([0.001, 0.04, 0.03, 0.005, 0.5, 0.04], [0.006, 0.12, 0.12, 0.025, 0.5, 0.12]),
        ([0.2, 0.9, 0.6], [0.6, 1.0, 1.0]),
    ],
)
def test_holm_agrees_with_statsmodels(p_values, expected):
    """`multipletests(..., method="holm")` of statsmodels 0.15.0."""
    adjusted, significant = holm_adjust(np.array(p_values))
    assert adjusted == pytest.approx(expected, abs=1e-15)
    assert significant == [p <= 0.05 for p in expected]


def test_tost_agrees_with_statsmodels(make):
    """`ttost_paired` of statsmodels 0.15.0."""
    a, b = make.drawn(80, 4, 1), make.drawn(80, 4, 1).take(range(80))
    b = Samples(problem_ids=b.problem_ids, correct=[np.roll(r, 1) ^ (i % 9 == 0) for i, r in enumerate(b.correct)])
    got = equivalence(measured(a, b), 0.1)
    assert got.p_value == pytest.approx(0.0004955420430943277)
    assert got.holds


def test_the_interval_and_the_test_say_the_same(make):
    verdicts = set()
    for seed in range(12):
        a, b = make.drawn(200, 4, seed), make.drawn(200, 4, seed + 1)
        for margin in (0.02, 0.1, 0.15):
            worse, same = non_inferiority(measured(a, b), margin), equivalence(measured(a, b), margin)
            assert worse.holds == (worse.difference.low > -margin)
            assert same.holds == (same.difference.low > -margin and same.difference.high < margin)
            verdicts.add((worse.holds, same.holds))
    assert verdicts == {(False, False), (True, False), (True, True)}


def test_power_and_needed_problems_by_hand(make):
    # d = ±.5 on 200 problems each: sd ~ .5006; ((1.6449 + 1.2816) * .5006 / .05)² = 858.5 problems.
    a, b = make.rows([[1, 0], [0, 0]] * 200), make.rows([[0, 0], [1, 0]] * 200)
    got = non_inferiority(measured(a, b), 0.05)
    assert got.n_needed == 859
    se = 0.5 * math.sqrt(400 / 399) / 20
    assert got.power == pytest.approx(1 - scipy_stats.nct.cdf(scipy_stats.t.ppf(0.95, 399), 399, 0.05 / se), abs=1e-6)
    both = equivalence(measured(a, b), 0.05)
    assert both.n_needed is not None
    assert both.n_needed > got.n_needed
    assert both.power < got.power
    assert detectable_difference(measured(a, b)) == pytest.approx(2.81 * se, rel=0.01)


def test_aime_cannot_show_equality_within_five_points(make):
    a, b = make.drawn(30, 8, 4), make.drawn(30, 8, 4)
    jitter = np.random.default_rng(0).random((30, 8)) < 0.3
    b = make.rows([np.asarray(r) ^ f for r, f in zip(b.correct, jitter, strict=True)])
    got = equivalence(measured(a, b), 0.05)
    assert not got.holds
    assert got.power < 0.5
    assert got.n_needed is not None
    assert got.n_needed > 30


def test_equal_authors_are_equivalent_only_with_enough_problems(make):
    small, large = make.rows([[1], [0]] * 10), make.rows([[1], [0]] * 50)
    assert not equivalence(measured(small, small), 0.05).holds
    got = equivalence(measured(large, large), 0.05)
    assert got.holds
    assert got.p_value == pytest.approx(0.95**100)
    assert got.n_needed is None


@pytest.mark.parametrize("margin", [0.0, -0.1, 5])
def test_a_margin_that_is_no_share_is_refused(make, margin):
    with pytest.raises(InputError, match="a margin of"):
        non_inferiority(measured(make.rows([[1]]), make.rows([[1]])), margin)


def test_false_positives_stay_at_five_percent():
    rng, n, k, runs = np.random.default_rng(11), 40, 4, 250
    ids, hits, covered = tuple(map(str, range(n))), 0, 0
    for _ in range(runs):
        ease = rng.beta(0.5, 0.5, size=(n, 1))
        a, b = (Samples(problem_ids=ids, correct=list(rng.random((n, k)) < ease)) for _ in range(2))
        got = accuracy_difference(a, b)
        hits += got.p_value is not None and got.p_value < 0.05
        covered += got.low <= 0.0 <= got.high
    assert hits / runs < 0.085
    assert covered / runs > 0.915
