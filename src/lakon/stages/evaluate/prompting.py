"""Ways of asking a model that cost no training: what training has to beat.

Direct answers, chain of thought (Wei et al. 2022, arXiv 2201.11903), worked examples (Brown et al. 2020, arXiv
2005.14165), and budget forcing (Muennighoff et al. 2025, arXiv 2501.19393): the thinking is cut at a number of tokens,
closed, and the answer asked for. Forcing continues what the model wrote when it was not forced: what a sample begins
with does not depend on where it would have been cut, so only answers are sampled anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, NamedTuple

from pydantic import Field, model_validator

from lakon.core.digest import derive_seed
from lakon.core.messages import Message
from lakon.core.records import Problem, Trace
from lakon.core.spec import Spec
from lakon.stages.generate.requests import render_template

OPEN, CLOSE = "<think>", "</think>"
LONGEST_SHOWN = 4_000
"""Characters of an answer that is shown as a worked example: longer ones would fill a context."""


class Prompting(Spec):
    """A way in which every base and student is asked once more."""

    prompt: str | None = None
    """What models are shown; `{problem}` stands for the problem's text. The study's `prompt` unless given."""
    system: str = ""
    """A system message."""
    examples: Annotated[int, Field(ge=0, le=64)] = 0
    """So many problems of the study before the question, each with a correct answer of the first teacher's, without
    its reasoning."""
    thinking_tokens: Annotated[int, Field(ge=1)] | None = None
    """Budget forcing: thinking that has more of the study's tokens is cut there, closed, and continued with
    `closing`."""
    answer_tokens: Annotated[int, Field(ge=1)] = 256
    """Most tokens of an answer that is asked for after the cut."""
    closing: str = "The final answer is \\boxed{"
    """What a cut turn goes on with."""

    @model_validator(mode="after")
    def _one_way(self) -> Prompting:
        if self.thinking_tokens is not None and (self.prompt is not None or self.system or self.examples):
            raise ValueError(
                "found thinking_tokens beside prompt, system or examples; expected it alone, since it continues what "
                "the model wrote without it; take the others into a way of their own"
            )
        if self.prompt is not None and "{problem}" not in self.prompt:
            raise ValueError(
                "found a prompt without {problem}; expected it where the problem's text goes; put it there"
            )
        return self


PROMPTS: dict[str, Prompting] = {
    "direct": Prompting(prompt="{problem}\n\nGive the final answer alone, within \\boxed{}."),
    "chain-of-thought": Prompting(
        prompt="{problem}\n\nReason step by step, and put the final answer within \\boxed{}."
    ),
    "few-shot": Prompting(examples=4),
    "forced-256": Prompting(thinking_tokens=256),
    "forced-1024": Prompting(thinking_tokens=1_024),
    "forced-4096": Prompting(thinking_tokens=4_096),
}
"""Those known by name; a study adds its own under `[evaluate.prompts.NAME]`."""


def choose_worked_examples(
    problems: Iterable[Problem], traces: Iterable[Trace], right: set[str], *, count: int, template: str, seed: int
) -> tuple[Message, ...]:
    """Questions and answers in turns: `count` problems in a seeded order, each with its first trace among `right`.

    `right` are ids of correct traces. Answers that are empty or longer than `LONGEST_SHOWN` are passed over.
    """
    answers: dict[str, str] = {}
    for trace in traces:
        is_shown = trace.trace_id in right and 0 < len(trace.answer) <= LONGEST_SHOWN
        if is_shown:
            answers.setdefault(trace.problem_id, trace.answer)
    solved = [problem for problem in problems if problem.problem_id in answers]
    solved.sort(key=lambda problem: derive_seed(seed, "worked example", problem.problem_id))
    turns: list[Message] = []
    for problem in solved[:count]:
        turns.append(Message("user", render_template(template, problem)))
        turns.append(Message("assistant", answers[problem.problem_id]))
    return tuple(turns)


class Cut(NamedTuple):
    """A trace whose thinking was cut."""

    trace: Trace
    begun: str
    """What the model's turn begins with: the thinking up to the cut, closed, and the beginning of an answer."""
    shown: str
    """The beginning of the answer alone."""
    kept: str
    """The thinking up to the cut."""


CutText = Callable[[Sequence[str], int], list[str | None]]
"""(texts, tokens) to each text up to so many tokens, None where it is no longer than that."""


def cut_thinking(traces: Iterable[Trace], way: Prompting, cut: CutText, *, at_once: int = 256) -> Iterator[Trace | Cut]:
    """Each trace as it is, or cut where its thinking is longer than `way.thinking_tokens`.

    A trace without reasoning apart has its answer cut: it thinks aloud.
    """
    assert way.thinking_tokens is not None, "a way that forces a budget"
    chunk: list[Trace] = []
    for trace in traces:
        chunk.append(trace)
        if len(chunk) == at_once:
            yield from _cut(chunk, way, cut, way.thinking_tokens)
            chunk = []
    yield from _cut(chunk, way, cut, way.thinking_tokens)


def _cut(traces: Sequence[Trace], way: Prompting, cut: CutText, limit: int) -> Iterator[Trace | Cut]:
    shortened = cut([trace.reasoning or trace.answer for trace in traces], limit)
    for trace, kept in zip(traces, shortened, strict=True):
        if kept is None or trace.error is not None:
            yield trace
        elif trace.reasoning:
            yield Cut(trace, f"{OPEN}\n{kept}\n{CLOSE}\n{way.closing}", way.closing, kept)
        else:
            yield Cut(trace, f"{kept}\n{way.closing}", f"{kept}\n{way.closing}", "")
