"""Budget forcing: what a model wrote for a benchmark, its thinking cut, closed, and an answer asked for.

Only turns that are cut are sampled again, and of those only the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from lakon.core.boxes import last_box
from lakon.core.digest import derive_seed, digest
from lakon.core.messages import Message, build_messages
from lakon.core.protocols import Request
from lakon.core.records import Problem, Trace
from lakon.core.spec import Sampling, Spec
from lakon.pipeline.steps.context import Context
from lakon.pipeline.steps.traces import make_model, write_generated
from lakon.stages.evaluate.prompting import Cut, Prompting, cut_thinking
from lakon.stages.generate.requests import render_template
from lakon.store.artifacts import Artifact
from lakon.store.step import AnyStep, Step

T = TypeVar("T")

VERSION = 1


class ForceArgs(Spec):
    """Whose turns are cut, and where."""

    author: str
    """Its name, which stands in its traces."""
    base: str | None = None
    """The base that is asked, by a reference; None asks the student whose checkpoint is an input."""
    way: Prompting
    prompt: str = "{problem}"
    """What it was shown."""
    system: str = ""
    """The system message under which it was asked, if any."""
    sampling: Sampling
    seed: int
    tokenizer: str


@dataclass(frozen=True)
class ForceInputs(Generic[T]):
    """The benchmark's problems, what the model wrote about them unforced, and its checkpoint, if it is a student."""

    problems: T
    traces: T
    checkpoint: T | None = None


def force_step(
    label: str, args: ForceArgs, problems: AnyStep, traces: AnyStep, checkpoint: AnyStep | None
) -> Step[ForceArgs]:
    """What a student or base writes for a benchmark when its thinking is cut."""
    inputs = ForceInputs(problems, traces, checkpoint)
    return Step(stage="generate", label=label, version=VERSION, args=args, inputs=inputs, body=force_answers)


def force_answers(ctx: Context[ForceInputs[Artifact]], args: ForceArgs) -> None:
    """Cut long thinking, and sample an answer behind it."""
    sampling = args.sampling.model_copy(update={"max_tokens": args.way.answer_tokens})
    author = make_model(ctx, args.base, args.seed, sampling, ctx.inputs.checkpoint)
    problems = {problem.problem_id: problem for problem in ctx.inputs.problems.read("problems", Problem)}
    requests = [
        _request(trace, problems[trace.trace.problem_id], args, sampling)
        for trace in _cut_traces(ctx, args)
        if isinstance(trace, Cut)
    ]
    answers = write_generated(ctx, args.author, args.tokenizer, author, requests)
    counter = ctx.resources.counter(args.tokenizer)

    def forced() -> Iterator[Trace]:
        for trace in _cut_traces(ctx, args):
            if not isinstance(trace, Cut):
                yield replace(trace, author=args.author)
                continue
            written = next(answers)
            if written.error is not None:
                yield written
                continue
            answer = trace.shown + (written.answer or written.reasoning)
            n_kept, n_answer = counter.count([trace.kept, answer])
            yield replace(
                written,
                reasoning=trace.kept,
                answer=answer,
                # A box that was closed is an answer, whatever the model would have gone on to write.
                finish_reason="stop" if last_box(answer) is not None else written.finish_reason,
                n_reasoning=n_kept,
                n_answer=n_answer,
                completion_tokens=None,
            )
        for _ in answers:  # lets it note what the answers took
            pass

    ctx.out.write("traces", forced())


def _cut_traces(ctx: Context[ForceInputs[Artifact]], args: ForceArgs) -> Iterator[Trace | Cut]:
    return cut_thinking(ctx.inputs.traces.read("traces", Trace), args.way, ctx.resources.counter(args.tokenizer).cut)


def _request(cut: Cut, problem: Problem, args: ForceArgs, sampling: Sampling) -> Request:
    """The turn as far as it has come, to be continued."""
    trace = cut.trace
    asked = build_messages(render_template(args.prompt, problem), args.system or None)
    key = digest([trace.trace_id, "forced", cut.begun, sampling.identity()])
    return Request(
        key=key,
        problem_id=trace.problem_id,
        messages=(*asked, Message("assistant", cut.begun)),
        sample_index=trace.sample_index,
        seed=derive_seed(key),
        max_tokens=sampling.max_tokens,
    )
