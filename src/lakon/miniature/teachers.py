"""Two teachers that are procedures: one thinks at length, one writes only the arithmetic.

They stand for the two teachers of the study: same problems, same answers, a different price per answer. A
teacher sees the prompt's text alone, as a model would. Read next: `student.py`.
"""

import random
from collections.abc import Callable

from lakon.miniature.problems import Event, Story, parse

Procedure = Callable[[str, random.Random, float], tuple[str, str]]

_STUMBLE_RATE = 0.08
"""How often the verbose teacher writes a wrong result, notices, and corrects it."""
_INVERSE_RATE = 0.3
"""How often the verbose teacher undoes a step to check it."""
_OPENINGS = (
    "Okay, let me think about this step by step. ",
    "Let me work through this carefully. ",
    "Hmm, let me see. ",
)
_SLIPS = (-10, -2, -1, 1, 2, 10)

_Line = tuple[Event, int, int]
"""An event with the count before and after it, as the teacher believes them."""


def verbose(prompt: str, rng: random.Random, error_rate: float) -> tuple[str, str]:
    """Restate, compute with stumbles and inverse checks, then verify everything again."""
    story = parse(prompt)
    lines = _work(story, rng, error_rate)
    parts = [
        rng.choice(_OPENINGS),
        _restate(story),
        f"Start with {story.start}. ",
        *(_think(line, rng) for line in lines),
        f"So the result is {lines[-1][2]}. Let me check it again. ",
        ", ".join(_equation(line) for line in lines),
        f". So {story.name} has {lines[-1][2]}.",
    ]
    return "".join(parts), f"{story.name} has \\boxed{{{lines[-1][2]}}}"


def concise(prompt: str, rng: random.Random, error_rate: float) -> tuple[str, str]:
    """Write one running chain of results and nothing else."""
    story = parse(prompt)
    lines = _work(story, rng, error_rate)
    chain = "".join(f"{event.operator}{event.amount}={after}" for event, _, after in lines)
    return f"{story.start}{chain}", f"\\boxed{{{lines[-1][2]}}}"


PROCEDURES: dict[str, Procedure] = {"verbose": verbose, "concise": concise}


def _work(story: Story, rng: random.Random, error_rate: float) -> list[_Line]:
    """The steps as the teacher works them out; with probability `error_rate` one holds an unnoticed slip.

    Every operation is injective, so a slip anywhere makes the final answer wrong.
    """
    slip_at = rng.randrange(len(story.events)) if rng.random() < error_rate else None
    lines: list[_Line] = []
    value = story.start
    for index, event in enumerate(story.events):
        after = event.apply(value)
        if index == slip_at:
            after = _slip(after, story.events[index + 1 :], rng)
        lines.append((event, value, after))
        value = after
    return lines


def _slip(right: int, rest: tuple[Event, ...], rng: random.Random) -> int:
    """A wrong value near the right one from which the story can still go on without a count below zero."""
    possible = [right + slip for slip in _SLIPS if _stays_positive(right + slip, rest)]
    return rng.choice(possible)


def _stays_positive(value: int, rest: tuple[Event, ...]) -> bool:
    for event in rest:
        if value < 0:
            return False
        value = event.apply(value)
    return value >= 0


def _restate(story: Story) -> str:
    events = ", ".join(f"{event.operator}{event.amount}" for event in story.events)
    return f"{story.name} has {story.start} {story.thing}, then {events}. "


def _think(line: _Line, rng: random.Random) -> str:
    event, before, after = line
    action = f"{event.verb} them" if event.operator == "*" else f"{event.verb} {event.amount}"
    text = f"Then {action}: {_equation(line)}. "
    if rng.random() < _STUMBLE_RATE:
        slip = rng.choice(_SLIPS)
        wrong = after + (slip if after + slip >= 0 else -slip)
        text = f"Then {action}: {before}{event.operator}{event.amount}={wrong}. Wait, {_equation(line)}. "
    if rng.random() < _INVERSE_RATE:
        inverse = {"+": "-", "-": "+", "*": "/"}[event.operator]
        text += f"Check {after}{inverse}{event.amount}={before}. "
    return text


def _equation(line: _Line) -> str:
    event, before, after = line
    return f"{before}{event.operator}{event.amount}={after}"
