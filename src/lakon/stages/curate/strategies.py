"""Strategies: which trace of which teacher each problem contributes to a student's training set.

A strategy is a pure function from the candidates, an arm and the study's seed to picks. To add one: a field in
`arms.py`, a function here and a row in `STRATEGIES`, or `package.module:name` in the study.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from lakon.core.digest import derive_seed
from lakon.core.plugins import find_plugin
from lakon.stages.curate.arms import EFFORT, Arm, Route
from lakon.stages.curate.candidates import Candidate, Pick, Picks


def _teacher(pool: Sequence[Candidate], arm: Arm, seed: int) -> Iterator[Pick]:
    del seed
    return _picks_of(pool, repeat(arm.teacher or ""))


def _mix(pool: Sequence[Candidate], arm: Arm, seed: int) -> Iterator[Pick]:
    """Shares are exact up to rounding: problems in seeded order are dealt out by cumulated weight."""
    weights = dict(sorted((arm.mix or {}).items()))
    turns = array("q", (derive_seed(seed, "mix", c.problem_id) for c in pool))
    total, share, ends = sum(weights.values()), 0.0, list[float]()
    for weight in weights.values():
        share += weight / total
        ends.append(share * len(turns))
    rank = np.empty(len(turns), dtype=np.int64)
    rank[np.argsort(np.asarray(turns), kind="stable")] = np.arange(len(turns))
    # By rounding the last end may be a little short of the number of problems.
    dealt: list[int] = np.minimum(np.searchsorted(ends, rank, side="right"), len(weights) - 1).tolist()
    names = list(weights)
    return _picks_of(pool, (names[place] for place in dealt))


def _sequence(pool: Sequence[Candidate], arm: Arm, seed: int) -> Iterator[Pick]:
    del seed
    for phase, name in enumerate(arm.sequence or ()):
        for pick in _picks_of(pool, repeat(name)):
            yield pick._replace(phase=phase)


def _route(pool: Sequence[Candidate], arm: Arm, seed: int) -> Iterator[Pick]:
    del seed
    route = arm.route
    assert route is not None
    hard = find_hard(pool, route)
    return _picks_of(pool, (route.hard if is_hard else route.easy for is_hard in hard))


def find_hard(pool: Sequence[Candidate], route: Route) -> NDArray[np.bool_]:
    """Whether each problem goes to the teacher of hard ones; one whose difficulty is not known counts as easy."""
    difficulty = np.fromiter((measure_difficulty(c, route) for c in pool), dtype=np.float64, count=len(pool))
    hardness = np.where(np.isnan(difficulty), -math.inf, difficulty)
    if route.quantile is not None:
        easy = math.floor(route.quantile * len(pool) + 1e-9)
        ids = np.asarray([c.problem_id.encode() for c in pool])  # what decides among equals: not where they stand
        hard = np.zeros(len(pool), dtype=np.bool_)
        hard[np.lexsort((ids, hardness))[easy:]] = True
        return hard & (hardness > -math.inf)
    assert route.threshold is not None
    return hardness > -route.threshold if route.by in ("pass_rate", "agreement") else hardness >= route.threshold


def measure_difficulty(candidate: Candidate, route: Route) -> float:
    """How hard a problem is in the unit of the route, high is hard; NaN when it is not known."""
    if route.by == "pass_rate":
        return -(candidate.pass_rate if route.of is None else candidate.rates.get(route.of, math.nan))
    if route.by == "agreement":
        return -candidate.agreement
    if route.by == "length":
        of = list(candidate.lengths) if route.of is None else [route.of]
        lengths = [candidate.lengths[name] for name in of if name in candidate.lengths]
        return sum(lengths) / len(lengths) if lengths else math.nan
    try:
        return float(candidate.tags.get(route.by, "nan"))
    except ValueError:
        return math.nan


def _shortest(pool: Sequence[Candidate], arm: Arm, seed: int) -> Iterator[Pick]:
    """Equally short ones: the first."""
    del seed
    name = arm.shortest or ""
    for candidate in pool:
        right = [s for s in candidate.samples.get(name, ()) if s.correct]
        best = min(right, key=lambda s: (s.n_tokens, s.sample_index), default=None)
        yield Pick(candidate.problem_id, name, best.trace_id if best else "")


def _effort(pool: Sequence[Candidate], arm: Arm, seed: int) -> Iterator[Pick]:
    del seed
    for level, name in (arm.effort or {}).items():
        for pick in _picks_of(pool, repeat(name)):
            yield pick._replace(system=EFFORT.format(level=level))


def _unverified(pool: Sequence[Candidate], arm: Arm, seed: int) -> Iterator[Pick]:
    name = arm.unverified or ""
    answered = array("I", (i for i, c in enumerate(pool) if c.samples.get(name)))
    turns = array("q", (derive_seed(seed, "unverified", pool[i].problem_id) for i in answered))
    n_paired = sum(c.paired for c in pool)
    order = np.argsort(np.asarray(turns), kind="stable")
    drawn: list[int] = np.sort(np.asarray(answered)[order[:n_paired]]).tolist()
    for place in drawn:
        candidate = pool[place]
        first = min(candidate.samples[name], key=lambda s: s.sample_index)
        yield Pick(candidate.problem_id, name, first.trace_id)


def _custom(pool: Sequence[Candidate], arm: Arm, seed: int) -> Iterable[Pick]:
    return find_plugin(arm.strategy or "", {}, "strategy")(pool, arm, seed)


def _picks_of(pool: Sequence[Candidate], teachers: Iterable[str]) -> Iterator[Pick]:
    """One pick a candidate; `teachers` names the teacher of each in turn, and may go on."""
    for candidate, name in zip(pool, teachers, strict=False):
        yield Pick(candidate.problem_id, name, candidate.traces.get(name, ""))


STRATEGIES: dict[str, Callable[[Sequence[Candidate], Arm, int], Iterable[Pick]]] = {
    "teacher": _teacher,
    "mix": _mix,
    "sequence": _sequence,
    "route": _route,
    "shortest": _shortest,
    "effort": _effort,
    "unverified": _unverified,
    "strategy": _custom,
}
"""Field of an arm to the strategy that it names."""


def pick_traces(pool: Sequence[Candidate], arm: Arm, seed: int) -> Picks:
    """The arm's picks over the whole pool, in the pool's order, phase by phase."""
    return Picks(STRATEGIES[arm.how](pool, arm, seed))
