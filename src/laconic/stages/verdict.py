"""The verdict in sentences: what the scores allow to be said, and not a word more.

A difference is called established only when its interval leaves out zero and its adjusted p value agrees. A
missing difference is never called equality: either non-inferiority was shown against the margin stated
beforehand, or the sentence says how large a difference the comparison could have found. Pure: scores in,
sentences out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import combinations
from statistics import NormalDist
from typing import NamedTuple

from laconic.core.records import Score
from laconic.core.reporting import AuthorCard, Sentence

OWN_PROBLEMS = "problems"
_POWER = NormalDist().inv_cdf(0.80)
_MINUS = "\u2212"


class _Pair(NamedTuple):
    """One paired comparison, with everything that was scored about it."""

    author: AuthorCard
    baseline: AuthorCard
    difference: Score
    ratio: Score | None
    bound: Score | None


class _Study(NamedTuple):
    """The arguments of a verdict, as its parts pass them on."""

    cards: dict[str, AuthorCard]
    scores: tuple[Score, ...]
    margin: float
    confidence: float


def verdict(
    authors: Sequence[AuthorCard], scores: Iterable[Score], *, margin: float, confidence: float
) -> tuple[Sentence, ...]:
    """What was found on each benchmark, whether the match rule decides it, and what no interval covers."""
    whole = tuple(score for score in scores if score.group is None)
    study = _Study({card.label: card for card in authors}, whole, margin, confidence)
    made: list[Sentence] = []
    for benchmark in _benchmarks(whole):
        made += _of_benchmark(study, benchmark)
        made += _order(study, benchmark)
    return (*made, *_limits(study)) if made else ()


def _benchmarks(scores: tuple[Score, ...]) -> list[str]:
    """Held-out benchmarks in their order, the study's own problems last."""
    return sorted(dict.fromkeys(score.benchmark for score in scores), key=lambda name: name == OWN_PROBLEMS)


def _of_benchmark(study: _Study, benchmark: str) -> list[Sentence]:
    pairs = _pairs(study, benchmark)
    made = [_of_pair(study, pair) for pair in pairs]
    named = {label for pair in pairs for label in (pair.author.label, pair.baseline.label)}
    alone = [
        score
        for score in study.scores
        if (score.benchmark, score.metric) == (benchmark, "accuracy") and score.author not in named
    ]
    return made + ([_listed(study, benchmark, alone)] if alone else [])


def _pairs(study: _Study, benchmark: str) -> list[_Pair]:
    found: list[_Pair] = []
    for score in study.scores:
        usable = score.baseline is not None and math.isfinite(score.estimate)
        if usable and (score.benchmark, score.metric) == (benchmark, "accuracy_difference"):
            author, baseline = _card(study, score.author), _card(study, score.baseline or "")
            ratio = _find(study, benchmark, score.author, "token_ratio", score.baseline)
            bound = _find(study, benchmark, score.author, "non_inferiority", score.baseline)
            found.append(_Pair(author, baseline, score, ratio, bound))
    return found


def _of_pair(study: _Study, pair: _Pair) -> Sentence:
    figures, reading = _figures(study, pair), _reading(study, pair)
    return Sentence(text=f"{figures.text} {reading.text}", rests_on=figures.rests_on + reading.rests_on[1:])


def _figures(study: _Study, pair: _Pair) -> Sentence:
    """Both accuracies, their difference and the token ratio."""
    score = pair.difference
    first = _find(study, score.benchmark, pair.author.label, "accuracy")
    second = _find(study, score.benchmark, pair.baseline.label, "accuracy")
    author, baseline = _pair_nouns(study, pair)
    who = f"{author} against {baseline}"
    if first and second:
        who = f"{author} reaches {_accuracy(first)}, {baseline} {_accuracy(second)}"
    p = "" if score.p_value is None else f", {_p(score.p_value)}"
    text = f"{_where(score)}{_matched(pair)}: {who}; difference {_difference(score)}{p}"
    if pair.ratio is not None:
        text += f"; it uses {_ratio(pair.ratio)} the tokens of {baseline}"
    rests = [each for each in (first, second, score, pair.ratio) if each is not None]
    return Sentence(text=f"{text}.", rests_on=tuple(rests))


def _reading(study: _Study, pair: _Pair) -> Sentence:
    """What the figures of one pair allow to be said about accuracy."""
    score, bound = pair.difference, pair.bound
    margin = f"{_number(100 * study.margin)} points stated beforehand"
    shown = bound is not None and bound.low is not None and bound.low > -study.margin
    text = _standing(study, pair)
    higher = _established(score, study.confidence) and score.estimate > 0
    if shown and not higher and bound is not None and bound.low is not None:
        text += f" By the margin of {margin} it is not inferior (lower bound {_points(bound.low)})."
    elif bound is not None and score.high is not None and score.high < -study.margin:
        text += f" It is worse by more than the margin of {margin}."
    elif not shown and bound is not None and bound.low is not None:
        text += (
            f" Non-inferiority within the margin of {margin} is not shown (lower bound {_points(bound.low)})"
        )
        text += f"{_needed(study, score)}."
    rests = (score, bound) if bound is not None else (score,)
    return Sentence(text=text, rests_on=rests)


def _standing(study: _Study, pair: _Pair) -> str:
    score = pair.difference
    if score.low is None or score.high is None:
        return "This difference has no interval, so nothing follows from it about other problems."
    if _established(score, study.confidence):
        word = "higher" if score.estimate > 0 else "lower"
        return f"The accuracy of {_pair_nouns(study, pair)[0]} is {word}."
    if score.low > 0 or score.high < 0:
        return "The interval leaves out zero but the p value does not bear it out: nothing is established."
    smallest = _smallest(score, study.confidence)
    detects = f"; the smallest difference that so many problems show with 80% power is about {smallest}"
    return f"The two accuracies cannot be told apart here{detects if smallest else ''}."


def _established(score: Score, confidence: float) -> bool:
    outside = score.low is not None and score.high is not None and (score.low > 0 or score.high < 0)
    return outside and (score.p_value is None or score.p_value < 1 - confidence + 1e-9)


def _smallest(score: Score, confidence: float) -> str:
    error = _standard_error(score, confidence)
    if not error:
        return ""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    return f"{_number(100 * (z + _POWER) * error)} points"


def _needed(study: _Study, score: Score) -> str:
    """How many problems would have shown non-inferiority, were there truly no difference (90% power)."""
    error = _standard_error(score, study.confidence)
    if not error or study.margin <= 0 or _established(score, study.confidence):
        return ""
    z = NormalDist().inv_cdf(0.95) + NormalDist().inv_cdf(0.90)
    needed = score.n_problems * (z * error / study.margin) ** 2
    digits = max(0, math.ceil(math.log10(max(needed, 1.0))) - 2)
    rounded = math.ceil(needed / 10**digits) * 10**digits
    if rounded <= score.n_problems:
        return ""
    return f"; with no true difference, about {rounded:,} problems would have shown it with 90% power"


def _standard_error(score: Score, confidence: float) -> float:
    if score.low is None or score.high is None or not math.isfinite(score.high - score.low):
        return 0.0
    return (score.high - score.low) / 2 / NormalDist().inv_cdf((1 + confidence) / 2)


def _listed(study: _Study, benchmark: str, alone: list[Score]) -> Sentence:
    """Authors that were compared with nobody: each accuracy, and its tokens."""
    parts: list[str] = []
    rests: list[Score] = []
    for score in alone:
        tokens = _find(study, benchmark, score.author, "tokens")
        cost = f" with {_tokens(tokens)} tokens a sample" if tokens else ""
        parts.append(f"{_noun(_card(study, score.author))} reaches {_accuracy(score)}{cost}")
        rests += [score, tokens] if tokens else [score]
    return Sentence(text=f"{_where(alone[0])}: {'; '.join(parts)}.", rests_on=tuple(rests))


def _order(study: _Study, benchmark: str) -> list[Sentence]:
    """For each two arms matched by several rules: does the rule decide which is ahead?"""
    students = [card for card in study.cards.values() if card.kind == "student" and card.arm and card.match]
    by_base = {
        base: [card for card in students if card.student == base] for base in {c.student: 0 for c in students}
    }
    contests = [
        (pair, _leads(study, benchmark, mine, pair))
        for mine in by_base.values()
        for pair in combinations(dict.fromkeys(card.arm or "" for card in mine), 2)
    ]
    paired = [each for each in contests if each[1] and all(score.low is not None for _, score in each[1])]
    # estimates without intervals are worth a sentence only where there is nothing better
    sentences = [_order_sentence(study, benchmark, pair, leads) for pair, leads in paired or contests]
    return [sentence for sentence in sentences if sentence is not None]


def _leads(
    study: _Study, benchmark: str, students: list[AuthorCard], arms: tuple[str, str]
) -> list[tuple[str, Score]]:
    """Under each rule, by how much the first arm is ahead of the second."""
    labels = {(card.arm, card.match): card.label for card in students}
    found: list[tuple[str, Score]] = []
    for rule in dict.fromkeys(card.match or "" for card in students):
        first, second = labels.get((arms[0], rule)), labels.get((arms[1], rule))
        score = _lead(study, benchmark, first, second) if first and second else None
        if score is not None:
            found.append((rule, score))
    return found


def _lead(study: _Study, benchmark: str, first: str, second: str) -> Score | None:
    paired = _find(study, benchmark, first, "accuracy_difference", second)
    if paired is not None:
        return paired
    reverse = _find(study, benchmark, second, "accuracy_difference", first)
    if reverse is not None:
        return _reversed(reverse)
    a, b = _find(study, benchmark, first, "accuracy"), _find(study, benchmark, second, "accuracy")
    if a is None or b is None:
        return None
    # two separate intervals say nothing certain about a paired difference, so this one has none
    return replace(a, metric="accuracy_difference", estimate=a.estimate - b.estimate, low=None, high=None)


def _reversed(score: Score) -> Score:
    low = None if score.high is None else -score.high
    high = None if score.low is None else -score.low
    return replace(score, estimate=-score.estimate, low=low, high=high)


def _order_sentence(
    study: _Study, benchmark: str, arms: tuple[str, str], leads: list[tuple[str, Score]]
) -> Sentence | None:
    """A flip, established or only estimated, or an order that stands under every rule; otherwise nothing."""
    signs = {score.estimate > 0 for _, score in leads if score.estimate != 0}
    settled = all(_established(score, study.confidence) for _, score in leads)
    if len(leads) < 2 or not (settled or len(signs) == 2):
        return None
    figures = "; ".join(f"matched by {rule}, {_ahead(arms, score)}" for rule, score in leads)
    order = f"On {_benchmark_name(benchmark)} the order of {arms[0]} and {arms[1]}"
    if len(signs) == 1:
        text = f"{order} is the same under every rule by which arms are matched: {figures}."
    elif settled:
        text = f"{order} flips with the rule by which arms are matched: {figures}."
    else:
        text = (
            f"{order} flips with the match rule in the estimates ({figures}), but not every one of these"
            " differences is established, so the flip is not either."
        )
    return Sentence(text=text, rests_on=tuple(score for _, score in leads))


def _ahead(arms: tuple[str, str], score: Score) -> str:
    if score.estimate == 0:
        return "they are level"
    name, ahead = (arms[0], score) if score.estimate > 0 else (arms[1], _reversed(score))
    return f"{name} is ahead by {_difference(ahead, signed=False)}"


def _limits(study: _Study) -> list[Sentence]:
    return [sentence for sentence in (_seeds(study), _ungraded(study)) if sentence is not None]


def _seeds(study: _Study) -> Sentence | None:
    scored = {score.author for score in study.scores}
    students = [card for card in study.cards.values() if card.kind == "student" and card.label in scored]
    single = [card for card in students if len(card.seeds) <= 1]
    if not single:
        return None
    who = "Each student was" if len(single) == len(students) else f"{_joined([c.label for c in single])} were"
    if len(single) == 1 and len(students) > 1:
        who = f"{single[0].label} was"
    text = f"{who} trained with one seed: no interval here says how much another training run would differ."
    return Sentence(text=text)


def _ungraded(study: _Study) -> Sentence | None:
    hit = [
        score for score in study.scores if score.metric == "accuracy" and score.n_ungraded and score.n_samples
    ]
    if not hit:
        return None
    worst = max(hit, key=lambda score: score.n_ungraded / score.n_samples)
    share = 100 * worst.n_ungraded / worst.n_samples
    text = (
        "Samples that could not be graded count as wrong; the largest share is"
        f" {worst.n_ungraded:,} of {worst.n_samples:,} ({share:.1f}%, {_noun(_card(study, worst.author))} on"
        f" {_benchmark_name(worst.benchmark)}), and that accuracy could be higher by up to as much."
    )
    return Sentence(text=text, rests_on=(worst,))


def _find(
    study: _Study, benchmark: str, author: str, metric: str, baseline: str | None = None
) -> Score | None:
    wanted = (benchmark, author, metric, baseline)
    for score in study.scores:
        if (score.benchmark, score.author, score.metric, score.baseline) == wanted and score.at is None:
            return score
    return None


def _card(study: _Study, label: str) -> AuthorCard:
    return study.cards.get(label) or AuthorCard(label=label, kind="author")


def _noun(card: AuthorCard) -> str:
    if card.kind == "base":
        return "the untrained base" if card.label == "base" else f"the untrained base {card.label}"
    return f"the {card.label} {card.kind}" if card.kind in ("student", "teacher") else card.label


def _pair_nouns(study: _Study, pair: _Pair) -> tuple[str, str]:
    """The two names of a pair: by arm alone where the sentence has said the rule and there is one base."""
    if (
        not _matched(pair)
        or len({card.student for card in study.cards.values() if card.kind == "student"}) > 1
    ):
        return _noun(pair.author), _noun(pair.baseline)
    first, second = (
        _noun(replace(card, label=card.arm or card.label)) for card in (pair.author, pair.baseline)
    )
    return first, second


def _matched(pair: _Pair) -> str:
    rules = {card.match if card.kind == "student" else None for card in (pair.author, pair.baseline)}
    rule = rules.pop() if len(rules) == 1 else None
    return f", arms matched by {rule}" if rule else ""


def _where(score: Score) -> str:
    per_problem = score.n_samples / score.n_problems if score.n_problems else 0.0
    samples = (
        f"{per_problem:g} samples each" if per_problem == int(per_problem) else f"{score.n_samples:,} samples"
    )
    if per_problem == 1:
        samples = "one sample each"
    return f"On {_benchmark_name(score.benchmark)} ({score.n_problems:,} problems, {samples})"


def _benchmark_name(name: str) -> str:
    return "the study's own problems" if name == OWN_PROBLEMS else name


def _accuracy(score: Score) -> str:
    return f"{100 * score.estimate:.1f}%{_interval(score, lambda value: _fixed(100 * value))}"


def _tokens(score: Score) -> str:
    return f"{score.estimate:,.0f}{_interval(score, lambda value: f'{value:,.0f}')}"


def _ratio(score: Score) -> str:
    return f"{score.estimate:.2f}\u00d7{_interval(score, lambda value: f'{value:.2f}')}"


def _difference(score: Score, *, signed: bool = True) -> str:
    head = _points(score.estimate) if signed else f"{_fixed(100 * score.estimate)} points"
    return f"{head}{_interval(score, lambda value: _fixed(100 * value))}"


def _interval(score: Score, write: Callable[[float], str]) -> str:
    if score.low is None or score.high is None:
        return ""
    return f" [{write(score.low)}, {write(score.high)}]"


def _points(value: float) -> str:
    text = _fixed(100 * value)
    sign = "" if text.startswith(_MINUS) or text == "0.0" else "+"
    return f"{sign}{text} points"


def _fixed(value: float) -> str:
    rounded = round(value, 1) + 0.0  # a rounded -0.0 would print its sign
    return f"{rounded:.1f}".replace("-", _MINUS)


def _number(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def _joined(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
