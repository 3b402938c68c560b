"""The order of a report: which sections there are and what each holds. Empty sections vanish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lakon.core import score_text as wording
from lakon.core.report_data import ReportData
from lakon.core.score_text import benchmark_title
from lakon.render import accounts, figures, tables, verification
from lakon.render.blocks import Figure, Sample, Section, Table
from lakon.render.lookup import benchmarks

IN_WORDS = "Every comparison in words"
"""The title of the verdict's details, which neither page nor Markdown puts first."""

RUNS_IN_A_SENTENCE = 4
"""Loss curves that are read out in words; more are read from a table."""

Part = Table | Figure | Sample


def scope(data: ReportData) -> str:
    """What was compared on what, in one line."""
    kinds = ("teacher", "base", "student")
    counts = {kind: sum(card.kind == kind for card in data.authors) for kind in kinds}
    words = {"teacher": "teacher", "base": "base model", "student": "student"}
    who = [f"{n} {words[kind]}{'s' if n > 1 else ''}" for kind, n in counts.items() if n]
    where = [f"{benchmark_title(name)} ({wording.count(n)} problems)" for name, n in benchmarks(data)]
    told = "; ".join(part for part in (", ".join(who), ", ".join(where)) if part)
    return f"Study {data.study}: {told}." if told else f"Study {data.study}."


def sections(data: ReportData) -> tuple[Section, ...]:
    """Every section after the verdict that has something to show."""
    names = [name for name, _ in benchmarks(data)]
    made = (
        _section("results", "Accuracy and tokens", [part for name in names for part in _results(data, name)]),
        _section("pairs", "Paired differences", [tables.paired_table(data)]),
        _section("order", "The order under each match rule", [tables.order_table(data, name) for name in names]),
        _section("budget", "Accuracy within a token budget", [figures.budget(data, name) for name in names]),
        _section("groups", "Accuracy by group", [part for name in names for part in figures.by_tag(data, name)]),
        _section(
            "training",
            "Training",
            [figures.losses(data), *_losses_in_full(data), accounts.cost_table(data)],
            () if len(data.losses) > RUNS_IN_A_SENTENCE else accounts.loss_reading(data),
        ),
        _section("funnel", "From problems to examples", [accounts.funnel_table(data)]),
        _section("profiles", "How the teachers reason", [accounts.profile_table(data)]),
        _section("outcomes", "Outcomes", [figures.outcomes(data)]),
        _section("verification", "Verification", verification.parts(data), verification.paragraphs(data)),
        _section("traces", "Traces side by side", list(accounts.samples(data))),
        _section("provenance", "Provenance", [accounts.provenance_table(data), accounts.methods_table(data)]),
    )
    return tuple(section for section in made if section.parts or section.paragraphs)


def _losses_in_full(data: ReportData) -> Sequence[Part | None]:
    """Where each curve starts and ends, as a table once there are too many runs for a sentence."""
    made = accounts.loss_table(data)
    if made is None or len(data.losses) <= RUNS_IN_A_SENTENCE:
        return []
    return [replace(made, caption="Where each loss curve starts and ends")]


def _results(data: ReportData, benchmark: str) -> Sequence[Part | None]:
    return [
        tables.main_table(data, benchmark),
        figures.frontier(data, benchmark),
        tables.detail_table(data, benchmark),
    ]


def _section(key: str, title: str, parts: Sequence[Part | None], paragraphs: tuple[str, ...] = ()) -> Section:
    kept = tuple(part for part in parts if part is not None)
    return Section(key=key, title=title, paragraphs=paragraphs, parts=kept)
