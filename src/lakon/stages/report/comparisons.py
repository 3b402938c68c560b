"""Every paired comparison of a study in words: its figures, then the conclusion that they support.

A missing difference is never called equality: either non-inferiority was shown against the margin stated beforehand, or
the sentence says how large a difference the comparison could have found. `conclusions.py` writes the headline.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from lakon.core import score_text as wording
from lakon.core.records import Score
from lakon.core.report_data import ModelCard, Sentence


@dataclass(frozen=True, slots=True)
class ScoredStudy:
    """What conclusions are drawn from: the authors, their scores on whole benchmarks, the margin and the confidence."""

    cards: dict[str, ModelCard]
    scores: tuple[Score, ...]
    margin: float
    confidence: float
    margin_stated: bool
    """Whether the study states the margin; otherwise it is the default."""

    def find(self, benchmark: str, author: str, metric: str, baseline: str | None = None) -> Score | None:
        """The score on the whole benchmark with these names, or None."""
        key = (benchmark, author, metric, baseline)
        for score in self.scores:
            if (score.benchmark, score.author, score.metric, score.baseline) == key and score.at is None:
                return score
        return None

    def card(self, label: str) -> ModelCard:
        """The author with this label; without a card only its label is known."""
        return self.cards.get(label) or ModelCard(label=label, kind="author")

    @property
    def margin_words(self) -> str:
        """The margin in points."""
        origin = "stated beforehand" if self.margin_stated else "(the default)"
        return f"{wording.format_rough(100 * self.margin)} points {origin}"


class PairedComparison(NamedTuple):
    """One author against its baseline on one benchmark, with all scores of the two."""

    author: ModelCard
    baseline: ModelCard
    difference: Score
    ratio: Score | None
    bound: Score | None
    """The test of non-inferiority."""
    worse: Score | None
    """The test of being worse by more than the margin."""


def list_comparisons(study: ScoredStudy, benchmark: str) -> list[PairedComparison]:
    """The paired comparisons on one benchmark, in the order in which they were scored."""
    comparisons: list[PairedComparison] = []
    for score in study.scores:
        usable = score.baseline is not None and math.isfinite(score.estimate)
        if usable and (score.benchmark, score.metric) == (benchmark, "accuracy_difference"):
            author, baseline = study.card(score.author), study.card(score.baseline or "")
            ratio = study.find(benchmark, score.author, "token_ratio", score.baseline)
            bound = study.find(benchmark, score.author, "non_inferiority", score.baseline)
            worse = study.find(benchmark, score.author, "inferiority", score.baseline)
            comparisons.append(PairedComparison(author, baseline, score, ratio, bound, worse))
    return comparisons


def describe_comparison(study: ScoredStudy, comparison: PairedComparison) -> Sentence:
    """The figures of one comparison and the conclusion from them."""
    figures, conclusion = _state_figures(study, comparison), _conclude(study, comparison)
    rests_on = figures.rests_on + conclusion.rests_on[1:]
    return Sentence(text=f"{figures.text} {conclusion.text}", rests_on=rests_on, detail=True)


def _state_figures(study: ScoredStudy, comparison: PairedComparison) -> Sentence:
    """Both accuracies, their difference and the token ratio."""
    score = comparison.difference
    first = study.find(score.benchmark, comparison.author.label, "accuracy")
    second = study.find(score.benchmark, comparison.baseline.label, "accuracy")
    author, baseline = name_both(study, comparison)
    who = f"{author} against {baseline}"
    if first and second:
        reached, against = wording.accuracy_cell(first), wording.accuracy_cell(second)
        who = f"{author} reaches {reached}, {baseline} {against}"
    difference = f"difference {wording.format_difference(score)}{_p_clause(score.p_value)}"
    text = f"{benchmark_clause(score)}{match_clause(comparison)}: {who}; {difference}"
    if comparison.ratio is not None:
        text += f"; it uses {wording.ratio_cell(comparison.ratio)} the tokens of {baseline}"
    rests_on = [score for score in (first, second, score, comparison.ratio) if score is not None]
    return Sentence(text=f"{text}.", rests_on=tuple(rests_on))


def _p_clause(value: float | None) -> str:
    text = wording.format_p_value(value)
    return f", p {text if text.startswith('<') else f'= {text}'}" if text else ""


def _conclude(study: ScoredStudy, comparison: PairedComparison) -> Sentence:
    """What the figures of one comparison say about accuracy."""
    score, bound = comparison.difference, comparison.bound
    text = _compare_accuracies(study, comparison)
    rests_on = (score, bound) if bound is not None else (score,)
    if wording.is_at_floor(score):
        return Sentence(text=text, rests_on=rests_on)
    if bound is not None and bound.low is not None:
        low = f"(lower bound {wording.format_points(bound.low)} points)"
        higher = wording.is_established(score, study.confidence) and score.estimate > 0
        if shows_non_inferiority(study, comparison) and not higher:
            text += f" By the margin of {study.margin_words} it is not inferior {low}."
        elif _shows_inferiority(study, comparison):
            text += f" It is worse by more than the margin of {study.margin_words}."
        elif not shows_non_inferiority(study, comparison):
            text += f" Non-inferiority within the margin of {study.margin_words} is not shown {low}"
            if (needed := _problems_needed(study, comparison)) is not None:
                text += f"; with no true difference, about {needed.estimate:,.0f} problems would have shown it with"
                text += " 90% power"
                rests_on += (needed,)
            text += "."
    return Sentence(text=text, rests_on=rests_on)


def shows_non_inferiority(study: ScoredStudy, comparison: PairedComparison) -> bool:
    """Whether non-inferiority was shown: the bound lies inside the margin, and the accuracies are not at the floor."""
    bound = comparison.bound
    if wording.is_at_floor(comparison.difference):
        return False
    return bound is not None and bound.low is not None and bound.low > -study.margin


def _shows_inferiority(study: ScoredStudy, comparison: PairedComparison) -> bool:
    """Whether it was shown that the author is worse by more than the margin, a claim with a test of its own."""
    worse = comparison.worse
    return worse is not None and worse.high is not None and worse.high < -study.margin


def _compare_accuracies(study: ScoredStudy, comparison: PairedComparison) -> str:
    score = comparison.difference
    if score.low is None or score.high is None:
        return "This difference has no interval, so nothing follows from it about other problems."
    if wording.is_at_floor(score):
        return "No claim: both accuracies are at the floor, where a difference says little."
    if wording.is_established(score, study.confidence):
        word = "higher" if score.estimate > 0 else "lower"
        return f"The accuracy of {name_both(study, comparison)[0]} is {word}{one_training_clause(comparison)}."
    if score.low > 0 or score.high < 0:
        return (
            "A difference is suggested, not established: this interval alone leaves out zero, the test adjusted for"
            " all comparisons of its family does not."
        )
    smallest = _detectable_difference(study, score)
    detects = f"; the smallest difference that so many problems show with 80% power is about {smallest}"
    return f"The two accuracies cannot be told apart here{detects if smallest else ''}."


def one_training_clause(comparison: PairedComparison) -> str:
    """` (of this one training)` where a student of the pair has one training seed, else nothing."""
    pair = (comparison.author, comparison.baseline)
    single = any(card.kind == "student" and len(card.seeds) <= 1 for card in pair)
    return " (of this one training)" if single else ""


def _detectable_difference(study: ScoredStudy, score: Score) -> str:
    smallest = study.find(score.benchmark, score.author, "detectable_difference", score.baseline)
    return f"{wording.format_rough(100 * smallest.estimate)} points" if smallest is not None else ""


def _problems_needed(study: ScoredStudy, comparison: PairedComparison) -> Score | None:
    """The number of problems that would show non-inferiority if there were no difference; None when these suffice."""
    score = comparison.difference
    needed = study.find(score.benchmark, score.author, "problems_needed", score.baseline)
    settled = wording.is_established(score, study.confidence)
    return None if needed is None or needed.estimate <= score.n_problems or settled else needed


def name_author(card: ModelCard) -> str:
    """The author's name in a sentence."""
    if card.kind == "base":
        return "the base before training" if card.label == "base" else f"the base {card.label} before training"
    # A teacher's label may carry its kind to differ from an arm; the sentence says the kind already.
    name = card.label.removesuffix(f" ({card.kind})")
    return f"the {name} {card.kind}" if card.kind in ("student", "teacher") else card.label


def name_both(study: ScoredStudy, comparison: PairedComparison) -> tuple[str, str]:
    """The names of author and baseline: the arm alone where the sentence names the rule and there is only one base."""
    bases = {card.student for card in study.cards.values() if card.kind == "student"}
    if not match_clause(comparison) or len(bases) > 1:
        return name_author(comparison.author), name_author(comparison.baseline)
    return _name_by_arm(comparison.author), _name_by_arm(comparison.baseline)


def _name_by_arm(card: ModelCard) -> str:
    return name_author(replace(card, label=card.arm or card.label))


def match_clause(comparison: PairedComparison) -> str:
    """`, arms matched by tokens` when both authors are students under one rule, else nothing."""
    rules = {card.match if card.kind == "student" else None for card in (comparison.author, comparison.baseline)}
    rule = rules.pop() if len(rules) == 1 else None
    return f", arms matched by {rule}" if rule else ""


def benchmark_clause(score: Score) -> str:
    """The benchmark with its numbers of problems and samples."""
    per_problem = score.n_samples / score.n_problems if score.n_problems else 0.0
    samples = f"{score.n_samples:,} samples"
    if per_problem == int(per_problem):
        samples = "one sample each" if per_problem == 1 else f"{per_problem:g} samples each"
    return f"On {wording.benchmark_title(score.benchmark)} ({score.n_problems:,} problems, {samples})"
