"""Scores: every evaluated model on every benchmark, and the teachers on the study's own problems."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from lakon.core.columns import pair_rows
from lakon.core.records import ProblemTags, TraceCounts, VerdictOutcome
from lakon.core.spec import MatchRule, Spec
from lakon.pipeline.steps.context import Context
from lakon.stages.evaluate.answer_columns import AnswerColumns, AuthorResults, ProblemIndex, Row, count_outcomes
from lakon.stages.evaluate.evaluate import Evaluate, score_authors
from lakon.stages.generate.specs import TeacherSpec
from lakon.store.artifacts import Artifact
from lakon.store.step import Step
from lakon.study.names import OWN, SCORES, RunKey, RunOnBenchmark, teacher_label

T = TypeVar("T")

VERSION = 7
TEACHERS = "teachers"
"""The family of teachers that may be compared with one another."""
AUTHORS = "authors"
"""The family of those who answer benchmarks and are neither base nor student."""
OUTCOMES = "outcomes.json"


class EvaluatedModelId(Spec):
    """A base, one training run of a student, or another author: what its scores are filed under."""

    label: str
    """Arm, with the matching rule, the level of effort and the student's name where needed; an author's name."""
    kind: str
    """`base`, `student`, `prompted` (one of these, asked in another way) or `author`."""
    arm: str | None = None
    match: MatchRule | None = None
    student: str = ""
    """The base model's short name."""
    seed: int = 0
    effort: str = ""
    """The level under which it was evaluated, when its arm has several."""
    prompting: str = ""
    """The way in which it was asked, where that is not the study's own prompt."""

    @property
    def shown_arm(self) -> str | None:
        """Its arm in reports: an arm with several levels of effort is several of them."""
        return f"{self.arm}.{self.effort}" if self.effort else self.arm

    @property
    def run(self) -> RunKey:
        """What its training run is called."""
        return RunKey(self.label, self.seed)

    def label_on(self, benchmark: str) -> RunOnBenchmark:
        """What its work on a benchmark is called."""
        return RunOnBenchmark(self.label, self.seed, benchmark)

    @property
    def family(self) -> str:
        """Models are compared within a family: students of one base under one matching rule, other authors."""
        families = {"student": f"{self.student}/{self.match}", "author": AUTHORS}
        return families.get(self.kind, "")


class TeacherInScores(Spec):
    """A teacher as scores see it."""

    name: str
    label: str
    """Told apart from an arm that is called the same."""
    first_samples_only: bool = False
    """Later samples were drawn because earlier ones were wrong: only the first is a fair draw."""
    family: str = ""
    """Empty for one that was asked only what another one got right: it is not to be compared."""

    @classmethod
    def of(cls, name: str, teacher: TeacherSpec, arms: Mapping[str, object]) -> TeacherInScores:
        """The teacher of a study with these arms."""
        return cls(
            name=name,
            label=teacher_label(name, arms),
            first_samples_only=teacher.stops_when_correct,
            family="" if teacher.if_correct is not None else TEACHERS,
        )


class ScoreArgs(Spec):
    """What is scored, and how it is compared."""

    evaluate: Evaluate
    seed: int
    benchmarks: tuple[str, ...]
    teachers: tuple[TeacherInScores, ...]
    models: tuple[EvaluatedModelId, ...]

    @property
    def baselines(self) -> dict[str, str]:
        """Each family's baseline: the arm that the study names, else the first one; for teachers the first one."""
        labels = {TEACHERS: self.teachers[0].label} if self.teachers else {}
        for model in self.models:
            family, named = model.family, model.arm or model.label
            if family and (family not in labels or named == self.evaluate.baseline):
                labels[family] = model.label
        return labels


@dataclass(frozen=True)
class Graded(Generic[T]):
    """Traces with their verdicts."""

    traces: T
    verdicts: T


@dataclass(frozen=True)
class ScoreInputs(Generic[T]):
    """Problems, and what teachers and models did with them."""

    problems: T
    """The study's own."""
    benchmarks: Mapping[str, T]
    teachers: Mapping[str, Graded[T]]
    models: Mapping[RunOnBenchmark, Graded[T]]


def score_args(
    evaluate: Evaluate,
    *,
    seed: int,
    teachers: Sequence[TeacherInScores],
    models: Sequence[EvaluatedModelId],
) -> ScoreArgs:
    """The arguments of the scores. How students were sampled stands in what they wrote, and is no part of these."""
    defaults = Evaluate()
    compared = evaluate.model_copy(
        update={
            "benchmarks": defaults.benchmarks,
            "samples": defaults.samples,
            "sampling": defaults.sampling,
            "base": defaults.base,
            "familiarity": defaults.familiarity,
            "teachers": defaults.teachers,
            "authors": defaults.authors,
            "prompting": defaults.prompting,
            "prompts": defaults.prompts,
        }
    )
    return ScoreArgs(
        evaluate=compared,
        seed=seed,
        benchmarks=evaluate.benchmarks,
        teachers=tuple(teachers),
        models=tuple(models),
    )


def score_step(args: ScoreArgs, inputs: ScoreInputs[Step[Any]]) -> Step[ScoreArgs]:
    """The scores of all teachers and models."""
    return Step(
        stage="evaluate",
        label=SCORES,
        version=VERSION,
        args=args,
        inputs=inputs,
        body=score_models,
        in_process=True,
    )


def score_models(ctx: Context[ScoreInputs[Artifact]], args: ScoreArgs) -> None:
    """Scores of every model on every benchmark, and of the teachers on the study's own problems."""
    tables = {OWN: ctx.inputs.problems, **{name: ctx.inputs.benchmarks[name] for name in args.benchmarks}}
    indexes = {name: ProblemIndex.of(table.read("problems", ProblemTags)) for name, table in tables.items()}
    results = list(_results(args, indexes, ctx.inputs))
    ctx.progress.start(len(results), unit="results")
    scores = score_authors(results, indexes, args.evaluate, seed=args.seed, baselines=args.baselines)
    ctx.progress.advance(len(results))
    ctx.out.write("scores", scores)
    ctx.out.write_text(OUTCOMES, json.dumps(count_outcomes(results), indent=1))


def _results(
    args: ScoreArgs, indexes: Mapping[str, ProblemIndex], inputs: ScoreInputs[Artifact]
) -> Iterator[AuthorResults]:
    runs_of: dict[str, list[EvaluatedModelId]] = {}
    for model in args.models:
        runs_of.setdefault(model.label, []).append(model)
    bases = {model.student: model.label for model in args.models if model.kind == "base"}
    for benchmark in args.benchmarks:
        for label, runs in runs_of.items():
            rows = _rows_of_runs(runs, benchmark, inputs)
            answers = AnswerColumns.of(rows, indexes[benchmark])
            yield AuthorResults(
                author=label,
                benchmark=benchmark,
                answers=answers,
                family=runs[0].family,
                kind=runs[0].kind,
                base=bases.get(runs[0].student, "") if runs[0].kind in ("student", "prompted") else "",
            )
    for teacher in args.teachers:
        rows = graded_traces(inputs.teachers[teacher.name], 0)
        if teacher.first_samples_only:
            rows = (row for row in rows if row[1].sample_index == 0)
        yield AuthorResults(
            author=teacher.label,
            benchmark=OWN,
            answers=AnswerColumns.of(rows, indexes[OWN]),
            family=teacher.family,
            kind="teacher",
        )


def _rows_of_runs(runs: Sequence[EvaluatedModelId], benchmark: str, inputs: ScoreInputs[Artifact]) -> Iterator[Row]:
    for run in runs:
        yield from graded_traces(inputs.models[run.label_on(benchmark)], run.seed)


def graded_traces(graded: Graded[Artifact], seed: int) -> Iterator[Row]:
    """Traces with their verdicts, which lie in the same order, without the texts that no score needs."""
    traces = graded.traces.read("traces", TraceCounts)
    verdicts = graded.verdicts.read("verdicts", VerdictOutcome)
    for trace, verdict in pair_rows(traces, verdicts):
        yield seed, trace, verdict
