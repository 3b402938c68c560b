"""Held-out examples: every teacher's traces of the problems that no arm trains on, as training would see them.

While a student trains, its loss on these is measured, one style at a time. The table has the layout of an arm's
examples, so that the trainer reads both in one way; the teacher stands where an arm would.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from lakon.backends import chat_format
from lakon.core.records import Example, Exclusion, Paired, Problem, Trace
from lakon.core.spec import Spec
from lakon.pipeline.steps.context import Context
from lakon.stages.curate.candidates import Pick
from lakon.stages.curate.examples import build_examples
from lakon.stages.curate.styles import verbatim
from lakon.store.artifacts import Artifact
from lakon.store.step import Step

T = TypeVar("T")

VERSION = 1


class HeldOutArgs(Spec):
    """Whose traces become examples, and how."""

    teachers: tuple[str, ...]
    """All of the study, in its order, which is that of the rows; each stands in its examples as teacher and as arm."""
    prompt: str
    """In which students are shown a problem."""
    tokenizer: str
    """In which examples are counted."""


@dataclass(frozen=True)
class HeldOutInputs(Generic[T]):
    """The problems, the pool that says which are held out, and every teacher's traces."""

    problems: T
    pool: T
    traces: Mapping[str, T]


def held_out_step(args: HeldOutArgs, inputs: HeldOutInputs[Step[Any]]) -> Step[HeldOutArgs]:
    """The held-out examples of all teachers."""
    return Step(
        stage="held_out",
        label="examples",
        version=VERSION,
        args=args,
        inputs=inputs,
        body=build_held_out,
        in_process=True,
    )


def build_held_out(ctx: Context[HeldOutInputs[Artifact]], args: HeldOutArgs) -> None:
    """Each teacher's examples of the held-out problems, in the order of the source."""
    left_out: list[Exclusion] = []
    ctx.out.write("examples", _build_all(ctx, args, left_out))
    ctx.out.write("exclusions", left_out)


def _build_all(
    ctx: Context[HeldOutInputs[Artifact]], args: HeldOutArgs, left_out: list[Exclusion]
) -> Iterator[Example]:
    inputs = ctx.inputs
    rows = list(inputs.pool.read("held_out_pool", Paired))
    for teacher in args.teachers:
        yield from build_examples(
            teacher,
            [Pick(row.problem_id, teacher, row.trace_id or "") for row in rows if row.teacher == teacher],
            inputs.problems.read("problems", Problem),
            {teacher: ((trace, None) for trace in inputs.traces[teacher].read("traces", Trace))},
            style=verbatim,
            style_name="verbatim",
            template=args.prompt,
            complete=chat_format.render_completion,
            count=ctx.resources.counter(args.tokenizer).count,
            scratch=ctx.out.folder / "scratch",
            without_target=left_out,
        )
