"""Token means and ratios: hand-worked numbers, invariances, and coverage at the size of AIME."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakon.core.errors import InputError
from lakon.stats import Samples, mean_tokens, tokens_per_correct
from lakon.stats.tokens import token_ratio, tokens_per_correct_ratio

QUICK = settings(max_examples=30, deadline=None, derandomize=True)

token_rows = st.lists(st.lists(st.integers(1, 9999), min_size=1, max_size=4), min_size=2, max_size=12)


def of_tokens(make, tokens, **fields):
    return make.rows([[1] * len(row) for row in tokens], tokens=tokens, **fields)


def test_mean_tokens_by_hand(make):
    # Per-problem means 10, 20, 30: SE 10/sqrt(3), t(2, .975) = 4.3026527.
    got = mean_tokens(of_tokens(make, [[5, 15], [20], [30, 30, 30]]))
    assert got.value == 20.0
    assert got.high == pytest.approx(20 + 4.3026527 * 10 / math.sqrt(3))
    assert got.low == 0.0, "tokens are never negative"


def test_a_capped_mean_is_labelled(make):
    got = mean_tokens(of_tokens(make, [[5], [9]], finished=[[1], [0]]))
    assert got.method.endswith("restricted at the cap (1 of 2 samples truncated)")


def test_token_ratio_by_hand(make):
    # A: 100, 300 (mean 200); B: 50, 50. Influence .5-1, 1.5-1 = -.5, .5: SE = sqrt(.5)/sqrt(2) = .5; t(1) =
    # 12.7062047.
    got = token_ratio(of_tokens(make, [[100], [300]]), of_tokens(make, [[50], [50]]))
    assert got.value == pytest.approx(4.0)
    assert got.high == pytest.approx(4 * math.exp(12.7062047 * 0.5))
    assert got.low == pytest.approx(4 * math.exp(-12.7062047 * 0.5))
    # P(|T(1)| >= log 4 / .5) = 2/pi * atan(.5 / log 4).
    assert got.p_value == pytest.approx(2 / math.pi * math.atan(0.5 / math.log(4)))


@QUICK
@given(token_rows, st.integers(2, 50))
def test_ratio_scales_and_inverts(make, rows, factor):
    rng = np.random.default_rng(len(rows))
    a, b = of_tokens(make, rows), of_tokens(make, rng.integers(1, 500, size=(len(rows), 2)).tolist())
    one, back = token_ratio(a, b), token_ratio(b, a)
    longer = [[x * factor for x in row] for row in rows]
    scaled = token_ratio(of_tokens(make, longer), b)
    assert one.low <= one.value <= one.high
    assert (back.value, back.low, back.high) == pytest.approx((1 / one.value, 1 / one.high, 1 / one.low))
    assert (scaled.value, scaled.low) == pytest.approx((factor * one.value, factor * one.low))


def test_no_variation_gives_no_interval(make):
    got = token_ratio(of_tokens(make, [[30], [60]]), of_tokens(make, [[10], [20]]))
    assert (got.value, got.low, got.high) == (pytest.approx(3.0), 0.0, math.inf)
    assert "no variation" in got.method
    assert mean_tokens(of_tokens(make, [[7], [7]])).high == math.inf


def test_tokens_for_a_right_answer_by_hand(make):
    # 30 tokens a problem on average, accuracy .5: 60 tokens for each right answer.
    s = make.rows([[1, 0], [1, 0], [1, 1], [0, 0]], tokens=[[10, 30], [40, 40], [10, 10], [50, 50]])
    got = tokens_per_correct(s)
    assert got is not None
    assert got.value == pytest.approx(60.0)
    assert got.low < 60.0 < got.high
    assert got.n_samples == 8
    assert got.p_value is None
    assert tokens_per_correct(make.rows([[0]], tokens=[[5]])) is None


def test_ratio_of_tokens_for_a_right_answer(make):
    a, b = make.drawn(50, 4, 1), make.drawn(50, 4, 2)
    one, other, ratio = tokens_per_correct(a), tokens_per_correct(b), tokens_per_correct_ratio(a, b)
    assert one is not None
    assert other is not None
    assert ratio is not None
    assert ratio.value == pytest.approx(one.value / other.value)
    assert ratio.low < ratio.value < ratio.high
    same = tokens_per_correct_ratio(a, a)
    assert same is not None
    assert same.value == pytest.approx(1.0)


def test_an_author_that_wrote_nothing_is_an_error(make):
    silent, other = of_tokens(make, [[0], [0]]), of_tokens(make, [[1], [2]])
    with pytest.raises(InputError, match="without a single token"):
        token_ratio(other, silent)


def test_simulated_coverage_of_the_token_ratio():
    rng, n, k, runs = np.random.default_rng(5), 30, 8, 300
    ids, right, covered = tuple(map(str, range(n))), [[1] * k] * n, 0
    for _ in range(runs):
        size = rng.normal(8, 0.7, size=(n, 1))
        a, b = (
            Samples(
                problem_ids=ids,
                correct=right,
                tokens=list(np.exp(size + shift + rng.normal(0, 0.4, size=(n, k)))),
            )
            for shift in (1.4, 0.0)
        )
        got = token_ratio(a, b)
        covered += got.low <= math.exp(1.4) <= got.high
    assert 0.915 <= covered / runs <= 0.98
