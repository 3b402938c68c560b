"""Word problems with exact answers, so that a study can run, and be graded, without any data set.

Invariant: the splits are disjoint by construction. A problem belongs to the split that a stable hash of
its number and operation sequence (not of its names) falls into, so no held-out problem is a renamed
training problem. Read next: `teachers.py`, which solves a problem from its text alone.
"""

import hashlib
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Split = Literal["pretrain", "train", "held-out"]

_SHARES: dict[str, range] = {"pretrain": range(0, 60), "train": range(60, 85), "held-out": range(85, 100)}
_NAMES = ("Eli", "Ana", "Ben", "Kim", "Leo", "Mia", "Sam", "Zoe", "Tom", "Eva", "Max", "Ida")
_THINGS = ("pens", "cups", "nuts", "eggs", "keys", "hats", "figs", "maps", "toys", "gems", "pins", "bags")
_VERBS = {"+": ("finds", "buys", "gets"), "-": ("loses", "sells", "eats"), "*": ("doubles", "triples")}
_FACTORS = {"doubles": 2, "triples": 3}
_OPERATORS = {verb: operator for operator, verbs in _VERBS.items() for verb in verbs}
_LARGEST = 99

_PROMPT = re.compile(r"(?P<name>\w+) has (?P<start>\d+) (?P<thing>\w+)\. (?P<events>.*)How many (?P=thing)\?")
_EVENT = re.compile(r"(?P<name>\w+) (?:(?P<verb>\w+) (?P<amount>\d+)|(?P<factor>doubles|triples) them)\. ")


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happens to the count: the verb as written, the operator it means, and by how much."""

    verb: str
    operator: str
    amount: int

    def apply(self, value: int) -> int:
        """The count after the event."""
        if self.operator == "*":
            return value * self.amount
        return value + self.amount if self.operator == "+" else value - self.amount


@dataclass(frozen=True, slots=True)
class Story:
    """What a prompt says, read back into numbers."""

    name: str
    thing: str
    start: int
    events: tuple[Event, ...]

    @property
    def answer(self) -> int:
        """The count at the end."""
        value = self.start
        for event in self.events:
            value = event.apply(value)
        return value

    @property
    def signature(self) -> str:
        """Numbers and operations without names: what makes two problems the same problem."""
        return f"{self.start}" + "".join(f"{event.operator}{event.amount}" for event in self.events)


@dataclass(frozen=True, slots=True)
class WordProblem:
    """One problem: what is asked, the one right answer, and how many operations lead to it."""

    prompt: str
    answer: int
    steps: int


def generate(count: int, *, seed: int, min_steps: int, max_steps: int, split: Split = "train") -> Iterator[WordProblem]:
    """Yield `count` different problems of `split`, step counts cycling from `min_steps` to `max_steps`.

    Raises ValueError for a step range that is empty, or an unknown split.
    """
    if not 1 <= min_steps <= max_steps:
        raise ValueError(f"found steps {min_steps}..{max_steps}, expected 1 <= min_steps <= max_steps")
    if split not in _SHARES:
        raise ValueError(f"found split {split!r}, expected one of {', '.join(map(repr, _SHARES))}")
    rng = random.Random(f"{split}/{seed}")
    seen: set[str] = set()
    for index in range(count):
        steps = min_steps + index % (max_steps - min_steps + 1)
        yield _fresh(rng, steps, split, seen)


def parse(prompt: str) -> Story:
    """Read a prompt back into its numbers and events; raises ValueError for any other text."""
    match = _PROMPT.fullmatch(prompt)
    events = [] if match is None else [_event(event) for event in _EVENT.finditer(match["events"])]
    if match is None or "".join(found[0] for found in _EVENT.finditer(match["events"])) != match["events"]:
        raise ValueError(f"found a prompt that is not one of the miniature's word problems: {prompt!r}")
    return Story(match["name"], match["thing"], int(match["start"]), tuple(events))


def split_of(story: Story) -> Split:
    """The one split a story belongs to, whatever its names."""
    bucket = int.from_bytes(hashlib.sha256(story.signature.encode()).digest()[:8], "big") % 100
    for split, share in _SHARES.items():
        if bucket in share:
            return split  # pyright: ignore[reportReturnType]
    raise AssertionError("the shares cover every bucket")


def render(story: Story) -> str:
    """The prompt that tells a story; the inverse of `parse`."""
    events = "".join(f"{story.name} {_tell(event)}. " for event in story.events)
    return f"{story.name} has {story.start} {story.thing}. {events}How many {story.thing}?"


def _fresh(rng: random.Random, steps: int, split: Split, seen: set[str]) -> WordProblem:
    for _ in range(20_000):
        story = _draw(rng, steps)
        if story.signature not in seen and split_of(story) == split:
            seen.add(story.signature)
            return WordProblem(render(story), story.answer, steps)
    raise ValueError(
        f"found no further {steps}-step problem in split {split!r} after {len(seen)}; ask for fewer or for more steps"
    )


def _draw(rng: random.Random, steps: int) -> Story:
    name, thing = rng.choice(_NAMES), rng.choice(_THINGS)
    start = value = rng.randint(2, _LARGEST)
    events: list[Event] = []
    for _ in range(steps):
        events.append(_draw_event(rng, value))
        value = events[-1].apply(value)
    return Story(name, thing, start, tuple(events))


def _draw_event(rng: random.Random, value: int) -> Event:
    while True:
        # Plus and minus three times as likely as a factor: factors need small values and would push
        # counts up.
        operator = rng.choice("+++---*")
        verb = rng.choice(_VERBS[operator])
        event = Event(verb, operator, _FACTORS.get(verb) or rng.randint(2, 12))
        if 0 <= event.apply(value) <= _LARGEST and (operator != "*" or value > 0):
            return event


def _tell(event: Event) -> str:
    return f"{event.verb} them" if event.operator == "*" else f"{event.verb} {event.amount}"


def _event(match: re.Match[str]) -> Event:
    if match["factor"]:
        return Event(match["factor"], "*", _FACTORS[match["factor"]])
    operator = _OPERATORS.get(match["verb"])
    if operator not in ("+", "-"):
        raise ValueError(f"found the verb {match['verb']!r}, expected one of {', '.join(sorted(_OPERATORS))}")
    return Event(match["verb"], operator, int(match["amount"]))
