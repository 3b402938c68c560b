"""Arms: which trace of which teacher each problem contributes to a student's training set.

A strategy is a pure function from the pool (paired problems, best trace of every teacher) to picks. Arms are then
made comparable by the study's matching rule (`matching.py`). To add a strategy: a function and a row in `STRATEGIES`,
or `package.module:name` in the study.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from lakon.core.columns import Column, Texts
from lakon.core.digest import derive_seed
from lakon.core.plugins import lookup
from lakon.core.spec import MatchRule, Name, PluginPath, Spec

EFFORT = "Reasoning effort: {level}"
"""The system message that switches the style of a student of an `effort` arm, in training and in evaluation."""

Level = Literal["low", "medium", "high"]


class Route(Spec):
    """Which teacher teaches the easy problems and which the hard ones."""

    easy: Name
    """The teacher of the easy problems."""
    hard: Name
    """The teacher of the hard ones."""
    by: str = "pass_rate"
    """`pass_rate` (low is hard), `agreement` (share of all teachers' answers that equal the most frequent one; low is
    hard), `length` (tokens of the chosen traces; high is hard) or a numeric tag such as `steps` (high is hard)."""
    of: Name | None = None
    """The teacher whose pass rate or length it is; unless given, all of them together."""
    threshold: float | None = None
    """Hard is: pass rate or agreement below it, or length or the tag's value at or above it."""
    quantile: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Instead of a threshold: this share of the pool is easy, the rest, the hardest, is hard."""

    @model_validator(mode="after")
    def _one_border(self) -> Route:
        if (self.threshold is None) == (self.quantile is None):
            found = "neither threshold nor quantile" if self.threshold is None else "threshold and quantile"
            raise ValueError(f"found {found}; expected one of them; say where easy ends")
        return self


class Arm(Spec):
    """One training set: exactly one of `teacher`, `mix`, `sequence`, `route`, `shortest`, `effort`, `unverified` and
    `strategy`."""

    teacher: Name | None = None
    """Every problem with this teacher's trace."""
    mix: Annotated[dict[Name, Annotated[float, Field(gt=0)]], Field(min_length=1)] | None = None
    """Teachers by weight; each problem goes to one of them."""
    sequence: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """All problems with the first teacher's traces, then again with the next one's: a curriculum."""
    route: Route | None = None
    """Each problem from one of two teachers, by how hard it is."""
    shortest: Name | None = None
    """Every problem with the shortest correct one of this teacher's samples."""
    effort: Annotated[dict[Level, Name], Field(min_length=1)] | None = None
    """Every problem once in each teacher's style, told apart by a system message (`Reasoning effort: low`); the student
    is evaluated under each of them."""
    unverified: Name | None = None
    """As many problems as the pool has, drawn from all that the study has, with the teacher's first trace whatever its
    verdict: what verification buys. These are not the problems of the other arms."""
    strategy: PluginPath | None = None
    """`package.module:name` of a function `(pool, arm, seed) -> picks`."""
    strategy_teachers: tuple[Name, ...] = ()
    """The teachers that a `strategy` of one's own may pick from."""
    style: Literal["verbatim", "answer_only"] | PluginPath = "verbatim"
    """`verbatim` trains on reasoning and answer as written; `answer_only` on the extracted answer in a box."""
    match: Annotated[tuple[MatchRule, ...], Field(min_length=1)] | None = None
    """Build this arm only under these of the study's rules; unless given, under all of them."""

    @model_validator(mode="after")
    def _one_strategy(self) -> Arm:
        given = [name for name in STRATEGIES if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) if given else "none"
            raise ValueError(f"found {found}; expected exactly one of {', '.join(STRATEGIES)}; keep one of them")
        if (self.strategy is not None) != bool(self.strategy_teachers):
            raise ValueError(
                "found one of strategy and strategy_teachers alone; expected both or neither; name the function and "
                "its teachers"
            )
        return self

    @property
    def how(self) -> str:
        """Which of the strategies it is."""
        return next(name for name in STRATEGIES if getattr(self, name) is not None)

    @property
    def teachers(self) -> tuple[str, ...]:
        """Every teacher that the arm names, each once."""
        if self.route is not None:
            return tuple(dict.fromkeys((self.route.easy, self.route.hard)))
        one = self.teacher or self.shortest or self.unverified
        many = self.mix or self.sequence or (self.effort or {}).values() or self.strategy_teachers
        return (one,) if one else tuple(dict.fromkeys(many))

    @property
    def efforts(self) -> tuple[str, ...]:
        """The levels under which its student is evaluated; empty when there is no such thing."""
        return tuple(self.effort or ())

    @property
    def needs(self) -> frozenset[str]:
        """What of the candidates must be filled in (`lengths`, `agreement`, `samples`, `unpaired`), and `answers` where
        a style may look at what was extracted."""
        by = self.route.by if self.route is not None else ""
        wanted = {"length": ("lengths",), "agreement": ("agreement",)}.get(by, ())
        answers = () if self.style == "verbatim" else ("answers",)
        return frozenset((*wanted, *answers, *NEEDS.get(self.how, ())))


class Sample(NamedTuple):
    """One trace of a teacher as strategies may look at it."""

    trace_id: str
    sample_index: int
    n_tokens: int
    correct: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A problem of the pool: what strategies may look at, and the chosen correct trace of each teacher."""

    problem_id: str
    tags: Mapping[str, str]
    pass_rate: float
    """Share of all teachers' graded samples of the problem that are correct."""
    traces: Mapping[str, str]
    """Teacher to trace id; a teacher without a correct trace is not in it."""
    rates: Mapping[str, float] = field(default_factory=dict[str, float])
    """Teacher to the share of its graded samples that are correct."""
    lengths: Mapping[str, int] = field(default_factory=dict[str, int])
    """Teacher to the tokens of its chosen trace."""
    agreement: float = math.nan
    samples: Mapping[str, Sequence[Sample]] = field(default_factory=dict[str, Sequence[Sample]])
    """Teacher to all its traces that no filter left out."""
    paired: bool = True
    """Whether it is in the pool; strategies are shown others only if they ask for them."""


class Pick(NamedTuple):
    """One example to be: a problem, the teacher whose trace it shows, and when it is trained. Without a trace id it
    says that the teacher has none."""

    problem_id: str
    teacher: str
    trace_id: str
    phase: int = 0
    system: str = ""


class Picks(Column[Pick]):
    """Picks in columns: as tuples of texts they would be most of what an arm's step keeps in memory."""

    def __init__(self, picks: Iterable[Pick]) -> None:
        self._problems, self._traces = Texts(), Texts()
        self._rest, self._numbers = list[tuple[str, int, str]](), dict[tuple[str, int, str], int]()
        self._number = array("I")
        for problem_id, teacher, trace_id, phase, system in picks:
            self._problems.append(problem_id)
            self._traces.append(trace_id)
            rest = teacher, phase, system
            number = self._numbers.setdefault(rest, len(self._rest))
            if number == len(self._rest):
                self._rest.append(rest)
            self._number.append(number)

    def __len__(self) -> int:
        return len(self._number)

    def made(self, at: int) -> Pick:
        teacher, phase, system = self._rest[self._number[at]]
        return Pick(self._problems.made(at), teacher, self._traces.made(at), phase, system)


def _teacher(pool: Sequence[Candidate], arm: Arm, seed: int) -> Iterator[Pick]:
    del seed
    return _taught(pool, lambda *_: arm.teacher or "")


def _mix(pool: Sequence[Candidate], arm: Arm, seed: int) -> Iterator[Pick]:
    """Shares are exact up to rounding: problems in seeded order are dealt out by cumulated weight."""
    weights = dict(sorted((arm.mix or {}).items()))
    turns = array("q", (derive_seed(seed, "mix", c.problem_id) for c in pool))
    total, bounds, at = sum(weights.values()), list[tuple[float, str]](), 0.0
    for name, weight in weights.items():
        at += weight / total
        bounds.append((at * len(turns), name))
    rank = np.empty(len(turns), dtype=np.int64)
    rank[np.argsort(np.asarray(turns), kind="stable")] = np.arange(len(turns))
    return _taught(pool, lambda i, _: next((name for edge, name in bounds if rank[i] < edge), bounds[-1][1]))


def _sequence(pool: Sequence[Candidate], arm: Arm, seed: int) -> Iterator[Pick]:
    del seed
    return (
        pick._replace(phase=phase)
        for phase, name in enumerate(arm.sequence or ())
        for pick in _taught(pool, lambda *_, name=name: name)
    )


def _route(pool: Sequence[Candidate], arm: Arm, seed: int) -> Iterator[Pick]:
    del seed
    route = arm.route
    assert route is not None
    hard = hard_ones(pool, route)
    return _taught(pool, lambda i, _: route.hard if hard[i] else route.easy)


def hard_ones(pool: Sequence[Candidate], route: Route) -> NDArray[np.bool_]:
    """Whether each problem goes to the teacher of hard ones; one whose difficulty is not known counts as easy."""
    found = np.fromiter((difficulty(c, route) for c in pool), dtype=np.float64, count=len(pool))
    hardness = np.where(np.isnan(found), -math.inf, found)
    if route.quantile is not None:
        easy = math.floor(route.quantile * len(pool) + 1e-9)
        ids = np.asarray([c.problem_id.encode() for c in pool])  # what decides among equals: not where they stand
        hard = np.zeros(len(pool), dtype=np.bool_)
        hard[np.lexsort((ids, hardness))[easy:]] = True
        return hard & (hardness > -math.inf)
    assert route.threshold is not None
    return hardness > -route.threshold if route.by in ("pass_rate", "agreement") else hardness >= route.threshold


def difficulty(candidate: Candidate, route: Route) -> float:
    """How hard a problem is in the unit of the route, high is hard; NaN when it is not known."""
    if route.by == "pass_rate":
        return -(candidate.pass_rate if route.of is None else candidate.rates.get(route.of, math.nan))
    if route.by == "agreement":
        return -candidate.agreement
    if route.by == "length":
        of = list(candidate.lengths) if route.of is None else [route.of]
        known = [candidate.lengths[name] for name in of if name in candidate.lengths]
        return sum(known) / len(known) if known else math.nan
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
    return (
        pick._replace(system=EFFORT.format(level=level))
        for level, name in (arm.effort or {}).items()
        for pick in _taught(pool, lambda *_, name=name: name)
    )


def _unverified(pool: Sequence[Candidate], arm: Arm, seed: int) -> Iterator[Pick]:
    name = arm.unverified or ""
    written = array("I", (i for i, c in enumerate(pool) if c.samples.get(name)))
    turns = array("q", (derive_seed(seed, "unverified", pool[i].problem_id) for i in written))
    wanted = sum(c.paired for c in pool)
    taken = np.sort(np.asarray(written)[np.argsort(np.asarray(turns), kind="stable")[:wanted]])
    for candidate in (pool[i] for i in taken.tolist()):
        first = min(candidate.samples[name], key=lambda s: s.sample_index)
        yield Pick(candidate.problem_id, name, first.trace_id)


def _own(pool: Sequence[Candidate], arm: Arm, seed: int) -> Iterable[Pick]:
    return lookup(arm.strategy or "", {}, "strategy")(pool, arm, seed)


def _taught(pool: Sequence[Candidate], teacher: Callable[[int, Candidate], str]) -> Iterator[Pick]:
    for number, candidate in enumerate(pool):
        name = teacher(number, candidate)
        yield Pick(candidate.problem_id, name, candidate.traces.get(name, ""))


STRATEGIES: dict[str, Callable[[Sequence[Candidate], Arm, int], Iterable[Pick]]] = {
    "teacher": _teacher,
    "mix": _mix,
    "sequence": _sequence,
    "route": _route,
    "shortest": _shortest,
    "effort": _effort,
    "unverified": _unverified,
    "strategy": _own,
}

NEEDS = {"shortest": ("samples",), "unverified": ("samples", "unpaired"), "strategy": ("samples", "lengths")}
"""What strategies want to see beside the chosen traces: reading it takes a pass over verdicts or traces."""

SEEDED = frozenset({"mix", "unverified", "strategy"})
"""Strategies whose picks depend on the study's seed."""


def picks(pool: Sequence[Candidate], arm: Arm, seed: int) -> Picks:
    """The arm's picks over the whole pool, in the pool's order, phase by phase."""
    return Picks(STRATEGIES[arm.how](pool, arm, seed))
