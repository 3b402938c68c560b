"""The conclusions of a study in sentences, as far as its scores support them.

First comes a headline: for each benchmark and matching rule what every arm reaches and costs, the orders that flip with
the rule, and the limits of the study. Then, marked `detail`, every comparison in full. A difference is called
established only when its interval excludes zero and its adjusted p value agrees.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from typing import NamedTuple

from lakon.core import score_text as wording
from lakon.core.records import Score
from lakon.core.report_data import ModelCard, Sentence
from lakon.stages.report.comparisons import (
    PairedComparison,
    ScoredStudy,
    benchmark_clause,
    describe_comparison,
    list_comparisons,
    match_clause,
    name_author,
    name_both,
    one_training_clause,
    shows_non_inferiority,
)


def draw_conclusions(
    authors: Sequence[ModelCard], scores: Iterable[Score], *, margin: float, confidence: float, stated: bool = True
) -> tuple[Sentence, ...]:
    """The headline in a few sentences, then every comparison in full, with `detail` set.

    `margin` is a share of accuracy (0.05 is five points); `stated` says whether the study states it.
    """
    whole = tuple(score for score in scores if score.group is None)
    study = ScoredStudy({card.label: card for card in authors}, whole, margin, confidence, stated)
    benchmarks = _list_benchmarks(whole)
    headline: list[Sentence] = []
    orders: list[Sentence] = []
    details: list[Sentence] = []
    for benchmark in benchmarks:
        headline += _headline(study, benchmark)
        orders += _describe_orders(study, benchmark)
        details += [describe_comparison(study, comparison) for comparison in list_comparisons(study, benchmark)]
    limits = _limits(study) if headline else []
    return tuple(sorted([*headline, *orders, *limits, *details], key=lambda sentence: sentence.detail))


def _list_benchmarks(scores: tuple[Score, ...]) -> list[str]:
    """Held-out benchmarks in their order, the study's own problems last."""
    names = dict.fromkeys(score.benchmark for score in scores)
    return sorted(names, key=lambda name: name == wording.OWN_PROBLEMS)


def _headline(study: ScoredStudy, benchmark: str) -> list[Sentence]:
    """One sentence for each baseline and the authors compared with it; then the authors without a comparison."""
    families: dict[str, list[PairedComparison]] = {}
    for comparison in list_comparisons(study, benchmark):
        families.setdefault(comparison.baseline.label, []).append(comparison)
    sentences = [_describe_family(study, family) for family in families.values()]
    compared: set[str] = set()
    for family in families.values():
        compared |= _labels(family)
    accuracies = [score for score in study.scores if (score.benchmark, score.metric) == (benchmark, "accuracy")]
    alone = [score for score in accuracies if score.author not in compared]
    if alone:
        list_of_others = _list_uncompared(study, benchmark, alone, short=bool(sentences))
        sentences = [_append(sentences[0], list_of_others), *sentences[1:]] if sentences else [list_of_others]
    # Once students are compared, how their teachers did on the corpus is background.
    background = benchmark == wording.OWN_PROBLEMS and _compares_students(study)
    return [replace(sentence, detail=background) for sentence in sentences]


def _compares_students(study: ScoredStudy) -> bool:
    return any(score.baseline and study.card(score.author).kind == "student" for score in study.scores)


def _append(first: Sentence, second: Sentence) -> Sentence:
    return Sentence(text=f"{first.text} {second.text}", rests_on=first.rests_on + second.rests_on)


def _labels(family: list[PairedComparison]) -> set[str]:
    return {card.label for comparison in family for card in (comparison.author, comparison.baseline)}


def _describe_family(study: ScoredStudy, family: list[PairedComparison]) -> Sentence:
    """What the baseline reaches and costs, and each other author's difference and token ratio."""
    first = family[0]
    benchmark, label = first.difference.benchmark, first.baseline.label
    accuracy = study.find(benchmark, label, "accuracy")
    tokens = study.find(benchmark, label, "tokens")
    baseline = name_both(study, first)[1]
    reached = f"{baseline} reaches {wording.accuracy_cell(accuracy)}" if accuracy else f"against {baseline}"
    cost = f" with {wording.format_count(tokens.estimate)} tokens a sample" if accuracy and tokens else ""
    others = "; ".join(_describe_other(study, comparison, with_units=comparison is first) for comparison in family)
    against = "; against it: " if accuracy else ", "
    head = f"{benchmark_clause(first.difference)}{match_clause(first)}: {reached}{cost}{against}{others}."
    rests_on = [accuracy, tokens]
    for comparison in family:
        rests_on += [comparison.difference, comparison.ratio]
    text = f"{head} {_state_established(study, family)}"
    return Sentence(text=text, rests_on=tuple(score for score in rests_on if score is not None))


def _describe_other(study: ScoredStudy, comparison: PairedComparison, *, with_units: bool) -> str:
    """`concise -11.1 points [-16.9, -5.3] at 0.20x the tokens`; a sentence names the units only once."""
    text = wording.format_difference(comparison.difference)
    if comparison.ratio:
        text += f" at {wording.format_ratio(comparison.ratio.estimate)} the tokens"
    if not with_units:
        text = text.replace(" points", "", 1).removesuffix(" the tokens")
    return f"{_short_name(study, comparison)} {text}"


def _short_name(study: ScoredStudy, comparison: PairedComparison) -> str:
    return name_both(study, comparison)[0].removeprefix("the ").removesuffix(f" {comparison.author.kind}")


def _state_established(study: ScoredStudy, family: list[PairedComparison]) -> str:
    """Which of these differences are established, and which authors are shown not to be inferior."""
    established = [each for each in family if wording.is_established(each.difference, study.confidence)]
    directions: list[str] = []
    for word, sign in (("higher", 1), ("lower", -1)):
        names = [_short_name(study, each) for each in established if sign * each.difference.estimate > 0]
        directions += [f"{word} for {wording.join_names(names)}"] if names else []
    higher = [each for each in established if each.difference.estimate > 0]
    close = [each for each in family if shows_non_inferiority(study, each) and each not in higher]
    if directions:
        rest = "; no other difference is" if len(established) < len(family) else ""
        of_one = max(map(one_training_clause, established))
        text = f"Established{of_one}: accuracy is {', '.join(directions)}{rest}."
    else:
        text = "This difference is not established." if len(family) == 1 else "No difference is established."
    floored = [each for each in family if wording.is_at_floor(each.difference)]
    if len(floored) == len(family):
        return "No claim: all accuracies are at the floor here, which says little about the styles."
    if floored:
        names = wording.join_names([_short_name(study, each) for each in floored])
        text += f" No claim is made at the floor: {names}."
    if close:
        names = wording.join_names([_short_name(study, each) for each in close])
        text += f" By the margin of {study.margin_words}, not inferior: {names}."
    return text


def _list_uncompared(study: ScoredStudy, benchmark: str, alone: list[Score], *, short: bool) -> Sentence:
    """The accuracy and the tokens of each author that was not compared."""
    parts: list[str] = []
    rests_on: list[Score] = []
    n_problems = alone[0].n_problems
    if short:  # The sentence before it states the number of problems.
        differences = (s for s in study.scores if s.benchmark == benchmark and s.metric == "accuracy_difference")
        n_problems = next((score.n_problems for score in differences), n_problems)
    for score in alone:
        tokens = study.find(benchmark, score.author, "tokens")
        cost = f" with {wording.count_cell(tokens)} tokens a sample" if tokens else ""
        own = f" on {score.n_problems:,} problems" if score.n_problems != n_problems else ""
        parts.append(f"{name_author(study.card(score.author))} reaches {wording.accuracy_cell(score)}{own}{cost}")
        rests_on += [score, tokens] if tokens else [score]
    text = f"{'; '.join(parts)}."
    text = f"{text[0].upper()}{text[1:]}" if short else f"{benchmark_clause(alone[0])}: {text}"
    return Sentence(text=text, rests_on=tuple(rests_on))


def _describe_orders(study: ScoredStudy, benchmark: str) -> list[Sentence]:
    """For each two arms under several matching rules: whether the rule decides which arm is ahead."""
    by_base: dict[str | None, list[ModelCard]] = {}
    for card in study.cards.values():
        if card.kind == "student" and card.arm and card.match:
            by_base.setdefault(card.student, []).append(card)
    orders: list[_Order] = []
    for students in by_base.values():
        names = dict.fromkeys(card.arm or "" for card in students)
        orders += [_Order(arms, _find_leads(study, benchmark, students, arms)) for arms in combinations(names, 2)]
    # Estimates without intervals get a sentence only when no order has intervals.
    with_intervals = [order for order in orders if order.has_intervals]
    sentences = [_describe_order(study, benchmark, order) for order in with_intervals or orders]
    return [sentence for sentence in sentences if sentence is not None]


class _Order(NamedTuple):
    """Two arms, and under each matching rule the lead of the first over the second."""

    arms: tuple[str, str]
    leads: list[tuple[str, Score]]

    @property
    def has_intervals(self) -> bool:
        return bool(self.leads) and all(score.low is not None for _, score in self.leads)


def _find_leads(
    study: ScoredStudy, benchmark: str, students: list[ModelCard], arms: tuple[str, str]
) -> list[tuple[str, Score]]:
    """Matching rule and lead of the first arm over the second."""
    labels = {(card.arm, card.match): card.label for card in students}
    leads: list[tuple[str, Score]] = []
    for rule in dict.fromkeys(card.match or "" for card in students):
        first, second = labels.get((arms[0], rule)), labels.get((arms[1], rule))
        if first and second:
            score = wording.find_lead(partial(study.find, benchmark), first, second)
            leads += [(rule, score)] if score is not None else []
    return leads


def _describe_order(study: ScoredStudy, benchmark: str, order: _Order) -> Sentence | None:
    """A flip, established or only estimated, or an order that is the same under every rule; otherwise None.

    Only an established flip belongs to the headline. Only a paired comparison can establish one, so one of the arms is
    the baseline.
    """
    arms, leads = order
    signs = {score.estimate > 0 for _, score in leads if score.estimate != 0}
    established = all(wording.is_established(score, study.confidence) for _, score in leads)
    if len(leads) < 2 or not (established or len(signs) == 2):
        return None
    figures = "; ".join(f"matched by {rule}, {_state_lead(arms, score)}" for rule, score in leads)
    subject = f"On {wording.benchmark_title(benchmark)} the order of {arms[0]} and {arms[1]}"
    if len(signs) == 1:
        text = f"{subject} is the same under every rule by which arms are matched: {figures}."
    elif established:
        text = f"{subject} flips with the rule by which arms are matched: {figures}."
    else:
        text = (
            f"{subject} flips with the match rule in the estimates ({figures}), but not every one of these"
            " differences is established, so the flip is not either."
        )
    flip = established and len(signs) == 2
    return Sentence(text=text, rests_on=tuple(score for _, score in leads), detail=not flip)


def _state_lead(arms: tuple[str, str], score: Score) -> str:
    if score.estimate == 0:
        return "they are level"
    ahead = score if score.estimate > 0 else wording.reverse_difference(score)
    return f"{arms[0 if ahead is score else 1]} is ahead by {wording.format_difference(ahead, signed=False)}"


def _limits(study: ScoredStudy) -> list[Sentence]:
    return [sentence for sentence in (_state_seeds(study), _state_ungraded(study)) if sentence is not None]


def _state_seeds(study: ScoredStudy) -> Sentence | None:
    scored = {score.author for score in study.scores}
    students = [card for card in study.cards.values() if card.kind == "student" and card.label in scored]
    single = [card.label for card in students if len(card.seeds) <= 1]
    if students and not single:
        return Sentence(
            text="Students were trained with several seeds: the intervals of accuracies, differences and token ratios "
            "include the spread between training runs."
        )
    if not single:
        return None
    who = f"{wording.join_names(single)} {'was' if len(single) == 1 else 'were'}"
    if len(single) == len(students):
        who = "Each student was"
    text = f"{who} trained with one seed: no interval here says how much another training run would differ."
    return Sentence(text=text)


def _state_ungraded(study: ScoredStudy) -> Sentence | None:
    affected = [score for score in study.scores if score.metric == "accuracy" and score.n_ungraded and score.n_samples]
    if not affected:
        return None
    worst = max(affected, key=lambda score: score.n_ungraded / score.n_samples)
    share = wording.format_percent(worst.n_ungraded / worst.n_samples)
    text = (
        "Samples that could not be graded count as wrong; the largest share is"
        f" {worst.n_ungraded:,} of {worst.n_samples:,} ({share}, {name_author(study.card(worst.author))} on"
        f" {wording.benchmark_title(worst.benchmark)}), and that accuracy could be higher by up to this share."
    )
    return Sentence(text=text, rests_on=(worst,))
