"""The verdict in sentences: what the scores allow to be said, and not a word more.

First a headline (for each benchmark and match rule what every arm reaches and costs, the flips that are
established, the limits), then, marked `detail`, every comparison in full. A difference is called established
only when its interval leaves out zero and its adjusted p value agrees. Pure: scores in, sentences out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations

from lakon.core import score_text as wording
from lakon.core.records import Score
from lakon.core.report_data import AuthorCard, Sentence
from lakon.stages.report.comparisons import (
    Pair,
    Scored,
    in_words,
    matched,
    not_inferior,
    noun,
    pair_nouns,
    pairs,
    where,
)


def verdict(
    authors: Sequence[AuthorCard], scores: Iterable[Score], *, margin: float, confidence: float, stated: bool = True
) -> tuple[Sentence, ...]:
    """The headline of a few sentences, then those with `detail` set: every comparison in full. `stated` says whether
    the study states its margin."""
    whole = tuple(score for score in scores if score.group is None)
    study = Scored({card.label: card for card in authors}, whole, margin, confidence, stated)
    benchmarks = _benchmarks(whole)
    headline = [sentence for benchmark in benchmarks for sentence in _headline(study, benchmark)]
    details = [in_words(study, pair) for benchmark in benchmarks for pair in pairs(study, benchmark)]
    orders = [sentence for benchmark in benchmarks for sentence in _order(study, benchmark)]
    made = [*headline, *orders, *(_limits(study) if headline else []), *details]
    return tuple(sorted(made, key=lambda sentence: sentence.detail))


def _benchmarks(scores: tuple[Score, ...]) -> list[str]:
    """Held-out benchmarks in their order, the study's own problems last."""
    names = dict.fromkeys(score.benchmark for score in scores)
    return sorted(names, key=lambda name: name == wording.OWN_PROBLEMS)


def _headline(study: Scored, benchmark: str) -> list[Sentence]:
    """One sentence for each baseline with all that were compared with it; the others in one list."""
    families: dict[str, list[Pair]] = {}
    for pair in pairs(study, benchmark):
        families.setdefault(pair.baseline.label, []).append(pair)
    made = [_family(study, family) for family in families.values()]
    named = {label for family in families.values() for pair in family for label in _labels(pair)}
    alone = [
        score
        for score in study.scores
        if (score.benchmark, score.metric) == (benchmark, "accuracy") and score.author not in named
    ]
    if alone:
        listed = _listed(study, benchmark, alone, short=bool(made))
        made = [_appended(made[0], listed), *made[1:]] if made else [listed]
    # once students are compared, what their teachers do on the corpus is background
    background = benchmark == wording.OWN_PROBLEMS and _compares_students(study)
    return [replace(sentence, detail=background) for sentence in made]


def _compares_students(study: Scored) -> bool:
    return any(score.baseline and study.card(score.author).kind == "student" for score in study.scores)


def _appended(first: Sentence, second: Sentence) -> Sentence:
    return Sentence(text=f"{first.text} {second.text}", rests_on=first.rests_on + second.rests_on)


def _labels(pair: Pair) -> tuple[str, str]:
    return pair.author.label, pair.baseline.label


def _family(study: Scored, family: list[Pair]) -> Sentence:
    """What the baseline reaches and costs, and each other author's difference and token ratio."""
    first = family[0]
    benchmark, label = first.difference.benchmark, first.baseline.label
    accuracy = study.find(benchmark, label, "accuracy")
    tokens = study.find(benchmark, label, "tokens")
    baseline = pair_nouns(study, first)[1]
    reached = f"{baseline} reaches {wording.accuracy_cell(accuracy)}" if accuracy else f"against {baseline}"
    cost = f" with {wording.count(tokens.estimate)} tokens a sample" if accuracy and tokens else ""
    others = "; ".join(_other(study, pair, spelled=pair is first) for pair in family)
    against = "; against it: " if accuracy else ", "
    head = f"{where(first.difference)}{matched(first)}: {reached}{cost}{against}{others}."
    rests = [accuracy, tokens, *(score for pair in family for score in (pair.difference, pair.ratio))]
    text = f"{head} {_standings(study, family)}"
    return Sentence(text=text, rests_on=tuple(score for score in rests if score is not None))


def _other(study: Scored, pair: Pair, *, spelled: bool) -> str:
    """`concise -11.1 points [-16.9, -5.3] at 0.20x the tokens`; the units are spelled once a sentence."""
    text = wording.difference(pair.difference)
    ratio = f" at {wording.ratio(pair.ratio.estimate)}{' the tokens' if spelled else ''}" if pair.ratio else ""
    return f"{_bare(study, pair)} {text if spelled else text.replace(' points', '', 1)}{ratio}"


def _bare(study: Scored, pair: Pair) -> str:
    return pair_nouns(study, pair)[0].removeprefix("the ").removesuffix(f" {pair.author.kind}")


def _standings(study: Scored, family: list[Pair]) -> str:
    """Which of these differences are established, and which authors were shown not to be inferior."""
    settled = [pair for pair in family if wording.established(pair.difference, study.confidence)]
    told: list[str] = []
    for word, sign in (("higher", 1), ("lower", -1)):
        names = [_bare(study, pair) for pair in settled if sign * pair.difference.estimate > 0]
        told += [f"{word} for {wording.joined(names)}"] if names else []
    close = [
        _bare(study, pair)
        for pair in family
        if not_inferior(study, pair) and not (pair in settled and pair.difference.estimate > 0)
    ]
    if told:
        rest = "; no other difference is" if len(settled) < len(family) else ""
        text = f"Established: accuracy is {', '.join(told)}{rest}."
    else:
        text = "This difference is not established." if len(family) == 1 else "No difference is established."
    if _at_floor(study, family):
        return f"{text} All of them are near zero here, which says little about the styles."
    margin = f" By the margin of {study.margin_words}, not inferior: {wording.joined(close)}." if close else ""
    return f"{text}{margin}"


def _at_floor(study: Scored, family: list[Pair]) -> bool:
    """Whether nobody does well enough for "not inferior" to mean anything: all below twice the margin."""
    benchmark = family[0].difference.benchmark
    labels = {label for pair in family for label in _labels(pair)}
    found = [study.find(benchmark, label, "accuracy") for label in sorted(labels)]
    return all(score is not None and score.estimate < 2 * study.margin for score in found)


def _listed(study: Scored, benchmark: str, alone: list[Score], *, short: bool) -> Sentence:
    """Authors that were compared with nobody: each accuracy, and its tokens."""
    parts: list[str] = []
    rests: list[Score] = []
    n_problems = alone[0].n_problems
    if short:  # the sentence before it says of how many it speaks
        said = (s for s in study.scores if s.benchmark == benchmark and s.metric == "accuracy_difference")
        n_problems = next((score.n_problems for score in said), n_problems)
    for score in alone:
        tokens = study.find(benchmark, score.author, "tokens")
        cost = f" with {wording.count_cell(tokens)} tokens a sample" if tokens else ""
        own = f" on {score.n_problems:,} problems" if score.n_problems != n_problems else ""
        parts.append(f"{noun(study.card(score.author))} reaches {wording.accuracy_cell(score)}{own}{cost}")
        rests += [score, tokens] if tokens else [score]
    text = f"{'; '.join(parts)}."
    text = f"{text[0].upper()}{text[1:]}" if short else f"{where(alone[0])}: {text}"
    return Sentence(text=text, rests_on=tuple(rests))


def _order(study: Scored, benchmark: str) -> list[Sentence]:
    """For each two arms matched by several rules: does the rule decide which is ahead?"""
    students = [card for card in study.cards.values() if card.kind == "student" and card.arm and card.match]
    by_base = {base: [card for card in students if card.student == base] for base in {c.student: 0 for c in students}}
    contests = [
        (arms, _leads(study, benchmark, mine, arms))
        for mine in by_base.values()
        for arms in combinations(dict.fromkeys(card.arm or "" for card in mine), 2)
    ]
    paired = [each for each in contests if each[1] and all(score.low is not None for _, score in each[1])]
    # estimates without intervals are worth a sentence only where there is nothing better
    made = [_order_sentence(study, benchmark, arms, leads) for arms, leads in paired or contests]
    return [sentence for sentence in made if sentence is not None]


def _leads(study: Scored, benchmark: str, students: list[AuthorCard], arms: tuple[str, str]) -> list[tuple[str, Score]]:
    """Under each rule, by how much the first arm is ahead of the second."""
    labels = {(card.arm, card.match): card.label for card in students}
    found: list[tuple[str, Score]] = []
    for rule in dict.fromkeys(card.match or "" for card in students):
        first, second = labels.get((arms[0], rule)), labels.get((arms[1], rule))
        if first and second:
            score = wording.lead(partial(study.find, benchmark), first, second)
            found += [(rule, score)] if score is not None else []
    return found


def _order_sentence(
    study: Scored, benchmark: str, arms: tuple[str, str], leads: list[tuple[str, Score]]
) -> Sentence | None:
    """A flip, established or only estimated, or an order that stands under every rule; otherwise nothing.

    Only an established flip is headline, and only a pair that was compared as such can have one: a pair with
    the baseline in it.
    """
    signs = {score.estimate > 0 for _, score in leads if score.estimate != 0}
    settled = all(wording.established(score, study.confidence) for _, score in leads)
    if len(leads) < 2 or not (settled or len(signs) == 2):
        return None
    figures = "; ".join(f"matched by {rule}, {_ahead(arms, score)}" for rule, score in leads)
    order = f"On {wording.benchmark_title(benchmark)} the order of {arms[0]} and {arms[1]}"
    if len(signs) == 1:
        text = f"{order} is the same under every rule by which arms are matched: {figures}."
    elif settled:
        text = f"{order} flips with the rule by which arms are matched: {figures}."
    else:
        text = (
            f"{order} flips with the match rule in the estimates ({figures}), but not every one of these"
            " differences is established, so the flip is not either."
        )
    flip = settled and len(signs) == 2
    return Sentence(text=text, rests_on=tuple(score for _, score in leads), detail=not flip)


def _ahead(arms: tuple[str, str], score: Score) -> str:
    if score.estimate == 0:
        return "they are level"
    ahead = score if score.estimate > 0 else wording.reversed_difference(score)
    return f"{arms[0 if ahead is score else 1]} is ahead by {wording.difference(ahead, signed=False)}"


def _limits(study: Scored) -> list[Sentence]:
    return [sentence for sentence in (_seeds(study), _ungraded(study)) if sentence is not None]


def _seeds(study: Scored) -> Sentence | None:
    scored = {score.author for score in study.scores}
    students = [card for card in study.cards.values() if card.kind == "student" and card.label in scored]
    single = [card.label for card in students if len(card.seeds) <= 1]
    if students and not single:
        return Sentence(
            text="Students were trained with several seeds: intervals of accuracies hold the spread between training "
            "runs; those of differences and token ratios hold for these runs."
        )
    if not single:
        return None
    who = f"{wording.joined(single)} {'was' if len(single) == 1 else 'were'}"
    if len(single) == len(students):
        who = "Each student was"
    text = f"{who} trained with one seed: no interval here says how much another training run would differ."
    return Sentence(text=text)


def _ungraded(study: Scored) -> Sentence | None:
    hit = [score for score in study.scores if score.metric == "accuracy" and score.n_ungraded and score.n_samples]
    if not hit:
        return None
    worst = max(hit, key=lambda score: score.n_ungraded / score.n_samples)
    share = wording.percent(worst.n_ungraded / worst.n_samples)
    text = (
        "Samples that could not be graded count as wrong; the largest share is"
        f" {worst.n_ungraded:,} of {worst.n_samples:,} ({share}, {noun(study.card(worst.author))} on"
        f" {wording.benchmark_title(worst.benchmark)}), and that accuracy could be higher by up to as much."
    )
    return Sentence(text=text, rests_on=(worst,))
