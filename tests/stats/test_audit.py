"""Audits of a grader: hand-worked rates and corrections, simulated coverage, and kappa against published numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lakon.core.errors import InputError
from lakon.stats import (
    Audit,
    Estimate,
    cohen_kappa,
    correct_accuracy,
    false_accept_rate,
    false_reject_rate,
    weighted_agreement,
)

AUDIT = Audit(upheld_accepts=95, overturned_accepts=5, overturned_rejects=10, upheld_rejects=90)


def test_correction_by_hand():
    raw = Estimate(0.6, 0.5, 0.7, "t on 100 clusters", 100, 800)
    got = correct_accuracy(raw, AUDIT)
    # .6 * .95 + .4 * .10
    assert got.value == pytest.approx(0.61)
    assert got.low < 0.61 - 0.85 * 0.1, "wider than the raw interval times the slope"
    assert got.high > 0.61 + 0.85 * 0.1
    assert "95" not in got.method
    assert "100 accepts and 100 rejects" in got.method
    assert false_accept_rate(AUDIT).value == 0.05
    assert false_reject_rate(AUDIT).value == 0.10
    assert false_reject_rate(AUDIT).low < 0.10 < false_reject_rate(AUDIT).high


def test_correction_of_a_part_by_hand():
    raw = Estimate(0.6, 0.5, 0.7, "", 100, 800)
    got = correct_accuracy(raw, AUDIT, accepts=0.5, rejects=0.2)
    # .6 - .5 * .05 + .2 * .10: a tenth was accepted by somebody else, a fifth was cut off
    assert got.value == pytest.approx(0.595)
    assert correct_accuracy(raw, AUDIT, accepts=0.6, rejects=0.4) == correct_accuracy(raw, AUDIT)
    untouched = correct_accuracy(raw, AUDIT, accepts=0.0, rejects=0.0)
    assert (untouched.value, untouched.low, untouched.high) == pytest.approx((0.6, 0.5, 0.7))
    with pytest.raises(InputError, match=r"accepts that are 0.7 and rejects that are 0.2"):
        correct_accuracy(raw, AUDIT, accepts=0.7, rejects=0.2)


def test_the_interval_of_a_corrected_accuracy_covers():
    rng = np.random.default_rng(11)
    covered, runs = 0, 300
    for _ in range(runs):
        truth = rng.random(2000) < 0.55
        said = np.where(truth, rng.random(2000) > 0.12, rng.random(2000) < 0.06)
        accepts, rejects = np.flatnonzero(said), np.flatnonzero(~said)
        up, down = truth[rng.choice(accepts, 100, replace=False)], truth[rng.choice(rejects, 100, replace=False)]
        audit = Audit(
            upheld_accepts=int(up.sum()),
            overturned_accepts=int((~up).sum()),
            overturned_rejects=int(down.sum()),
            upheld_rejects=int((~down).sum()),
        )
        share = float(said.mean())
        half = 1.96 * (share * (1 - share) / 2000) ** 0.5
        got = correct_accuracy(Estimate(share, share - half, share + half, "", 2000, 2000), audit)
        covered += got.low <= 0.55 <= got.high
    assert 0.92 <= covered / runs <= 0.99


def test_a_flawless_audit_does_not_make_a_flawless_grader():
    raw = Estimate(0.6, 0.5, 0.7, "", 100, 800)
    got = correct_accuracy(raw, Audit(upheld_accepts=20, overturned_accepts=0, overturned_rejects=0, upheld_rejects=20))
    assert got.value == 0.6
    assert got.high - got.low > 0.21


def test_an_audit_needs_both_kinds():
    with pytest.raises(InputError, match="5 accepts and 0 rejects"):
        Audit(upheld_accepts=5, overturned_accepts=0, overturned_rejects=0, upheld_rejects=0)


def test_agreement_weighs_accepts_and_rejects_by_how_many_there_are():
    audit = Audit(upheld_accepts=90, overturned_accepts=10, overturned_rejects=20, upheld_rejects=80)
    got = weighted_agreement(audit, accepts=900, rejects=100)
    assert got.value == pytest.approx(0.9 * 0.9 + 0.1 * 0.8)
    assert got.low < got.value < got.high <= 1
    alike = weighted_agreement(audit, accepts=500, rejects=500)
    assert alike.value == pytest.approx(0.85)
    flawless = Audit(upheld_accepts=5, overturned_accepts=0, overturned_rejects=0, upheld_rejects=5)
    assert weighted_agreement(flawless, accepts=50, rejects=50).low < 1
    with pytest.raises(InputError, match="out of 99 and 100"):
        weighted_agreement(audit, accepts=99, rejects=100)


def test_the_interval_of_agreement_covers():
    rng, hits, runs = np.random.default_rng(0), 0, 2000
    truth = 0.7 * 0.95 + 0.3 * 0.85
    for _ in range(runs):
        wrong, missed = int(rng.binomial(100, 0.05)), int(rng.binomial(100, 0.15))
        audit = Audit(
            upheld_accepts=100 - wrong, overturned_accepts=wrong, overturned_rejects=missed, upheld_rejects=100 - missed
        )
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


@pytest.mark.parametrize(
    ("table", "kappa", "error"),
    [
        ([[20, 5], [10, 15]], 0.4, 0.12699606293110033),
        ([[53, 5, 2], [11, 14, 5], [1, 6, 3]], 0.4285714285714285, 0.0759588315346638),
        ([[75, 1, 4], [5, 4, 1], [0, 0, 10]], 0.676470588235294, 0.08770295347521254),
    ],
)
def test_kappa_agrees_with_statsmodels(table, kappa, error):
    """Kappa and its standard error by `cohens_kappa` of statsmodels 0.15.0."""
    pairs = [(i, j) for i, row in enumerate(table) for j, n in enumerate(row) for _ in range(n)]
    got = cohen_kappa([i for i, _ in pairs], [j for _, j in pairs])
    assert got.value == pytest.approx(kappa)
    assert (got.high - got.low) / 2 == pytest.approx(1.959963984540054 * error)


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
