"""Verdicts: the verifier compares the answer of every trace with the reference of its problem.

Invariant: every trace gets exactly one verdict. The verifier sees the answer and how it ended, never the reasoning; a
person's ruling wins over every method. Read next: `judge.py`, which runs after the rules where a study has a judge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import tee
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from lakon.core.protocols import Answered, Grading, Progress, Verifier
from lakon.core.records import AnsweredTrace, Outcome, Problem, Verdict
from lakon.core.spec import Sampling, Spec
from lakon.stages.generate.specs import EndpointTeacher
from lakon.stages.verify.overrides import NO_OVERRIDES, Overrides

PLACEHOLDERS = ("{problem}", "{reference}", "{answer}")

Observer = Callable[[AnsweredTrace, Problem, Grading], None]
"""Called with every grading, in the order of the traces."""


class Judge(Spec):
    """A model behind an OpenAI-compatible endpoint that judges answers; its URL stands in `run.endpoints.judge`."""

    model: str
    """The model's name on its server."""
    votes: Annotated[int, Field(ge=1, le=99)] = 1
    """Votes on each answer, an odd number; more than half of them decide."""
    sampling: Sampling = Sampling(temperature=0.6, top_p=0.95, max_tokens=8_192)
    """How it is sampled."""
    template: str | None = None
    """A custom prompt that contains `{problem}`, `{reference}` and `{answer}`; Lakon's unless given."""
    api: Literal["chat", "responses"] = "chat"
    """`/chat/completions` or `/responses`."""
    prefills_think: bool = False
    """The server's chat template writes the opening think tag, so that replies begin inside of it."""

    @field_validator("votes")
    @classmethod
    def _is_odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"found {value}; expected an odd number, so that votes are never level; add or drop one")
        return value

    @field_validator("template")
    @classmethod
    def _has_placeholders(cls, value: str | None) -> str | None:
        missing = [name for name in PLACEHOLDERS if value is not None and name not in value]
        if missing:
            raise ValueError(
                f"found no {' and no '.join(missing)}; expected all of {', '.join(PLACEHOLDERS)}; add them"
            )
        return value

    def as_teacher(self) -> EndpointTeacher:
        """The judge described as an endpoint teacher, so that the same client asks it."""
        return EndpointTeacher(
            model=self.model, api=self.api, prefills_think=self.prefills_think, sampling=self.sampling
        )


class Verify(Spec):
    """How answers are verified."""

    limit_s: Annotated[float, Field(gt=0)] = 5.0
    """Seconds that one answer may take; then its worker is killed and the outcome is `timeout`."""
    extract: Literal["any", "boxed"] = "any"
    """Where the rules look for a final answer: anywhere in the answer text, or only in a box, after `####` or in an
    answer tag. With `boxed`, an answer without one is `unparsed`: it counts as wrong and is counted apart, and under
    `rules-then-judge` the judge decides about it."""
    policy: Literal["rules", "judge", "rules-then-judge"] = "rules"
    """Who decides: the rules alone; the judge about every answer that can be judged; or the judge only where the rules
    are undecided or disagree."""
    judge: Judge | None = None
    """Needed by the other two policies and by an audit."""
    audit: Annotated[int, Field(ge=0)] = 0
    """The number of the rules' accepts, and of their rejects, that the judge checks for each author and benchmark. It
    measures the rules and changes no verdict."""
    overrides: str | None = None
    """A JSONL file of human rulings, relative to the study; they win over every method."""

    def rules_alone(self) -> Verify:
        """The same rules without a judge and without human rulings: what one answer is held against while it is asked
        for."""
        return self.model_copy(update={"policy": "rules", "judge": None, "audit": 0, "overrides": None})

    @model_validator(mode="after")
    def _judge_and_use(self) -> Verify:
        if self.judge is None and self.policy != "rules":
            raise ValueError(f"found policy {self.policy!r} and no judge; expected a judge; add a table [verify.judge]")
        if self.judge is None and self.audit:
            raise ValueError("found an audit and no judge; expected a judge; add a table [verify.judge]")
        if self.judge is not None and self.policy == "rules" and not self.audit:
            use = 'add policy = "rules-then-judge" or audit = 100, or remove [verify.judge]'
            raise ValueError(f"found a judge that nothing uses; expected a policy or an audit that does; {use}")
        return self


def verify_traces(
    traces_and_problems: Iterable[tuple[AnsweredTrace, Problem]],
    verifier: Verifier,
    *,
    overrides: Overrides = NO_OVERRIDES,
    observe: Observer | None = None,
    progress: Progress,
    total: int,
) -> Iterator[Verdict]:
    """One verdict for each trace, in the order of the traces."""
    progress.start(total, unit="verdicts")
    to_grade, to_join = tee(traces_and_problems)
    gradings = verifier.grade(answer_to_grade(trace, problem) for trace, problem in to_grade)
    for (trace, problem), grading in zip(to_join, gradings, strict=True):
        final = overrides.apply(trace, problem, _grading_or_error(trace, grading))
        if observe is not None:
            observe(trace, problem, final)
        progress.advance(1)
        yield _verdict(trace, final, verifier.version)


def answer_to_grade(trace: AnsweredTrace, problem: Problem) -> Answered:
    """The part of a trace that a verifier or a judge may see."""
    return Answered(
        reference=problem.reference, answer=trace.answer, finish_reason=trace.finish_reason, prompt=problem.prompt
    )


def _grading_or_error(trace: AnsweredTrace, grading: Grading) -> Grading:
    if trace.error is None:
        return grading
    return Grading(outcome=Outcome.ERROR, method="no-trace", explanation=trace.error)


def _verdict(trace: AnsweredTrace, grading: Grading, version: str) -> Verdict:
    return Verdict(
        trace_id=trace.trace_id,
        problem_id=trace.problem_id,
        sample_index=trace.sample_index,
        outcome=str(grading.outcome),
        extracted=grading.extracted,
        method=grading.method,
        explanation=grading.explanation,
        verifier=version,
    )
