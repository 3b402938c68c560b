"""Ways in which a copy of a problem differs from it, for `decontaminate.py`: the thresholds never saw half of them."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

Way = Callable[[str, random.Random, Sequence[str]], str]
"""From a problem, a source of chance and texts to take sentences from to a copy."""


def exact(text: str, rng: random.Random, others: Sequence[str]) -> str:
    """The same text."""
    return text


def relatexed(text: str, rng: random.Random, others: Sequence[str]) -> str:
    """Other delimiters, other fractions, other case, other spacing."""
    text = re.sub(r"\$([^$]+)\$", r"\\( \1 \\)", text.replace("\\frac", "\\dfrac").replace("\\le ", "\\leq "))
    return re.sub(r"\s+", " \n", text).replace("\\left(", "(").replace("\\right)", ")").capitalize()


def shouted(text: str, rng: random.Random, others: Sequence[str]) -> str:
    """Prose in capitals, without its marks, on one line."""
    parts = re.split(r"(\$[^$]+\$|\\\[.*?\\\])", text, flags=re.DOTALL)
    return " ".join(" ".join(p if p[:1] in "$\\" else re.sub(r"[.,;:?!]", " ", p).upper() for p in parts).split())


def shifted(text: str, rng: random.Random, others: Sequence[str]) -> str:
    """Every whole number a little larger."""
    return re.sub(r"\d+", lambda found: str(int(found[0]) + rng.randint(1, 9)), text)


def redrawn(text: str, rng: random.Random, others: Sequence[str]) -> str:
    """Every whole number any other."""
    return re.sub(r"\d+", lambda found: str(rng.randint(2, 999)), text)


def numbered(text: str, rng: random.Random, others: Sequence[str]) -> str:
    """A number in front."""
    return rng.choice(["{}. ", "Problem {}: ", "({}) ", "Question {}. "]).format(rng.randint(1, 99)) + text


def lettered(text: str, rng: random.Random, others: Sequence[str]) -> str:
    """A heading or a letter in front."""
    return rng.choice(["(b) ", "Exercise 3.14. ", "**Problem 5.** ", "c) ", "Example 2\n\n"]) + text


def replaced(text: str, rng: random.Random, others: Sequence[str]) -> str:
    """A sentence of at most 35% of the words replaced; where none is that short, one is added."""
    sentences = re.split(r"(?<=[.?!])\s+", text)
    words = len(text.split())
    short = [i for i, sentence in enumerate(sentences) if len(sentence.split()) <= 0.35 * words]
    if not short:
        return f"{text} {_sentence(rng, others)}"
    sentences[rng.choice(short)] = _sentence(rng, others)
    return " ".join(sentences)


def reworded(text: str, rng: random.Random, others: Sequence[str]) -> str:
    """Two words of one sentence others."""
    words = text.split(" ")
    for i in rng.sample(range(len(words)), min(2, len(words) // 4)):
        words[i] = rng.choice(rng.choice(others).split())
    return " ".join(words)


def inserted(text: str, rng: random.Random, others: Sequence[str]) -> str:
    """A sentence more, in front or between two."""
    sentences = re.split(r"(?<=[.?!])\s+", text)
    sentences.insert(rng.randrange(len(sentences)), _sentence(rng, others))
    return " ".join(sentences)


def shortened(text: str, rng: random.Random, others: Sequence[str]) -> str:
    """The shortest sentence left out; where there is but one, another opens the text."""
    sentences = re.split(r"(?<=[.?!])\s+", text)
    if len(sentences) == 1:
        return f"{_sentence(rng, others)} {text}"
    sentences.remove(min(sentences, key=len))
    return " ".join(sentences)


def _sentence(rng: random.Random, others: Sequence[str]) -> str:
    return re.split(r"(?<=[.?!])\s+", rng.choice(others))[0]


TUNED: dict[str, Way] = {
    "exact": exact, "reformatted": relatexed, "renumbered (shifted)": shifted, "renumbered (label)": numbered,
    "edited (replaced)": replaced, "edited (inserted)": inserted,
}  # fmt: skip
HELD_OUT: dict[str, Way] = {
    "reformatted (shouted)": shouted, "renumbered (redrawn)": redrawn, "renumbered (heading)": lettered,
    "edited (reworded)": reworded, "edited (shortened)": shortened,
}  # fmt: skip
