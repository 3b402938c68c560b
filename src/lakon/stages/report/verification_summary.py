"""How a study's answers were verified: the number of answers that each method decided, and what an audit says about
the rules.

Invariant: an audit samples as many answers of a rare kind as of a common one, so figures about *all* answers are
weighted by how many there are. An answer on which the judge is undecided is counted, and no rate includes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from lakon.core.records import Outcome, Verdict
from lakon.core.report_data import (
    AuditCounts,
    AuditFigures,
    JudgeAccount,
    MeasuredValue,
    RulingUse,
    VerdictChanges,
    Verification,
)
from lakon.stages.verify.overrides import OVERRIDE_METHOD
from lakon.stages.verify.verify import Verify
from lakon.stats import (
    Audit,
    Estimate,
    cohen_kappa,
    correct_accuracy,
    false_accept_rate,
    false_reject_rate,
    weighted_agreement,
)
from lakon.stats.intervals import clustered_error, proportion_interval

ALL_AUDITED = "all audited answers"


@dataclass(frozen=True, slots=True)
class VerdictTable:
    """The verdicts of one author on one benchmark, with the account of the judge when there was one."""

    label: str
    verdicts: Iterable[Verdict]
    account: JudgeAccount | None = None
    changes: VerdictChanges | None = None
    rulings: tuple[RulingUse, ...] = ()

    @property
    def audit(self) -> AuditCounts | None:
        """The counts of the audit, when there was one."""
        return self.account.audit if self.account is not None else None


def summarise_verification(spec: Verify, tables: Sequence[VerdictTable], *, level: float) -> Verification:
    """The methods, the judge's account and the rulings over all tables, and the audit of each table."""
    methods: Counter[str] = Counter()
    ruled: list[Verdict] = []
    audits: list[AuditFigures] = []
    for table in tables:
        answers = _AnswerCounts()
        for verdict in table.verdicts:
            methods[verdict.method] += 1
            if table.audit is not None:
                answers.add(verdict)
            if verdict.method == OVERRIDE_METHOD:
                ruled.append(verdict)
        if table.audit is not None:
            # Under the policy `judge` the verdicts are the judge's own, so there is no accuracy to correct.
            raw = answers.accuracy(level) if spec.policy != "judge" else None
            audits.append(summarise_audit(table.label, table.audit, level=level, raw=raw))
    if len(audits) > 1:
        # Tables of any size contribute equally to the total, so it says nothing about the accuracy over all answers.
        total = _add_audits([audit.counts for audit in audits])
        audits.append(summarise_audit(ALL_AUDITED, total, level=level))
    accounts = [table.account for table in tables if table.account is not None]
    return Verification(
        policy=spec.policy,
        methods=dict(methods.most_common()),
        judge=spec.judge.model if spec.judge else "",
        votes=spec.judge.votes if spec.judge else 1,
        account=_add_accounts(accounts) if accounts else None,
        audits=tuple(audits),
        overrides=tuple(ruled),
        unused_rulings=_find_unused_rulings(tables),
        changes=tuple(table.changes for table in tables if table.changes is not None and table.changes.counts),
    )


def _find_unused_rulings(tables: Sequence[VerdictTable]) -> tuple[RulingUse, ...]:
    """The rulings that no table used; every table lists all rulings."""
    rulings: dict[int, RulingUse] = {}
    used: set[int] = set()
    for table in tables:
        rulings |= {ruling.line: ruling for ruling in table.rulings}
        used |= {ruling.line for ruling in table.rulings if ruling.n}
    return tuple(ruling for line, ruling in sorted(rulings.items()) if line not in used)


class _AnswerCounts:
    """Correct answers and all answers by problem, for an accuracy with its interval."""

    def __init__(self) -> None:
        self._correct: Counter[str] = Counter()
        self._all: Counter[str] = Counter()

    def add(self, verdict: Verdict) -> None:
        self._correct[verdict.problem_id] += verdict.outcome == Outcome.CORRECT
        self._all[verdict.problem_id] += 1

    def accuracy(self, level: float) -> Estimate | None:
        """The share of correct answers, clustered by problem; None without answers."""
        if not self._all:
            return None
        total = self._all.total()
        # A problem is weighted by its number of answers, so that the mean is the share of all answers.
        values = np.array([self._correct[name] * len(self._all) / total for name in self._all], dtype=np.float64)
        value = self._correct.total() / total
        low, high, method = proportion_interval(value, clustered_error(values, np.arange(len(values))), level=level)
        return Estimate(value, low, high, method, len(values), total)


def summarise_audit(label: str, counts: AuditCounts, *, level: float, raw: Estimate | None = None) -> AuditFigures:
    """Rates, agreement and kappa with intervals, and the accuracy `raw` corrected for the errors of the rules.

    Counts alone when only accepts or only rejects were audited.
    """
    raw_accuracy = _measured(raw) if raw else None
    n_accepts = counts.upheld_accepts + counts.overturned_accepts
    n_rejects = counts.upheld_rejects + counts.overturned_rejects
    if not n_accepts or not n_rejects:
        return AuditFigures(label=label, counts=counts, raw_accuracy=raw_accuracy)
    audit = Audit(
        upheld_accepts=counts.upheld_accepts,
        overturned_accepts=counts.overturned_accepts,
        upheld_rejects=counts.upheld_rejects,
        overturned_rejects=counts.overturned_rejects,
    )
    by_rules = [True] * n_accepts + [False] * n_rejects
    by_judge = [True] * counts.upheld_accepts + [False] * counts.overturned_accepts
    by_judge += [True] * counts.overturned_rejects + [False] * counts.upheld_rejects
    corrected = None
    if raw is not None:
        accepts, rejects = counts.n_accepts / raw.n_samples, counts.n_rejects / raw.n_samples
        corrected = _measured(correct_accuracy(raw, audit, accepts=accepts, rejects=rejects, level=level))
    return AuditFigures(
        label=label,
        counts=counts,
        agreement=_measured(weighted_agreement(audit, accepts=counts.n_accepts, rejects=counts.n_rejects, level=level)),
        raw_accuracy=raw_accuracy,
        corrected_accuracy=corrected,
        kappa=_measured(cohen_kappa(by_rules, by_judge, level=level)),
        false_accepts=_measured(false_accept_rate(audit, level=level)),
        false_rejects=_measured(false_reject_rate(audit, level=level)),
    )


def _measured(estimate: Estimate) -> MeasuredValue:
    return MeasuredValue(value=estimate.value, low=estimate.low, high=estimate.high)


def _add_audits(audits: Sequence[AuditCounts]) -> AuditCounts:
    total = Counter[str]()
    for audit in audits:
        total.update({name: n for name, n in asdict(audit).items() if name != "disagreements"})
    return replace(AuditCounts(), **total)


def _add_accounts(accounts: Sequence[JudgeAccount]) -> JudgeAccount:
    total = Counter[str]()
    for account in accounts:
        total.update({name: n for name, n in asdict(account).items() if name != "audit"})
    return replace(JudgeAccount(), **total)
