"""Joins traces with their problems without holding either table in memory.

Every step writes its traces sample by sample, in the order of the problems. So a second pass over the problems meets
each trace's problem next, and starts again when a new sample does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from lakon.core.records import AnsweredTrace, Problem


def join_problems(
    traces: Iterable[AnsweredTrace], problems: Callable[[], Iterable[Problem]]
) -> Iterator[tuple[AnsweredTrace, Problem]]:
    """Each trace with its problem, in the order of the traces. Raises `KeyError` for a trace of an unknown problem."""
    rows, current = iter(problems()), None
    for trace in traces:
        if current is None or current.problem_id != trace.problem_id:
            current = _next_problem(rows, trace.problem_id)
        if current is None:
            rows = iter(problems())
            current = _next_problem(rows, trace.problem_id)
        if current is None:
            raise KeyError(trace.problem_id)
        yield trace, current


def _next_problem(rows: Iterator[Problem], problem_id: str) -> Problem | None:
    return next((row for row in rows if row.problem_id == problem_id), None)
