r"""Training problems that are copies of a benchmark's problems are left out, each with the problem that it copies.

Three rules, the strictest first. `exact`: the same words, numbers and operators. `renumbered`: the same when numbers
are forgotten. `overlap`: runs of `n` tokens cover most of the benchmark problem, whatever stands around them, so that
a copy with a sentence changed, added or left out is found.

n is 8 as in open-r1's decontamination (`scripts/decontaminate.py`): GPT-3's 13 (arXiv 2005.14165, appendix C) suits
documents, and half of MATH-500 has fewer than 40 tokens. One shared run is not enough here, as it is there: "Enter your
answer in the form ..." stands in problems that share nothing else. So runs must cover a share of the problem, and runs
that many problems have in common tell nothing. Problems shorter than n are compared as a whole.

What `benchmarks/decontaminate.py` measures: of MATH's training problems about 1 in 90 is flagged, because it is a
problem of MATH-500 with other numbers (two thirds of them) or with most of its words; of GSM8K's none is.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, NamedTuple

from pydantic import Field

from laconic.core.records import Exclusion, Problem
from laconic.core.spec import Spec
from laconic.stages.likeness import NUMBER, Tokens, covered, grams, skeleton, tokens

VERSION = 2
COMMON = 5
"""A run that stands in more problems than this is a turn of phrase. Plain copies, found by the first two rules, do not
count, however many there are."""
LONG = 25
"""Words, numbers aside, from which a text is its own. Shorter ones are forms that unrelated problems share ("Compute
$\\binom{8}{4}$")."""
_LABEL = re.compile(
    r"\s*(?:(?:problem|question|exercise|example|task|q|ex)\b\.?\s*(?:no\.?\s*|#\s*)?[\d.]*\d\s*[.:)]?"
    r"|[(\[]?(?:\d[\d.]*|[a-z])[.)\]:]+(?=\s))\s*",
    re.IGNORECASE,
)
"""The number that a problem has where it stands: "12.", "(a)", "Problem 7:"."""


class Decontaminate(Spec):
    """Which training problems count as copies of benchmark problems."""

    enabled: bool = True
    """Without effect where the study has no benchmarks; when it is off, the report says so."""
    n: Annotated[int, Field(ge=3, le=50)] = 8
    """Tokens of a run."""
    overlap: Annotated[float, Field(gt=0, le=1)] = 0.6
    """Share of a benchmark problem's tokens that shared runs must cover."""
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
    index = _Index(benchmarks, spec)
    listed = list(problems)
    found = index.matches(listed)
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
        self._known = [
            _Known(name, problem, _unlabelled(problem.prompt), tokens(problem.reference))
            for name, rows in benchmarks.items()
            for problem in rows
        ]
        self._exact: dict[Tokens, _Known] = {}
        self._skeletons: defaultdict[Tokens, list[_Known]] = defaultdict(list)
        self._runs: defaultdict[Tokens, list[tuple[int, int]]] = defaultdict(list)
        for number, known in enumerate(self._known):
            self._exact.setdefault(known.words, known)
            self._skeletons[skeleton(known.words)].append(known)
            for at, run in enumerate(grams(known.words, spec.n)):
                self._runs[run].append((number, at))
        self._sizes = sorted({len(run) for run in self._runs})

    def matches(self, problems: Sequence[Problem]) -> list[_Match | None]:
        """What each problem copies, or None. Runs are counted over all problems before any is judged by them."""
        whole: list[_Match | None] = []
        shared: list[set[Tokens]] = []
        seen: Counter[Tokens] = Counter()
        answers = [tokens(problem.reference) for problem in problems]
        for problem, answer in zip(problems, answers, strict=True):
            words = _unlabelled(problem.prompt)
            whole.append(self._whole(words, answer))
            shared.append(set() if whole[-1] else {run for run in self._all(words) if run in self._runs})
            seen.update(shared[-1])
        return [
            match or self._overlap(runs, answer, seen)
            for match, runs, answer in zip(whole, shared, answers, strict=True)
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

    def _all(self, words: Tokens) -> Iterator[Tokens]:
        for size in self._sizes:
            if size <= len(words):
                yield from grams(words, size)

    def _overlap(self, runs: set[Tokens], answer: Tokens, seen: Counter[Tokens]) -> _Match | None:
        """The benchmark problem of which the runs cover most, of those of which they cover enough."""
        starts: defaultdict[int, list[int]] = defaultdict(list)
        for run in runs:
            if seen[run] <= COMMON:
                for number, at in self._runs[run]:
                    starts[number].append(at)
        shares = ((self._share(number, at, seen), -number) for number, at in starts.items())
        best = max((each for each in shares if each[0] >= self._enough(-each[1], answer)), default=None)
        return _Match("overlap", self._known[-best[1]], best[0]) if best is not None else None

    def _enough(self, number: int, answer: Tokens) -> float:
        """With another answer only the whole of a problem inside another text is a copy."""
        loose = not self._spec.same_answer or self._known[number].answered(answer)
        return self._spec.overlap if loose else 1.0

    def _share(self, number: int, starts: Sequence[int], seen: Counter[Tokens]) -> float:
        """Of the tokens of a benchmark problem that tell something, the share that the runs cover."""
        words = self._known[number].words
        size = min(self._spec.n, len(words))
        telling = [at for at, run in enumerate(grams(words, size)) if seen[run] <= COMMON]
        return covered(starts, size) / covered(telling, size)


def _unlabelled(text: str) -> Tokens:
    """The tokens of a problem without its number; of what is nothing but a number, all of it."""
    return tokens(_LABEL.sub("", text, count=1) if (found := _LABEL.match(text)) and found.end() < len(text) else text)
