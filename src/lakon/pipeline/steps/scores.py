"""The body of the step before the last: scores of every author from its verdicts. `reporting.py` shows them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from lakon.core.records import Problem, Trace, Verdict
from lakon.pipeline.steps.candidates import TEXTS, UNSAID
from lakon.stages.evaluate import evaluate as evaluate_stage
from lakon.stages.evaluate.answer_columns import Roll, Row, Sheet, Work, outcomes
from lakon.store.artifacts import Artifact
from lakon.store.step import StepContext
from lakon.study.schema import Study

Body = Callable[[StepContext], None]
UNSCORED = ("prompt", "reference", "source")
"""The columns of problems that no figure needs."""
OWN = "problems"
"""The pseudo-benchmark on which teachers are scored: the study's own problems."""


class AuthorId(NamedTuple):
    """A student or base: what its scores are filed under."""

    label: str
    kind: str
    arm: str | None
    match: str | None
    student: str
    seed: int
    effort: str = ""
    """The level under which it was evaluated, when its arm has several."""

    @property
    def shown_arm(self) -> str | None:
        """Its arm among authors: an arm with several levels of effort is several of them."""
        return f"{self.arm}.{self.effort}" if self.effort else self.arm

    @property
    def key(self) -> str:
        """Its part of input names."""
        return f"{self.label}#{self.seed}"


def evaluate(study: Study, authors: Sequence[AuthorId], benchmarks: Sequence[str]) -> Body:
    """Scores of every author on every benchmark, and of the teachers on the study's own problems."""

    def body(ctx: StepContext) -> None:
        rolls = {
            name: Roll.of(ctx.inputs[f"problems:{name}"].read("problems", Problem, without=UNSCORED))
            for name in (OWN, *benchmarks)
        }
        sheets = list(_sheets(study, authors, rolls, ctx.inputs))
        ctx.progress.start(len(sheets), unit="sheets")
        scores = evaluate_stage.evaluate(
            sheets, rolls, study.evaluate, seed=study.seed, baselines=_baselines(study, authors)
        )
        ctx.progress.advance(len(sheets))
        ctx.out.write("scores", scores)
        ctx.out.write_text("outcomes.json", json.dumps(outcomes(sheets), indent=1))

    return body


def _sheets(
    study: Study, authors: Sequence[AuthorId], rolls: Mapping[str, Roll], inputs: Mapping[str, Artifact]
) -> Iterator[Sheet]:
    by_label: dict[str, list[AuthorId]] = {}
    for author in authors:
        by_label.setdefault(author.label, []).append(author)
    for benchmark in (name for name in rolls if name != OWN):
        for label, runs in by_label.items():
            rows = (row for run in runs for row in graded_traces(inputs, f"{run.key}:{benchmark}", run.seed))
            yield Sheet(
                author=label, benchmark=benchmark, work=Work.of(rows, rolls[benchmark]), family=_family(runs[0])
            )
    for name, teacher in study.teachers.items():
        rows = graded_traces(inputs, name, 0)
        if getattr(teacher, "until", None) is not None:
            # Later samples were drawn because earlier ones were wrong: only the first is a fair draw.
            rows = (row for row in rows if row[1].sample_index == 0)
        family = "" if teacher.if_correct is not None else "teachers"
        yield Sheet(author=teacher_label(study, name), benchmark=OWN, work=Work.of(rows, rolls[OWN]), family=family)


def teacher_label(study: Study, name: str) -> str:
    """A teacher's label among authors: its name, told apart from an arm that is called the same."""
    return f"{name} (teacher)" if name in study.arms or name == "base" else name


def graded_traces(inputs: Mapping[str, Artifact], key: str, seed: int) -> Iterator[Row]:
    """Traces with their verdicts, which lie in the same order, without the texts that no score needs."""
    traces = inputs[f"traces:{key}"].read("traces", Trace, without=TEXTS)
    for trace, found in zip(traces, inputs[f"verdicts:{key}"].read("verdicts", Verdict, without=UNSAID), strict=True):
        assert trace.trace_id == found.trace_id
        yield seed, trace, found


def _family(author: AuthorId) -> str:
    return f"{author.student}/{author.match}" if author.kind == "student" else ""


def _baselines(study: Study, authors: Sequence[AuthorId]) -> dict[str, str]:
    """Each family's baseline: the arm that the study names, else the first one; for teachers the first one."""
    found = {"teachers": teacher_label(study, next(iter(study.teachers)))}
    for author in authors:
        family = _family(author)
        if family and (family not in found or author.arm == study.evaluate.baseline):
            found[family] = author.label
    return found
