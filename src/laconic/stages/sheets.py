"""What one author did on one benchmark, in columns: traces and verdicts as records would be most of what scoring
300,000 problems keeps in memory.

Invariant: a row is a trace with its verdict, and rows keep the order in which they came, because figures that are sums
depend on it in their last digits.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from laconic.core.columns import Places, Texts
from laconic.core.records import UNGRADED, Outcome, Problem, Trace, Verdict
from laconic.stats import Samples
from laconic.stats.ragged import Ragged
from laconic.stats.samples import BoolArray, FloatArray

Row = tuple[int, Trace, Verdict]
"""Training seed, trace, verdict."""


_SEPARATOR = "\x1f"


@dataclass(frozen=True, slots=True, eq=False)
class Roll:
    """What scores need of the problems of a benchmark, in its order."""

    ids: Texts
    groups: tuple[str | None, ...]
    """Near-duplicate groups."""
    _tags: Texts

    @staticmethod
    def of(problems: Iterable[Problem]) -> Roll:
        """The problems are read once and not kept."""
        ids, groups, tags = Texts(), list[str | None](), Texts()
        for problem in problems:
            ids.append(problem.problem_id)
            groups.append(problem.duplicate_group)
            tags.append(_SEPARATOR.join(problem.tags))
        return Roll(ids, tuple(groups), tags)

    def tag(self, place: int, name: str) -> str | None:
        """The value of the tag `name` of the problem at `place`, or None."""
        prefix = f"{name}="
        found = (tag[len(prefix) :] for tag in self._tags[place].split(_SEPARATOR) if tag.startswith(prefix))
        return next(found, None)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Work:
    """Traces with their verdicts, one entry a trace in each column."""

    problem: NDArray[np.uint32]
    """Where its problem stands in the benchmark's roll."""
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
    provider_tokens: FloatArray
    """NaN where the provider gave none."""
    latency_s: FloatArray
    """NaN where it was not measured."""

    @staticmethod
    def of(rows: Iterable[Row], roll: Roll) -> Work:
        """The rows in columns; they are read once and not kept. Raises `KeyError` for a problem that is not on the
        roll."""
        places, seeds, outcomes = Places(roll.ids), dict[int, int](), dict[str, int]()
        problem, sample, n_reasoning, n_answer = (array("I") for _ in range(4))
        seed, outcome, tokens, latency = array("H"), array("B"), array("d"), array("d")
        for trained, trace, verdict in rows:
            problem.append(places[trace.problem_id])
            seed.append(seeds.setdefault(trained, len(seeds)))
            sample.append(trace.sample_index)
            outcome.append(outcomes.setdefault(verdict.outcome, len(outcomes)))
            n_reasoning.append(trace.n_reasoning)
            n_answer.append(trace.n_answer)
            tokens.append(math.nan if trace.completion_tokens is None else trace.completion_tokens)
            latency.append(math.nan if trace.latency_s is None else trace.latency_s)
        return Work(
            problem=np.asarray(problem), seed=np.asarray(seed), seeds=tuple(seeds), sample=np.asarray(sample),
            outcome=np.asarray(outcome), outcomes=tuple(outcomes), n_reasoning=np.asarray(n_reasoning),
            n_answer=np.asarray(n_answer), provider_tokens=np.asarray(tokens), latency_s=np.asarray(latency),
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.problem)

    def having(self, *outcomes: str) -> BoolArray:
        """Whether each row has one of these outcomes."""
        return np.isin(self.outcome, [i for i, name in enumerate(self.outcomes) if name in outcomes])

    def of_seed(self, seed: int) -> Work:
        """The rows of one training seed."""
        rows = np.flatnonzero(self.seed == self.seeds.index(seed))
        return replace(
            self, problem=self.problem[rows], seed=self.seed[rows], sample=self.sample[rows],
            outcome=self.outcome[rows], n_reasoning=self.n_reasoning[rows], n_answer=self.n_answer[rows],
            provider_tokens=self.provider_tokens[rows], latency_s=self.latency_s[rows],
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sheet:
    """One author's work on one benchmark, from one or several training seeds."""

    author: str
    benchmark: str
    work: Work
    family: str = ""
    """Authors are compared within a family: students of one base under one matching rule, or teachers."""


def samples_of(work: Work, roll: Roll) -> Samples:
    """The work as ragged samples by problem, in the order of the benchmark."""
    seeds = np.asarray(work.seeds, dtype=np.int64)[work.seed]
    order = np.lexsort((work.sample, seeds, work.problem))  # stable: what is equal stays as it came
    counts = np.bincount(work.problem, minlength=len(roll.ids))
    ids, groups = roll.ids, roll.groups
    if not counts.all():
        places: list[int] = np.flatnonzero(counts).tolist()
        counts = counts[places]
        ids, groups = Texts(ids[at] for at in places), tuple(groups[at] for at in places)
    return Samples(
        problem_ids=ids,
        correct=Ragged(work.having(Outcome.CORRECT)[order], counts),
        tokens=Ragged((work.n_reasoning.astype(np.int64) + work.n_answer)[order], counts),
        finished=Ragged((~work.having(Outcome.TRUNCATED))[order], counts),
        graded=Ragged((~work.having(*UNGRADED))[order], counts),
        seed_index=Ragged(seeds[order], counts),
        clusters=groups,
    )


def outcomes(sheets: Iterable[Sheet]) -> dict[str, dict[str, int]]:
    """`author / benchmark` to outcome to number of traces."""
    counted: dict[str, dict[str, int]] = {}
    for sheet in sheets:
        row = counted.setdefault(f"{sheet.author} / {sheet.benchmark}", {})
        numbers = np.bincount(sheet.work.outcome, minlength=len(sheet.work.outcomes)).tolist()
        for outcome, n in zip(sheet.work.outcomes, numbers, strict=True):
            row[outcome] = row.get(outcome, 0) + n
    return counted
