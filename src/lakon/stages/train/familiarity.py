"""How familiar a base is with each teacher's style: the loss of its tokens on their traces before any training.

The paper's loss curves start apart (arXiv 2511.19333, figure 1): the style that the base knows less starts higher. This
measures where they start, and where in a trace the difference lies. Invariant: all teachers are measured on the same
problems, one right trace each. The losses come in as arrays; nothing here knows a model.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lakon.core.columns import PositionIndex
from lakon.core.digest import derive_seed
from lakon.core.records import Exclusion, LossBin, Outcome, TraceLoss, VerdictOutcome

Losses = NDArray[np.float32]
"""The loss of each token of one completion, in nats, shape (tokens,)."""

EDGES = (0, 16, 64, 256, 1_024, 4_096, 16_384)
"""Where the stretches of a completion begin, in tokens; the last one has no end."""
TENTHS = 10
SURPRISING = -math.log(0.01)
"""Nats: a token with a greater loss had a probability of less than 1%."""
_LARGEST = math.log(1e300)
"""Nats whose perplexity is still a number."""

ReadVerdicts = Callable[[str], Iterable[VerdictOutcome]]
"""A teacher's verdicts; they are read twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredTrace:
    """A trace with its losses; without them it was too long for the model, or its losses are no numbers."""

    trace_id: str
    problem_id: str
    teacher: str
    n_tokens: int
    losses: Losses | None


def choose_traces(
    problem_ids: Sequence[str],
    teachers: Sequence[str],
    read_verdicts: ReadVerdicts,
    filtered: Mapping[str, Collection[str]],
    *,
    count: int,
    seed: int,
) -> dict[str, dict[str, str]]:
    """Each teacher's problems with the trace to measure, the same problems in the same order for all teachers.

    They are the first `count`, by a digest of seed and id, of those that every teacher got right; the trace is the
    teacher's first right sample. `filtered` has, for a teacher, the traces that do not count.
    """
    places = PositionIndex(problem_ids)
    shared = np.ones(len(problem_ids), dtype=np.bool_)
    for name in teachers:
        right = np.zeros(len(problem_ids), dtype=np.bool_)
        for verdict in _right_traces(read_verdicts(name), filtered.get(name, ())):
            right[places[verdict.problem_id]] = True
        shared &= right
    ids = (problem_ids[at] for at in np.flatnonzero(shared).tolist())
    chosen = heapq.nsmallest(count, ids, key=lambda problem_id: derive_seed(seed, "familiarity", problem_id))
    return {name: _first_traces(chosen, read_verdicts(name), filtered.get(name, ())) for name in teachers}


def _right_traces(verdicts: Iterable[VerdictOutcome], filtered: Collection[str]) -> Iterator[VerdictOutcome]:
    return (v for v in verdicts if v.outcome == Outcome.CORRECT and v.trace_id not in filtered)


def _first_traces(
    chosen: Sequence[str], verdicts: Iterable[VerdictOutcome], filtered: Collection[str]
) -> dict[str, str]:
    wanted = set(chosen)
    first: dict[str, VerdictOutcome] = {}
    for verdict in _right_traces(verdicts, filtered):
        problem_id = verdict.problem_id
        if problem_id not in wanted:
            continue
        if problem_id not in first or verdict.sample_index < first[problem_id].sample_index:
            first[problem_id] = verdict
    return {problem_id: first[problem_id].trace_id for problem_id in chosen}


def part_complete(traces: Iterable[MeasuredTrace]) -> tuple[list[MeasuredTrace], list[Exclusion]]:
    """The traces of problems whose traces were all measured, and the others as exclusions.

    A problem goes as a whole: a teacher whose long traces do not fit must not be compared on its short ones alone.
    """
    rows = list(traces)
    reasons = {row.trace_id: reason for row in rows if (reason := _find_fault(row))}
    broken = {row.problem_id for row in rows if row.trace_id in reasons}
    left_out: list[Exclusion] = []
    for row in rows:
        if row.problem_id in broken:
            rule = reasons.get(row.trace_id, "other_trace_not_measured")
            detail = f"{row.n_tokens} tokens in the completion of {row.teacher}"
            left_out.append(Exclusion(subject=row.trace_id, arm="", rule=rule, detail=detail))
    return [row for row in rows if row.problem_id not in broken], left_out


def _find_fault(row: MeasuredTrace) -> str:
    if row.losses is None:
        return "longer_than_context"
    return "" if bool(np.isfinite(row.losses).all()) else "loss_not_finite"


def average_traces(traces: Iterable[MeasuredTrace]) -> Iterator[TraceLoss]:
    """Each trace's mean loss."""
    for row in traces:
        loss = float(_losses_of(row).mean(dtype=np.float64))
        yield TraceLoss(
            trace_id=row.trace_id,
            problem_id=row.problem_id,
            teacher=row.teacher,
            n_tokens=row.n_tokens,
            loss=loss,
            perplexity=math.exp(min(loss, _LARGEST)),
        )


def bin_losses(traces: Iterable[MeasuredTrace], teachers: Sequence[str]) -> Iterator[LossBin]:
    """Each teacher's tokens in bins by position: all of them, by distance from the beginning, and by tenths of a trace.
    Bins without a token have no row."""
    by_teacher: dict[str, list[Losses]] = {name: [] for name in teachers}
    for row in traces:
        by_teacher[row.teacher].append(_losses_of(row))
    for name, arrays in by_teacher.items():
        if arrays:
            yield from _bin_teacher(name, arrays)


def _bin_teacher(teacher: str, arrays: Sequence[Losses]) -> Iterator[LossBin]:
    losses = np.concatenate(arrays)
    trace = np.repeat(np.arange(len(arrays)), [len(one) for one in arrays])
    position = np.concatenate([np.arange(len(one)) for one in arrays])
    tenth = np.concatenate([np.arange(len(one)) * TENTHS // len(one) for one in arrays])
    stretch = np.searchsorted(EDGES, position, side="right") - 1
    yield _make_bin(teacher, "all", 0, None, losses, trace)
    for at, start in enumerate(EDGES):
        inside = stretch == at
        if inside.any():
            stop = EDGES[at + 1] if at + 1 < len(EDGES) else None
            yield _make_bin(teacher, "tokens", start, stop, losses[inside], trace[inside])
    for at in range(TENTHS):
        inside = tenth == at
        if inside.any():
            yield _make_bin(teacher, "tenths", at, at + 1, losses[inside], trace[inside])


def _make_bin(
    teacher: str, scale: str, start: int, stop: int | None, losses: Losses, trace: NDArray[np.int64]
) -> LossBin:
    median, q90, q99 = (float(x) for x in np.quantile(losses.astype(np.float64), (0.5, 0.9, 0.99)))
    return LossBin(
        teacher=teacher,
        scale=scale,
        start=start,
        stop=stop,
        n_tokens=len(losses),
        n_traces=len(np.unique(trace)),
        loss=float(losses.mean(dtype=np.float64)),
        median=median,
        q90=q90,
        q99=q99,
        surprising=float(np.mean(losses > SURPRISING)),
    )


def _losses_of(row: MeasuredTrace) -> Losses:
    assert row.losses is not None, "only measured traces have figures"
    return row.losses
