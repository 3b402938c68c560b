"""The arguments and inputs of the report, apart from its step: the file that gathers its sections reads them too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from lakon.core.spec import MatchRule, Name, Sampling, Spec
from lakon.pipeline.steps.scores import EvaluatedModelId, Graded, TeacherInScores
from lakon.stages.generate.specs import TeacherSpec
from lakon.stages.verify.verify import Verify
from lakon.study.names import MatchedArm, RunKey, RunOnBenchmark

T = TypeVar("T")


@dataclass(frozen=True)
class ReportInputs(Generic[T]):
    """All tables of a study."""

    scores: T
    rows: T
    """The problems as they were read."""
    problems: T
    """Those that teachers are asked about."""
    benchmarks: Mapping[str, T]
    teachers: Mapping[str, Graded[T]]
    models: Mapping[RunOnBenchmark, Graded[T]]
    screens: Mapping[str, T]
    pool: T | None
    arms: Mapping[MatchedArm, T]
    trainings: Mapping[RunKey, T]
    familiarity: Mapping[str, T] = field(default_factory=dict[str, T])
    """Student to the losses of its base."""


class TeacherInReport(TeacherInScores):
    """A teacher as the report sees it."""

    samples: int
    model: str | None = None
    """The model that its endpoint was asked for."""
    asked_after: str | None = None
    """The label of the teacher that had to be right before it was asked."""


class ReportArgs(Spec):
    """What the report says beside the figures in the tables."""

    name: Name
    title: str
    description: str = ""
    caveats: tuple[str, ...] = ()
    resolved: dict[str, Any]
    """The whole study as plain values, for people to read, its keys in alphabetical order."""
    is_decontaminated: bool = True
    """False where there are benchmarks and problems were not compared with them."""
    teachers: tuple[TeacherInReport, ...]
    models: tuple[EvaluatedModelId, ...]
    benchmarks: tuple[str, ...]
    arms: tuple[tuple[str, MatchRule], ...]
    """In the order of the study, each under its matching rules."""
    verify: Verify
    verifier: str
    margin: float
    margin_stated: bool
    confidence: float
    tokenizer: str
    """The common one's name."""
    seed: int
    epochs: int
    training_seeds: tuple[int, ...]
    n_students: int
    sampling: Sampling
    samples: int

    @property
    def has_several_seeds(self) -> bool:
        """Whether students were trained more than once."""
        return len(self.training_seeds) > 1


def teachers_in_report(teachers: Mapping[str, TeacherSpec], arms: Mapping[str, object]) -> Sequence[TeacherInReport]:
    """The teachers of a study, as its report sees them."""
    rows: list[TeacherInReport] = []
    for name, teacher in teachers.items():
        scored = TeacherInScores.of(name, teacher, arms)
        after = teacher.if_correct
        rows.append(
            TeacherInReport(
                **scored.model_dump(),
                samples=teacher.samples,
                model=teacher.asked_model,
                asked_after=TeacherInScores.of(after, teachers[after], arms).label if after is not None else None,
            )
        )
    return rows
