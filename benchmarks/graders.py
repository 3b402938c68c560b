"""The graders that `verify.py` measures beside ours: importable functions, so that each can run in killable workers.

Peers are called the way their users call them. What is not installed is None and reported as such; an exception, a
timeout or a dead worker counts as "not accepted", which is what a pipeline around these graders does.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from lakon.core.boxes import last_box

Grader = Callable[[str, str], bool]
_THOUGHTS = re.compile(r"\A.*</think>", re.S)


def accept(name: str, row: tuple[str, str]) -> bool:
    """One verdict of the grader called `name`: what a worker does."""
    return GRADERS[name](*row)


def math_verify_as_is(gold: str, prediction: str) -> bool:
    """As its README says: `parse` on both as they are."""
    from math_verify import parse, verify

    return bool(verify(parse(gold), parse(prediction)))


def math_verify_wrapped(gold: str, prediction: str) -> bool:
    """With the gold answer in dollars and the thinking taken off."""
    return math_verify_as_is(gold if "$" in gold else f"${gold}$", _THOUGHTS.sub("", prediction))


def math_verify_last_box(gold: str, prediction: str) -> bool:
    """With nothing but the last balanced box of the prediction, both sides in a box."""
    return math_verify_as_is(_boxed(gold), _boxed(_THOUGHTS.sub("", prediction)))


def _boxed(text: str) -> str:
    content = last_box(text)
    return f"\\boxed{{{text.strip().strip('$') if content is None else content}}}"


def inspect_math(gold: str, prediction: str) -> bool:
    """The `math()` scorer of inspect_ai on a model's output; raises ImportError where it is not installed."""
    return _inspect()(gold, prediction)


@lru_cache(maxsize=1)
def _inspect() -> Grader:
    from inspect_ai.model import ChatMessageUser, ModelName, ModelOutput
    from inspect_ai.scorer import Target, math
    from inspect_ai.solver import TaskState

    scorer: Any = math()
    loop = asyncio.new_event_loop()

    def grade(gold: str, prediction: str) -> bool:
        state = TaskState(
            model=ModelName("none/none"), sample_id=0, epoch=1, input="", messages=[ChatMessageUser(content="")]
        )
        state.output = ModelOutput.from_content("none/none", prediction)
        return loop.run_until_complete(scorer(state, Target(gold))).value == "C"

    return grade


def strings(gold: str, prediction: str) -> bool:
    """A floor: the last box and the reference, normalised as text in the manner of MATH's first graders."""
    solution = re.search(r"####\s*(\S.*)\Z", prediction.strip())
    answer = last_box(prediction) or (solution[1] if solution else prediction)
    return _normal(last_box(gold) or gold) == _normal(answer)


_DROPPED = re.compile(
    r"\\left|\\right|\\!|\\,|\\;|\\ |\\\$|\$|\\%|%|\^\{?\\circ\}?"
    r"|\\text\s*\{[^{}]*\}|\\mbox\s*\{[^{}]*\}|\s|(?<=\d),(?=\d{3})"
)


def _normal(text: str) -> str:
    text = re.sub(r"\\[dt]frac", r"\\frac", text.strip().rstrip("."))
    text = _DROPPED.sub("", re.sub(r"\\text\s*\{\s*(\(?[A-Z]\)?|[A-Za-z]+)\s*\}\Z", r"\1", text))
    text = re.sub(r"\\frac(\w)(\w)", r"\\frac{\1}{\2}", text)
    text = re.sub(r"\\sqrt(\w)", r"\\sqrt{\1}", text)
    text = re.sub(r"\A(-?\d+)/(\d+)\Z", r"\\frac{\1}{\2}", text)
    text = re.sub(r"\A[a-zA-Z]=", "", text)
    return f"0{text}" if text.startswith(".") else text


GRADERS: dict[str, Grader] = {
    "math-verify, as its README says": math_verify_as_is,
    "math-verify, gold in dollars, no thinking": math_verify_wrapped,
    "math-verify, the last box of each": math_verify_last_box,
    "inspect_ai math()": inspect_math,
    "strings, normalised": strings,
}


def prepare(name: str) -> str:
    """Import what the grader needs and say which one it is; raises ImportError when it is not there."""
    if name.startswith("math-verify"):
        import math_verify

        assert math_verify
        logging.disable(logging.CRITICAL)  # it prints the whole of every text that it cannot read
    if name.startswith("inspect"):
        import inspect_ai.scorer

        assert inspect_ai.scorer.math
    return name
