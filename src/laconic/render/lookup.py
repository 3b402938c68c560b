"""Finding scores and authors in a report's data: by one set of rules, so that no two tables disagree.

An author that has scores but no card still gets its row: nothing that was measured is left out in silence.
"""

from __future__ import annotations

from laconic.core.records import Score
from laconic.core.reporting import AuthorCard, ReportData

OWN_PROBLEMS = "problems"
"""The pseudo-benchmark on which teachers are scored."""


def cards(data: ReportData, benchmark: str | None = None) -> list[AuthorCard]:
    """The authors in their order, those without a card last; with a benchmark, those scored on it."""
    known = {card.label for card in data.authors}
    scored = dict.fromkeys(score.author for score in data.scores)
    extra = [AuthorCard(label=label, kind="author") for label in scored if label not in known]
    everyone = [*data.authors, *extra]
    if benchmark is None:
        return everyone
    present = {score.author for score in data.scores if score.benchmark == benchmark}
    return [card for card in everyone if card.label in present]


def benchmarks(data: ReportData) -> list[tuple[str, int]]:
    """Held-out benchmarks first, the study's own problems last; those without a score are left out."""
    sizes = dict(data.benchmarks)
    for score in data.scores:
        sizes.setdefault(score.benchmark, score.n_problems)
    scored = {score.benchmark for score in data.scores}
    names = sorted((name for name in sizes if name in scored), key=lambda name: name == OWN_PROBLEMS)
    return [(name, sizes[name]) for name in names]


def benchmark_title(name: str) -> str:
    """The benchmark as a reader should call it."""
    return "the study's own problems" if name == OWN_PROBLEMS else name


def find(
    data: ReportData,
    benchmark: str,
    author: str,
    metric: str,
    *,
    at: float | None = None,
    baseline: str | None = None,
    group: str | None = None,
) -> Score | None:
    """The one score of that name, or None."""
    wanted = (benchmark, author, metric, at, baseline, group)
    for score in data.scores:
        if (score.benchmark, score.author, score.metric, score.at, score.baseline, score.group) == wanted:
            return score
    return None


def of_metric(data: ReportData, benchmark: str, metric: str) -> list[Score]:
    """All scores of one metric on one benchmark."""
    return [score for score in data.scores if score.benchmark == benchmark and score.metric == metric]


def group_heading(card: AuthorCard) -> str:
    """The heading under which an author's row stands: its kind, its base model, its match rule."""
    if card.kind == "teacher":
        return "Teachers"
    if card.kind == "base":
        return "Base model, before training"
    if card.kind != "student":
        return "Other authors"
    base = f" of {card.student}" if card.student else ""
    return f"Students{base}, arms matched by {card.match}" if card.match else f"Students{base}"


def palette_slot(data: ReportData, card: AuthorCard) -> int:
    """A colour number from 1 to 8, shared by a teacher and the students of its arm under every match rule."""
    names = list(dict.fromkeys(_colour_name(each) for each in cards(data) if each.kind != "base"))
    return 8 if card.kind == "base" else names.index(_colour_name(card)) % 7 + 1


def _colour_name(card: AuthorCard) -> str:
    return card.arm or card.label
