"""What a plan is once it is built: the steps of a study by what they are for, and the authors that are evaluated."""

from __future__ import annotations

from dataclasses import dataclass, field

from lakon.store.step import Step
from lakon.study.schema import Study


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """A student or base as the plan sees it: one trained checkpoint (or none) and its work on each benchmark."""

    label: str
    """Under which its scores stand: arm, with `@tokens` and the student's name where needed."""
    kind: str
    arm: str | None
    match: str | None
    student: str
    seed: int
    examples: Step | None
    checkpoint: Step | None
    effort: str = ""
    """The level under which it is evaluated, when its arm has several."""
    traces: dict[str, Step] = field(default_factory=dict[str, Step])
    verdicts: dict[str, Step] = field(default_factory=dict[str, Step])


@dataclass(slots=True)
class Plan:
    """All steps of a study; `report` is the one that needs all others."""

    study: Study
    problems: Step
    """What teachers are asked about: without copies of benchmark problems, where there are benchmarks."""
    benchmarks: dict[str, Step]
    teachers: dict[str, tuple[Step, Step]]
    """Teacher to its traces and verdicts."""
    screens: dict[str, Step]
    """Teacher to its filtered traces and profiles."""
    pool: Step | None
    arms: dict[tuple[str, str], Step]
    """(arm, matching rule) to its examples."""
    authors: list[Author]
    evaluate: Step
    report: Step
