"""What a report shows of losses, gathered from the tables of a study: before training, while it lasts, and held out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from lakon.core.records import Exclusion, HeldOutLoss, Loss, LossBin, ProblemTags, TraceLoss
from lakon.core.report_data import Familiarity
from lakon.pipeline.steps.report_args import ReportArgs, ReportInputs
from lakon.pipeline.steps.scores import EvaluatedModelId
from lakon.stages.report.familiarity_summary import summarise_familiarity
from lakon.store.artifacts import Artifact
from lakon.store.facts import FamiliarityFacts


def losses_of_students(args: ReportArgs, inputs: ReportInputs[Artifact]) -> dict[str, list[Loss]]:
    """The loss curve of every training run."""
    return {
        _label(args, model): list(inputs.trainings[model.run].read("losses", Loss))
        for model in args.models
        if model.run in inputs.trainings
    }


def held_out_of_students(args: ReportArgs, inputs: ReportInputs[Artifact]) -> dict[str, list[HeldOutLoss]]:
    """The losses on held-out examples of every training run that measured them."""
    labels = {teacher.name: teacher.label for teacher in args.teachers}
    curves: dict[str, list[HeldOutLoss]] = {}
    for model in args.models:
        if model.run not in inputs.trainings:
            continue
        rows = inputs.trainings[model.run].read("held_out", HeldOutLoss)
        if named := [replace(row, style=labels.get(row.style, row.style)) for row in rows]:
            curves[_label(args, model)] = named
    return curves


def _label(args: ReportArgs, model: EvaluatedModelId) -> str:
    return str(model.run) if args.has_several_seeds else model.label


def familiarity_of_bases(args: ReportArgs, inputs: ReportInputs[Artifact]) -> Iterator[Familiarity]:
    """How familiar every base is with every teacher's style."""
    for student in dict.fromkeys(model.student for model in args.models):
        measured = inputs.familiarity.get(student)
        if measured is not None:
            yield _familiarity_of(student, measured, args, inputs)


def _familiarity_of(student: str, measured: Artifact, args: ReportArgs, inputs: ReportInputs[Artifact]) -> Familiarity:
    losses = list(measured.read("trace_losses", TraceLoss))
    needed = {row.problem_id for row in losses}
    tags = (row for row in inputs.problems.read("problems", ProblemTags) if row.problem_id in needed)
    rules = Counter(exclusion.rule for exclusion in measured.read("exclusions", Exclusion))
    return summarise_familiarity(
        losses,
        list(measured.read("familiarity", LossBin)),
        {teacher.name: teacher.label for teacher in args.teachers},
        {row.problem_id: row.duplicate_group or row.problem_id for row in tags},
        student=student if args.n_students > 1 else "",
        left_out=rules,
        context=FamiliarityFacts.of(measured.manifest).context,
        level=args.confidence,
        seed=args.seed,
    )
