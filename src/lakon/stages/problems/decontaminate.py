r"""Training problems that are copies of a benchmark's problems are left out, each with the problem that it copies.

Three rules, the strictest first. `exact`: the same words, numbers and operators, without the label that a problem has
where it stands ("12."). `renumbered`: the same when numbers are forgotten. `overlap`: it holds so much of the benchmark
problem's runs of `n` tokens that a sentence changed, added or left out does not hide it.

Runs lie within sentences: a sentence replaced or moved breaks its own and no others. They are weighed by how rare they
are. "Express your answer as a common fraction" stands in hundreds of problems that share nothing else; the runs of its
own question stand in one. That is why runs can be short: 3 tokens survive an edit that breaks every run of 8
(open-r1's, `scripts/decontaminate.py`) or 13 (GPT-3's, arXiv 2005.14165), and half of MATH-500 has fewer than 40
tokens.

What a copy is, and what a neighbour: MATH's training set holds `Compute \binom{8}{2}` beside MATH-500's `Compute
\binom{31}{28}`, and another question about the same figure. Their text alone tells neither from a copy whose numbers
or sentence were changed; the answer does. So a changed copy must have the benchmark's answer, unless its text is too
long to be the same by accident (`LONG`) or nearly all of the benchmark's stands in it (`overlap.VERBATIM`). A shared
answer says the more the rarer it is: of 2 the text must say more than of 1260. Neighbours have other numbers, or
another answer: where both are the benchmark's, half of that text is enough. What that finds, what it flags beside, and
what it misses: `benchmarks/decontaminate.py`. The rule on overlaps itself is in `overlap.py`.
"""

from __future__ import annotations

import re
import tempfile
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import BufferedRandom
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from lakon.core.records import Exclusion, Problem
from lakon.core.spec import Spec
from lakon.stages.problems.overlap import BenchmarkText, Match, OverlapRule, RunCounts
from lakon.stages.problems.text_runs import NUMBER, Tokens, find_numbers, list_ngrams, mask_numbers, tokenize_text

LONG = 22
"""Words, numbers aside, from which a text is its own. Shorter ones are forms that unrelated problems share ("Compute
$\\binom{8}{4}$")."""
_FIGURE = re.compile(r"\[asy\].*?\[/asy\]", re.DOTALL)
_END = re.compile(r"(?<=[.?])(?:(?:\\[\])]|[\])}$\"'*])+\s*|\s+)|\n\s*\n")
"""Where a sentence ends, or a paragraph. No exclamation marks: most of them are factorials."""
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
    answer; a rarer answer in common says more, so that less text is enough (an eighth less if one in a thousand has
    it). A problem that also has its numbers, in its order, needs half of that."""
    renumbered: bool = True
    """Whether a problem that differs from a benchmark problem in its numbers alone is a copy of it."""
    same_answer: bool = True
    """Whether a changed copy must also have the answer of the benchmark problem. Without that, its neighbours leave,
    too: problems with other numbers, or with another question about the same figure."""


class _Known(NamedTuple):
    benchmark: str
    problem: Problem
    words: Tokens
    givens: Tokens
    answer: Tokens
    runs: frozenset[Tokens]
    prose: frozenset[Tokens]
    """The runs without its figures; of a problem that is nothing else, all of them."""

    @classmethod
    def of(cls, benchmark: str, problem: Problem, n: int) -> _Known:
        text = _unlabelled(problem.prompt)
        words = tokenize_text(text)
        size = min(n, max(2, (len(words) + 1) // 2))  # "Evaluate $\\log_2 64$" asked in another word keeps its half
        runs = _within(text, size) or frozenset(list_ngrams(words, size))
        prose = _within(_FIGURE.sub(" ", text), size) & runs
        return cls(
            benchmark, problem, words, find_numbers(words), tokenize_text(problem.reference), runs, prose or runs
        )


def decontaminate(
    problems: Callable[[], Iterable[Problem]],
    benchmarks: Mapping[str, Iterable[Problem]],
    spec: Decontaminate,
    scratch: Path,
) -> tuple[Iterator[Problem], Iterator[Exclusion]]:
    """The problems that copy no benchmark problem, in their order, and an exclusion for each that does.

    `problems` gives the same ones whenever it is called: once to judge them, once for each of what is returned. While
    they are judged, a file without a name lies in the folder `scratch`; memory holds some numbers for each of them.
    """
    index = _Index(benchmarks, spec)
    with tempfile.TemporaryFile(dir=scratch) as waiting:
        matches = index.matches(problems(), waiting)
    clean = (problem for problem, match in zip(problems(), matches, strict=True) if match is None)
    exclusions = (index.exclusion(problem, match) for problem, match in zip(problems(), matches, strict=True) if match)
    return clean, exclusions


class _Index:
    """The benchmarks' problems by their tokens, their skeletons and their runs. These have numbers, and so have their
    answers (0 is none, and the number after the last is any other) and their givens (0 is none, or any other)."""

    def __init__(self, benchmarks: Mapping[str, Iterable[Problem]], spec: Decontaminate) -> None:
        self._spec = spec
        self._known = [_Known.of(name, problem, spec.n) for name, rows in benchmarks.items() for problem in rows]
        self._exact: dict[Tokens, int] = {}
        self._skeletons: defaultdict[Tokens, list[int]] = defaultdict(list)
        for number, known in enumerate(self._known):
            self._exact.setdefault(known.words, number)
            self._skeletons[mask_numbers(known.words)].append(number)
        self._runs = _numbered({run for known in self._known for run in known.runs})
        self._sizes = sorted({len(run) for run in self._runs})
        self._answers = _numbered({(), *(known.answer for known in self._known)})
        self._givens = _numbered({(), *(known.givens for known in self._known)})
        self._texts = [self._text(known) for known in self._known]

    def _text(self, known: _Known) -> BenchmarkText:
        runs, prose = self._numbers(known.runs), self._numbers(known.prose)
        return BenchmarkText(self._answers[known.answer], self._givens[known.givens], runs, prose)

    def exclusion(self, problem: Problem, match: Match) -> Exclusion:
        """A problem that copies another."""
        known = self._known[match.known]
        share = f", {match.share:.0%} of it" if match.rule == "overlap" else ""
        detail = f"{known.benchmark}: problem {known.problem.problem_id} ({known.problem.source}), {match.rule}{share}"
        return Exclusion(subject=problem.problem_id, arm="", rule="contaminated", detail=detail)

    def matches(self, problems: Iterable[Problem], waiting: BufferedRandom) -> _Matches:
        """What each problem copies. Runs are counted over all problems before any is judged by them; those of each
        problem wait in a file, because long texts share a hundred with a benchmark."""
        matches, counts = _Matches(), RunCounts(self._texts)
        for problem in problems:
            words, reference = tokenize_text(_unlabelled(problem.prompt)), tokenize_text(problem.reference)
            answer = self._answers.get(reference, len(self._answers))
            match = self._whole(words, answer)
            runs = frozenset[int]() if match else self._shared(words)
            matches.add(match)
            counts.add(runs, answer, reference)
            numbers = self._givens.get(find_numbers(words), 0) if runs and answer < len(self._answers) else 0
            array("I", (answer, numbers, len(runs), *runs)).tofile(waiting)
        overlaps = OverlapRule(self._texts, counts, overlap=self._spec.overlap, same_answer=self._spec.same_answer)
        waiting.seek(0)
        for place in range(len(matches)):
            answer, numbers, n = _read(waiting, 3)
            match = overlaps.best(set(_read(waiting, n)), answer, numbers, place)
            if match:
                matches.put(place, match)
        return matches

    def _whole(self, words: Tokens, answer: int) -> Match | None:
        if words in self._exact:
            return Match("exact", self._exact[words])
        if not self._spec.renumbered:
            return None
        form = mask_numbers(words)
        alike = self._skeletons.get(form)
        if not alike:
            return None
        own = not self._spec.same_answer or sum(word != NUMBER for word in form) >= LONG
        same = [number for number in alike if self._texts[number].may_have_answer(answer)] or (alike if own else [])
        return Match("renumbered", same[0]) if same else None

    def _shared(self, words: Tokens) -> frozenset[int]:
        return self._numbers(run for size in self._sizes if size <= len(words) for run in list_ngrams(words, size))

    def _numbers(self, runs: Iterable[Tokens]) -> frozenset[int]:
        """The numbers of those that a benchmark has."""
        return frozenset(number for number in map(self._runs.get, runs) if number is not None)


def _read(file: BufferedRandom, n: int) -> array[int]:
    numbers = array("I")
    numbers.fromfile(file, n)
    return numbers


class _Matches:
    """What each problem copies, in a few bytes each."""

    _RULES = (None, "exact", "renumbered", "overlap")

    def __init__(self) -> None:
        self._rules, self._known, self._shares = array("B"), array("I"), array("d")

    def __len__(self) -> int:
        return len(self._rules)

    def __iter__(self) -> Iterator[Match | None]:
        for rule, known, share in zip(self._rules, self._known, self._shares, strict=True):
            yield Match(name, known, share) if (name := self._RULES[rule]) else None

    def add(self, match: Match | None) -> None:
        """The match of the next problem."""
        self._rules.append(0)
        self._known.append(0)
        self._shares.append(0.0)
        if match:
            self.put(len(self) - 1, match)

    def put(self, place: int, match: Match) -> None:
        """The match of the problem in that place."""
        self._rules[place] = self._RULES.index(match.rule)
        self._known[place], self._shares[place] = match.known, match.share


def _unlabelled(text: str) -> str:
    """A problem without its number; of what is nothing but a number, all of it."""
    return text[label.end() :] if (label := _LABEL.match(text)) and label.end() < len(text) else text


def _within(text: str, size: int) -> frozenset[Tokens]:
    """The runs of its sentences that are long enough to have one."""
    sentences = (tokenize_text(sentence) for sentence in _END.split(text))
    return frozenset(run for words in sentences if len(words) >= size for run in list_ngrams(words, size))


def _numbered(values: Iterable[Any]) -> dict[Any, int]:
    """Each value with its place among all, in order."""
    return {value: number for number, value in enumerate(sorted(values))}
