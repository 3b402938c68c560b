"""What a plan is once it is built: the steps of a study by what they are for, and the models that are evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lakon.pipeline.places import Places
from lakon.pipeline.steps.corpus import PoolArgs
from lakon.pipeline.steps.report_args import ReportArgs
from lakon.pipeline.steps.scores import EvaluatedModelId, Graded, ScoreArgs
from lakon.pipeline.steps.traces import TeacherArgs
from lakon.pipeline.steps.training import TrainArgs
from lakon.store.step import AnyStep, Step
from lakon.study.names import MatchedArm
from lakon.study.schema import Study


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedModel:
    """A student or base as the plan sees it: one trained checkpoint (or none) and its work on each benchmark."""

    id: EvaluatedModelId
    examples: AnyStep | None
    checkpoint: Step[TrainArgs] | None
    answers: Mapping[str, Graded[AnyStep]]
    """Benchmark to traces and verdicts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All steps of a study; `report` is the one that needs all others."""

    study: Study
    places: Places
    """Where the files lie that the steps' arguments refer to."""
    problems: AnyStep
    """What teachers are asked about: without copies of benchmark problems, where there are benchmarks."""
    benchmarks: Mapping[str, AnyStep]
    teachers: Mapping[str, Graded[AnyStep]]
    """Teacher to traces and verdicts; the arguments of its traces are `TeacherArgs`."""
    screens: Mapping[str, AnyStep]
    """Teacher to filtered traces and profiles."""
    pool: Step[PoolArgs] | None
    arms: Mapping[MatchedArm, AnyStep]
    """The examples of each arm."""
    held_out: AnyStep | None
    """All teachers' examples of the problems that no arm trains on."""
    familiarity: Mapping[str, AnyStep]
    """Student to the losses of its base before training."""
    models: list[EvaluatedModel]
    scores: Step[ScoreArgs]
    report: Step[ReportArgs]

    def teacher_args(self, name: str) -> TeacherArgs:
        """How a teacher is asked."""
        args = self.teachers[name].traces.args
        assert isinstance(args, TeacherArgs)
        return args
