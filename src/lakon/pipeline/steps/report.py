"""The body of the last step: the report, made from all tables of a study. `scoring.py` says what authors are called."""

from __future__ import annotations

import json
import platform
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import chain, islice
from pathlib import Path
from typing import cast, get_args

import numpy as np

from lakon.core.columns import fingerprint
from lakon.core.records import Example, Exclusion, Loss, Problem, Profile, Score, Trace, Verdict
from lakon.core.report_data import (
    AuditCounts,
    AuthorCard,
    JudgeAccount,
    ProfileRow,
    ReportData,
    Sentence,
    Showcase,
    Verification,
)
from lakon.pipeline.steps.candidates import TEXTS
from lakon.pipeline.steps.scores import OWN, UNSCORED, AuthorId, Body, graded_traces, teacher_label
from lakon.stages.curate.arms import Level
from lakon.stages.curate.profile import summarise
from lakon.stages.generate.generate import EndpointTeacher
from lakon.stages.report import funnel as report_stage
from lakon.stages.report import verification_summary as verification_stage
from lakon.stages.report.conclusions import verdict
from lakon.stages.verify.changed_verdicts import of_facts
from lakon.stages.verify.judge import ACCOUNT
from lakon.stages.verify.overrides import ACCOUNT as RULINGS
from lakon.stages.verify.overrides import read_account
from lakon.store.artifacts import Artifact
from lakon.store.step import StepContext
from lakon.study.schema import Study, resolved


def report(study: Study, authors: Sequence[AuthorId], benchmarks: Sequence[str]) -> Body:
    """The page, its Markdown twin and the scores as JSON."""

    def body(ctx: StepContext) -> None:
        from lakon import render

        data = report_data(study, authors, benchmarks, ctx.inputs)
        ctx.out.write_text("report.html", render.html_page(data))
        ctx.out.write_text("report.md", render.markdown(data))
        ctx.out.write_text("summary.txt", "\n".join(render.summary_lines(data)) + "\n")

    return body


def report_data(
    study: Study, authors: Sequence[AuthorId], benchmarks: Sequence[str], inputs: Mapping[str, Artifact]
) -> ReportData:
    """Everything a report shows, from the tables of the study."""
    scores = tuple(inputs["scores"].read("scores", Score))
    cards = _cards(study, authors, inputs)
    outcomes = json.loads((inputs["scores"].folder / "outcomes.json").read_text(encoding="utf-8"))
    return ReportData(
        study=study.name,
        title=study.title or study.name,
        description=study.description,
        caveats=(*study.caveats, *_caveats(study, inputs)),
        verdict=(
            *verdict(
                cards,
                scores,
                margin=study.evaluate.margin,
                stated=study.evaluate.margin_stated,
                confidence=study.evaluate.confidence,
            ),
            *_asked_after(study, inputs),
        ),
        authors=cards,
        benchmarks=report_stage.benchmarks_of(scores),
        scores=scores,
        losses=_losses(study, authors, inputs),
        funnel=_funnel(study, inputs),
        outcomes=outcomes,
        verification=_verification(study, authors, benchmarks, inputs),
        showcases=tuple(_showcases(study, authors, benchmarks, inputs)),
        tokenizer=_tokenizer_name(study),
        margin=study.evaluate.margin,
        margin_stated=study.evaluate.margin_stated,
        confidence=study.evaluate.confidence,
        provenance=_provenance(study, inputs),
        profiles=_profiles(study, inputs),
        resolved=json.dumps(resolved(study), indent=2, ensure_ascii=False),
    )


def _caveats(study: Study, inputs: Mapping[str, Artifact]) -> Iterator[str]:
    """What the way in which problems were chosen and teachers were asked means for the figures."""
    if study.evaluate.benchmarks and not study.decontaminate.enabled:
        yield "Problems were not compared with those of the benchmarks: copies of them may be among the training data."
    for name, teacher in study.teachers.items():
        label = teacher_label(study, name)
        if getattr(teacher, "until", None) is not None:
            yield f"{label} drew samples until the first correct one: its accuracy is that of first samples."
        if isinstance(teacher, EndpointTeacher):
            served = cast("Mapping[str, int]", inputs[f"traces:{name}"].manifest.facts["served"])
            name_alone = teacher.model.rpartition("/")[2]
            if others := {model: n for model, n in served.items() if model.rpartition("/")[2] != name_alone}:
                said = ", ".join(f"{model} ({n:,} traces)" for model, n in sorted(others.items()))
                yield f"{label} was asked as {teacher.model}; its server says that these answered: {said}."


def _asked_after(study: Study, inputs: Mapping[str, Artifact]) -> Iterator[Sentence]:
    """What asking a dearer teacher only after a cheaper one means for its accuracy, and what it saved."""
    for name, teacher in study.teachers.items():
        if teacher.if_correct is None:
            continue
        facts = inputs[f"traces:{name}"].manifest.facts
        skipped, asked = int(str(facts["not_asked"])), int(str(facts["asked"]))
        total = sum(
            t.completion_tokens or t.n_tokens for t in inputs[f"traces:{name}"].read("traces", Trace, without=TEXTS)
        )
        label, first = teacher_label(study, name), teacher_label(study, teacher.if_correct)
        yield Sentence(
            text=f"{label} was asked only what {first} got right ({asked:,} traces): its accuracy is about those "
            f"problems and is not to be set beside {first}'s."
        )
        mean = round(skipped * total / max(1, asked))
        yield Sentence(
            text=f"{label} was not asked {skipped:,} problems that {first} had not got right, which at the mean length "
            f"of its traces saved about {mean:,} tokens; problems that are left out so are harder, and their traces "
            "would likely have been longer."
        )


def _verification(
    study: Study, authors: Sequence[AuthorId], benchmarks: Sequence[str], inputs: Mapping[str, Artifact]
) -> Verification:
    """How all answers were verified; a verdict table that two labels share is counted once."""
    labels = {f"verdicts:{name}": f"{teacher_label(study, name)} / {OWN}" for name in study.teachers}
    for author in authors:
        who = author.key if author.kind == "student" and len(study.training.seeds) > 1 else author.label
        labels |= {f"verdicts:{author.key}:{name}": f"{who} / {name}" for name in benchmarks}
    tables = {inputs[name].folder: (label, inputs[name]) for name, label in reversed(labels.items())}
    return verification_stage.verification(
        study.verify,
        [
            verification_stage.Verified(
                label,
                table.read("verdicts", Verdict),
                _account(table),
                of_facts(label, table.manifest.facts),
                read_account(table.folder / RULINGS),
            )
            for label, table in reversed(tables.values())
        ],
        level=study.evaluate.confidence,
    )


def _account(table: Artifact) -> JudgeAccount | None:
    file = table.folder / ACCOUNT
    if not file.is_file():
        return None
    raw = json.loads(file.read_text(encoding="utf-8"))
    audit = raw.pop("audit")
    if audit is not None:
        audit = AuditCounts(**{**audit, "disagreements": tuple(audit["disagreements"])})
    return JudgeAccount(**raw, audit=audit)


def _cards(study: Study, authors: Sequence[AuthorId], inputs: Mapping[str, Artifact]) -> tuple[AuthorCard, ...]:
    cards = [AuthorCard(label=teacher_label(study, name), kind="teacher") for name in study.teachers]
    many = len(study.students) > 1
    for label in dict.fromkeys(author.label for author in authors):
        runs = [author for author in authors if author.label == label]
        first = runs[0]
        student = first.student if many else None
        if first.kind == "base":
            cards.append(AuthorCard(label=label, kind="base", student=student))
            continue
        trained = inputs[f"train:{first.key}"]
        long = {e.subject for e in trained.read("exclusions", Exclusion)}
        taught = inputs[f"examples:{first.arm}@{first.match}"].read(
            "examples", Example, without=("prompt", "completion")
        )
        n_examples, tokens, about = 0, 0, array("Q")
        for example in (example for example in taught if example.trace_id not in long):
            n_examples += 1
            tokens += example.n_tokens * example.repeats * study.training.epochs
            about.append(fingerprint(example.problem_id))
        facts = [inputs[f"train:{run.key}"].manifest.facts for run in runs]
        cards.append(
            AuthorCard(
                label=label,
                kind="student",
                arm=first.shown_arm,
                match=first.match,
                student=student,
                seeds=tuple(run.seed for run in runs),
                n_examples=n_examples,
                n_problems=len(np.unique(np.asarray(about))),
                n_train_tokens=tokens,
                n_steps=int(str(facts[0].get("steps", 0))),
            )
        )
    return tuple(cards)


def _losses(study: Study, authors: Sequence[AuthorId], inputs: Mapping[str, Artifact]) -> dict[str, list[Loss]]:
    many = len(study.training.seeds) > 1
    return {
        (author.key if many else author.label): list(inputs[f"train:{author.key}"].read("losses", Loss))
        for author in authors
        if author.kind == "student"
    }


def _funnel(study: Study, inputs: Mapping[str, Artifact]) -> tuple[report_stage.FunnelRow, ...]:
    source, asked = inputs["rows"], inputs[f"problems:{OWN}"]
    n_rows, n_problems = source.manifest.rows["problems"], asked.manifest.rows["problems"]
    lost = source.read("exclusions", Exclusion)
    clean = (n_problems, asked.read("exclusions", Exclusion)) if asked.folder != source.folder else None
    pool = inputs.get("pool")
    if pool is None:
        return report_stage.funnel(n_rows, lost, clean, 0, [], {}, _recorded(study, inputs))[:-1]
    arms: dict[str, tuple[int, Iterable[Exclusion]]] = {}
    for name, artifact in inputs.items():
        if name.startswith("examples:"):
            label = name.removeprefix("examples:").removesuffix("@problems")
            long = _too_long(inputs, label)
            left = chain(artifact.read("exclusions", Exclusion), long)
            arms[label] = artifact.manifest.rows["examples"] - len(long), left
    n_paired, left = n_problems - pool.manifest.rows["exclusions"], pool.read("exclusions", Exclusion)
    return report_stage.funnel(n_rows, lost, clean, n_paired, left, arms, _recorded(study, inputs))


def _recorded(study: Study, inputs: Mapping[str, Artifact]) -> dict[str, tuple[int, dict[str, int]]]:
    """Recorded teachers' traces, where rows or problems were left without one."""
    made: dict[str, tuple[int, dict[str, int]]] = {}
    for name, teacher in study.teachers.items():
        traces = inputs[f"traces:{name}"].manifest
        if left := report_stage.left_of_recordings(traces.facts, teacher.samples):
            made[teacher_label(study, name)] = traces.rows.get("traces", 0), left
    return made


def _too_long(inputs: Mapping[str, Artifact], label: str) -> list[Exclusion]:
    """What the first training run on an arm's examples left out."""
    arm, at, rule = label.partition("@")
    labels = {label, *(f"{arm}.{level}{at}{rule}" for level in get_args(Level))}
    runs = (a for name, a in inputs.items() if name.startswith("train:") and name[6:].rpartition("#")[0] in labels)
    first = next(runs, None)
    return list(first.read("exclusions", Exclusion)) if first is not None else []


def _showcases(
    study: Study, authors: Sequence[AuthorId], benchmarks: Sequence[str], inputs: Mapping[str, Artifact]
) -> Iterator[Showcase]:
    """One problem of the corpus with the teachers' traces, and of the first benchmark with the students'."""
    shown = [(OWN, {teacher_label(study, name): name for name in study.teachers})]
    if benchmarks and authors:
        first = {a.label: a for a in reversed(authors)}
        shown.append((benchmarks[0], {a.label: f"{first[a.label].key}:{benchmarks[0]}" for a in authors}))
    for name, keys in shown:
        problems = inputs[f"problems:{name}"]
        ids = (p.problem_id for p in problems.read("problems", Problem, without=UNSCORED))
        chosen = report_stage.showcase(ids, [_light(inputs, key) for key in keys.values()])
        if chosen is not None:
            problem = next(p for p in problems.read("problems", Problem) if p.problem_id == chosen)
            yield Showcase(problem=problem, entries=tuple(_entries(chosen, keys, inputs)))


def _light(inputs: Mapping[str, Artifact], key: str) -> Iterator[tuple[Trace, Verdict]]:
    return ((trace, found) for _, trace, found in graded_traces(inputs, key, 0))


def _entries(
    problem_id: str, keys: Mapping[str, str], inputs: Mapping[str, Artifact]
) -> Iterator[tuple[str, Trace, Verdict]]:
    """Each author's first trace for the problem, with its texts."""
    for label, key in keys.items():
        graded = zip(
            inputs[f"traces:{key}"].read("traces", Trace),
            inputs[f"verdicts:{key}"].read("verdicts", Verdict),
            strict=True,
        )
        first = ((t, v) for t, v in graded if t.problem_id == problem_id and t.sample_index == 0)
        yield from ((label, trace, found) for trace, found in islice(first, 1))


def _profiles(study: Study, inputs: Mapping[str, Artifact]) -> tuple[ProfileRow, ...]:
    rows = (
        summarise(
            teacher_label(study, name), inputs[f"screen:{name}"].read("profiles", Profile), study.evaluate.confidence
        )
        for name in study.teachers
    )
    return tuple(row for row in rows if row is not None)


def _tokenizer_name(study: Study) -> str:
    return Path(study.counting).name if study.counting.startswith("/") else study.counting


def _provenance(study: Study, inputs: Mapping[str, Artifact]) -> dict[str, str]:
    sampling = study.evaluate.sampling
    found = {
        "lakon": version("lakon"),
        "python": platform.python_version(),
        "verifier": next(
            (str(a.manifest.payload["verifier"]) for n, a in inputs.items() if n.startswith("verdicts:")), ""
        ),
        "common tokenizer": _tokenizer_name(study),
        "study seed": str(study.seed),
    }
    if study.students:
        found |= {
            "sampling of students": f"temperature {sampling.temperature:g}, top_p {sampling.top_p:g}, at most "
            f"{sampling.max_tokens} tokens, {study.evaluate.samples} samples a problem",
            "training seeds": ", ".join(map(str, study.training.seeds)),
        }
    for name, artifact in inputs.items():
        if name.startswith("problems:"):
            revision = artifact.manifest.facts.get("revision")
            found |= {f"commit of {name.removeprefix('problems:')}": str(revision)} if revision else {}
            found[f"digest of {name.removeprefix('problems:')}"] = artifact.content
        if name.startswith("train:"):
            facts = artifact.manifest.facts
            found |= {
                key.removeprefix("version."): str(value) for key, value in facts.items() if key.startswith("version.")
            }
            found["training precision"] = str(facts.get("precision", ""))
    return {key: value for key, value in found.items() if value}
