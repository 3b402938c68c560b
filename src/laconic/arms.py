"""Arms: which trace of which teacher each problem contributes to a student's training set.

A strategy is a pure function from the pool (paired problems, best trace of every teacher) to picks. Arms are then
made comparable by the study's matching rule: equal problems, or equal trained tokens.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from laconic.core.digest import derive_seed
from laconic.core.spec import MatchRule, Name, PluginPath, Spec


class Route(Spec):
    """Which teacher teaches the easy problems and which the hard ones."""

    easy: Name
    hard: Name
    by: str = "pass_rate"
    """`pass_rate` (of all teachers' samples; low is hard) or a numeric tag such as `steps` (high is hard)."""
    threshold: float
    """Hard is: pass rate below it, or the tag's value at or above it."""


class Arm(Spec):
    """One training set: exactly one of `teacher`, `mix`, `sequence` and `route`."""

    teacher: Name | None = None
    """Every problem with this teacher's trace."""
    mix: dict[Name, Annotated[float, Field(gt=0)]] | None = None
    """Teachers by weight; each problem goes to one of them."""
    sequence: tuple[Name, ...] | None = None
    """All problems with the first teacher's traces, then again with the next one's: a curriculum."""
    route: Route | None = None
    style: Literal["verbatim", "answer_only"] | PluginPath = "verbatim"
    match: tuple[MatchRule, ...] | None = None
    """Build this arm only under these of the study's rules; None: under all of them."""

    @model_validator(mode="after")
    def _one_strategy(self) -> Arm:
        given = [name for name in STRATEGIES if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) if given else "none"
            raise ValueError(f"found {found}; expected exactly one of {', '.join(STRATEGIES)}; keep one of them")
        return self

    @property
    def strategy(self) -> str:
        """`teacher`, `mix`, `sequence` or `route`."""
        return next(name for name in STRATEGIES if getattr(self, name) is not None)

    @property
    def teachers(self) -> tuple[str, ...]:
        """Every teacher that the arm names."""
        if self.route is not None:
            return self.route.easy, self.route.hard
        return tuple(self.mix or self.sequence or (self.teacher or "",))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A paired problem: what strategies may look at, and the chosen correct trace of each teacher."""

    problem_id: str
    tags: Mapping[str, str]
    pass_rate: float
    """Share of all teachers' graded samples of the problem that are correct."""
    traces: Mapping[str, str]
    """Teacher to trace id."""


class Pick(NamedTuple):
    """One example to be: a problem, the teacher whose trace it shows, and when it is trained."""

    problem_id: str
    teacher: str
    trace_id: str
    phase: int = 0
    repeats: int = 1


def _teacher(pool: Sequence[Candidate], arm: Arm, seed: int) -> list[Pick]:
    del seed
    return _taught(pool, lambda _: arm.teacher or "")


def _mix(pool: Sequence[Candidate], arm: Arm, seed: int) -> list[Pick]:
    """Shares are exact up to rounding: problems in seeded order are dealt out by cumulated weight."""
    weights = dict(sorted((arm.mix or {}).items()))
    order = sorted(pool, key=lambda c: derive_seed(seed, "mix", c.problem_id))
    total, bounds, at = sum(weights.values()), list[tuple[float, str]](), 0.0
    for name, weight in weights.items():
        at += weight / total
        bounds.append((at * len(order), name))
    dealt = {c.problem_id: next((n for edge, n in bounds if i < edge), bounds[-1][1]) for i, c in enumerate(order)}
    return _taught(pool, lambda c: dealt[c.problem_id])


def _sequence(pool: Sequence[Candidate], arm: Arm, seed: int) -> list[Pick]:
    del seed
    return [
        pick._replace(phase=phase)
        for phase, name in enumerate(arm.sequence or ())
        for pick in _taught(pool, lambda _, name=name: name)
    ]


def _route(pool: Sequence[Candidate], arm: Arm, seed: int) -> list[Pick]:
    del seed
    route = arm.route
    assert route is not None
    return _taught(pool, lambda c: route.hard if is_hard(c, route) else route.easy)


def is_hard(candidate: Candidate, route: Route) -> bool:
    """Whether a problem goes to the teacher of hard problems; one without the tag counts as easy."""
    if route.by == "pass_rate":
        return candidate.pass_rate < route.threshold
    try:
        return float(candidate.tags.get(route.by, "nan")) >= route.threshold
    except ValueError:
        return False


def _taught(pool: Sequence[Candidate], teacher: Callable[[Candidate], str]) -> list[Pick]:
    return [Pick(c.problem_id, name, c.traces[name]) for c in pool for name in [teacher(c)]]


STRATEGIES: dict[str, Callable[[Sequence[Candidate], Arm, int], list[Pick]]] = {
    "teacher": _teacher,
    "mix": _mix,
    "sequence": _sequence,
    "route": _route,
}


def picks(pool: Sequence[Candidate], arm: Arm, seed: int) -> list[Pick]:
    """The arm's picks over the whole pool, in the pool's order, phase by phase."""
    return STRATEGIES[arm.strategy](pool, arm, seed)


def match_tokens(chosen: Sequence[Pick], tokens: Sequence[int], budget: int, seed: int) -> list[Pick]:
    """`chosen` repeated or thinned until its trained tokens come as near to `budget` as whole examples allow.

    Every pick gets the same number of whole passes; the rest of the budget goes to picks in seeded order, spread over
    the phases in proportion. Picks that end with no repeat are left out.
    """
    total = sum(tokens)
    if not chosen or total == 0:
        return list(chosen)
    passes = budget // total
    extra = _extra(chosen, tokens, budget - passes * total, seed)
    repeated = [pick._replace(repeats=passes + int(i in extra)) for i, pick in enumerate(chosen)]
    return [pick for pick in repeated if pick.repeats > 0]


def _extra(chosen: Sequence[Pick], tokens: Sequence[int], rest: int, seed: int) -> set[int]:
    order = list(range(len(chosen)))
    random.Random(derive_seed(seed, "match")).shuffle(order)
    taken: set[int] = set()
    for index in order:
        if tokens[index] <= 2 * rest:
            taken.add(index)
            rest -= tokens[index]
        if rest <= 0:
            break
    return taken
