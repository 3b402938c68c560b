"""Finds scores and authors in the data of a report, by one set of rules so that no two tables disagree.

An author with scores but without a card still gets its row: no measured figure is left out.
"""

from __future__ import annotations

from lakon.core import score_text as wording
from lakon.core.records import Score
from lakon.core.report_data import ModelCard, ReportData


def list_cards(data: ReportData, benchmark: str | None = None) -> list[ModelCard]:
    """The authors in their order, each label once; with `benchmark`, only those that were scored on it.

    Authors without a card come last.
    """
    cards: dict[str, ModelCard] = {}
    for card in data.authors:
        # A student's card says more than that of a teacher with the same label.
        if card.label not in cards or cards[card.label].kind == "teacher":
            cards[card.label] = card
    for score in data.scores:
        cards.setdefault(score.author, ModelCard(label=score.author, kind="author"))
    everyone = list(cards.values())
    if benchmark is None:
        return everyone
    present = {score.author for score in data.scores if score.benchmark == benchmark}
    return [card for card in everyone if card.label in present]


def list_benchmarks(data: ReportData) -> list[tuple[str, int]]:
    """Held-out benchmarks first, the study's own problems last; those without a score are left out."""
    sizes = dict(data.benchmarks)
    for score in data.scores:
        sizes.setdefault(score.benchmark, score.n_problems)
    scored = {score.benchmark for score in data.scores}
    names = sorted((name for name in sizes if name in scored), key=lambda name: name == wording.OWN_PROBLEMS)
    return [(name, sizes[name]) for name in names]


def find_score(
    data: ReportData,
    benchmark: str,
    author: str,
    metric: str,
    *,
    at: float | None = None,
    baseline: str | None = None,
    group: str | None = None,
) -> Score | None:
    """The score with these names, or None."""
    key = (benchmark, author, metric, at, baseline, group)
    for score in data.scores:
        if (score.benchmark, score.author, score.metric, score.at, score.baseline, score.group) == key:
            return score
    return None


def scores_of_metric(data: ReportData, benchmark: str, metric: str) -> list[Score]:
    """All scores of one metric on one benchmark."""
    return [score for score in data.scores if score.benchmark == benchmark and score.metric == metric]


def find_token_ratio(data: ReportData, benchmark: str, author: str) -> Score | None:
    """The author's tokens against those of its baseline, or None."""
    mine = (score for score in scores_of_metric(data, benchmark, "token_ratio") if score.author == author)
    return next((score for score in mine if score.baseline is not None and score.group is None), None)


def find_twins(data: ReportData) -> dict[str, str]:
    """Label to the label of an earlier, identical run: same arm, same tokens, same losses."""
    twins: dict[str, str] = {}
    seen: dict[tuple[object, ...], str] = {}
    for card in list_cards(data):
        losses = data.losses.get(card.label)
        if card.kind == "student" and losses:
            key = (card.student, card.arm, card.seeds, card.n_examples, card.n_train_tokens, tuple(losses))
            first = seen.setdefault(key, card.label)
            twins |= {card.label: first} if first != card.label else {}
    return twins


def twin_note(data: ReportData) -> str:
    """A sentence on why two rows are equal; empty when no two runs are identical."""
    same = [f"{label} is the same run as {first}" for label, first in find_twins(data).items()]
    return f"{'; '.join(same)}: both rules ask for the same training, so their figures are equal." if same else ""


def group_heading(card: ModelCard) -> str:
    """The heading above an author's row: its kind, its base model, its matching rule."""
    if card.kind == "teacher":
        return "Teachers"
    if card.kind == "base":
        return "Base model, before training"
    if card.kind == "prompted":
        return "Other ways of asking"
    if card.kind != "student":
        return "Other authors"
    base = f" of {card.student}" if card.student else ""
    return f"Students{base}, arms matched by {card.match}" if card.match else f"Students{base}"


def palette_slot(data: ReportData, card: ModelCard) -> int:
    """A colour number from 1 to 8; a teacher and the students of its arm share one."""
    names = list(dict.fromkeys(_colour_name(each) for each in list_cards(data) if each.kind != "base"))
    return 8 if card.kind == "base" else names.index(_colour_name(card)) % 7 + 1


def teacher_slot(data: ReportData, label: str) -> int:
    """The colour number of the teacher with this label; 7 where the report has no such author."""
    card = ModelCard(label=label, kind="teacher")
    return palette_slot(data, card) if any(_colour_name(each) == _colour_name(card) for each in list_cards(data)) else 7


def _colour_name(card: ModelCard) -> str:
    return card.arm or card.label.removesuffix(f" ({card.kind})")
