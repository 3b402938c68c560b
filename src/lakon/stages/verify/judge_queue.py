"""Which answers a judge is asked about: those that it decides, and a random sample of the others for the audit.

Invariant: the audit's sample depends on trace ids and the seed alone, not on the order of the rows, and a larger sample
contains a smaller one. So enlarging an audit pays only for the new answers.
"""

from __future__ import annotations

import heapq
from itertools import chain

from lakon.core.digest import derive_seed
from lakon.core.protocols import Grading
from lakon.core.records import AnsweredTrace, Outcome, Problem
from lakon.stages.verify.judgement_columns import RowSet
from lakon.stages.verify.overrides import OVERRIDE_METHOD
from lakon.stages.verify.verify import Verify


class AuditSample:
    """A seeded random sample of a stream: the rows whose trace ids have the smallest digests."""

    def __init__(self, size: int, seed: int) -> None:
        self.size, self.seed = size, seed
        self.n_candidates = 0
        """Rows from which the sample was drawn."""
        self._heap: list[tuple[int, int, str]] = []

    def add(self, row: int, trace_id: str) -> None:
        """Consider a row for the sample."""
        self.n_candidates += 1
        if not self.size:
            return
        entry = (-derive_seed(self.seed, "audit", trace_id), row, trace_id)
        if len(self._heap) < self.size:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heappushpop(self._heap, entry)

    @property
    def trace_ids(self) -> dict[int, str]:
        """Sampled row to trace id, by row."""
        return dict(sorted((row, trace_id) for _, row, trace_id in self._heap))


class JudgeQueue:
    """The rows that the judge decides and those that it only audits; `verify` adds each row as the rules grade it."""

    def __init__(self, spec: Verify, seed: int) -> None:
        self._policy = spec.policy
        self.n_answers = 0
        self.n_judgeable = 0
        self.decided = RowSet()
        """Rows whose verdict is the judge's."""
        self.accepts = AuditSample(spec.audit, seed)
        self.rejects = AuditSample(spec.audit, seed)

    def add(self, trace: AnsweredTrace, problem: Problem, grading: Grading) -> None:
        """Decide what the judge does with the next row."""
        row = self.n_answers
        self.n_answers += 1
        if not _can_be_judged(trace, problem, grading):
            return
        self.n_judgeable += 1
        judge_decides = self._judge_decides(grading)
        if judge_decides:
            self.decided.add(row)
        # Under the policy `judge` every row is decided by the judge, so an audit may sample from all of them.
        if judge_decides and self._policy != "judge":
            return
        if grading.outcome == Outcome.CORRECT:
            self.accepts.add(row, trace.trace_id)
        elif grading.outcome == Outcome.INCORRECT:
            self.rejects.add(row, trace.trace_id)

    def rows_to_ask(self) -> RowSet:
        """Every row that the judge is asked about."""
        return RowSet.of(chain(self.decided, self.accepts.trace_ids, self.rejects.trace_ids))

    def _judge_decides(self, grading: Grading) -> bool:
        undecided = grading.outcome in (Outcome.UNPARSED, Outcome.TIMEOUT) or grading.disputed
        return self._policy == "judge" or (self._policy == "rules-then-judge" and undecided)


def _can_be_judged(trace: AnsweredTrace, problem: Problem, grading: Grading) -> bool:
    """Truncated, refused and failed answers keep their outcome, and so does what a person has ruled."""
    settled = grading.outcome in (Outcome.TRUNCATED, Outcome.REFUSED, Outcome.ERROR)
    if settled or grading.method == OVERRIDE_METHOD:
        return False
    return bool(trace.answer.strip()) and bool(problem.reference.strip())
