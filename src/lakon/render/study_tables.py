"""The tables about the study itself: funnel, outcomes, training cost, losses, provenance, methods.

The figures of outcomes and losses take their tables from here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from lakon.core import score_text as wording
from lakon.core.records import UNGRADED, Loss, Outcome, Trace, Verdict
from lakon.core.report_data import ModelCard, ReportData
from lakon.render.blocks import RowGroup, ShowcasedProblem, ShowcasedTrace, Table, TableRow, make_table
from lakon.render.lookup import list_cards, twin_note

TRACE_LIMIT = 40_000
"""Characters of one trace that a page shows, so that a page with a few 30,000-token traces still opens."""


def funnel_table(data: ReportData) -> Table | None:
    """From problems to examples, and what was excluded before each row."""
    widest = max((row.n for row in data.funnel), default=0)
    rows = tuple(
        TableRow(
            cells=(row.label, wording.format_count(row.n), _reasons(row.excluded)),
            share=row.n / widest if widest else 0.0,
        )
        for row in data.funnel
    )
    return make_table("From problems to examples", ("step", "rows", "left out before it"), [RowGroup(rows=rows)])


_PATTERNS = {
    "n_tokens": "tokens",
    "steps": "paragraphs",
    "backtracks": "backtracks",
    "self_checks": "self-checks",
    "restatements": "restatements",
    "branches": "changes of approach",
    "branching": "changes a paragraph",
}


def profile_table(data: ReportData) -> Table | None:
    """The teachers' profiles, side by side."""
    rows: list[TableRow] = []
    for row in data.profiles:
        means = [_profile_cell(*row.means[name]) for name in _PATTERNS]
        rows.append(TableRow(cells=(row.author, *means, wording.format_count(row.n_traces))))
    note = (
        "Means a correct trace, counted by English phrases and paragraphs: for comparing teachers with each other, not"
        f" absolute. Brackets are {wording.format_percent(data.confidence, 0)} intervals over problems."
    )
    columns = ("teacher", *_PATTERNS.values(), "traces")
    return make_table("Profiles of the traces", columns, [RowGroup(rows=tuple(rows))], note=note)


def _profile_cell(mean: float, low: float, high: float) -> str:
    return f"{mean:.3g} [{low:.3g}, {high:.3g}]" if mean < 1000 else f"{mean:,.0f} [{low:,.0f}, {high:,.0f}]"


def _reasons(excluded: dict[str, int]) -> str:
    ordered = sorted(excluded.items(), key=lambda item: -item[1])
    return "; ".join(f"{rule}: {wording.format_count(n)}" for rule, n in ordered if n)


def outcome_names(data: ReportData) -> list[str]:
    """The outcomes that occur: those that say something about the author first, the ungraded ones last."""
    present = {name for counts in data.outcomes.values() for name, n in counts.items() if n}
    graded = [str(outcome) for outcome in Outcome if outcome not in UNGRADED]
    ungraded = [str(outcome) for outcome in Outcome if outcome in UNGRADED]
    strange = sorted(present - set(graded) - set(ungraded))
    return [name for name in [*graded, *strange, *ungraded] if name in present]


def is_ungraded(name: str) -> bool:
    """Whether the verifier could not grade answers with this outcome."""
    return name in set(UNGRADED)


_UNGRADED: dict[str, str] = {
    Outcome.UNPARSED: "unparsed, the verifier could not read the answer or its reference",
    Outcome.TIMEOUT: "timeout, it took too long over them",
    Outcome.ERROR: "error, the call failed, so that there is no answer",
}


def outcomes_table(data: ReportData) -> Table | None:
    """Number of traces by outcome, ungraded ones marked."""
    names = outcome_names(data)
    columns = ("author / benchmark", *(f"{n} (not graded)" if is_ungraded(n) else n for n in names), "all")
    rows: list[TableRow] = []
    for author, counts in data.outcomes.items():
        by_outcome = [wording.format_count(counts.get(name, 0)) for name in names]
        rows.append(TableRow(cells=(author, *by_outcome, wording.format_count(sum(counts.values())))))
    meanings = [_UNGRADED[name] for name in names if name in _UNGRADED]
    note = f"Not graded says nothing about the author: {'; '.join(meanings)}." if meanings else ""
    return make_table("Outcomes of all samples", columns, [RowGroup(rows=tuple(rows))], note=note)


def cost_table(data: ReportData) -> Table | None:
    """What each student was trained on. Manifests have the seconds, so that a report has the same bytes everywhere."""
    students = [card for card in list_cards(data) if card.n_examples or card.n_steps or card.trained_elsewhere]
    columns = ("student", "examples", "problems", "tokens trained on", "steps", "seeds")
    rows = tuple(TableRow(cells=_cost_cells(card)) for card in students)
    notes = ["Tokens trained on count completions only, repeats and epochs included."]
    if any(card.trained_elsewhere for card in students):
        notes.append(
            "A student that was trained elsewhere is only evaluated here: what it was trained on is not known."
        )
    note = " ".join([*notes, twin_note(data)]).strip()
    return make_table("Training cost", columns, [RowGroup(rows=rows)], note=note)


def _cost_cells(card: ModelCard) -> tuple[str, ...]:
    if card.trained_elsewhere:
        return (card.label, "trained elsewhere", "", "", "", "")
    return (
        card.label,
        wording.format_count(card.n_examples),
        wording.format_count(card.n_problems),
        wording.format_count(card.n_train_tokens),
        wording.format_count(card.n_steps),
        ", ".join(str(seed) for seed in card.seeds),
    )


def loss_table(data: ReportData) -> Table | None:
    """Where each loss curve starts and ends."""
    rows: list[TableRow] = []
    for label, losses in data.losses.items():
        ends = loss_ends(losses)
        if ends is not None:
            start, end, window = ends
            cells = (
                label,
                f"{start:.3f}",
                f"{end:.3f}",
                wording.format_ratio(end / start),
                wording.format_count(len(losses)),
            )
            rows.append(TableRow(cells=(*cells, wording.format_count(window))))
    columns = ("run", "starts at", "ends at", "end / start", "steps logged", "steps averaged")
    return make_table("Training loss", columns, [RowGroup(rows=tuple(rows))])


def loss_ends(losses: Sequence[Loss]) -> tuple[float, float, int] | None:
    """Mean loss over the first and the last twentieth of the run, and how many steps that is."""
    values = [loss.loss for loss in losses if math.isfinite(loss.loss) and loss.loss > 0]
    if not values:
        return None
    window = max(1, round(len(values) / 20))
    return sum(values[:window]) / window, sum(values[-window:]) / window, window


def loss_reading(data: ReportData) -> tuple[str, ...]:
    """Where each loss curve starts and ends, in words."""
    by_window: dict[int, list[str]] = {}
    for label, losses in data.losses.items():
        ends = loss_ends(losses)
        if ends is not None:
            start, end, window = ends
            by_window.setdefault(window, []).append(f"{label} starts at {start:.2f} and ends at {end:.2f}")
    return tuple(f"Training loss: {'; '.join(parts)} ({_averaged(window)})." for window, parts in by_window.items())


def _averaged(window: int) -> str:
    return f"means of the first and last {window} steps" if window > 1 else "first and last step"


def provenance_table(data: ReportData) -> Table | None:
    """Versions, digests, seeds and sampling behind the figures."""
    rows = tuple(TableRow(cells=(field, value)) for field, value in data.provenance.items())
    return make_table("Provenance", ("field", "value"), [RowGroup(rows=rows)], n_text=2)


def methods_table(data: ReportData) -> Table | None:
    """The method of each kind of score."""
    methods: dict[tuple[str, ...], list[list[str]]] = {}
    for metric, method in dict.fromkeys((score.metric, score.method) for score in data.scores if score.method):
        words = _NUMBER.split(method)
        methods.setdefault((metric, *words), []).append(_NUMBER.findall(method))
    rows = tuple(TableRow(cells=(key[0], _ranged(key[1:], numbers))) for key, numbers in sorted(methods.items()))
    columns = ("score", "method")
    note = "Where a method's own numbers differ between scores, their range is given; long ones (seeds) are not."
    return make_table("How each figure was computed", columns, [RowGroup(rows=rows)], n_text=2, note=note, folded=True)


_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def _ranged(words: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The words of a method with, in each gap, its number or the range of its numbers."""
    text = words[0]
    for place, word in enumerate(words[1:]):
        numbers = sorted({numbers[place] for numbers in rows}, key=float)
        span = numbers[0] if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
        text += ("\u2026" if len(numbers) > 1 and len(numbers[-1]) > 6 else span) + word
    return text


def showcased_problems(data: ReportData) -> tuple[ShowcasedProblem, ...]:
    """The showcased problems, each trace cut to `TRACE_LIMIT`."""
    problems: list[ShowcasedProblem] = []
    for showcase in data.showcases:
        traces = tuple(_showcased_trace(*entry) for entry in showcase.entries)
        problems.append(ShowcasedProblem(problem=showcase.problem, traces=traces))
    return tuple(problems)


def _showcased_trace(author: str, trace: Trace, verdict: Verdict) -> ShowcasedTrace:
    return ShowcasedTrace(
        author=author,
        mark=_mark(verdict.outcome),
        facts=_facts(trace, verdict),
        reasoning=_cut(trace.reasoning),
        answer=_cut(trace.answer or trace.error or ""),
        explanation=_cut(verdict.explanation),
    )


def _facts(trace: Trace, verdict: Verdict) -> str:
    return f"{wording.pluralise(trace.n_tokens, 'token')}, {verdict.outcome}"


def _mark(outcome: str) -> str:
    if is_ungraded(outcome):
        return "NOT GRADED"
    return "RIGHT" if outcome == Outcome.CORRECT else "WRONG"


def _cut(text: str) -> str:
    if len(text) <= TRACE_LIMIT:
        return text
    return f"{text[:TRACE_LIMIT]}\n[{wording.format_count(len(text) - TRACE_LIMIT)} more characters are not shown]"
