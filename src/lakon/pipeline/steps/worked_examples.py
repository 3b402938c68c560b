"""Worked examples before a question: problems of the study with correct answers of a teacher."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from lakon.core.digest import digest
from lakon.core.errors import InputError
from lakon.core.messages import Message
from lakon.core.protocols import Request
from lakon.core.records import Outcome, Problem, Trace, VerdictOutcome
from lakon.stages.evaluate.prompting import choose_worked_examples
from lakon.store.artifacts import Artifact

T = TypeVar("T")


@dataclass(frozen=True)
class WorkedInputs(Generic[T]):
    """The study's problems, and what a teacher wrote about them."""

    problems: T
    traces: T
    verdicts: T


def read_worked_examples(inputs: WorkedInputs[Artifact], count: int, template: str, seed: int) -> tuple[Message, ...]:
    """So many questions and answers in turns. Raises `InputError` where the teacher got nothing right that is short
    enough to be shown."""
    verdicts = inputs.verdicts.read("verdicts", VerdictOutcome)
    right = {verdict.trace_id for verdict in verdicts if verdict.outcome == Outcome.CORRECT}
    turns = choose_worked_examples(
        inputs.problems.read("problems", Problem),
        inputs.traces.read("traces", Trace),
        right,
        count=count,
        template=template,
        seed=seed,
    )
    if not turns:
        raise InputError(
            "no correct answer of the teacher that could be shown",
            "at least one, of moderate length",
            "take the way of prompting with worked examples out of evaluate.prompting",
            where="evaluate.prompting",
        )
    return turns


def show_before(request: Request, turns: tuple[Message, ...]) -> Request:
    """The request with these turns before its question, under a key of its own."""
    *opening, question = request.messages
    key = digest([request.key, [message.content for message in turns]])
    return replace(request, key=key, messages=(*opening, *turns, question))
