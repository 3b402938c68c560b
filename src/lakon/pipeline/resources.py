"""The bodies of steps: open what a step needs, call its stage on tables, write tables. Only `plan/` uses it.

Every method returns a function of the step's context, so that a plan can be built, keyed and shown without opening
anything. What is expensive to open (worker processes, ledgers, tokenizers) is opened once and shared.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import orjson

from lakon.backends.checkpoint.author import CheckpointAuthor
from lakon.backends.tokenizers import counter
from lakon.core.digest import derive_seed, digest
from lakon.core.errors import Fault, StoreError
from lakon.core.protocols import Answered, Author, ReplayingAuthor, Reply, Request, TokenCounter
from lakon.core.records import Outcome, Problem, Trace, Verdict
from lakon.core.spending import Account, Budget, Rate, Spent
from lakon.domains.judge import LlmJury
from lakon.domains.math import MathVerifier
from lakon.engines.local import LocalEngine
from lakon.pipeline import sources
from lakon.pipeline.authors import Authors, model_identity, model_path
from lakon.pipeline.spent import spent_before
from lakon.stages.generate import generate as generate_stage
from lakon.stages.generate.call_state import has_retries, in_vain, spent_on, spent_on_keys
from lakon.stages.generate.generate import EndpointTeacher
from lakon.stages.verify import judge as judge_stage
from lakon.stages.verify import verify as verify_stage
from lakon.stages.verify.changed_verdicts import moved, plain
from lakon.stages.verify.join import joined
from lakon.stages.verify.judge import ACCOUNT
from lakon.stages.verify.overrides import ACCOUNT as RULINGS
from lakon.stages.verify.overrides import read_overrides
from lakon.store.artifacts import Artifact, Store
from lakon.store.ledger.ledger import Ledger
from lakon.store.step import StepContext
from lakon.study.schema import JUDGE, Study

if TYPE_CHECKING:
    from lakon.backends.endpoint.author import EndpointAuthor

log = logging.getLogger(__name__)

Body = Callable[[StepContext], None]


class Wiring:
    """What the steps of one run share. Close it when the run is over."""

    def __init__(self, study: Study, stop: threading.Event | None = None) -> None:
        self.study = study
        self.stop = stop or threading.Event()
        self.engine = LocalEngine(study.run.workers)
        self.budget = Budget(tokens=study.run.budget.tokens, money=study.run.budget.money)
        self.authors = Authors(study, self.engine, self.stop, self.account)
        self._ledgers: dict[Path, tuple[Ledger, int]] = {}
        self._counter: TokenCounter | None = None
        self._verifier: MathVerifier | None = None
        self._lock = threading.Lock()
        self._verifying = threading.Lock()

    def close(self) -> None:
        """End the workers; ledgers close with the steps that use them."""
        self.engine.close()
        if self._verifier is not None:
            self._verifier.close()

    def halt(self) -> None:
        """Drop what is in flight: workers are ended, and every reply that has arrived is made durable."""
        self.stop.set()
        self.engine.stop()
        for ledger, _ in list(self._ledgers.values()):
            try:
                ledger.flush()
            except StoreError as error:  # one full disk must not keep the replies of the others waiting
                log.warning("%s", error)

    # -- shared things ---------------------------------------------------------------------------------------

    @property
    def counter(self) -> TokenCounter:
        """The common tokenizer, loaded once."""
        with self._lock:
            if self._counter is None:
                self._counter = counter(model_path(self.study.counting))
            return self._counter

    @contextlib.contextmanager
    def ledger(self, path: Path) -> Iterator[Ledger]:
        """The ledger at `path`; steps that run side by side share one handle."""
        with self._lock:
            ledger, users = self._ledgers.get(path, (None, 0))
            if ledger is None:
                path.parent.mkdir(parents=True, exist_ok=True)
                ledger = Ledger.open(path)
            self._ledgers[path] = (ledger, users + 1)
        try:
            yield ledger
        finally:
            with self._lock:
                ledger, users = self._ledgers.pop(path)
                if users > 1:
                    self._ledgers[path] = (ledger, users - 1)
                else:
                    ledger.close()

    # -- traces ----------------------------------------------------------------------------------------------

    def teach(self, name: str) -> Body:
        """Traces of a teacher for the study's problems, or for those that the teacher before it got right."""
        teacher = self.study.teachers[name]

        def body(ctx: StepContext) -> None:
            source = ctx.inputs["problems"]
            right = _right(ctx.inputs[f"verdicts:{teacher.if_correct}"]) if teacher.if_correct is not None else None
            n = source.manifest.rows["problems"] if right is None else len(right)
            if right is not None:
                ctx.out.facts["not_asked"] = source.manifest.rows["problems"] - n

            def problems() -> Iterator[Problem]:
                rows = source.read("problems", Problem)
                return rows if right is None else (problem for problem in rows if problem.problem_id in right)

            author = self.authors.teacher(name, ctx.progress, sources.revision_in(source.manifest.facts))
            asked = generate_stage.Asking(
                problems,
                n,
                author.identity,
                template=getattr(teacher, "prompt", "{problem}"),
                sampling=getattr(teacher, "sampling", generate_stage.Sampling()),
                samples=teacher.samples,
            )
            if isinstance(author, ReplayingAuthor):
                ctx.out.write("traces", self._replay(ctx, name, author, asked))
                return
            correct = self._correct(list(problems())) if getattr(teacher, "until", None) == "correct" else None
            traces = self._generate(ctx, name, author, list(asked), correct, self.account(name).rate)
            ctx.out.write("traces", traces)

        return body

    def pilot(self, name: str, n: int) -> Body:
        """One trace of an endpoint for each of `n` problems, drawn by the study's seed, with their verdicts. The
        replies stay in the teacher's ledger: nothing of this is paid for again."""
        teacher, seed = self.study.teachers[name], self.study.seed
        assert isinstance(teacher, EndpointTeacher)

        def body(ctx: StepContext) -> None:
            problems = list(ctx.inputs["problems"].read("problems", Problem))
            problems = sorted(problems, key=lambda p: derive_seed(seed, "pilot", p.problem_id))[:n]
            if teacher.if_correct is not None:
                right = _right(ctx.inputs[f"verdicts:{teacher.if_correct}"])
                problems = [problem for problem in problems if problem.problem_id in right]
            author = self.authors.endpoint(name, teacher, ctx.progress)
            asked = generate_stage.requests(
                problems, author.identity, template=teacher.prompt, sampling=teacher.sampling, samples=1
            )
            traces = list(self._generate(ctx, name, author, asked, None, self.account(name).rate))
            ctx.out.write("traces", traces)
            with self._verifying:
                verdicts = verify_stage.verify(
                    joined(traces, lambda: problems), self._math(), progress=ctx.progress, total=len(traces)
                )
                ctx.out.write("verdicts", verdicts)

        return body

    def endpoint_faults(self, names: Iterable[str]) -> list[Fault]:
        """What would keep these endpoints from working, found without a paid request."""
        return self.authors.faults(names)

    def account(self, name: str) -> Account:
        """A teacher's side of the budget, at its stated rates."""
        price = self.study.run.prices.get(name)
        return Account(self.budget, Rate(price.input_per_million, price.output_per_million) if price else None)

    def count_earlier(self, spent: Mapping[str, Spent], store: Store) -> None:
        """File what was spent before this run, once and before anything is asked; `spent` is what finished steps took,
        by teacher."""
        for name, earlier in spent_before(self.study, spent, store).items():
            self.account(name).earlier(earlier)

    def _correct(self, problems: Sequence[Problem]) -> generate_stage.Correct:
        """Which replies are right, by the rules of the domain."""
        by_id = {problem.problem_id: problem for problem in problems}

        def correct(replies: Sequence[tuple[Request, Reply]]) -> list[bool]:
            rows = [_answered(by_id[request.problem_id], reply) for request, reply in replies]
            with self._verifying:
                return [grading.outcome == Outcome.CORRECT for grading in self._math().grade(rows)]

        return correct

    def sample(self, label: str, base: str | None, system: str = "") -> Body:
        """Traces of a student (its checkpoint is the input `checkpoint`) or of a base on a benchmark, under a system
        message if there is one."""
        spec = self.study.evaluate

        def body(ctx: StepContext) -> None:
            trained = ctx.inputs.get("checkpoint")
            folder = str(trained.folder / "model") if trained else model_path(base or "")
            who = trained.content if trained else model_identity(base or "")
            author = self.authors.sampler(folder, {"checkpoint": who, "seed": self.study.seed}, spec.sampling)
            asked = generate_stage.requests(
                ctx.inputs["problems"].read("problems", Problem),
                author.identity,
                template=self.study.prompt,
                sampling=spec.sampling,
                samples=spec.samples,
                system=system,
            )
            ctx.out.write("traces", self._generate(ctx, label, author, asked, None, None))

        return body

    def _replay(
        self, ctx: StepContext, label: str, author: ReplayingAuthor, asked: generate_stage.Asking
    ) -> Iterator[Trace]:
        """The recorded traces of `asked`; what became of the rows is noted once they have all been read."""
        with _spool(ctx.out.folder) as log:
            yield from generate_stage.replay(
                asked, author, label=label, log=log, counter=self.counter, progress=ctx.progress, stop=ctx.stop
            )
        ctx.out.facts.update(author.unused, asked=len(asked), errors=0, owed=0)

    def _generate(
        self,
        ctx: StepContext,
        label: str,
        author: Author,
        asked: list[Request],
        correct: generate_stage.Correct | None,
        rate: Rate | None,
    ) -> Iterator[Trace]:
        """The traces of `asked`; what they took is recorded once they have all been read."""
        if isinstance(author, CheckpointAuthor):
            author.plan(asked)
        failed: dict[str, str] = {}
        served = Counter[str]()
        path = ctx.store.ledger_path(label, digest(author.identity))
        with self.ledger(path) if author.paid else _spool(ctx.out.folder) as ledger:
            if lost := ledger.lost_among([request.key for request in asked]):
                ctx.progress.show(lost=lost)
                ctx.out.facts["lost"] = lost
            if label in self.study.served and author.paid:
                cast("EndpointAuthor", author).answered = spent_on(asked, ledger).completion > 0
            for trace in generate_stage.generate(
                asked,
                author,
                label=label,
                log=ledger,
                counter=self.counter,
                progress=ctx.progress,
                stop=ctx.stop,
                retry=ctx.retry,
                correct=correct,
                rate=rate,
            ):
                if (error := trace.error or in_vain(trace.trace_id, asked[0].max_tokens, ledger)) is not None:
                    failed[trace.trace_id] = error.partition(":")[0]
                if trace.served_model is not None:
                    served[trace.served_model] += 1
                yield trace
            spent = spent_on(asked, ledger) if author.paid else Spent()
            # What fails at an endpoint may do better next time; a function or a checkpoint fails the same way again.
            may_retry = author.paid and not isinstance(author, CheckpointAuthor)
            owed = sum(has_retries(ledger.get(key)) for key in failed) if may_retry else 0
        ctx.out.facts.update(
            errors=len(failed),
            owed=owed,
            asked=len(asked),
            prompt_tokens=spent.prompt,
            completion_tokens=spent.completion,
            served=dict(served),
            failed=dict(Counter(failed.values())),
        )

    # -- verdicts --------------------------------------------------------------------------------------------

    def verify(self, label: str) -> Body:
        """Verdicts about the traces of one generate step: by the rules, and by the judge where the study has one."""
        spec = self.study.verify

        def body(ctx: StepContext) -> None:
            docket, rulings = judge_stage.Docket(spec, self.study.seed), read_overrides(spec.overrides)
            with self._verifying:
                graded = verify_stage.verify(
                    self._asked(ctx),
                    self._math(),
                    overrides=rulings,
                    observe=docket,
                    progress=ctx.progress,
                    total=ctx.inputs["traces"].manifest.rows.get("traces", 0),
                )
                ctx.out.write("verdicts" if spec.judge is None else "gradings", graded)
            if spec.overrides is not None:
                ctx.out.write_text(RULINGS, rulings.account())
            if spec.judge is not None:
                self._hear(ctx, spec.judge, self._asked(ctx), docket)
            _note_moves(ctx, label)

        return body

    @staticmethod
    def _asked(ctx: StepContext) -> Iterator[tuple[Trace, Problem]]:
        """What is verified: the traces, without their reasoning, with their problems."""
        traces, source = ctx.inputs["traces"], ctx.inputs["problems"]
        return joined(traces.read("traces", Trace, without=("reasoning",)), lambda: source.read("problems", Problem))

    def _hear(
        self,
        ctx: StepContext,
        spec: verify_stage.Judge,
        asked: Iterable[tuple[Trace, Problem]],
        docket: judge_stage.Docket,
    ) -> None:
        teacher = spec.as_teacher()
        with self.ledger(ctx.store.ledger_path(JUDGE, digest(teacher.identity()))) as ledger:
            author = self.authors.seat(
                JUDGE,
                teacher,
                ctx.progress,
                answered=lambda: spent_on_keys(ledger.keys(), ledger).completion > 0,
            )
            court = judge_stage.Court(
                author=author,
                jury=LlmJury(votes=spec.votes, template=spec.template),
                sampling=spec.sampling,
                ledger=ledger,
                progress=ctx.progress,
                stop=ctx.stop,
                retry=ctx.retry,
                rate=self.account(JUDGE).rate,
            )
            verdicts, account, owed = judge_stage.judge(asked, lambda: ctx.out.read("gradings", Verdict), docket, court)
        ctx.out.write("verdicts", verdicts)
        ctx.out.write_text(ACCOUNT, orjson.dumps(account).decode())
        ctx.out.facts.update(errors=account.n_errors, owed=owed, asked=account.n_calls)

    def _math(self) -> MathVerifier:
        """The one verifier of the run: its workers load their algebra once. Held under `_verifying`."""
        if self._verifier is None:
            spec = self.study.verify
            workers, boxed_only = max(1, self.engine.slots // 2), spec.extract == "boxed"
            self._verifier = MathVerifier(workers=workers, limit_s=spec.limit_s, boxed_only=boxed_only)
        return self._verifier


def _note_moves(ctx: StepContext, label: str) -> None:
    """Record which verdicts moved against the last verification of the same traces, if there was one."""
    for before in ctx.store.earlier("verify", label, but=ctx.out.folder):
        if before.manifest.inputs.get("traces") == ctx.inputs["traces"].content:
            then = before.read("verdicts", Verdict)
            made = moved(label, _verifiers(before), then, ctx.out.read("verdicts", Verdict))
            ctx.out.facts["moved"] = plain(made)
            return


def _verifiers(verdicts: Artifact) -> str:
    """Who verified a table, in a few words."""
    spec = verdicts.manifest.payload
    said = [str(spec["verifier"]), *([f"policy {spec['policy']}"] if "policy" in spec else [])]
    if "judge" in spec:
        judge = cast("dict[str, object]", spec["judge"])
        votes = judge.get("votes", 1)
        said.append(f"judge {judge['model']} ({spec['judge_version']}{'' if votes == 1 else f', {votes} votes'})")
    return ", ".join([*said, *([f"rulings {str(spec['overrides'])[:12]}"] if "overrides" in spec else [])])


@contextlib.contextmanager
def _spool(folder: Path) -> Iterator[Ledger]:
    """A ledger for what costs nothing: on the disk, so that traces never lie in memory, and gone when they are read."""
    path = folder / "spool"
    with Ledger.open(path, durable=False) as ledger:
        yield ledger
    for left in (path, path.with_name("spool.lock")):
        left.unlink(missing_ok=True)


def _right(verdicts: Artifact) -> set[str]:
    """The problems for which there is a correct trace."""
    return {v.problem_id for v in verdicts.read("verdicts", Verdict) if v.outcome == Outcome.CORRECT}


def _answered(problem: Problem, reply: Reply) -> Answered:
    return Answered(
        reference=problem.reference, answer=reply.answer, finish_reason=reply.finish_reason, prompt=problem.prompt
    )
