"""How a study's answers were verified: which method decided how many, and what an audit says about the rules.

Invariant: an audit draws as many answers of a rare kind as of a common one, so what it says about *all* answers is
weighted back; an answer that the judge left undecided is in no rate and is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from lakon.core.records import Outcome, Verdict
from lakon.core.report_data import AuditCounts, AuditFigures, JudgeAccount, Measured, Moved, RulingUse, Verification
from lakon.stages.verify.overrides import METHOD as OVERRIDE
from lakon.stages.verify.verify import Verify
from lakon.stats import (
    Audit,
    Estimate,
    cohen_kappa,
    false_accept_rate,
    false_reject_rate,
    judge_error_corrected,
    weighted_agreement,
)
from lakon.stats.intervals import clustered_error, proportion_bounds

ALL = "all audited answers"


@dataclass(frozen=True, slots=True)
class Verified:
    """The verdicts of one author on one benchmark, and the account of the judge when there was one."""

    label: str
    verdicts: Iterable[Verdict]
    account: JudgeAccount | None = None
    moved: Moved | None = None
    rulings: tuple[RulingUse, ...] = ()


def verification(spec: Verify, tables: Sequence[Verified], *, level: float) -> Verification:
    """The account over all tables, and each table's audit."""
    methods: Counter[str] = Counter()
    overridden: list[Verdict] = []
    marks: list[_Marks | None] = []
    for table in tables:
        audited_too = table.account is not None and table.account.audit is not None
        mark = _Marks() if audited_too else None
        for verdict in table.verdicts:
            methods[verdict.method] += 1
            if mark is not None:
                mark.add(verdict)
            if verdict.method == OVERRIDE:
                overridden.append(verdict)
        marks.append(mark)
    accounts = [table.account for table in tables if table.account is not None]
    audited: list[tuple[str, AuditCounts, _Marks | None]] = [
        (t.label, t.account.audit, mark)
        for t, mark in zip(tables, marks, strict=True)
        if t.account is not None and t.account.audit is not None
    ]
    if len(audited) > 1:
        audited.append((ALL, _counts([counts for _, counts, _ in audited]), None))
    by_rules = spec.policy != "judge"  # verdicts that are the judge's already have nothing to be corrected
    return Verification(
        policy=spec.policy,
        methods=dict(methods.most_common()),
        judge=spec.judge.model if spec.judge else "",
        votes=spec.judge.votes if spec.judge else 1,
        account=_total(accounts) if accounts else None,
        # Counts of all tables together are of audited answers: tables of any size have equal parts in them, so they
        # say nothing of what all answers' accuracy would be.
        audits=tuple(
            audit_figures(label, counts, level=level, raw=mark.accuracy(level) if by_rules and mark else None)
            for label, counts, mark in audited
        ),
        overrides=tuple(overridden),
        unused=_unused(tables),
        moved=tuple(t.moved for t in tables if t.moved is not None and t.moved.moves),
    )


def _unused(tables: Sequence[Verified]) -> tuple[RulingUse, ...]:
    """The rulings that no table used; every table tells of all of them."""
    rulings = {ruling.line: ruling for table in tables for ruling in table.rulings}
    used = {ruling.line for table in tables for ruling in table.rulings if ruling.n}
    return tuple(ruling for line, ruling in sorted(rulings.items()) if line not in used)


class _Marks:
    """Verdicts as marks by problem, for an accuracy with its interval."""

    def __init__(self) -> None:
        self._right: Counter[str] = Counter()
        self._all: Counter[str] = Counter()

    def add(self, verdict: Verdict) -> None:
        self._right[verdict.problem_id] += verdict.outcome == Outcome.CORRECT
        self._all[verdict.problem_id] += 1

    def accuracy(self, level: float) -> Estimate | None:
        """Over all answers, clustered by problem; None without any."""
        if not self._all:
            return None
        total = sum(self._all.values())
        # A problem's mark is weighted by its answers, so that the mean is the share of all answers.
        values = np.array([self._right[name] * len(self._all) / total for name in self._all], dtype=np.float64)
        value = sum(self._right.values()) / total
        bounds = proportion_bounds(value, clustered_error(values, np.arange(len(values))), level=level)
        return Estimate(value, bounds.low, bounds.high, bounds.method, len(values), total)


def audit_figures(label: str, counts: AuditCounts, *, level: float, raw: Estimate | None = None) -> AuditFigures:
    """Rates, agreement and kappa with intervals, and the accuracy `raw` corrected by them; counts alone when only
    accepts or only rejects were audited."""
    right, wrong, missed, fair = (
        counts.accepts_right,
        counts.accepts_wrong,
        counts.rejects_right,
        counts.rejects_wrong,
    )
    if not right + wrong or not missed + fair:
        return AuditFigures(label=label, counts=counts, raw_accuracy=_measured(raw) if raw else None)
    audit = Audit(accepts_right=right, accepts_wrong=wrong, rejects_right=missed, rejects_wrong=fair)
    rules = [True] * (right + wrong) + [False] * (missed + fair)
    judge = [True] * right + [False] * wrong + [True] * missed + [False] * fair
    agreement = weighted_agreement(audit, accepts=counts.n_accepts, rejects=counts.n_rejects, level=level)
    corrected = raw and judge_error_corrected(
        raw, audit, accepts=counts.n_accepts / raw.n_samples, rejects=counts.n_rejects / raw.n_samples, level=level
    )
    return AuditFigures(
        label=label,
        counts=counts,
        agreement=_measured(agreement),
        raw_accuracy=_measured(raw) if raw else None,
        corrected_accuracy=_measured(corrected) if corrected else None,
        kappa=_measured(cohen_kappa(rules, judge, level=level)),
        false_accepts=_measured(false_accept_rate(audit, level=level)),
        false_rejects=_measured(false_reject_rate(audit, level=level)),
    )


def _measured(estimate: Estimate) -> Measured:
    return Measured(value=estimate.value, low=estimate.low, high=estimate.high)


def _counts(audits: Sequence[AuditCounts]) -> AuditCounts:
    names = [field.name for field in fields(AuditCounts) if field.name != "disagreements"]
    return replace(AuditCounts(), **{name: sum(getattr(audit, name) for audit in audits) for name in names})


def _total(accounts: Sequence[JudgeAccount]) -> JudgeAccount:
    names = [field.name for field in fields(JudgeAccount) if field.name != "audit"]
    return replace(JudgeAccount(), **{name: sum(getattr(a, name) for a in accounts) for name in names})
