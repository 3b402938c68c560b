"""Verdicts: what the domain's verifier says of every trace, joined to the problem's reference.

Invariant: one verdict a trace, whatever happens. The verifier sees the answer and how it ended, never the reasoning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import tee
from typing import Annotated

from pydantic import Field

from laconic.core.protocols import Answered, Grading, Progress, Verifier
from laconic.core.records import Outcome, Problem, Trace, Verdict
from laconic.core.spec import Spec

VERSION = 1


class Verify(Spec):
    """How answers are verified."""

    limit_s: Annotated[float, Field(gt=0)] = 5.0
    """Seconds one answer may take before its worker is killed and the outcome is `timeout`."""


def verify(
    problems: Mapping[str, Problem], traces: Iterable[Trace], verifier: Verifier, *, progress: Progress, total: int
) -> Iterator[Verdict]:
    """One verdict for each trace, in the order of the traces."""
    progress.start(total, unit="verdicts")
    to_grade, to_join = tee(traces)
    gradings = verifier.grade(_answered(to_grade, problems))
    for trace, grading in zip(to_join, gradings, strict=True):
        progress.advance(1)
        yield _verdict(trace, grading, verifier.version)


def _answered(traces: Iterable[Trace], problems: Mapping[str, Problem]) -> Iterator[Answered]:
    for trace in traces:
        problem = problems[trace.problem_id]
        yield Answered(
            reference=problem.reference, answer=trace.answer, finish_reason=trace.finish_reason, prompt=problem.prompt
        )


def _verdict(trace: Trace, grading: Grading, version: str) -> Verdict:
    if trace.error is not None:
        grading = Grading(outcome=Outcome.ERROR, method="no-trace", explanation=trace.error)
    return Verdict(
        trace_id=trace.trace_id, problem_id=trace.problem_id, sample_index=trace.sample_index,
        outcome=str(grading.outcome), extracted=grading.extracted, method=grading.method,
        explanation=grading.explanation, verifier=version,
    )  # fmt: skip
