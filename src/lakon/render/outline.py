"""The sections of a report and what each contains. Empty sections are left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from lakon.core import score_text as wording
from lakon.core.report_data import ReportData
from lakon.core.score_text import benchmark_title
from lakon.render import score_figures, score_tables, study_figures, study_tables
from lakon.render.blocks import Figure, Section, ShowcasedProblem, Table
from lakon.render.familiarity import familiarity_figures, familiarity_paragraphs, familiarity_table
from lakon.render.held_out import held_out_figures, held_out_paragraphs
from lakon.render.lookup import list_benchmarks
from lakon.render.verification import verification_paragraphs, verification_tables

IN_WORDS = "Every comparison in words"
"""The title of the detailed conclusions, which come last."""

RUNS_IN_A_SENTENCE = 4
"""Up to this many loss curves are described in words; more of them in a table."""

Part = Table | Figure | ShowcasedProblem


def describe_scope(data: ReportData) -> str:
    """What was compared on what, in one line."""
    counts = Counter(card.kind for card in data.authors)
    nouns = {"teacher": "teacher", "base": "base model", "student": "student"}
    who = [wording.pluralise(counts[kind], noun) for kind, noun in nouns.items() if counts[kind]]
    where = [f"{benchmark_title(name)} ({wording.format_count(n)} problems)" for name, n in list_benchmarks(data)]
    scope = "; ".join(part for part in (", ".join(who), ", ".join(where)) if part)
    return f"Study {data.study}: {scope}." if scope else f"Study {data.study}."


def build_sections(data: ReportData) -> tuple[Section, ...]:
    """Every section after the conclusions that is not empty."""
    names = [name for name, _ in list_benchmarks(data)]
    tags: list[Part] = []
    for name in names:
        tags += score_figures.tag_figures(data, name)
    budgets = [score_figures.budget_figure(data, name) for name in names]
    all_sections = (
        _section("results", "Accuracy and tokens", [part for name in names for part in _results(data, name)]),
        _section("pairs", "Paired differences", [score_tables.paired_table(data)]),
        _section("order", "The order under each match rule", [score_tables.order_table(data, name) for name in names]),
        _section("budget", "Accuracy within a token budget", budgets),
        _section("groups", "Accuracy by group", tags),
        _section(
            "familiarity",
            "Familiarity",
            [familiarity_table(data), *familiarity_figures(data)],
            familiarity_paragraphs(data),
        ),
        _section(
            "training",
            "Training",
            [study_figures.loss_figure(data), *_losses_in_full(data), study_tables.cost_table(data)],
            () if len(data.losses) > RUNS_IN_A_SENTENCE else study_tables.loss_reading(data),
        ),
        _section("held-out", "Held-out loss by style", held_out_figures(data), held_out_paragraphs(data)),
        _section("funnel", "From problems to examples", [study_tables.funnel_table(data)]),
        _section("profiles", "How the teachers reason", [study_tables.profile_table(data)]),
        _section("outcomes", "Outcomes", [study_figures.outcome_figure(data)]),
        _section("verification", "Verification", verification_tables(data), verification_paragraphs(data)),
        _section("traces", "Traces side by side", list(study_tables.showcased_problems(data))),
        _section("provenance", "Provenance", [study_tables.provenance_table(data), study_tables.methods_table(data)]),
    )
    return tuple(section for section in all_sections if section.parts or section.paragraphs)


def _losses_in_full(data: ReportData) -> Sequence[Part | None]:
    """Where each curve starts and ends, as a table once there are too many runs for a sentence."""
    losses = study_tables.loss_table(data)
    if losses is None or len(data.losses) <= RUNS_IN_A_SENTENCE:
        return []
    return [replace(losses, caption="Where each loss curve starts and ends")]


def _results(data: ReportData, benchmark: str) -> Sequence[Part | None]:
    return [
        score_tables.main_table(data, benchmark),
        score_figures.frontier_figure(data, benchmark),
        score_tables.detail_table(data, benchmark),
    ]


def _section(key: str, title: str, parts: Sequence[Part | None], paragraphs: tuple[str, ...] = ()) -> Section:
    present = tuple(part for part in parts if part is not None)
    return Section(key=key, title=title, paragraphs=paragraphs, parts=present)
