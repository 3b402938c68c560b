"""What one author did on one benchmark, in columns: traces and verdicts as records would be most of what scoring
300,000 problems keeps in memory.

Invariant: a row is a trace with its verdict, and rows keep the order in which they came, because figures that are sums
depend on it in their last digits.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from laconic.core.records import UNGRADED, Outcome, Problem, Trace, Verdict
from laconic.stats import Samples
from laconic.stats.ragged import Ragged
from laconic.stats.samples import BoolArray, FloatArray, IntArray

Row = tuple[int, Trace, Verdict]
"""Training seed, trace, verdict."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Work:
    """Traces with their verdicts, one entry a trace in each column."""

    problem_ids: Sequence[str]
    """The problems that `problem` counts."""
    problem: IntArray
    seed: IntArray
    sample: IntArray
    outcomes: tuple[str, ...]
    """The outcomes that occur, in the order of their first rows; `outcome` counts them."""
    outcome: IntArray
    n_reasoning: IntArray
    n_answer: IntArray
    provider_tokens: FloatArray
    """NaN where the provider gave none."""
    latency_s: FloatArray
    """NaN where it was not measured."""

    @staticmethod
    def of(rows: Iterable[Row]) -> Work:
        """The rows in columns; they are read once and not kept."""
        numbers: dict[str, int] = {}
        named: dict[str, int] = {}
        whole = [array("q") for _ in range(6)]
        measured = [array("d") for _ in range(2)]
        for seed, trace, verdict in rows:
            counts = (
                numbers.setdefault(trace.problem_id, len(numbers)), seed, trace.sample_index,
                named.setdefault(verdict.outcome, len(named)), trace.n_reasoning, trace.n_answer,
            )  # fmt: skip
            for column, count in zip(whole, counts, strict=True):
                column.append(count)
            for column, value in zip(measured, (trace.completion_tokens, trace.latency_s), strict=True):
                column.append(math.nan if value is None else value)
        problem, seeds, sample, outcome, n_reasoning, n_answer = (np.asarray(c, dtype=np.int64) for c in whole)
        tokens, latency = (np.asarray(c, dtype=np.float64) for c in measured)
        return Work(
            problem_ids=tuple(numbers), problem=problem, seed=seeds, sample=sample, outcomes=tuple(named),
            outcome=outcome, n_reasoning=n_reasoning, n_answer=n_answer, provider_tokens=tokens, latency_s=latency,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.problem)

    def having(self, *outcomes: str) -> BoolArray:
        """Whether each row has one of these outcomes."""
        return np.isin(self.outcome, [i for i, name in enumerate(self.outcomes) if name in outcomes])

    def of_seed(self, seed: int) -> Work:
        """The rows of one training seed, their problems in the order of these rows."""
        rows = np.flatnonzero(self.seed == seed)
        found, first, number = np.unique(self.problem[rows], return_index=True, return_inverse=True)
        order = np.argsort(first)
        return replace(
            self, problem_ids=tuple(self.problem_ids[i] for i in found[order].tolist()),
            problem=np.argsort(order)[number], seed=self.seed[rows], sample=self.sample[rows],
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


def samples_of(work: Work, problems: Mapping[str, Problem] | None = None) -> Samples:
    """The work as ragged samples by problem, in the order of the benchmark; without one, in the order of the work and
    every problem a cluster of its own."""
    ids = work.problem_ids
    if problems is not None:
        known = {problem_id: number for number, problem_id in enumerate(work.problem_ids)}
        ids = tuple(problem_id for problem_id in problems if problem_id in known)
        place = np.full(len(known), -1, dtype=np.int64)
        place[[known[problem_id] for problem_id in ids]] = np.arange(len(ids))
    else:
        place = np.arange(len(ids), dtype=np.int64)
    at = place[work.problem]
    order = np.lexsort((work.sample, work.seed, at))  # stable: what is equal stays as it came
    order = order[at[order] >= 0]
    counts = np.bincount(at[order], minlength=len(ids))

    return Samples(
        problem_ids=tuple(ids),
        correct=Ragged(work.having(Outcome.CORRECT)[order], counts),
        tokens=Ragged((work.n_reasoning + work.n_answer)[order], counts),
        finished=Ragged((~work.having(Outcome.TRUNCATED))[order], counts),
        graded=Ragged((~work.having(*UNGRADED))[order], counts),
        seed_index=Ragged(work.seed[order], counts),
        clusters=None if problems is None else tuple(problems[problem_id].duplicate_group for problem_id in ids),
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
