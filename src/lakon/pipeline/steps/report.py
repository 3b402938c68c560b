"""The last step: the report, made from all tables of a study. `report_sections.py` gathers what its sections show."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from lakon.core.records import Score, TraceCounts
from lakon.core.report_data import ReportData, Sentence
from lakon.pipeline.steps.context import Context
from lakon.pipeline.steps.report_args import ReportArgs, ReportInputs
from lakon.pipeline.steps.report_losses import familiarity_of_bases, held_out_of_students, losses_of_students
from lakon.pipeline.steps.report_sections import (
    account_of_verification,
    cards_of_authors,
    funnel_of_study,
    list_showcases,
    profiles_of_teachers,
)
from lakon.pipeline.steps.scores import OUTCOMES
from lakon.stages.report import funnel as report_stage
from lakon.stages.report.conclusions import draw_conclusions
from lakon.store.artifacts import Artifact
from lakon.store.facts import AskedFacts, ReadFacts, TrainedFacts
from lakon.store.step import Step
from lakon.study.names import OWN

VERSION = 6

_SHOWN_OF_TRAINING = ("trainer", "precision", "attention", "layout", "leakage")
"""Of the settings of a training run those that are the same however often it was killed, and on how many processes."""


def report_step(args: ReportArgs, inputs: ReportInputs[Step[Any]]) -> Step[ReportArgs]:
    """The report, the one step that needs all others."""
    return Step(
        stage="report",
        label=args.name,
        version=VERSION,
        args=args,
        inputs=inputs,
        body=write_report,
        in_process=True,
    )


def write_report(ctx: Context[ReportInputs[Artifact]], args: ReportArgs) -> None:
    """The page, its Markdown twin and the lines that a terminal shows."""
    from lakon import render

    data = gather_report(args, ctx.inputs)
    ctx.out.write_text("report.html", render.render_page(data))
    ctx.out.write_text("report.md", render.render_markdown(data))
    ctx.out.write_text("summary.txt", "\n".join(render.summary_lines(data)) + "\n")


def gather_report(args: ReportArgs, inputs: ReportInputs[Artifact]) -> ReportData:
    """Everything a report shows, from the tables of the study."""
    scores = tuple(inputs.scores.read("scores", Score))
    cards = cards_of_authors(args, inputs)
    outcomes = json.loads((inputs.scores.folder / OUTCOMES).read_text(encoding="utf-8"))
    conclusions = draw_conclusions(
        cards, scores, margin=args.margin, stated=args.margin_stated, confidence=args.confidence
    )
    return ReportData(
        study=args.name,
        title=args.title or args.name,
        description=args.description,
        caveats=(*args.caveats, *_caveats(args, inputs)),
        conclusions=(*conclusions, *_asked_after(args, inputs)),
        authors=cards,
        benchmarks=report_stage.list_benchmarks(scores),
        scores=scores,
        losses=losses_of_students(args, inputs),
        funnel=funnel_of_study(args, inputs),
        outcomes=outcomes,
        verification=account_of_verification(args, inputs),
        showcases=tuple(list_showcases(args, inputs)),
        tokenizer=args.tokenizer,
        margin=args.margin,
        margin_stated=args.margin_stated,
        confidence=args.confidence,
        provenance=_provenance(args, inputs),
        profiles=profiles_of_teachers(args, inputs),
        familiarity=tuple(familiarity_of_bases(args, inputs)),
        held_out=held_out_of_students(args, inputs),
        resolved=json.dumps(args.resolved, indent=2, ensure_ascii=False, sort_keys=True),
    )


def _caveats(args: ReportArgs, inputs: ReportInputs[Artifact]) -> Iterator[str]:
    """What the way in which problems were chosen and teachers were asked means for the figures."""
    if not args.is_decontaminated:
        yield "Problems were not compared with those of the benchmarks: copies of them may be among the training data."
    for teacher in args.teachers:
        if teacher.first_samples_only:
            yield f"{teacher.label} drew samples until the first correct one: its accuracy is that of first samples."
        if teacher.model is not None:
            served = AskedFacts.of(inputs.teachers[teacher.name].traces.manifest).served
            asked_for = teacher.model.rpartition("/")[2]
            others = {name: n for name, n in sorted(served.items()) if name.rpartition("/")[2] != asked_for}
            if others:
                listed = ", ".join(f"{name} ({n:,} traces)" for name, n in others.items())
                yield f"{teacher.label} was asked as {teacher.model}; its server says that these answered: {listed}."


def _asked_after(args: ReportArgs, inputs: ReportInputs[Artifact]) -> Iterator[Sentence]:
    """What asking a dearer teacher only after a cheaper one means for its accuracy, and what it saved."""
    for teacher in args.teachers:
        first = teacher.asked_after
        if first is None:
            continue
        traces = inputs.teachers[teacher.name].traces
        facts = AskedFacts.of(traces.manifest)
        skipped = facts.not_asked or 0
        total = sum(trace.completion_tokens or trace.n_tokens for trace in traces.read("traces", TraceCounts))
        yield Sentence(
            text=f"{teacher.label} was asked only what {first} got right ({facts.asked:,} traces): its accuracy is "
            f"about those problems and is not to be set beside {first}'s."
        )
        saved = round(skipped * total / max(1, facts.asked))
        yield Sentence(
            text=f"{teacher.label} was not asked {skipped:,} problems that {first} had not got right, which at the "
            f"mean length of its traces saved about {saved:,} tokens; problems that are left out so are harder, and "
            "their traces would likely have been longer."
        )


def _provenance(args: ReportArgs, inputs: ReportInputs[Artifact]) -> dict[str, str]:
    rows = {
        "lakon": version("lakon"),
        "python": platform.python_version(),
        "verifier": args.verifier,
        "common tokenizer": args.tokenizer,
        "study seed": str(args.seed),
    }
    if args.models:
        sampling = args.sampling
        rows["sampling on benchmarks"] = (
            f"temperature {sampling.temperature:g}, top_p {sampling.top_p:g}, at most {sampling.max_tokens} tokens, "
            f"{args.samples} samples a problem"
        )
    if args.n_students:
        rows["training seeds"] = ", ".join(map(str, args.training_seeds))
    for name in (OWN, *args.benchmarks):
        table = inputs.problems if name == OWN else inputs.benchmarks[name]
        if revision := ReadFacts.of(table.manifest).revision:
            rows[f"commit of {name}"] = revision
        rows[f"digest of {name}"] = table.content
    for name in args.benchmarks:
        for model in args.models:
            by = AskedFacts.of(inputs.models[model.label_on(name)].traces.manifest).sampled_by
            rows |= {f"sampled by: {what}": value for what, value in by.items()}
    for model in args.models:
        if model.run not in inputs.trainings:
            continue
        facts = TrainedFacts.of(inputs.trainings[model.run].manifest)
        shown = {name: facts.settings[name] for name in _SHOWN_OF_TRAINING if name in facts.settings}
        rows |= {f"training: {name}": str(value) for name, value in shown.items()}
        rows |= facts.versions
    return {key: value for key, value in rows.items() if value}
