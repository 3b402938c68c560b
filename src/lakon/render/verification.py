"""How answers were verified, for a reader: who decided how many, what an audit says about the rules, who overruled."""

from __future__ import annotations

from collections.abc import Callable

from lakon.core import score_text as wording
from lakon.core.report_data import AuditFigures, JudgeAccount, Measured, ReportData, Verification
from lakon.render.blocks import Group, Row, Table, table

POLICIES = {
    "rules": "Rules decided every answer",
    "judge": "A judge decided every answer that can be judged",
    "rules-then-judge": "Rules decided first, and a judge where they were undecided or disagreed",
}


def paragraphs(data: ReportData) -> tuple[str, ...]:
    """The policy, the judge, and what it took, in sentences."""
    made = data.verification
    if made is None:
        return ()
    policy = f"{POLICIES.get(made.policy, made.policy)}."
    return (policy,) if made.account is None else (f"{policy} {_judge(made)}", _effort(made.account))


def _judge(made: Verification) -> str:
    votes = "one vote" if made.votes == 1 else f"the majority of {made.votes} votes"
    return f"The judge is {made.judge}, by {votes} on each answer; it sees problem, reference and final answer."


def _effort(account: JudgeAccount) -> str:
    undecided = f" ({wording.count(account.n_undecided)} of them left undecided)" if account.n_undecided else ""
    failed = f", {wording.count(account.n_errors)} of which failed," if account.n_errors else ""
    audited = account.n_heard - account.n_decided
    audit = f" and was asked about {wording.count(audited)} more for the audit" if audited else ""
    text = (
        f"It decided {wording.count(account.n_decided)} of {wording.count(account.n_answers)} answers{undecided}{audit}"
        f"; this rests on {wording.count(account.n_calls)} replies{failed}"
    )
    tokens = ""
    if account.n_tokens:
        shown = f" (it read {wording.count(account.n_prompt_tokens)})" if account.n_prompt_tokens else ""
        tokens = f" and {wording.count(account.n_tokens)} generated tokens{shown}"
    saved = saved_share(account)
    text = f"{text}{tokens}; what several authors wrote alike is paid for once and counted for each."
    if saved is None:
        return text
    return f"{text} Against judging every answer that can be judged, the rules saved {wording.percent(saved)}."


def saved_share(account: JudgeAccount) -> float | None:
    """The share of answers that could have been judged and were not; None when none could."""
    return 1 - account.n_heard / account.n_judgeable if account.n_judgeable else None


def parts(data: ReportData) -> list[Table | None]:
    """The tables: deciding methods, audits, human rulings, verdicts that moved."""
    made = data.verification
    if made is None:
        return []
    rulings = [_overrides(made), _unused(made)]
    return [_methods(made), _audits(data, made), *rulings, _moves(made), _moved(made)]


def _methods(made: Verification) -> Table | None:
    total = sum(made.methods.values())
    rows = tuple(
        Row(cells=(method, wording.count(n), wording.percent(n / total)), share=n / total)
        for method, n in made.methods.items()
    )
    note = "All samples of all authors; an answer is counted under the method that had the last word."
    return table("Which method decided", ("method", "answers", "share"), [Group(rows=rows)], note=note)


def _audits(data: ReportData, made: Verification) -> Table | None:
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
    rows = tuple(Row(cells=_audit_cells(audit)) for audit in made.audits)
    corrected = (
        " The corrected accuracy is what the accuracy would be, had the judge looked at every answer that the rules"
        " decided, and its interval holds the noise of the audit too."
        if any(audit.corrected_accuracy for audit in made.audits)
        else ""
    )
    note = (
        "The judge looked at a seeded random sample of the rules' accepts and at one of their rejects; no verdict"
        f" changes by it. Brackets are {wording.percent(data.confidence, 0)} intervals. Agreement is weighted by how"
        " many accepts and rejects there are; kappa is that of the audited answers, and so is everything in a row"
        f" over all of them.{corrected} The judge errs too: these are differences between two graders. The"
        " traces on which they differ are listed in judge.json beside each verdict table."
    )
    return table("The judge's audit of the rules", columns, [Group(rows=rows)], note=note)


def _audit_cells(audit: AuditFigures) -> tuple[str, ...]:
    counts = audit.counts
    undecided = counts.accepts_undecided + counts.rejects_undecided
    return (
        audit.label,
        _share(counts.accepts_wrong, counts.accepts_right + counts.accepts_wrong, audit.false_accepts),
        _share(counts.rejects_right, counts.rejects_right + counts.rejects_wrong, audit.false_rejects),
        wording.count(undecided) if undecided else "",
        _percents(audit.agreement),
        _cell(audit.kappa, _hundredths, _hundredths),
        _percents(audit.raw_accuracy),
        _percents(audit.corrected_accuracy),
    )


def _share(count: int, n: int, rate: Measured | None) -> str:
    if not n:
        return ""
    cell = _percents(rate)
    return f"{wording.count(count)} of {wording.count(n)}{': ' if cell else ''}{cell}"


def _cell(figure: Measured | None, write: Callable[[float], str], write_end: Callable[[float], str]) -> str:
    return f"{write(figure.value)} [{write_end(figure.low)}, {write_end(figure.high)}]" if figure else ""


def _percents(figure: Measured | None) -> str:
    return _cell(figure, wording.percent, lambda value: wording.fixed(100 * value))


def _hundredths(value: float) -> str:
    return wording.fixed(value, 2)


def _overrides(made: Verification) -> Table | None:
    rows = tuple(
        Row(cells=(verdict.trace_id[:12], verdict.extracted or "", verdict.outcome, verdict.explanation))
        for verdict in made.overrides
    )
    columns = ("trace", "answer", "ruling", "who and why")
    return table("Human rulings that were used", columns, [Group(rows=rows)], n_text=4, folded=len(rows) > 20)


def _unused(made: Verification) -> Table | None:
    rows = tuple(
        Row(cells=(str(ruling.line), ruling.about, ruling.outcome, f"{ruling.who}: {ruling.why}"))
        for ruling in made.unused
    )
    note = "No trace has such an id, or no answer reads so to such a reference: mend the line, or remove it."
    columns = ("line", "about", "ruling", "who and why")
    return table("Human rulings on which no verdict rests", columns, [Group(rows=rows)], n_text=4, note=note)


def _moves(made: Verification) -> Table | None:
    rows = tuple(
        Row(cells=(moved.label, moved.since, move, wording.count(n)))
        for moved in made.moved
        for move, n in moved.moves.items()
    )
    note = "The same traces, verified again: no author was asked for it."
    columns = ("author / benchmark", "verified before by", "outcome", "verdicts")
    return table("Verdicts that moved since the last verification", columns, [Group(rows=rows)], note=note, n_text=3)


def _moved(made: Verification) -> Table | None:
    rows = tuple(
        Row(
            cells=(
                move.trace_id[:12],
                move.extracted,
                f"{move.before} ({move.method_before})",
                f"{move.after} ({move.method_after})",
            )
        )
        for moved in made.moved
        for move in moved.listed
    )
    columns = ("trace", "answer", "before", "now")
    return table("Which ones", columns, [Group(rows=rows)], n_text=4, folded=True)
