"""Every paired comparison of a study in words: its figures, then what they allow to be said.

A missing difference is never called equality: either non-inferiority was shown against the margin stated
beforehand, or the sentence says how large a difference the comparison could have found. The headline that
sums these up is in `verdict`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import NamedTuple

from lakon.core import score_text as wording
from lakon.core.records import Score
from lakon.core.report_data import AuthorCard, Sentence

_POWER = NormalDist().inv_cdf(0.80)


@dataclass(frozen=True, slots=True)
class Scored:
    """What a verdict is about: the authors, their scores on whole benchmarks, and the terms set beforehand."""

    cards: dict[str, AuthorCard]
    scores: tuple[Score, ...]
    margin: float
    confidence: float
    stated: bool
    """Whether the margin is the study's own."""

    def find(self, benchmark: str, author: str, metric: str, baseline: str | None = None) -> Score | None:
        """The one score of that name, or None."""
        wanted = (benchmark, author, metric, baseline)
        for score in self.scores:
            if (score.benchmark, score.author, score.metric, score.baseline) == wanted and score.at is None:
                return score
        return None

    def card(self, label: str) -> AuthorCard:
        """The author of that label; one without a card is known by its label alone."""
        return self.cards.get(label) or AuthorCard(label=label, kind="author")

    @property
    def margin_words(self) -> str:
        """The margin in points."""
        return f"{wording.rough(100 * self.margin)} points {'stated beforehand' if self.stated else '(the default)'}"


class Pair(NamedTuple):
    """One paired comparison, with everything that was scored about it."""

    author: AuthorCard
    baseline: AuthorCard
    difference: Score
    ratio: Score | None
    bound: Score | None


def pairs(study: Scored, benchmark: str) -> list[Pair]:
    """The paired comparisons on one benchmark, in the order in which they were scored."""
    found: list[Pair] = []
    for score in study.scores:
        usable = score.baseline is not None and math.isfinite(score.estimate)
        if usable and (score.benchmark, score.metric) == (benchmark, "accuracy_difference"):
            author, baseline = study.card(score.author), study.card(score.baseline or "")
            ratio = study.find(benchmark, score.author, "token_ratio", score.baseline)
            bound = study.find(benchmark, score.author, "non_inferiority", score.baseline)
            found.append(Pair(author, baseline, score, ratio, bound))
    return found


def in_words(study: Scored, pair: Pair) -> Sentence:
    """The full account of one comparison."""
    figures, reading = _figures(study, pair), _reading(study, pair)
    rests = figures.rests_on + reading.rests_on[1:]
    return Sentence(text=f"{figures.text} {reading.text}", rests_on=rests, detail=True)


def _figures(study: Scored, pair: Pair) -> Sentence:
    """Both accuracies, their difference and the token ratio."""
    score = pair.difference
    first = study.find(score.benchmark, pair.author.label, "accuracy")
    second = study.find(score.benchmark, pair.baseline.label, "accuracy")
    author, baseline = pair_nouns(study, pair)
    who = f"{author} against {baseline}"
    if first and second:
        reached, against = wording.accuracy_cell(first), wording.accuracy_cell(second)
        who = f"{author} reaches {reached}, {baseline} {against}"
    text = f"{where(score)}{matched(pair)}: {who}; difference {wording.difference(score)}{_p(score.p_value)}"
    if pair.ratio is not None:
        text += f"; it uses {wording.ratio_cell(pair.ratio)} the tokens of {baseline}"
    rests = [each for each in (first, second, score, pair.ratio) if each is not None]
    return Sentence(text=f"{text}.", rests_on=tuple(rests))


def _p(value: float | None) -> str:
    text = wording.p_value(value)
    return f", p {text if text.startswith('<') else f'= {text}'}" if text else ""


def _reading(study: Scored, pair: Pair) -> Sentence:
    """What the figures of one pair allow to be said about accuracy."""
    score, bound = pair.difference, pair.bound
    text = _standing(study, pair)
    rests = (score, bound) if bound is not None else (score,)
    if bound is not None and bound.low is not None:
        low = f"(lower bound {wording.points(bound.low)} points)"
        higher = wording.established(score, study.confidence) and score.estimate > 0
        if not_inferior(study, pair) and not higher:
            text += f" By the margin of {study.margin_words} it is not inferior {low}."
        elif score.high is not None and score.high < -study.margin:
            text += f" It is worse by more than the margin of {study.margin_words}."
        elif not not_inferior(study, pair):
            text += f" Non-inferiority within the margin of {study.margin_words} is not shown {low}"
            if (needed := _needed(study, pair)) is not None:
                text += f"; with no true difference, about {needed.estimate:,.0f} problems would have shown it with"
                text += " 90% power"
                rests += (needed,)
            text += "."
    return Sentence(text=text, rests_on=rests)


def not_inferior(study: Scored, pair: Pair) -> bool:
    """Whether non-inferiority was shown: the bound lies inside the margin."""
    return pair.bound is not None and pair.bound.low is not None and pair.bound.low > -study.margin


def _standing(study: Scored, pair: Pair) -> str:
    score = pair.difference
    if score.low is None or score.high is None:
        return "This difference has no interval, so nothing follows from it about other problems."
    if wording.established(score, study.confidence):
        word = "higher" if score.estimate > 0 else "lower"
        return f"The accuracy of {pair_nouns(study, pair)[0]} is {word}."
    if score.low > 0 or score.high < 0:
        return "The interval leaves out zero but the p value does not bear it out: nothing is established."
    smallest = _smallest(score, study.confidence)
    detects = f"; the smallest difference that so many problems show with 80% power is about {smallest}"
    return f"The two accuracies cannot be told apart here{detects if smallest else ''}."


def _smallest(score: Score, confidence: float) -> str:
    error = _standard_error(score, confidence)
    if not error:
        return ""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    return f"{wording.rough(100 * (z + _POWER) * error)} points"


def _needed(study: Scored, pair: Pair) -> Score | None:
    """How many problems would have shown non-inferiority, were there truly no difference; None when these should."""
    score = pair.difference
    needed = study.find(score.benchmark, score.author, "problems_needed", score.baseline)
    settled = wording.established(score, study.confidence)
    return None if needed is None or needed.estimate <= score.n_problems or settled else needed


def _standard_error(score: Score, confidence: float) -> float:
    if score.low is None or score.high is None or not math.isfinite(score.high - score.low):
        return 0.0
    return (score.high - score.low) / 2 / NormalDist().inv_cdf((1 + confidence) / 2)


def noun(card: AuthorCard) -> str:
    """The author as a sentence should call it."""
    if card.kind == "base":
        return "the base before training" if card.label == "base" else f"the base {card.label} before training"
    # a teacher's label may tell it apart from an arm by its kind, which the noun says already
    name = card.label.removesuffix(f" ({card.kind})")
    return f"the {name} {card.kind}" if card.kind in ("student", "teacher") else card.label


def pair_nouns(study: Scored, pair: Pair) -> tuple[str, str]:
    """The two names of a pair: by arm alone where the sentence has said the rule and there is one base."""
    bases = {card.student for card in study.cards.values() if card.kind == "student"}
    if not matched(pair) or len(bases) > 1:
        return noun(pair.author), noun(pair.baseline)
    first, second = (noun(replace(card, label=card.arm or card.label)) for card in (pair.author, pair.baseline))
    return first, second


def matched(pair: Pair) -> str:
    """`, arms matched by tokens` when both authors are students under that rule."""
    rules = {card.match if card.kind == "student" else None for card in (pair.author, pair.baseline)}
    rule = rules.pop() if len(rules) == 1 else None
    return f", arms matched by {rule}" if rule else ""


def where(score: Score) -> str:
    """The benchmark with its number of problems and of samples."""
    per_problem = score.n_samples / score.n_problems if score.n_problems else 0.0
    samples = f"{score.n_samples:,} samples"
    if per_problem == int(per_problem):
        samples = "one sample each" if per_problem == 1 else f"{per_problem:g} samples each"
    return f"On {wording.benchmark_title(score.benchmark)} ({score.n_problems:,} problems, {samples})"
