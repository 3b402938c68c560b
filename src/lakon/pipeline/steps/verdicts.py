"""Verdicts about the traces of one author: by the rules of the domain, and by the judge where the study has one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import orjson

from lakon.core.records import AnsweredTrace, Problem, TraceAnswer, Verdict
from lakon.core.spec import Spec
from lakon.domains import registry
from lakon.domains.judge import VERSION as JUDGE_VERSION
from lakon.domains.judge import LlmJudgePrompt
from lakon.pipeline.places import Places
from lakon.pipeline.steps.context import Context
from lakon.stages.verify import judge as judge_stage
from lakon.stages.verify.changed_verdicts import changes_to_facts, compare_verdicts
from lakon.stages.verify.join import join_problems
from lakon.stages.verify.overrides import RULINGS_FILE, read_overrides
from lakon.stages.verify.verify import Judge, Verify
from lakon.stages.verify.verify import verify_traces as grade_traces
from lakon.store.artifacts import Artifact
from lakon.store.facts import JudgedFacts
from lakon.store.step import Step
from lakon.study.schema import JUDGE

T = TypeVar("T")

VERSION = 2


class VerifyArgs(Spec):
    """How the answers are verified."""

    verify: Verify
    domain: str
    verifier: str
    """The domain's verifier and its version."""
    judge_version: str | None = None
    """Of the judge's prompt and of how its replies are read."""
    seed: int | None = None
    """Draws an audit."""


@dataclass(frozen=True)
class VerifyInputs(Generic[T]):
    """Traces, and the problems that they are about."""

    problems: T
    traces: T


def verify_args(verify: Verify, *, domain: str, seed: int, places: Places) -> VerifyArgs:
    """The arguments of every verify step of a study that is about problems of a domain."""
    return VerifyArgs(
        verify=places.refer(verify, "overrides"),
        domain=domain,
        verifier=registry.domain(domain).version,
        judge_version=JUDGE_VERSION if verify.judge is not None else None,
        seed=seed if verify.audit else None,
    )


def verify_step(label: str, args: VerifyArgs, problems: Step[Any], traces: Step[Any]) -> Step[VerifyArgs]:
    """Verdicts about the traces of one author, teacher or student."""
    inputs = VerifyInputs(problems, traces)
    return Step(stage="verify", label=label, version=VERSION, args=args, inputs=inputs, body=verify_traces)


def verify_traces(ctx: Context[VerifyInputs[Artifact]], args: VerifyArgs) -> None:
    """One verdict a trace. With a judge the rules' verdicts are kept as `gradings`, and it decides what is open."""
    spec = args.verify
    overrides = read_overrides(ctx.resources.places.locate(spec, "overrides").overrides)
    queue = judge_stage.JudgeQueue(spec, args.seed or 0)
    with ctx.resources.verifier(args.domain, spec.rules_alone()) as verifier:
        graded = grade_traces(
            _answers(ctx),
            verifier,
            overrides=overrides,
            observe=queue.add,
            progress=ctx.progress,
            total=ctx.inputs.traces.manifest.rows.get("traces", 0),
        )
        ctx.out.write("verdicts" if spec.judge is None else "gradings", graded)
    if spec.overrides is not None:
        ctx.out.write_text(RULINGS_FILE, overrides.uses_as_json())
    facts = JudgedFacts() if spec.judge is None else _judge(ctx, spec.judge, queue)
    _with_changes(ctx, facts).write(ctx.out)


def _answers(ctx: Context[VerifyInputs[Artifact]]) -> Iterator[tuple[AnsweredTrace, Problem]]:
    """What is verified: the traces, without their reasoning, with their problems."""
    traces, problems = ctx.inputs.traces, ctx.inputs.problems
    rows = traces.read("traces", TraceAnswer)
    return join_problems(rows, lambda: problems.read("problems", Problem))


def _judge(ctx: Context[VerifyInputs[Artifact]], spec: Judge, queue: judge_stage.JudgeQueue) -> JudgedFacts:
    teacher, resources = spec.as_teacher(), ctx.resources
    with resources.ledger(JUDGE, teacher.identity()) as ledger:
        author = resources.authors.share_endpoint(JUDGE, teacher, ctx.progress)
        session = judge_stage.JudgeSession(
            author=author,
            prompt=LlmJudgePrompt(votes=spec.votes, template=spec.template),
            sampling=spec.sampling,
            ledger=ledger,
            progress=ctx.progress,
            stop=ctx.stop,
            retry=ctx.retry,
            rate=resources.account(JUDGE).rate,
        )
        verdicts, account, owed = judge_stage.judge_answers(
            _answers(ctx), lambda: ctx.out.read("gradings", Verdict), queue, session
        )
    ctx.out.write("verdicts", verdicts)
    ctx.out.write_text(judge_stage.JUDGE_FILE, orjson.dumps(account).decode())
    return JudgedFacts(asked=account.n_calls, errors=account.n_errors, owed=owed)


def _with_changes(ctx: Context[VerifyInputs[Artifact]], facts: JudgedFacts) -> JudgedFacts:
    """The facts, with what changed since the last verification of the same traces if there was one."""
    for before in ctx.earlier():
        if before.manifest.inputs.get("traces") == ctx.inputs.traces.content:
            then, now = before.read("verdicts", Verdict), ctx.out.read("verdicts", Verdict)
            changes = changes_to_facts(compare_verdicts("", _verifiers(before), then, now))
            return JudgedFacts(asked=facts.asked, errors=facts.errors, owed=facts.owed, verdict_changes=changes)
    return facts


def _verifiers(verdicts: Artifact) -> str:
    """Who verified a table, in a few words."""
    args = VerifyArgs.model_validate(verdicts.manifest.payload)
    parts = [args.verifier]
    if args.verify.policy != "rules":
        parts.append(f"policy {args.verify.policy}")
    if (judge := args.verify.judge) is not None:
        votes = "" if judge.votes == 1 else f", {judge.votes} votes"
        parts.append(f"judge {judge.model} ({args.judge_version}{votes})")
    if args.verify.overrides is not None:
        parts.append(f"rulings {args.verify.overrides.partition(':')[2][:12]}")
    return ", ".join(parts)
