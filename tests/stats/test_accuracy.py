"""Accuracy: numbers worked out by hand, properties that hold for any input, and coverage by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from lakon.core.errors import InputError
from lakon.stats import (
    Samples,
    accuracy,
    accuracy_fixed,
    truncation_rate,
    ungraded_rate,
)
from lakon.stats.intervals import clopper_pearson_interval, clustered_error, wilson_interval
from lakon.stats.samples import cluster_index

QUICK = settings(max_examples=30, deadline=None, derandomize=True)

rows_of_samples = st.lists(st.lists(st.booleans(), min_size=1, max_size=5), min_size=1, max_size=25)


def test_clustered_error_by_hand():
    # mean 0.5, deviations .5 .5 -.5 -.5; sd with ddof 1 is sqrt(1/3), over sqrt(4).
    values = np.array([1.0, 1.0, 0.0, 0.0])
    assert clustered_error(values, np.arange(4)).se == pytest.approx(math.sqrt(1 / 3) / 2)
    # two clusters with sums 1 and -1: sqrt(2/1 * 2) / 4 = 0.5.
    se, df, n_clusters = clustered_error(values, np.array([0, 0, 1, 1]))
    assert (se, df, n_clusters) == (pytest.approx(0.5), 1, 2)


def test_t_interval_in_the_middle_by_hand(make):
    # 20 problems at 1, 20 at 0: SE = sqrt(0.25 * 40/39) / sqrt(40) = 0.0800641, t(39, .975) = 2.0226909.
    got = accuracy(make.rows([[1, 1]] * 20 + [[0, 0]] * 20))
    assert got.value == 0.5
    assert (got.low, got.high) == (pytest.approx(0.338055, abs=1e-6), pytest.approx(0.661945, abs=1e-6))
    assert got.method == "t on 40 clusters"
    assert (got.n_problems, got.n_samples) == (40, 80)


def test_wilson_near_the_edge_by_hand(make):
    # 9 of 10 with one sample each: SE² = .09/9 = .01, effective n 9, t(9, .975) = 2.2621572.
    got = accuracy(make.rows([[1]] * 9 + [[0]]))
    assert got.method == "Wilson, effective n 9.0"
    z2 = 2.2621572**2 / 9
    centre, half = (0.9 + z2 / 2) / (1 + z2), 2.2621572 / (1 + z2) * math.sqrt(0.09 / 9 + z2 / 36)
    assert (got.low, got.high) == (pytest.approx(centre - half), pytest.approx(centre + half))


def test_thirty_problems_get_wilson(make):
    # t stays inside the range here, but only 9 of 30 problems speak for one side.
    assert accuracy(make.rows([[1]] * 21 + [[0]] * 9)).method.startswith("Wilson")
    assert accuracy(make.rows([[1]] * 25 + [[0]] * 20)).method == "t on 45 clusters"


def test_all_equal_gives_clopper_pearson_on_problems(make):
    got = accuracy(make.rows([[1, 1, 1]] * 30))
    assert (got.value, got.high) == (1.0, 1.0)
    assert got.low == pytest.approx(0.025 ** (1 / 30))
    half = accuracy(make.rows([[1, 0]] * 10))
    exact = scipy_stats.binomtest(5, 10).proportion_ci(method="exact")
    assert (half.low, half.high) == (pytest.approx(exact.low), pytest.approx(exact.high))


def test_clopper_pearson_and_wilson_agree_with_scipy():
    for x, n in [(0, 7), (3, 7), (7, 7)]:
        exact = scipy_stats.binomtest(x, n).proportion_ci(method="exact")
        assert clopper_pearson_interval(x, n) == (pytest.approx(exact.low), pytest.approx(exact.high))
        score = scipy_stats.binomtest(x, n).proportion_ci(method="wilson")
        got = wilson_interval(x / n, n, float(scipy_stats.norm.ppf(0.975)))
        assert got == (pytest.approx(score.low, abs=1e-12), pytest.approx(score.high))


def test_clusters_widen_the_interval(make):
    correct = [[1, 1]] * 20 + [[0, 0]] * 20
    loose = accuracy(make.rows(correct))
    tied = accuracy(make.rows(correct, clusters=tuple(f"g{i // 2}" for i in range(40))))
    assert tied.value == loose.value
    assert tied.high - tied.low > 1.3 * (loose.high - loose.low)


def test_fixed_benchmark_by_hand(make):
    # a = .5, .5 with K = 2: SE² = (0.25/1 + 0.25/1) / 4 = .125; t with 2 degrees of freedom, 4.30265, so the
    # whole range and Wilson's interval with effective n = .25/.125 = 2.
    got = accuracy_fixed(make.rows([[1, 0], [0, 1]]))
    assert got is not None
    assert got.method == "fixed benchmark, Wilson, effective n 2.0"
    many = accuracy_fixed(make.rows([[1, 0] * 8] * 8))
    # SE² = 8 * (.25/15) / 64 = 1/480; t(120, .975) = 1.9799304.
    assert many is not None
    assert many.high - many.value == pytest.approx(1.9799304 / math.sqrt(480))


def test_fixed_benchmark_needs_two_samples_a_problem(make):
    assert accuracy_fixed(make.rows([[1, 0], [1]])) is None
    agreed = accuracy_fixed(make.rows([[1, 1], [0, 0]]))
    assert agreed is not None
    assert agreed.low < 0.5 < agreed.high


def test_fixed_interval_is_narrower_than_that_of_the_population(make):
    s = make.drawn(60, 8, 3)
    fixed, population = accuracy_fixed(s), accuracy(s)
    assert fixed is not None
    assert fixed.value == pytest.approx(population.value)
    assert fixed.high - fixed.low < 0.7 * (population.high - population.low)


@QUICK
@given(rows_of_samples, st.sampled_from([0.8, 0.95, 0.99]))
def test_interval_holds_the_estimate_within_the_range_and_has_a_width(make, correct, level):
    s = make.rows(correct)
    for got in (accuracy(s, level=level), accuracy_fixed(s, level=level)):
        if got is not None:
            assert 0.0 <= got.low <= got.value <= got.high <= 1.0
            assert got.high - got.low > 1e-6


@QUICK
@given(rows_of_samples, st.randoms(use_true_random=False))
def test_order_of_problems_and_samples_changes_nothing(make, correct, random):
    before = accuracy(make.rows(correct))
    shuffled = [random.sample(row, len(row)) for row in random.sample(correct, len(correct))]
    after = accuracy(make.rows(shuffled))
    assert (after.value, after.low, after.high) == pytest.approx((before.value, before.low, before.high))


@QUICK
@given(rows_of_samples)
def test_repeating_every_sample_adds_nothing_for_the_population(make, correct):
    once, thrice = accuracy(make.rows(correct)), accuracy(make.rows([row * 3 for row in correct]))
    assert (thrice.low, thrice.high) == pytest.approx((once.low, once.high), abs=1e-9)


@QUICK
@given(rows_of_samples)
def test_copies_in_one_cluster_add_nothing(make, correct):
    n = len(correct)
    twice = make.rows(correct + correct, clusters=tuple(f"g{i % n}" for i in range(2 * n)))
    once, both = accuracy(make.rows(correct)), accuracy(twice)
    assert (both.low, both.high) == pytest.approx((once.low, once.high), abs=1e-9)


@QUICK
@given(rows_of_samples)
def test_right_and_wrong_swapped_mirrors_the_interval(make, correct):
    one, other = accuracy(make.rows(correct)), accuracy(make.rows([[not x for x in row] for row in correct]))
    assert (other.low, other.high) == pytest.approx((1 - one.high, 1 - one.low), abs=1e-9)


def test_level_is_checked(make):
    with pytest.raises(InputError, match="confidence level of 95"):
        accuracy(make.rows([[1], [0]]), level=95)


def test_truncated_samples_count_as_wrong_and_have_a_rate(make):
    s = make.rows([[1, 0, 1, 0], [1, 0, 0, 0]], finished=[[1, 1, 0, 0], [1, 1, 1, 1]])
    assert truncation_rate(s).value == 0.25
    assert accuracy(s).value == (0.25 + 0.25) / 2


def test_ungraded_samples_count_as_wrong_and_have_a_rate(make):
    s = make.rows([[1, 1], [0, 0], [1, 0]], graded=[[1, 1], [0, 0], [1, 1]])
    assert ungraded_rate(s).value == pytest.approx(1 / 3)
    assert accuracy(s).value == pytest.approx((1 + 0 + 0.5) / 3)


@pytest.mark.parametrize(("n", "a", "b"), [(30, 0.3, 0.3), (30, 2.0, 0.1), (200, 0.3, 0.3), (200, 2.0, 0.1)])
def test_simulated_coverage_of_both_estimands(n, a, b):
    rng = np.random.default_rng(7)
    ids, runs, k = tuple(map(str, range(n))), 300, 8
    population = fixed = 0
    for _ in range(runs):
        ease = rng.beta(a, b, size=n)
        s = Samples(problem_ids=ids, correct=list(rng.random((n, k)) < ease[:, None]))
        got, again = accuracy(s), accuracy_fixed(s)
        assert again is not None
        population += got.low <= a / (a + b) <= got.high
        fixed += again.low <= ease.mean() <= again.high
    # Four standard errors of a coverage of 0.95 over 300 runs are 0.05.
    assert 0.90 <= population / runs <= 0.99
    assert 0.90 <= fixed / runs <= 0.995


def test_agrees_with_inspect_ai_where_it_is_installed(make):
    scorer = pytest.importorskip("inspect_ai.scorer")
    labels, right = ("a", "a", "b", "c", "c", "d"), [1, 0, 1, 1, 0, 1]
    scores = [
        scorer.SampleScore(score=scorer.Score(value=float(x)), sample_metadata={"group": label})
        for x, label in zip(right, labels, strict=True)
    ]
    theirs = scorer.stderr(cluster="group")(scores)
    s = make.rows([[x] for x in right], clusters=labels)
    assert clustered_error(s.accuracies, cluster_index(s)).se == pytest.approx(theirs)
