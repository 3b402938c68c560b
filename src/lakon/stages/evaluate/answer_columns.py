"""What one author did on one benchmark, in columns: traces and verdicts as records would be most of what scoring
300,000 problems keeps in memory.

Invariant: a row is a trace with its verdict, and rows keep the order in which they came, because figures that are sums
depend on it in their last digits.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lakon.core.columns import PackedStrings, PositionIndex, share_constant
from lakon.core.records import UNGRADED, Outcome, ProblemTags, TraceCounts, VerdictOutcome
from lakon.stats import Samples
from lakon.stats.ragged import Ragged
from lakon.stats.samples import BoolArray, FloatArray

Row = tuple[int, TraceCounts, VerdictOutcome]
"""Training seed, trace, verdict."""


_SEPARATOR = "\x1f"


@dataclass(frozen=True, slots=True, eq=False)
class ProblemIndex:
    """What scores need of the problems of a benchmark, in its order."""

    ids: PackedStrings
    groups: tuple[str | None, ...] | None
    """Near-duplicate groups; None where no problem is in one."""
    _tags: PackedStrings

    @staticmethod
    def of(problems: Iterable[ProblemTags]) -> ProblemIndex:
        """The problems are read once and not kept."""
        ids, groups, tags = PackedStrings(), list[str | None](), PackedStrings()
        for problem in problems:
            ids.append(problem.problem_id)
            groups.append(problem.duplicate_group)
            tags.append(_SEPARATOR.join(problem.tags))
        return ProblemIndex(ids, tuple(groups) if any(group is not None for group in groups) else None, tags)

    def tag(self, place: int, name: str) -> str | None:
        """The value of the tag `name` of the problem at `place`, or None."""
        prefix = f"{name}="
        values = (tag[len(prefix) :] for tag in self._tags[place].split(_SEPARATOR) if tag.startswith(prefix))
        return next(values, None)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnswerColumns:
    """Traces with their verdicts, one entry a trace in each column."""

    problem: NDArray[np.uint32]
    """Where its problem stands in the benchmark's index."""
    seed: NDArray[np.uint16]
    """Which of `seeds`."""
    seeds: tuple[int, ...]
    """Training seeds in the order of their first rows."""
    sample: NDArray[np.uint32]
    outcome: NDArray[np.uint8]
    """Which of `outcomes`."""
    outcomes: tuple[str, ...]
    """The outcomes that occur, in the order of their first rows."""
    n_reasoning: NDArray[np.uint32]
    n_answer: NDArray[np.uint32]
    provider_tokens: NDArray[np.int64]
    """Of those rows for which the provider told them."""
    latency_s: FloatArray
    """Of those rows for which it was measured."""

    @staticmethod
    def of(rows: Iterable[Row], index: ProblemIndex) -> AnswerColumns:
        """The rows in columns; they are read once and not kept. Raises `KeyError` for a problem that is not on the
        index."""
        places, seeds, outcomes = PositionIndex(index.ids), dict[int, int](), dict[str, int]()
        problem, sample, n_reasoning, n_answer = (array("I") for _ in range(4))
        seed, outcome, tokens, latency = array("H"), array("B"), array("q"), array("d")
        for trained, trace, verdict in rows:
            problem.append(places[trace.problem_id])
            seed.append(seeds.setdefault(trained, len(seeds)))
            sample.append(trace.sample_index)
            outcome.append(outcomes.setdefault(verdict.outcome, len(outcomes)))
            n_reasoning.append(trace.n_reasoning)
            n_answer.append(trace.n_answer)
            if trace.completion_tokens is not None:
                tokens.append(trace.completion_tokens)
            if trace.latency_s is not None:
                latency.append(trace.latency_s)
        return AnswerColumns(
            problem=np.asarray(problem),
            seed=share_constant(np.asarray(seed)),
            seeds=tuple(seeds),
            sample=share_constant(np.asarray(sample)),
            outcome=np.asarray(outcome),
            outcomes=tuple(outcomes),
            n_reasoning=np.asarray(n_reasoning),
            n_answer=np.asarray(n_answer),
            provider_tokens=np.asarray(tokens),
            latency_s=np.asarray(latency),
        )

    def __len__(self) -> int:
        return len(self.problem)

    def having(self, *outcomes: str) -> BoolArray:
        """Whether each row has one of these outcomes."""
        return np.isin(self.outcome, [i for i, name in enumerate(self.outcomes) if name in outcomes])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AuthorResults:
    """One author's work on one benchmark, from one or several training seeds."""

    author: str
    benchmark: str
    answers: AnswerColumns
    family: str = ""
    """Authors are compared within a family: students of one base under one matching rule, or teachers."""
    kind: str = ""
    """`student`, `teacher` or `author`: on one benchmark, p-values are adjusted over all comparisons of one kind."""
    base: str = ""
    """The author that a student was trained from, where it was evaluated too."""


def select_samples(answers: AnswerColumns, index: ProblemIndex, *, seed: int | None = None) -> Samples:
    """The work, or that of one training seed, as ragged samples by problem in the order of the benchmark."""
    rows = np.arange(len(answers)) if seed is None else np.flatnonzero(answers.seed == answers.seeds.index(seed))
    seeds = np.asarray(answers.seeds, dtype=np.int64)
    # What is equal stays as it came.
    rows = rows[np.lexsort((answers.sample[rows], seeds[answers.seed[rows]], answers.problem[rows]))]
    counts = np.bincount(answers.problem[rows], minlength=len(index.ids))
    ids, groups = index.ids, index.groups
    if not counts.all():
        places: list[int] = np.flatnonzero(counts).tolist()
        counts = counts[places]
        ids = PackedStrings(ids[at] for at in places)
        groups = tuple(groups[at] for at in places) if groups is not None else None
    return Samples(
        problem_ids=ids,
        correct=Ragged(answers.having(Outcome.CORRECT)[rows], counts),
        tokens=Ragged(answers.n_reasoning[rows].astype(np.int64) + answers.n_answer[rows], counts),
        finished=Ragged((~answers.having(Outcome.TRUNCATED))[rows], counts),
        graded=Ragged((~answers.having(*UNGRADED))[rows], counts),
        seed_index=Ragged(share_constant(seeds[answers.seed[rows]]), counts),
        clusters=groups,
    )


def count_outcomes(results: Iterable[AuthorResults]) -> dict[str, dict[str, int]]:
    """`author / benchmark` to outcome to number of traces."""
    counted: dict[str, dict[str, int]] = {}
    for result in results:
        row = counted.setdefault(f"{result.author} / {result.benchmark}", {})
        numbers = np.bincount(result.answers.outcome, minlength=len(result.answers.outcomes)).tolist()
        for outcome, n in zip(result.answers.outcomes, numbers, strict=True):
            row[outcome] = row.get(outcome, 0) + n
    return counted
