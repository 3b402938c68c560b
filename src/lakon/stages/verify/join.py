"""Traces beside the problems that they are about, without holding either table.

Every step writes its traces sample by sample in the order of the problems. So a second pass over the problems meets
each trace's problem next, and starts again when a new sample does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from lakon.core.records import AnsweredTrace, Problem


def joined(
    traces: Iterable[AnsweredTrace], problems: Callable[[], Iterable[Problem]]
) -> Iterator[tuple[AnsweredTrace, Problem]]:
    """Each trace with its problem, in the order of the traces. Raises `KeyError` for one of no problem."""
    rows, now = iter(problems()), None
    for trace in traces:
        if now is None or now.problem_id != trace.problem_id:
            now = next((row for row in rows if row.problem_id == trace.problem_id), None)
        if now is None:
            rows = iter(problems())
            now = next((row for row in rows if row.problem_id == trace.problem_id), None)
        if now is None:
            raise KeyError(trace.problem_id)
        yield trace, now
