"""What a plan is once it is built: the steps of a study by what they are for, and the models that are evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lakon.pipeline.places import Places
from lakon.pipeline.steps.corpus import PoolArgs
from lakon.pipeline.steps.report_args import ReportArgs
from lakon.pipeline.steps.scores import EvaluatedModelId, Graded, ScoreArgs
from lakon.pipeline.steps.traces import TeacherArgs
from lakon.pipeline.steps.training import TrainArgs
from lakon.stages.generate.specs import Teacher
from lakon.store.step import AnyStep, Step
from lakon.study.names import OWN, MatchedArm
from lakon.study.schema import Study


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedModel:
    """A student, base or other author as the plan sees it: one trained checkpoint (or none) and its work on each
    benchmark."""

    id: EvaluatedModelId
    examples: AnyStep | None = None
    checkpoint: Step[TrainArgs] | None = None
    author: str | None = None
    """The name of one that is neither base nor student."""
    answers: Mapping[str, Graded[AnyStep]]
    """Benchmark to traces and verdicts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """A teacher or another author, and what it is asked."""

    name: str
    spec: Teacher
    benchmark: str
    """`OWN` for the study's own problems."""
    problems: AnyStep
    graded: Graded[AnyStep]


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

    def list_asking(self) -> Iterator[Asking]:
        """All teachers about the study's problems, and all other authors about each benchmark."""
        for name, graded in self.teachers.items():
            spec = self.study.teachers[name]
            yield Asking(name=name, spec=spec, benchmark=OWN, problems=self.problems, graded=graded)
        for model in self.models:
            if model.author is None:
                continue
            for benchmark, graded in model.answers.items():
                yield Asking(
                    name=model.author,
                    spec=self.study.authors[model.author],
                    benchmark=benchmark,
                    problems=self.benchmarks[benchmark],
                    graded=graded,
                )

    def teacher_args(self, name: str) -> TeacherArgs:
        """How a teacher is asked."""
        args = self.teachers[name].traces.args
        assert isinstance(args, TeacherArgs)
        return args
