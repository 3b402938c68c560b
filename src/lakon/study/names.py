"""How steps, arms and evaluated models are called: the one file that makes these names, and that reads them.

Labels are for people and in no key. Where a name goes into a key, because a body reads it, it stands in the arguments.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from lakon.core.spec import MatchRule

OWN = "problems"
"""The label of the study's own problems among benchmarks: teachers are scored on them."""
POOL = "pool"
SCORES = "scores"
FIRST_RULE: MatchRule = "problems"
"""The matching rule that labels do not mention."""


class MatchedArm(NamedTuple):
    """An arm under a matching rule: one training set."""

    arm: str
    rule: MatchRule

    def __str__(self) -> str:
        return self.arm if self.rule == FIRST_RULE else f"{self.arm}@{self.rule}"

    @property
    def folder(self) -> str:
        """Its name where `@` has a meaning of its own."""
        return self.arm if self.rule == FIRST_RULE else f"{self.arm}-{self.rule}"


class RunKey(NamedTuple):
    """A base, or one training run of a student: under these its traces are read."""

    label: str
    seed: int

    def __str__(self) -> str:
        return f"{self.label}#{self.seed}"


class RunOnBenchmark(NamedTuple):
    """What one training run did on one benchmark."""

    label: str
    seed: int
    benchmark: str

    def __str__(self) -> str:
        return f"{self.label}#{self.seed}.{self.benchmark}"


def model_name(student: str | None, arm: str, effort: str = "") -> str:
    """A student's name in its traces: without its matching rule, so that twins have one key. `student` is None where a
    study has but one."""
    return ".".join(part for part in (student, arm, effort) if part)


def training_label(name: str, rule: MatchRule, seed: int | None) -> str:
    """The label of a training step; `seed` is None where a study has but one."""
    return str(MatchedArm(name, rule)) + ("" if seed is None else f"-{seed}")


def traces_label(name: str, rule: MatchRule, seed: int | None, benchmark: str) -> str:
    """The label of the step in which a model answers a benchmark."""
    return f"{training_label(name, rule, seed)}.{benchmark}"


def prompted_label(label: str, way: str, benchmark: str) -> str:
    """The label of the step in which a model is asked in another way; `label` is that of its plain answers."""
    return f"{label.removesuffix(f'.{benchmark}')}+{way}.{benchmark}"


def teacher_label(name: str, arms: Collection[str]) -> str:
    """A teacher's label in scores and reports: its name, told apart from an arm that is called the same."""
    return f"{name} (teacher)" if name == "base" or name in arms else name


class StepName(NamedTuple):
    """`stage/label` taken apart."""

    stage: str
    label: str

    @classmethod
    def of(cls, name: str) -> StepName:
        """The parts of a step's name."""
        stage, _, label = name.partition("/")
        return cls(stage, label)
