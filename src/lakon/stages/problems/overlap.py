"""Which benchmark problem a training problem has most of, by the runs of tokens that both have.

Runs are weighed by how rare they are, so they are counted over all problems before any is judged. `decontaminate.py`
says why, and which other rules there are.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence, Set
from typing import NamedTuple

import numpy as np

from lakon.stages.problems.text_runs import Tokens

VERBATIM = 0.95
"""Share of a benchmark problem's prose that is a copy whatever the answer. Its figure's code does not count: three
questions about one figure share most of their tokens."""
COMMON = 5
"""A run shared by more than this many benchmark problems cannot nominate one of them as the source. It still
adds to the overlap."""
_RARITY = -0.5
"""A run that three strangers share counts half of what one that none does. Measured: flatter, and turns of phrase make
strangers alike; steeper, and what remains of a short problem is too little."""
_USUAL = 0.01
"""Share of the problems that have an answer for which `overlap` is meant as it stands."""
_TELLING = 0.125
"""By what part of itself `overlap` falls for an answer ten times rarer, and rises for one ten times as common."""
_MOST_TELLING = 0.25
"""It moves by no more than this part."""
_GIVEN = 0.5
"""What is left of it where the numbers, too, are the same in the same order. Measured: of 29,500 training problems and
MATH-500, none with the answer and all numbers of a benchmark problem had more than a twentieth of its text."""


class Match(NamedTuple):
    """The benchmark problem that a training problem copies, and the rule that says so."""

    rule: str
    known: int
    """Which of the benchmarks' problems."""
    share: float = 1.0


class BenchmarkText(NamedTuple):
    """A benchmark problem in numbers."""

    answer: int
    given: int
    """Which numbers it has, in their order."""
    runs: frozenset[int]
    prose: frozenset[int]

    def may_have_answer(self, answer: int) -> bool:
        """Whether `answer` may be this problem's. One that is not known may be any."""
        return not answer or not self.answer or answer == self.answer


class RunCounts:
    """How many texts have each run, and each answer: benchmarks' problems and those that may copy them."""

    def __init__(self, texts: Sequence[BenchmarkText]) -> None:
        self._texts = texts
        self._seen, self._alike = Counter[int](), Counter[tuple[int, int]]()
        self._of_answer: defaultdict[int, set[int]] = defaultdict(set)
        self._answers = array("Q")
        for text in texts:
            self._of_answer[text.answer] |= text.runs
        for text in texts:
            self._count(text.runs, text.answer)

    def add(self, runs: Set[int], answer: int, reference: Tokens) -> None:
        """Count a problem."""
        self._count(runs, answer)
        digest = hashlib.blake2b(" ".join(reference).encode(), digest_size=8).digest()
        self._answers.append(int.from_bytes(digest))

    def _count(self, runs: Set[int], answer: int) -> None:
        self._seen.update(runs)
        if answer in self._of_answer:
            self._alike.update((run, answer) for run in runs & self._of_answer[answer])

    def weights(self) -> list[dict[int, float]]:
        """For each benchmark problem the weights of its runs, by how many strangers have them: problems with another
        answer. So copies do not make their own text common, however many they are."""
        weights: list[dict[int, float]] = []
        for text in self._texts:
            weights.append({run: (1 + self._seen[run] - self._alike[run, text.answer]) ** _RARITY for run in text.runs})
        return weights

    def rarities(self) -> Callable[[int], float]:
        """From the place of a problem to the share of all that have its answer, as if a hundred more were looked at and
        one of them had it: a few problems do not tell how rare an answer is."""
        answers = np.asarray(self._answers)
        values, counts = np.unique(answers, return_counts=True)
        among = len(answers) - 1 + 1 / _USUAL
        return lambda place: int(counts[np.searchsorted(values, answers[place])]) / among


class OverlapRule:
    """Which benchmark problem a problem has most of, when all runs have been counted."""

    def __init__(self, texts: Sequence[BenchmarkText], counts: RunCounts, *, overlap: float, same_answer: bool) -> None:
        self._texts, self._overlap, self._same_answer = texts, overlap, same_answer
        self._weights, self._rarity = counts.weights(), counts.rarities()
        self._whole = [_weight(text.runs, weights) for text, weights in zip(texts, self._weights, strict=True)]
        self._told = [_weight(text.prose, weights) for text, weights in zip(texts, self._weights, strict=True)]
        having: defaultdict[int, list[int]] = defaultdict(list)
        for number, text in enumerate(texts):
            for run in text.runs:
                having[run].append(number)
        self._telling = {run: numbers for run, numbers in having.items() if len(numbers) <= COMMON}

    def best(self, runs: Set[int], answer: int, given: int, place: int) -> Match | None:
        """The one of which it has most, of those of which it has enough."""
        close = {number for run in runs for number in self._telling.get(run, ())}
        if not close:
            return None
        enough = self._enough(answer, self._rarity(place))
        matches = (self._held(number, runs, answer, given, enough) for number in sorted(close))
        return max((match for match in matches if match), key=lambda match: match.share, default=None)

    def _enough(self, answer: int, rarity: float) -> float:
        """The share of a benchmark problem that one with the same answer has, if it is a copy."""
        if not answer or not self._same_answer:
            return self._overlap
        shift = _TELLING * math.log10(rarity / _USUAL)
        return self._overlap * (1 + max(-_MOST_TELLING, min(_MOST_TELLING, shift)))

    def _held(self, number: int, runs: Set[int], answer: int, given: int, enough: float) -> Match | None:
        text = self._texts[number]
        if text.given == given != 0 and text.answer == answer != 0:
            enough *= _GIVEN
        changed = not text.may_have_answer(answer) and self._same_answer
        its_runs, whole = (text.prose, self._told[number]) if changed else (text.runs, self._whole[number])
        share = _weight(its_runs & runs, self._weights[number]) / (whole or 1.0)
        return Match("overlap", number, share) if share >= (max(VERBATIM, enough) if changed else enough) else None


def _weight(runs: Set[int], weights: Mapping[int, float]) -> float:
    """Summed exactly: sets have no order."""
    return math.fsum(map(weights.__getitem__, runs))
