"""The section on verification: who decided how many answers, what an audit says about the rules, and human rulings."""

from __future__ import annotations

from lakon.core import score_text as wording
from lakon.core.report_data import AuditFigures, JudgeAccount, MeasuredValue, ReportData, Verification
from lakon.core.score_text import Formatter
from lakon.render.blocks import RowGroup, Table, TableRow, make_table

POLICIES = {
    "rules": "Rules decided every answer",
    "judge": "A judge decided every answer that can be judged",
    "rules-then-judge": "Rules decided first, and a judge where they were undecided or disagreed",
}


def verification_paragraphs(data: ReportData) -> tuple[str, ...]:
    """The policy, the judge, and its work, in sentences."""
    verification = data.verification
    if verification is None:
        return ()
    policy = f"{POLICIES.get(verification.policy, verification.policy)}."
    if verification.account is None:
        return (policy,)
    return (f"{policy} {_describe_judge(verification)}", _describe_work(verification.account))


def _describe_judge(verification: Verification) -> str:
    votes = "one vote" if verification.votes == 1 else f"the majority of {verification.votes} votes"
    return f"The judge is {verification.judge}, by {votes} on each answer; it sees problem, reference and final answer."


def _describe_work(account: JudgeAccount) -> str:
    count = wording.format_count
    text = f"It decided {count(account.n_decided)} of {count(account.n_answers)} answers"
    if account.n_undecided:
        text += f" ({count(account.n_undecided)} of them left undecided)"
    if audited := account.n_asked - account.n_decided:
        text += f" and was asked about {count(audited)} more for the audit"
    text += f"; this rests on {count(account.n_calls)} replies"
    if account.n_errors:
        text += f", {count(account.n_errors)} of which failed,"
    if account.n_tokens:
        text += f" and {count(account.n_tokens)} generated tokens"
        if account.n_prompt_tokens:
            text += f" (it read {count(account.n_prompt_tokens)})"
    text += ". Equal answers of several authors are paid for once and counted for each author."
    saved = saved_share(account)
    if saved is None:
        return text
    return f"{text} Against judging every answer that can be judged, the rules saved {wording.format_percent(saved)}."


def saved_share(account: JudgeAccount) -> float | None:
    """The share of judgeable answers that the judge was not asked about; None when there are none."""
    return 1 - account.n_asked / account.n_judgeable if account.n_judgeable else None


def verification_tables(data: ReportData) -> list[Table | None]:
    """The tables: deciding methods, audits, human rulings, changed verdicts."""
    verification = data.verification
    if verification is None:
        return []
    return [
        _method_table(verification),
        _audit_table(data, verification),
        _used_rulings_table(verification),
        _unused_rulings_table(verification),
        _change_counts_table(verification),
        _changes_table(verification),
    ]


def _method_table(verification: Verification) -> Table | None:
    total = sum(verification.methods.values())
    rows = tuple(
        TableRow(cells=(method, wording.format_count(n), wording.format_percent(n / total)), share=n / total)
        for method, n in verification.methods.items()
    )
    note = "All samples of all authors; an answer is counted under the method that decided last."
    return make_table("Which method decided", ("method", "answers", "share"), [RowGroup(rows=rows)], note=note)


def _audit_table(data: ReportData, verification: Verification) -> Table | None:
    columns = (
        "author / benchmark",
        "accepts called wrong",
        "rejects called right",
        "undecided",
        "agreement",
        "Cohen's kappa",
        "accuracy",
        "corrected accuracy",
    )
    rows = tuple(TableRow(cells=_audit_cells(audit)) for audit in verification.audits)
    corrected = ""
    if any(audit.corrected_accuracy for audit in verification.audits):
        corrected = (
            " The corrected accuracy is what the accuracy would be if the judge had decided every answer that the rules"
            " decided; its interval includes the noise of the audit."
        )
    note = (
        "The judge looked at a seeded random sample of the rules' accepts and at one of their rejects; this changes no"
        f" verdict. Brackets are {wording.format_percent(data.confidence, 0)} intervals. Agreement is weighted by the"
        " numbers of accepts and rejects. Kappa, and a row over all audited answers, describe only the audited answers,"
        f" not all answers.{corrected} The judge errs too: these are differences between two graders. The traces on"
        " which they differ are listed in judge.json beside each verdict table."
    )
    return make_table("The judge's audit of the rules", columns, [RowGroup(rows=rows)], note=note)


def _audit_cells(audit: AuditFigures) -> tuple[str, ...]:
    counts = audit.counts
    undecided = counts.undecided_accepts + counts.undecided_rejects
    return (
        audit.label,
        _share_cell(counts.overturned_accepts, counts.upheld_accepts, audit.false_accepts),
        _share_cell(counts.overturned_rejects, counts.upheld_rejects, audit.false_rejects),
        wording.format_count(undecided) if undecided else "",
        _percent_cell(audit.agreement),
        _value_cell(audit.kappa, _two_decimals, _two_decimals),
        _percent_cell(audit.raw_accuracy),
        _percent_cell(audit.corrected_accuracy),
    )


def _share_cell(overturned: int, upheld: int, rate: MeasuredValue | None) -> str:
    if not overturned + upheld:
        return ""
    text = f"{wording.format_count(overturned)} of {wording.format_count(overturned + upheld)}"
    return f"{text}: {_percent_cell(rate)}" if rate else text


def _value_cell(value: MeasuredValue | None, write: Formatter, write_end: Formatter) -> str:
    return f"{write(value.value)} [{write_end(value.low)}, {write_end(value.high)}]" if value else ""


def _percent_cell(value: MeasuredValue | None) -> str:
    return _value_cell(value, wording.format_percent, lambda end: wording.format_fixed(100 * end))


def _two_decimals(value: float) -> str:
    return wording.format_fixed(value, 2)


def _used_rulings_table(verification: Verification) -> Table | None:
    rows = tuple(
        TableRow(cells=(verdict.trace_id[:12], verdict.extracted or "", verdict.outcome, verdict.explanation))
        for verdict in verification.overrides
    )
    columns = ("trace", "answer", "ruling", "who and why")
    return make_table("Human rulings that were used", columns, [RowGroup(rows=rows)], n_text=4, folded=len(rows) > 20)


def _unused_rulings_table(verification: Verification) -> Table | None:
    rows = tuple(
        TableRow(cells=(str(ruling.line), ruling.about, ruling.outcome, f"{ruling.who}: {ruling.why}"))
        for ruling in verification.unused_rulings
    )
    note = "No trace has this id, or no answer to this reference has this text: correct the line or remove it."
    columns = ("line", "about", "ruling", "who and why")
    caption = "Human rulings that decided no verdict"
    return make_table(caption, columns, [RowGroup(rows=rows)], n_text=4, note=note)


def _change_counts_table(verification: Verification) -> Table | None:
    rows: list[TableRow] = []
    for changes in verification.changes:
        for change, n in changes.counts.items():
            rows.append(TableRow(cells=(changes.label, changes.since, change, wording.format_count(n))))
    caption = "Verdicts that changed since the last verification"
    columns = ("author / benchmark", "verified before by", "outcome", "verdicts")
    note = "The same traces, verified again; no author was asked again."
    return make_table(caption, columns, [RowGroup(rows=tuple(rows))], note=note, n_text=3)


def _changes_table(verification: Verification) -> Table | None:
    rows: list[TableRow] = []
    for changes in verification.changes:
        for change in changes.listed:
            before, after = f"{change.before} ({change.method_before})", f"{change.after} ({change.method_after})"
            rows.append(TableRow(cells=(change.trace_id[:12], change.extracted, before, after)))
    columns = ("trace", "answer", "before", "now")
    return make_table("Which ones", columns, [RowGroup(rows=tuple(rows))], n_text=4, folded=True)
