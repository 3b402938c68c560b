"""What a study says of an arm: which strategy picks its traces, and in which style they are trained.

The strategies themselves are in `strategies.py`. Arms are made comparable by the study's matching rule (`matching.py`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lakon.core.spec import MatchRule, Name, PluginPath, Spec

EFFORT = "Reasoning effort: {level}"
"""The system message that switches the style of a student of an `effort` arm, in training and in evaluation."""

STRATEGY_FIELDS = ("teacher", "mix", "sequence", "route", "shortest", "effort", "unverified", "strategy")
"""Fields of an arm that each name a strategy; an arm has exactly one of them."""

NEEDS = {"shortest": ("samples",), "unverified": ("samples", "unpaired"), "strategy": ("samples", "lengths")}
"""What strategies want to see beside the chosen traces: reading it takes a pass over verdicts or traces."""

SEEDED = frozenset({"mix", "unverified", "strategy"})
"""Strategies whose picks depend on the study's seed."""

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
        stated = [name for name in STRATEGY_FIELDS if getattr(self, name) is not None]
        if len(stated) != 1:
            found = " and ".join(stated) if stated else "none"
            raise ValueError(f"found {found}; expected exactly one of {', '.join(STRATEGY_FIELDS)}; keep one of them")
        if (self.strategy is not None) != bool(self.strategy_teachers):
            raise ValueError(
                "found one of strategy and strategy_teachers alone; expected both or neither; "
                "name the function and its teachers"
            )
        return self

    @property
    def how(self) -> str:
        """Which of the strategies it is."""
        return next(name for name in STRATEGY_FIELDS if getattr(self, name) is not None)

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
        for_route = {"length": ("lengths",), "agreement": ("agreement",)}.get(by, ())
        answers = () if self.style == "verbatim" else ("answers",)
        return frozenset((*for_route, *answers, *NEEDS.get(self.how, ())))
