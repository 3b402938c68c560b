"""Familiarity: a base's losses on every teacher's traces, measured in a worker process before any training.

The worker reads problems and traces from the store itself. One call measures all of them: a forward pass over some
dozens of traces takes minutes even for a large base, so an interrupted step begins again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from lakon.core.columns import PackedStrings
from lakon.core.errors import InputError
from lakon.core.protocols import Progress
from lakon.core.records import Problem, ProblemTags, Trace, VerdictOutcome
from lakon.core.spec import Spec
from lakon.pipeline.steps.candidates import read_filtered
from lakon.pipeline.steps.context import Context
from lakon.stages.train.familiarity import MeasuredTrace, average_traces, bin_losses, choose_traces, part_complete
from lakon.store.artifacts import Artifact, read_artifact
from lakon.store.facts import FamiliarityFacts
from lakon.store.step import Step

T = TypeVar("T")

VERSION = 2


class FamiliarityArgs(Spec):
    """Which base is measured, on how many problems."""

    base: str
    """The model, by a reference."""
    prompt: str
    """In which students are shown a problem."""
    teachers: tuple[str, ...]
    """All of the study, in its order, which is that of the rows."""
    problems: int
    """At most so many."""
    seed: int
    """Draws them."""


@dataclass(frozen=True)
class FamiliarityInputs(Generic[T]):
    """The problems, every teacher's traces and verdicts, and its screen where a filter is on."""

    problems: T
    traces: Mapping[str, T]
    verdicts: Mapping[str, T]
    screens: Mapping[str, T] = field(default_factory=dict[str, T])


def familiarity_step(
    student: str, args: FamiliarityArgs, inputs: FamiliarityInputs[Step[Any]]
) -> Step[FamiliarityArgs]:
    """The losses of a student's base on the teachers' traces."""
    return Step(stage="familiarity", label=student, version=VERSION, args=args, inputs=inputs, body=measure_familiarity)


def measure_familiarity(ctx: Context[FamiliarityInputs[Artifact]], args: FamiliarityArgs) -> None:
    """Losses by teacher and position, and by trace, on the problems that all teachers got right."""
    inputs = ctx.inputs
    chosen = choose_traces(
        PackedStrings(p.problem_id for p in inputs.problems.read("problems", ProblemTags)),
        args.teachers,
        lambda teacher: inputs.verdicts[teacher].read("verdicts", VerdictOutcome),
        {teacher: read_filtered(inputs.screens, teacher) for teacher in args.teachers},
        count=args.problems,
        seed=args.seed,
    )
    measured, left_out = part_complete(_measure(ctx, args, chosen))
    ctx.out.write("familiarity", bin_losses(measured, args.teachers))
    ctx.out.write("trace_losses", average_traces(measured))
    ctx.out.write("exclusions", left_out)


def _measure(
    ctx: Context[FamiliarityInputs[Artifact]], args: FamiliarityArgs, chosen: Mapping[str, Mapping[str, str]]
) -> list[MeasuredTrace]:
    """Every chosen trace with its losses; none where no problem was got right by all."""
    inputs, resources = ctx.inputs, ctx.resources
    rows = [(name, problem_id, trace_id) for name in args.teachers for problem_id, trace_id in chosen[name].items()]
    if not rows:
        return []
    ctx.progress.start(len(rows), unit="traces")
    job = {
        "base": resources.places.path(args.base),
        "threads": resources.engine.threads,
        "prompt": args.prompt,
        "problems": str(inputs.problems.folder),
        "traces": {teacher: str(inputs.traces[teacher].folder) for teacher in args.teachers},
        "rows": rows,
    }
    result = resources.engine.call(measure_in_worker, job, on_event=lambda event: _advance(ctx.progress, event))
    facts = FamiliarityFacts(
        context=result.context,
        precision=result.precision,
        seconds=round(result.seconds, 2),
        versions=result.versions,
    )
    facts.write(ctx.out)
    return [
        MeasuredTrace(trace_id=trace_id, problem_id=problem_id, teacher=teacher, n_tokens=n_tokens, losses=losses)
        for (teacher, problem_id, trace_id), n_tokens, losses in zip(rows, result.n_tokens, result.losses, strict=True)
    ]


def _advance(progress: Progress, event: Any) -> None:
    n_traces, n_tokens = event
    progress.advance(n_traces, tokens=n_tokens)


def measure_in_worker(job: dict[str, Any], emit: Callable[[object], None]) -> Any:
    """In a worker process: the losses of every chosen trace. Raises `InputError` for a base that cannot be loaded."""
    from lakon.backends.training.token_losses import Completion, measure_token_losses

    rows: Sequence[tuple[str, str, str]] = job["rows"]
    prompts = _read_prompts(job["problems"], {problem_id for _, problem_id, _ in rows}, job["prompt"])
    completions: dict[tuple[str, str], str] = {}
    for teacher, folder in job["traces"].items():
        wanted = {trace_id for name, _, trace_id in rows if name == teacher}
        completions |= {(teacher, trace_id): text for trace_id, text in _read_completions(folder, wanted).items()}
    texts = [Completion(prompts[problem_id], completions[teacher, trace_id]) for teacher, problem_id, trace_id in rows]
    try:
        return measure_token_losses(
            job["base"], texts, threads=job["threads"], on_batch=lambda n, n_tokens: emit((n, n_tokens))
        )
    except (ValueError, OSError) as error:
        raise InputError(
            f"the base cannot be measured: {str(error)[:300]}",
            "a base that can be loaded",
            "check students.base, or set evaluate.familiarity to 0",
            where="familiarity",
        ) from error


def _read_prompts(folder: str, wanted: set[str], template: str) -> dict[str, str]:
    artifact = read_artifact(Path(folder))
    assert artifact is not None
    problems = artifact.read("problems", Problem)
    return {p.problem_id: template.replace("{problem}", p.prompt) for p in problems if p.problem_id in wanted}


def _read_completions(folder: str, wanted: set[str]) -> dict[str, str]:
    from lakon.backends.chat_format import render_completion

    artifact = read_artifact(Path(folder))
    assert artifact is not None
    traces = artifact.read("traces", Trace)
    return {t.trace_id: render_completion(t.reasoning, t.answer) for t in traces if t.trace_id in wanted}
