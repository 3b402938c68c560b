"""The spread between training seeds: hand-worked means, refusals, and simulated coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lakon.core.errors import InputError
from lakon.stats import Estimate, compare_samples, seed_spread
from lakon.stats.training_seeds import cluster_weights


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


def test_cluster_weights_draw_whole_clusters():
    clusters = np.array([0, 0, 1, 2, 2, 2])
    weights = np.concatenate(list(cluster_weights(clusters, n_resamples=500, seed=3)))
    assert weights.shape == (500, 6)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 3] == weights[:, 5]).all()
    assert (weights[:, [0, 2, 3]].sum(axis=1) == 3).all()


def two_arms(make, rng, *, n, k, n_seeds, spread, gap=0.0):
    """Two arms of several students each on the same problems; the second is `gap` better on the logit scale."""
    difficulty = rng.normal(0.5, 1.5, size=(n, 1, 1))
    arms = []
    for shift in (0.0, gap):
        logits = difficulty + shift + rng.normal(0, spread, size=(1, n_seeds, 1)) + rng.normal(0, 0.5, (n, n_seeds, 1))
        right = rng.random((n, n_seeds, k)) < 1 / (1 + np.exp(-logits))
        lengths = rng.poisson(200 * np.exp(rng.normal(0, spread / 3, size=(1, n_seeds, 1))), size=(n, n_seeds, k)) + 1
        index = [np.repeat(np.arange(n_seeds), k)] * n
        arms.append(make.rows(list(right.reshape(n, -1)), seed_index=index, tokens=list(lengths.reshape(n, -1))))
    return arms


@pytest.mark.parametrize(("n", "spread"), [(60, 0.3), (400, 0.3), (400, 0.0)])
def test_differences_and_ratios_cover_when_trainings_differ(make, n: int, spread: float):
    """The truth is 0 and 1: arms differ by nothing but which trainings were drawn. Without the spread between trainings
    a difference at n = 400 covers about half of the time."""
    rng = np.random.default_rng(3)
    covered = {"difference": 0, "ratio": 0}
    rejected, rounds = 0, 250
    for _ in range(rounds):
        a, b = two_arms(make, rng, n=n, k=2, n_seeds=3, spread=spread)
        compared = compare_samples(a, b, margin=0.05, seed=1)
        difference, ratio = compared.difference, compared.token_ratio
        assert ratio is not None
        covered["difference"] += difference.low <= 0 <= difference.high
        covered["ratio"] += ratio.low <= 1 <= ratio.high
        rejected += (difference.p_value or 1.0) < 0.05
    assert covered["difference"] / rounds > 0.91
    assert covered["ratio"] / rounds > 0.91
    assert rejected / rounds < 0.09


def test_a_difference_says_that_seeds_are_in_it_and_margin_tests_count_them(make):
    rng = np.random.default_rng(5)
    a, b = two_arms(make, rng, n=300, k=4, n_seeds=3, spread=0.6)
    together = compare_samples(a, b, margin=0.05)
    alone = compare_samples(make.rows(list(a.correct)), make.rows(list(b.correct)), margin=0.05)
    assert together.n_seeds == (3, 3)
    assert alone.n_seeds == (1, 1)
    assert together.difference.value == pytest.approx(alone.difference.value)
    assert width(together.difference) > 2 * width(alone.difference)
    assert (together.difference.p_value or 0.0) >= (alone.difference.p_value or 0.0)
    assert together.non_inferiority.power < alone.non_inferiority.power


def width(estimate: Estimate) -> float:
    return estimate.high - estimate.low


def test_one_training_changes_nothing(make):
    rng = np.random.default_rng(7)
    a, b = two_arms(make, rng, n=50, k=4, n_seeds=1, spread=0.5)
    plain = compare_samples(make.rows(list(a.correct)), make.rows(list(b.correct)), margin=0.05)
    assert compare_samples(a, b, margin=0.05).difference == plain.difference
