"""What the sections of a report show, gathered from the tables of a study.

Texts are read for the few traces that are shown; everything else is counted from light records.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice

import numpy as np

from lakon.core.columns import fingerprint, pair_rows
from lakon.core.records import (
    ExampleLengths,
    Exclusion,
    Problem,
    ProblemTags,
    Profile,
    Trace,
    TraceCounts,
    Verdict,
    VerdictOutcome,
)
from lakon.core.report_data import AuditCounts, JudgeAccount, ModelCard, ProfileRow, Showcase, Verification
from lakon.pipeline.steps.report_args import ReportArgs, ReportInputs
from lakon.pipeline.steps.scores import EvaluatedModelId, Graded, graded_traces
from lakon.stages.curate.profile import summarise_profiles
from lakon.stages.report import funnel as report_stage
from lakon.stages.report import verification_summary as verification_stage
from lakon.stages.verify.changed_verdicts import changes_from_facts
from lakon.stages.verify.judge import JUDGE_FILE
from lakon.stages.verify.overrides import RULINGS_FILE, read_ruling_uses
from lakon.store.artifacts import Artifact
from lakon.store.facts import TrainedFacts
from lakon.study.names import OWN, MatchedArm


def account_of_verification(args: ReportArgs, inputs: ReportInputs[Artifact]) -> Verification:
    """How all answers were verified; a verdict table that two labels share is counted once."""
    labelled: list[tuple[str, Artifact]] = []
    for teacher in args.teachers:
        labelled.append((f"{teacher.label} / {OWN}", inputs.teachers[teacher.name].verdicts))
    for model in args.models:
        who = str(model.run) if model.kind == "student" and args.has_several_seeds else model.label
        for name in args.benchmarks:
            labelled.append((f"{who} / {name}", inputs.models[model.label_on(name)].verdicts))
    tables = {table.folder: (label, table) for label, table in reversed(labelled)}
    return verification_stage.summarise_verification(
        args.verify,
        [_verified(label, table) for label, table in reversed(tables.values())],
        level=args.confidence,
    )


def _verified(label: str, table: Artifact) -> verification_stage.VerdictTable:
    return verification_stage.VerdictTable(
        label,
        table.read("verdicts", Verdict),
        _judge_account(table),
        changes_from_facts(label, table.manifest.facts),
        read_ruling_uses(table.folder / RULINGS_FILE),
    )


def _judge_account(table: Artifact) -> JudgeAccount | None:
    file = table.folder / JUDGE_FILE
    if not file.is_file():
        return None
    raw = json.loads(file.read_text(encoding="utf-8"))
    audit = raw.pop("audit")
    if audit is not None:
        audit = AuditCounts(**{**audit, "disagreements": tuple(audit["disagreements"])})
    return JudgeAccount(**raw, audit=audit)


def cards_of_authors(args: ReportArgs, inputs: ReportInputs[Artifact]) -> tuple[ModelCard, ...]:
    """Teachers, bases, students and other authors, each with what it was trained on."""
    cards = [ModelCard(label=teacher.label, kind="teacher") for teacher in args.teachers]
    for label in dict.fromkeys(model.label for model in args.models):
        runs = [model for model in args.models if model.label == label]
        student = runs[0].student if args.n_students > 1 else None
        if runs[0].kind != "student":
            cards.append(ModelCard(label=label, kind=runs[0].kind, student=student))
        else:
            cards.append(_card_of_student(runs, student, args.epochs, inputs))
    return tuple(cards)


def _card_of_student(
    runs: list[EvaluatedModelId], student: str | None, epochs: int, inputs: ReportInputs[Artifact]
) -> ModelCard:
    first = runs[0]
    trained = inputs.trainings.get(first.run)
    if trained is None:
        return ModelCard(
            label=first.label,
            kind="student",
            arm=first.shown_arm,
            match=first.match,
            student=student,
            trained_elsewhere=True,
        )
    exclusions = trained.read("exclusions", Exclusion)
    too_long = {exclusion.subject for exclusion in exclusions}
    n_examples, n_tokens, problems = 0, 0, array("Q")
    for example in inputs.arms[_arm_of(first)].read("examples", ExampleLengths):
        if example.trace_id not in too_long:
            n_examples += 1
            n_tokens += example.n_tokens * example.repeats * epochs
            problems.append(fingerprint(example.problem_id))
    return ModelCard(
        label=first.label,
        kind="student",
        arm=first.shown_arm,
        match=first.match,
        student=student,
        seeds=tuple(run.seed for run in runs),
        n_examples=n_examples,
        n_problems=len(np.unique(np.asarray(problems))),
        n_train_tokens=n_tokens,
        n_steps=TrainedFacts.of(trained.manifest).steps,
    )


def _arm_of(model: EvaluatedModelId) -> MatchedArm:
    assert model.arm is not None, "students are trained on an arm"
    assert model.match is not None, "under a rule"
    return MatchedArm(model.arm, model.match)


def funnel_of_study(args: ReportArgs, inputs: ReportInputs[Artifact]) -> tuple[report_stage.FunnelRow, ...]:
    """From the rows of the source to each arm's examples."""
    source, problems = inputs.rows, inputs.problems
    n_rows, n_problems = source.manifest.rows["problems"], problems.manifest.rows["problems"]
    exclusions = source.read("exclusions", Exclusion)
    clean = (n_problems, problems.read("exclusions", Exclusion)) if problems.folder != source.folder else None
    recorded = _recorded_traces(args, inputs)
    pool = inputs.pool
    if pool is None and not args.teachers:
        return ()
    if pool is None:
        return report_stage.build_funnel(n_rows, exclusions, clean, 0, [], {}, recorded)[:-1]
    arms: dict[str, tuple[int, Iterable[Exclusion]]] = {}
    for matched in (MatchedArm(*arm) for arm in args.arms):
        examples = inputs.arms[matched]
        too_long = _too_long(args, matched, inputs)
        n_examples = examples.manifest.rows["examples"] - len(too_long)
        arms[str(matched)] = n_examples, chain(examples.read("exclusions", Exclusion), too_long)
    n_paired = n_problems - pool.manifest.rows["exclusions"]
    return report_stage.build_funnel(
        n_rows, exclusions, clean, n_paired, pool.read("exclusions", Exclusion), arms, recorded
    )


def _recorded_traces(args: ReportArgs, inputs: ReportInputs[Artifact]) -> dict[str, tuple[int, dict[str, int]]]:
    """Recorded teachers' traces, where rows or problems were left without one."""
    rows: dict[str, tuple[int, dict[str, int]]] = {}
    for teacher in args.teachers:
        traces = inputs.teachers[teacher.name].traces.manifest
        if left_out := report_stage.count_unused_recordings(traces.facts, teacher.samples):
            rows[teacher.label] = traces.rows.get("traces", 0), left_out
    return rows


def _too_long(args: ReportArgs, matched: MatchedArm, inputs: ReportInputs[Artifact]) -> list[Exclusion]:
    """What the first training run on an arm's examples left out."""
    for model in args.models:
        if model.run in inputs.trainings and _arm_of(model) == matched:
            return list(inputs.trainings[model.run].read("exclusions", Exclusion))
    return []


def list_showcases(args: ReportArgs, inputs: ReportInputs[Artifact]) -> Iterator[Showcase]:
    """One problem of the corpus with the teachers' traces, and one of the first benchmark with the students'."""
    shown = [(inputs.problems, {teacher.label: inputs.teachers[teacher.name] for teacher in args.teachers})]
    if args.benchmarks and args.models:
        benchmark = args.benchmarks[0]
        first = {model.label: model for model in reversed(args.models)}
        labels = dict.fromkeys(model.label for model in args.models)
        graded = {label: inputs.models[first[label].label_on(benchmark)] for label in labels}
        shown.append((inputs.benchmarks[benchmark], graded))
    for problems, authors in shown:
        ids = (problem.problem_id for problem in problems.read("problems", ProblemTags))
        problem_id = report_stage.choose_showcase(ids, [_outcomes(graded) for graded in authors.values()])
        if problem_id is not None:
            problem = next(p for p in problems.read("problems", Problem) if p.problem_id == problem_id)
            yield Showcase(problem=problem, entries=tuple(_entries(problem_id, authors)))


def _outcomes(graded: Graded[Artifact]) -> Iterator[tuple[TraceCounts, VerdictOutcome]]:
    return ((trace, verdict) for _, trace, verdict in graded_traces(graded, 0))


def _entries(problem_id: str, authors: Mapping[str, Graded[Artifact]]) -> Iterator[tuple[str, Trace, Verdict]]:
    """Each author's first trace for the problem, with its texts."""
    for label, graded in authors.items():
        traces, verdicts = graded.traces.read("traces", Trace), graded.verdicts.read("verdicts", Verdict)
        first = (
            (trace, verdict)
            for trace, verdict in pair_rows(traces, verdicts)
            if trace.problem_id == problem_id and trace.sample_index == 0
        )
        for trace, verdict in islice(first, 1):
            yield label, trace, verdict


def profiles_of_teachers(args: ReportArgs, inputs: ReportInputs[Artifact]) -> tuple[ProfileRow, ...]:
    """How the teachers' traces reason."""
    rows: list[ProfileRow] = []
    for teacher in args.teachers:
        profiles = inputs.screens[teacher.name].read("profiles", Profile)
        if (row := summarise_profiles(teacher.label, profiles, args.confidence)) is not None:
            rows.append(row)
    return tuple(rows)
