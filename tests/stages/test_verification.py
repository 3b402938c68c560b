"""The account of how answers were verified: methods, totals over tables, and an audit's figures by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lakon.core.records import Verdict
from lakon.core.report_data import AuditCounts, JudgeAccount
from lakon.stages.report.verification_summary import ALL_AUDITED, VerdictTable, summarise_audit, summarise_verification
from lakon.stages.verify.verify import Judge, Verify

SPEC = Verify(policy="rules-then-judge", judge=Judge(model="org/judge", votes=3), audit=10)
COUNTS = AuditCounts(
    n_accepts=900,
    n_rejects=100,
    upheld_accepts=9,
    overturned_accepts=1,
    overturned_rejects=2,
    upheld_rejects=8,
    undecided_rejects=1,
    disagreements=("a", "b", "c"),
)


def verdict(i: int, method: str) -> Verdict:
    return Verdict(
        trace_id=f"t{i}",
        problem_id="p",
        sample_index=i,
        outcome="correct",
        extracted="1",
        method=method,
        explanation="Ada: same",
        verifier="math@1",
    )


def test_an_audits_figures_by_hand():
    made = summarise_audit("a", COUNTS, level=0.95)
    assert made.false_accepts is not None
    assert made.false_accepts.value == pytest.approx(0.1)
    assert (made.false_accepts.low, made.false_accepts.high) == pytest.approx((0.00253, 0.44502), abs=1e-5)
    assert made.false_rejects is not None
    assert made.false_rejects.value == pytest.approx(0.2)
    assert made.agreement is not None
    assert made.agreement.value == pytest.approx(0.9 * 0.9 + 0.1 * 0.8)
    assert made.kappa is not None
    assert made.kappa.value == pytest.approx((17 / 20 - 0.5) / 0.5)


def test_accuracy_stands_beside_what_the_audit_makes_of_it():
    rows = [verdict(i, "string") for i in range(6)]
    rows += [
        replace(verdict(i, "rational"), outcome=o) for i, o in enumerate(["incorrect", "incorrect", "truncated"], 6)
    ]
    rows += [replace(verdict(9, "judge"), problem_id="q")]
    counts = AuditCounts(
        n_accepts=6, n_rejects=2, upheld_accepts=3, overturned_accepts=1, overturned_rejects=1, upheld_rejects=1
    )
    (audit,) = summarise_verification(
        SPEC, [VerdictTable("a / x", rows, JudgeAccount(audit=counts))], level=0.95
    ).audits
    assert audit.raw_accuracy is not None
    assert audit.raw_accuracy.value == pytest.approx(0.7)
    assert audit.corrected_accuracy is not None
    # 7 of 10 are correct; a quarter of the rules' 6 accepts are not, half of their 2 rejects are, the judge's own stays
    assert audit.corrected_accuracy.value == pytest.approx((7 - 6 / 4 + 2 / 2) / 10)
    assert audit.corrected_accuracy.low < audit.raw_accuracy.value < audit.corrected_accuracy.high


def test_a_judges_own_verdicts_are_not_corrected_by_its_audit():
    spec = Verify(policy="judge", judge=Judge(model="org/judge"), audit=10)
    table = VerdictTable("a / x", [verdict(0, "judge")], JudgeAccount(audit=COUNTS))
    (audit,) = summarise_verification(spec, [table], level=0.95).audits
    assert audit.agreement is not None
    assert (audit.raw_accuracy, audit.corrected_accuracy) == (None, None)


def test_an_audit_of_one_side_only_has_counts_and_no_rates():
    made = summarise_audit(
        "a", AuditCounts(n_accepts=5, upheld_accepts=5, undecided_rejects=2, n_rejects=2), level=0.95
    )
    assert made.counts.upheld_accepts == 5
    assert (made.agreement, made.kappa, made.false_accepts, made.false_rejects) == (None,) * 4


def test_tables_add_up_and_each_audit_stands_for_itself():
    one = JudgeAccount(n_answers=10, n_judgeable=8, n_asked=4, n_decided=1, n_calls=5, n_tokens=70, audit=COUNTS)
    two = JudgeAccount(n_answers=20, n_judgeable=20, n_asked=6, n_decided=2, n_calls=6, n_tokens=30, audit=COUNTS)
    rest = [replace(verdict(3, "string"), outcome="incorrect")] * 100 + [verdict(4, "string")] * 899
    rows = [verdict(0, "string"), verdict(1, "judge"), verdict(2, "override"), *rest]
    made = summarise_verification(
        SPEC,
        [VerdictTable("a / x", rows, one), VerdictTable("b / x", rows, two), VerdictTable("c / x", [])],
        level=0.95,
    )
    assert made.methods == {"string": 2000, "judge": 2, "override": 2}
    assert [v.trace_id for v in made.overrides] == ["t2", "t2"]
    assert (made.policy, made.judge, made.votes) == ("rules-then-judge", "org/judge", 3)
    assert made.account is not None
    assert (made.account.n_answers, made.account.n_asked, made.account.n_tokens) == (30, 10, 100)
    assert [audit.label for audit in made.audits] == ["a / x", "b / x", ALL_AUDITED]
    assert made.audits[2].counts.upheld_accepts == 18
    assert all(audit.raw_accuracy and audit.corrected_accuracy for audit in made.audits[:2])
    together = made.audits[2]
    assert (together.raw_accuracy, together.corrected_accuracy) == (None, None), "of answers, not of tables"


def test_rules_alone_have_methods_and_nothing_else():
    made = summarise_verification(Verify(), [VerdictTable("a / x", [verdict(0, "string")])], level=0.95)
    assert (made.account, made.audits, made.overrides, made.judge) == (None, (), (), "")
