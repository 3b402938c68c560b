r"""Training problems that are copies of a benchmark's problems are left out, each with the problem that it copies.

Three rules, the strictest first. `exact`: the same words, numbers and operators, without the label that a problem has
where it stands ("12."). `renumbered`: the same when numbers are forgotten. `overlap`: it holds so much of the benchmark
problem's runs of `n` tokens that a sentence changed, added or left out does not hide it.

Runs are weighed by how rare they are. "Express your answer as a common fraction" stands in hundreds of problems that
share nothing else; the runs of its own question stand in one. That is why runs can be short: 3 tokens survive an edit
that breaks every run of 8 (open-r1's, `scripts/decontaminate.py`) or 13 (GPT-3's, arXiv 2005.14165), and half of
MATH-500 has fewer than 40 tokens.

What a copy is, and what a neighbour: MATH's training set holds `Compute \binom{8}{2}` beside MATH-500's `Compute
\binom{31}{28}`, and another question about the same figure. Their text alone tells neither from a copy whose numbers or
sentence were changed; the answer does. So a changed copy must have the benchmark's answer, unless its text is too long
to be the same by accident (`LONG`) or nearly all of the benchmark's stands in it (`VERBATIM`). A shared answer says the
more the rarer it is: of 2 the text must say more than of 1260 (`_TELLING`). What that finds, what it flags beside, and
what it misses: `benchmarks/decontaminate.py`.
"""

from __future__ import annotations

import math
import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Annotated, NamedTuple

from pydantic import Field

from laconic.core.records import Exclusion, Problem
from laconic.core.spec import Spec
from laconic.stages.likeness import NUMBER, Tokens, grams, skeleton, tokens

VERSION = 3
LONG = 22
"""Words, numbers aside, from which a text is its own. Shorter ones are forms that unrelated problems share ("Compute
$\\binom{8}{4}$")."""
VERBATIM = 0.95
"""Share of a benchmark problem's prose that is a copy whatever the answer. Its figure's code does not count: three
questions about one figure share most of their tokens."""
COMMON = 5
"""A run that more benchmark problems than this have says of none that it is the one copied. It still counts."""
_RARITY = -0.5
"""A run that three strangers share counts half of what one that none does. Measured: flatter, and turns of phrase make
strangers alike; steeper, and what remains of a short problem is too little."""
_USUAL = 0.01
"""Share of the problems that have an answer for which `overlap` is meant as it stands."""
_TELLING = 0.125
"""By what part of itself `overlap` falls for an answer that is ten times rarer, and rises for a more common one."""
_MOST_TELLING = 0.25
"""It moves by no more than this part."""
_FIGURE = re.compile(r"\[asy\].*?\[/asy\]", re.DOTALL)
_LABEL = re.compile(
    r"\s*\**(?:(?:problem|question|exercise|example|task|q|ex)(?![a-z])\.?\s*(?:no\.?\s*|#\s*)?[\d.]*\d\s*[.:)]?"
    r"|[(\[#]?(?:\d[\d.]*|[a-z])[.)\]:]+(?=\s))\**\s*",
    re.IGNORECASE,
)
"""The number that a problem has where it stands: "12.", "(a)", "Problem 7:"."""


class Decontaminate(Spec):
    """Which training problems count as copies of benchmark problems."""

    enabled: bool = True
    """Without effect where the study has no benchmarks; when it is off, the report says so."""
    n: Annotated[int, Field(ge=2, le=50)] = 3
    """Tokens of a run; of a shorter problem, half of its tokens."""
    overlap: Annotated[float, Field(gt=0, le=1)] = 0.48
    """Share of a benchmark problem's runs, by weight, that a copy of it has, if one problem in a hundred has its
    answer. A rarer answer in common says more, so that less text is enough: an eighth less if one in a thousand has it.
    """
    renumbered: bool = True
    """Whether a problem that differs from a benchmark problem in its numbers alone is a copy of it."""
    same_answer: bool = True
    """Whether a changed copy must also have the answer of the benchmark problem. Without that, its neighbours leave,
    too: problems with other numbers, or with another question about the same figure."""


class _Known(NamedTuple):
    benchmark: str
    problem: Problem
    words: Tokens
    answer: Tokens
    runs: frozenset[Tokens]
    prose: frozenset[Tokens]
    """The runs without its figures; of a problem that is nothing else, all of them."""

    @classmethod
    def of(cls, benchmark: str, problem: Problem, n: int) -> _Known:
        words = _unlabelled(problem.prompt)
        size = min(n, max(2, (len(words) + 1) // 2))  # "Evaluate $\\log_2 64$" asked in another word keeps its half
        runs = frozenset(grams(words, size))
        prose = frozenset(grams(tokens(_FIGURE.sub(" ", problem.prompt)), size)) & runs
        return cls(benchmark, problem, words, tokens(problem.reference), runs, prose or runs)

    def answered(self, answer: Tokens) -> bool:
        """Whether `answer` may be this problem's. One that is not known may be any."""
        return not answer or not self.answer or answer == self.answer


class _Match(NamedTuple):
    rule: str
    known: _Known
    share: float = 1.0


def decontaminate(
    problems: Iterable[Problem], benchmarks: Mapping[str, Iterable[Problem]], spec: Decontaminate
) -> tuple[list[Problem], list[Exclusion]]:
    """The problems that copy no benchmark problem, in their order, and an exclusion for each that does."""
    listed = list(problems)
    found = _Index(benchmarks, spec).matches(listed)
    kept = [problem for problem, match in zip(listed, found, strict=True) if match is None]
    left = [_exclusion(problem, match) for problem, match in zip(listed, found, strict=True) if match is not None]
    return kept, left


def _exclusion(problem: Problem, match: _Match) -> Exclusion:
    known = match.known
    share = f", {match.share:.0%} of it" if match.rule == "overlap" else ""
    detail = f"{known.benchmark}: problem {known.problem.problem_id} ({known.problem.source}), {match.rule}{share}"
    return Exclusion(subject=problem.problem_id, arm="", rule="contaminated", detail=detail)


class _Index:
    """The benchmarks' problems by their tokens, their skeletons and their runs."""

    def __init__(self, benchmarks: Mapping[str, Iterable[Problem]], spec: Decontaminate) -> None:
        self._spec = spec
        self._known = [_Known.of(name, problem, spec.n) for name, rows in benchmarks.items() for problem in rows]
        self._exact: dict[Tokens, _Known] = {}
        self._skeletons: defaultdict[Tokens, list[_Known]] = defaultdict(list)
        self._having: defaultdict[Tokens, list[int]] = defaultdict(list)
        for number, known in enumerate(self._known):
            self._exact.setdefault(known.words, known)
            self._skeletons[skeleton(known.words)].append(known)
            for run in known.runs:
                self._having[run].append(number)
        self._runs = sorted(self._having)
        self._numbers = {run: number for number, run in enumerate(self._runs)}
        self._sizes = sorted({len(run) for run in self._runs})

    def matches(self, problems: Iterable[Problem]) -> list[_Match | None]:
        """What each problem copies, or None. Runs are counted over all problems before any is judged by them."""
        whole: list[_Match | None] = []
        shared: list[array[int]] = []
        answers: list[Tokens] = []
        for problem in problems:
            words, answer = _unlabelled(problem.prompt), tokens(problem.reference)
            match = self._whole(words, answer)
            whole.append(match)
            answers.append(answer)
            # Numbers of four bytes, because millions of problems may wait for the count.
            shared.append(array("I", set[int]() if match else self._shared(words)))
        weights, having = self._weights(shared, answers), Counter(answers)
        return [
            match or self._overlap(
                {self._runs[number] for number in runs}, answer, weights, rarity=_rarity(having[answer], len(answers))
            )
            for match, runs, answer in zip(whole, shared, answers, strict=True)
        ]  # fmt: skip

    def _weights(self, shared: Sequence[array[int]], answers: Sequence[Tokens]) -> list[dict[Tokens, float]]:
        """For each known problem the weights of its runs, by how many strangers have them: problems with another
        answer. So copies do not make their own text common, however many they are."""
        seen, alike = Counter[int](), Counter[tuple[int, Tokens]]()
        texts = [([self._numbers[run] for run in known.runs], known.answer) for known in self._known]
        asked = {known.answer for known in self._known}
        for runs, answer in [*texts, *zip(shared, answers, strict=True)]:
            seen.update(runs)
            alike.update((run, answer) for run in runs if answer in asked)
        return [
            {self._runs[run]: (1 + seen[run] - alike[run, answer]) ** _RARITY for run in runs} for runs, answer in texts
        ]

    def _whole(self, words: Tokens, answer: Tokens) -> _Match | None:
        if words in self._exact:
            return _Match("exact", self._exact[words])
        if not self._spec.renumbered:
            return None
        form = skeleton(words)
        own = not self._spec.same_answer or sum(word != NUMBER for word in form) >= LONG
        alike = self._skeletons.get(form, [])
        same = [known for known in alike if known.answered(answer)] or (alike if own else [])
        return _Match("renumbered", same[0]) if same else None

    def _shared(self, words: Tokens) -> set[int]:
        return {
            self._numbers[run]
            for size in self._sizes
            if size <= len(words)
            for run in grams(words, size)
            if run in self._numbers
        }

    def _overlap(
        self, runs: Set[Tokens], answer: Tokens, weights: Sequence[Mapping[Tokens, float]], *, rarity: float
    ) -> _Match | None:
        """The benchmark problem of which the problem has most, of those of which it has enough."""
        close = {number for run in runs if len(having := self._having[run]) <= COMMON for number in having}
        enough = self._enough(answer, rarity)
        matches = (self._held(self._known[number], runs, answer, weights[number], enough) for number in sorted(close))
        return max((match for match in matches if match), key=lambda match: match.share, default=None)

    def _enough(self, answer: Tokens, rarity: float) -> float:
        """The share of a benchmark problem that one with the same answer has, if it is a copy."""
        if not answer or not self._spec.same_answer:
            return self._spec.overlap
        moved = _TELLING * math.log10(rarity / _USUAL)
        return self._spec.overlap * (1 + max(-_MOST_TELLING, min(_MOST_TELLING, moved)))

    def _held(
        self, known: _Known, runs: Set[Tokens], answer: Tokens, weights: Mapping[Tokens, float], enough: float
    ) -> _Match | None:
        changed = not known.answered(answer) and self._spec.same_answer
        share = _share(known.prose if changed else known.runs, runs, weights)
        return _Match("overlap", known, share) if share >= (max(VERBATIM, enough) if changed else enough) else None


def _rarity(having: int, problems: int) -> float:
    """The share of problems with an answer, as if a hundred more were looked at and one of them had it: a few problems
    do not tell how rare an answer is."""
    return having / (problems - 1 + 1 / _USUAL)


def _share(whole: Set[Tokens], runs: Set[Tokens], weights: Mapping[Tokens, float]) -> float:
    """Of the weight of `whole`, what stands in `runs`. Summed exactly: sets have no order."""
    return math.fsum(weights[run] for run in whole & runs) / (math.fsum(weights[run] for run in whole) or 1.0)


def _unlabelled(text: str) -> Tokens:
    """The tokens of a problem without its number; of what is nothing but a number, all of it."""
    return tokens(_LABEL.sub("", text, count=1) if (found := _LABEL.match(text)) and found.end() < len(text) else text)
