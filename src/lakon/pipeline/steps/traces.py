"""Traces of whoever writes them: a teacher for the study's problems, a student or base for a benchmark, a pilot.

A call that is paid for goes through the ledger of its author before anything reads it; what costs nothing waits on the
disk and is gone when it has been read.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar, cast

from lakon.core.digest import derive_seed
from lakon.core.protocols import Answered, Author, ReplayingAuthor, Reply, Request, ServedAuthor
from lakon.core.records import Outcome, Problem, Trace, VerdictOutcome
from lakon.core.spec import Sampling, Spec
from lakon.core.spending import Rate, Spent
from lakon.domains import registry
from lakon.pipeline.places import Places
from lakon.pipeline.steps.context import Context, Inputs
from lakon.pipeline.steps.worked_examples import WorkedInputs, read_worked_examples, show_before
from lakon.stages.generate.call_state import has_retries, read_vain_error, sum_spent
from lakon.stages.generate.generate import generate_traces, replay_traces
from lakon.stages.generate.requests import RequestPlan, list_requests
from lakon.stages.generate.specs import EndpointTeacher, Teacher
from lakon.stages.generate.until_correct import Correct
from lakon.stages.problems.sources import ProblemSource
from lakon.stages.verify.join import join_problems
from lakon.stages.verify.verify import Verify, verify_traces
from lakon.store.artifacts import Artifact
from lakon.store.facts import AskedFacts, ReadFacts
from lakon.store.ledger.ledger import Ledger
from lakon.store.step import AnyStep, Step

T = TypeVar("T")

VERSION = 2
PILOT_VERSION = 2


class GradingArgs(Spec):
    """Who says while a teacher writes whether a trace is right."""

    domain: str
    verifier: str
    """The domain's verifier and its version."""
    rules: Verify = Verify()


class TeacherArgs(Spec):
    """Who writes, and for which problems: `problems` are the inputs'."""

    author: str
    """The teacher's name, which stands in its traces."""
    teacher: Teacher
    tokenizer: str
    """In which all authors are counted."""
    seed: int | None = None
    """The study's, for those who draw by it."""
    source: ProblemSource | None = None
    """Where the problems come from, of a recorded teacher whose traces come with them."""
    grading: GradingArgs | None = None
    """For a teacher that draws until a trace is right."""


@dataclass(frozen=True)
class TeacherInputs(Generic[T]):
    """The problems, and the verdicts about the teacher that is asked before this one."""

    problems: T
    asked_before: T | None = None


def teacher_args(
    name: str, teacher: Teacher, *, source: ProblemSource, seed: int, tokenizer: str, rules: Verify, places: Places
) -> TeacherArgs:
    """The arguments of a teacher's step; `source` is where the study's problems come from."""
    referred = teacher
    if teacher.traces_path is not None:
        referred = places.refer(teacher)
    if teacher.model_folder is not None:
        referred = teacher.model_copy(update={"path": places.model(teacher.model_folder)})
    comes_with_problems = teacher.is_recorded and teacher.traces_path is None
    return TeacherArgs(
        author=name,
        teacher=referred,
        tokenizer=tokenizer,
        seed=seed if teacher.uses_seed else None,
        source=(source if source.is_generated else places.refer(source)) if comes_with_problems else None,
        grading=grading_args(source.domain, rules) if teacher.stops_when_correct else None,
    )


def grading_args(domain: str, rules: Verify) -> GradingArgs:
    """The domain's verifier as it is today, under the rules alone."""
    return GradingArgs(domain=domain, verifier=registry.domain(domain).version, rules=rules.rules_alone())


def teacher_step(
    args: TeacherArgs, problems: Step, asked_before: Step | None, *, label: str | None = None
) -> Step[TeacherArgs]:
    """A teacher's traces; `label` is its name unless given."""
    return Step(
        stage="generate",
        label=label or args.author,
        version=VERSION,
        args=args,
        inputs=TeacherInputs(problems, asked_before),
        body=write_teacher_traces,
        in_process=args.teacher.is_recorded,
    )


def write_teacher_traces(ctx: Context[TeacherInputs[Artifact]], args: TeacherArgs) -> None:
    """Traces for the study's problems, or for those that the teacher before this one got right."""
    source, teacher = ctx.inputs.problems, args.teacher
    right = _problems_right(ctx.inputs.asked_before) if ctx.inputs.asked_before is not None else None
    n_problems = source.manifest.rows["problems"]
    n_asked = n_problems if right is None else len(right)

    def problems() -> Iterator[Problem]:
        rows = source.read("problems", Problem)
        return rows if right is None else (problem for problem in rows if problem.problem_id in right)

    author = ctx.resources.authors.make_teacher(
        args.author,
        teacher,
        seed=args.seed or 0,
        source=args.source,
        revision=ReadFacts.of(source.manifest).revision,
        progress=ctx.progress,
    )
    plan = RequestPlan(
        problems,
        n_asked,
        author.identity,
        template=teacher.template,
        sampling=teacher.draws,
        samples=teacher.samples,
        system=teacher.system_message,
    )
    not_asked = None if right is None else n_problems - n_asked
    if isinstance(author, ReplayingAuthor):
        ctx.out.write("traces", _replayed(ctx, args, author, plan, not_asked))
        return
    correct = _grader(ctx, args.grading, list(problems())) if args.grading is not None else None
    rate = ctx.resources.account(args.author).rate
    traces = write_generated(
        ctx, args.author, args.tokenizer, author, list(plan), correct=correct, rate=rate, not_asked=not_asked
    )
    ctx.out.write("traces", traces)


def _problems_right(verdicts: Artifact) -> set[str]:
    """The problems for which there is a correct trace."""
    return {v.problem_id for v in verdicts.read("verdicts", VerdictOutcome) if v.outcome == Outcome.CORRECT}


def _replayed(
    ctx: Context[Inputs], args: TeacherArgs, author: ReplayingAuthor, plan: RequestPlan, not_asked: int | None
) -> Iterator[Trace]:
    """The recorded traces of `plan`; what became of the rows is noted once they have all been read."""
    counter = ctx.resources.counter(args.tokenizer)
    with _spool(ctx.out.folder) as log:
        yield from replay_traces(
            plan, author, label=args.author, log=log, counter=counter, progress=ctx.progress, stop=ctx.stop
        )
    unused = author.unused
    AskedFacts(
        asked=len(plan),
        not_asked=not_asked,
        rows_beyond_samples=unused["rows_beyond_samples"],
        rows_of_other_problems=unused["rows_of_other_problems"],
        problems_without_trace=unused["problems_without_trace"],
    ).write(ctx.out)


def write_generated(
    ctx: Context[Inputs],
    label: str,
    tokenizer: str,
    author: Author,
    requests: list[Request],
    *,
    correct: Correct | None = None,
    rate: Rate | None = None,
    not_asked: int | None = None,
) -> Iterator[Trace]:
    """The traces of `requests`; what they took is noted once they have all been read."""
    failed: dict[str, str] = {}
    served = Counter[str]()
    counter = ctx.resources.counter(tokenizer)
    with ctx.resources.ledger(label, author.identity) if author.paid else _spool(ctx.out.folder) as ledger:
        if lost := ledger.lost_among([request.key for request in requests]):
            ctx.progress.show(lost=lost)
        for trace in generate_traces(
            requests,
            author,
            label=label,
            log=ledger,
            counter=counter,
            progress=ctx.progress,
            stop=ctx.stop,
            retry=ctx.retry,
            correct=correct,
            rate=rate,
        ):
            if (error := trace.error or read_vain_error(trace.trace_id, requests[0].max_tokens, ledger)) is not None:
                failed[trace.trace_id] = error.partition(":")[0]
            if trace.served_model is not None:
                served[trace.served_model] += 1
            yield trace
        spent = sum_spent(requests, ledger) if author.paid else Spent()
        owed = sum(has_retries(ledger.get(key)) for key in failed) if author.may_retry else 0
    AskedFacts(
        asked=len(requests),
        not_asked=not_asked,
        errors=len(failed),
        owed=owed,
        lost=lost or None,
        prompt_tokens=spent.prompt,
        completion_tokens=spent.completion,
        served=dict(served),
        failed=dict(Counter(failed.values())),
        sampled_by=dict(author.facts) if isinstance(author, ServedAuthor) else {},
    ).write(ctx.out)


def _grader(ctx: Context[Inputs], grading: GradingArgs, problems: Sequence[Problem]) -> Correct:
    """Which replies are right, by the rules of the domain."""
    by_id = {problem.problem_id: problem for problem in problems}

    def correct(replies: Sequence[tuple[Request, Reply]]) -> list[bool]:
        rows = [_answered(by_id[request.problem_id], reply) for request, reply in replies]
        with ctx.resources.verifier(grading.domain, grading.rules) as verifier:
            return [grade.outcome == Outcome.CORRECT for grade in verifier.grade(rows)]

    return correct


def _answered(problem: Problem, reply: Reply) -> Answered:
    return Answered(
        reference=problem.reference, answer=reply.answer, finish_reason=reply.finish_reason, prompt=problem.prompt
    )


@contextlib.contextmanager
def _spool(folder: Path) -> Iterator[Ledger]:
    """A ledger for what costs nothing: on the disk, so that traces never lie in memory, and gone when they are read."""
    path = folder / "spool"
    with Ledger.open(path, durable=False) as ledger:
        yield ledger
    for file in (path, path.with_name("spool.lock")):
        file.unlink(missing_ok=True)


# -- students and bases ----------------------------------------------------------------------------------------


class SampleArgs(Spec):
    """How a student or base is asked about a benchmark."""

    author: str
    """Its name, which stands in its traces."""
    base: str | None = None
    """The base that is asked, by a reference; None asks the student whose checkpoint is an input."""
    prompt: str = "{problem}"
    system: str = ""
    """The system message under which it is asked, if any."""
    examples: int = 0
    """So many worked examples before each question."""
    sampling: Sampling
    samples: int
    seed: int
    tokenizer: str


@dataclass(frozen=True)
class SampleInputs(Generic[T]):
    """The benchmark's problems, and the student's checkpoint."""

    problems: T
    checkpoint: T | None = None
    worked: WorkedInputs[T] | None = None
    """Where worked examples come from."""


def sample_step(
    label: str,
    args: SampleArgs,
    problems: Step,
    checkpoint: Step | None,
    worked: WorkedInputs[AnyStep] | None = None,
) -> Step[SampleArgs]:
    """What a student or base writes for a benchmark."""
    inputs = SampleInputs(problems, checkpoint, worked)
    return Step(stage="generate", label=label, version=VERSION, args=args, inputs=inputs, body=sample_traces)


def sample_traces(ctx: Context[SampleInputs[Artifact]], args: SampleArgs) -> None:
    """Sample a model in a folder on every problem of a benchmark."""
    author = make_model(ctx, args.base, args.seed, args.sampling, ctx.inputs.checkpoint)
    requests = list_requests(
        ctx.inputs.problems.read("problems", Problem),
        author.identity,
        template=args.prompt,
        sampling=args.sampling,
        samples=args.samples,
        system=args.system,
    )
    if ctx.inputs.worked is not None:
        shown = read_worked_examples(ctx.inputs.worked, args.examples, args.prompt, args.seed)
        requests = [show_before(request, shown) for request in requests]
    ctx.out.write("traces", write_generated(ctx, args.author, args.tokenizer, author, requests))


def make_model(
    ctx: Context[Inputs], base: str | None, seed: int, sampling: Sampling, checkpoint: Artifact | None
) -> Author:
    """The base or student that is sampled."""
    authors = ctx.resources.authors
    if checkpoint is not None:
        folder = str(checkpoint.folder / "model")
        return authors.make_sampler(folder, seed, sampling, checkpoint=checkpoint.content, progress=ctx.progress)
    assert base is not None, "a base's step names it, a student's has a checkpoint"
    return authors.make_sampler(base, seed, sampling, progress=ctx.progress)


# -- pilots ----------------------------------------------------------------------------------------------------


class PilotArgs(Spec):
    """Which endpoint is tried, and on how many problems."""

    teacher: TeacherArgs
    problems: int
    seed: int
    """Draws the problems: the same ones for all endpoints."""
    grading: GradingArgs


def pilot_step(args: PilotArgs, problems: Step, asked_before: Step | None) -> Step[PilotArgs]:
    """An endpoint really asked about a few problems, with verdicts."""
    inputs = TeacherInputs(problems, asked_before)
    label = args.teacher.author
    return Step(stage="pilot", label=label, version=PILOT_VERSION, args=args, inputs=inputs, body=ask_pilot)


def ask_pilot(ctx: Context[TeacherInputs[Artifact]], args: PilotArgs) -> None:
    """One trace for each of a few problems, and its verdict. The replies stay in the teacher's ledger: nothing of this
    is paid for again."""
    name, teacher = args.teacher.author, cast("EndpointTeacher", args.teacher.teacher)
    every = ctx.inputs.problems.read("problems", Problem)
    problems = sorted(every, key=lambda p: derive_seed(args.seed, "pilot", p.problem_id))[: args.problems]
    if ctx.inputs.asked_before is not None:
        right = _problems_right(ctx.inputs.asked_before)
        problems = [problem for problem in problems if problem.problem_id in right]
    author = ctx.resources.authors.make_endpoint(name, teacher, ctx.progress)
    requests = list_requests(
        problems,
        author.identity,
        template=teacher.template,
        sampling=teacher.draws,
        samples=1,
        system=teacher.system_message,
    )
    rate = ctx.resources.account(name).rate
    traces = list(write_generated(ctx, name, args.teacher.tokenizer, author, requests, rate=rate))
    ctx.out.write("traces", traces)
    with ctx.resources.verifier(args.grading.domain, args.grading.rules) as verifier:
        pairs = join_problems(traces, lambda: problems)
        ctx.out.write("verdicts", verify_traces(pairs, verifier, progress=ctx.progress, total=len(traces)))
