"""Ways in which a copy of a problem differs from it, for `decontaminate.py`: the thresholds never saw some of them."""

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
    """A sentence of at most 35% of the text replaced; where none is that short, one is added."""
    sentences = re.split(r"(?<=[.?!])\s+", text)
    short = [i for i, sentence in enumerate(sentences) if len(sentence) <= 0.35 * len(text)]
    if not short:
        return f"{text} {_sentence(rng, others)}"
    sentences[rng.choice(short)] = _sentence(rng, others)
    return " ".join(sentences)


def reworded(text: str, rng: random.Random, others: Sequence[str]) -> str:
    """Two words others, of a dozen or more; texts of fewer get a sentence more. What holds signs is no word."""
    words = text.split(" ")
    plain = [i for i, word in enumerate(words) if word.isalpha() and len(word) > 1]
    if len(plain) < 12:
        return f"{_sentence(rng, others)} {text}"
    for i in rng.sample(plain, 2):
        words[i] = rng.choice(rng.choice(others).split())
    return " ".join(words)


def inserted(text: str, rng: random.Random, others: Sequence[str]) -> str:
    """A sentence more, in front or between two."""
    sentences = re.split(r"(?<=[.?!])\s+", text)
    sentences.insert(rng.randrange(len(sentences)), _sentence(rng, others))
    return " ".join(sentences)


def asked(text: str, rng: random.Random, others: Sequence[str]) -> str:
    """Another verb asks, and a sentence follows."""
    pairs = {"Find": "Determine", "Compute": "Calculate", "Evaluate": "Work out", "What is": "State"}
    for verb, other in pairs.items():
        text = text.replace(verb, other)
    return f"{text} Show your work."


def shortened(text: str, rng: random.Random, others: Sequence[str]) -> str:
    """The shortest sentence left out where it is at most 35% of the text; elsewhere another opens it."""
    sentences = re.split(r"(?<=[.?!])\s+", text)
    shortest = min(sentences, key=len)
    if len(shortest) > 0.35 * len(text):
        return f"{_sentence(rng, others)} {text}"
    sentences.remove(shortest)
    return " ".join(sentences)


def marked(text: str, rng: random.Random, others: Sequence[str]) -> str:
    """Inline mathematics without its marks, displayed mathematics inline, powers as signs."""
    text = re.sub(r"\\\[(.*?)\\\]", r"$\1$", text, flags=re.DOTALL).replace("$", "")
    return text.replace("^2", "²").replace("^3", "³").replace("\\pi", "π").replace("\\sqrt", "√").replace("\\cdot", "·")


def one_number(text: str, rng: random.Random, others: Sequence[str]) -> str:
    """One number another."""
    found = list(re.finditer(r"\d+", text))
    if not found:
        return text
    at = rng.choice(found)
    return f"{text[: at.start()]}{int(at[0]) + rng.randint(1, 30)}{text[at.end() :]}"


def turned(text: str, rng: random.Random, others: Sequence[str]) -> str:
    """The first sentence last."""
    first, *rest = re.split(r"(?<=[.?!])\s+", text)
    return " ".join([*rest, first])


def told(text: str, rng: random.Random, others: Sequence[str]) -> str:
    """In a prompt that asks for steps and a box."""
    return f"Solve this problem step by step.\n\n{text}\n\nPut your final answer within \\boxed{{}}."


def synonyms(text: str, rng: random.Random, others: Sequence[str]) -> str:
    """Common words others."""
    pairs = {"how many": "what number of", "suppose": "assume", "such that": "so that", "given": "known", "let": "say"}
    for word, other in {**pairs, "the value of": "", "express": "write", "positive": "nonnegative"}.items():
        text = re.sub(rf"\b{word}\b", other, text, flags=re.IGNORECASE)
    return text


def _sentence(rng: random.Random, others: Sequence[str]) -> str:
    return re.split(r"(?<=[.?!])\s+", rng.choice(others))[0]


TUNED: dict[str, Way] = {
    "exact": exact, "reformatted (delimiters)": relatexed, "reformatted (shouted)": shouted,
    "renumbered (shifted)": shifted, "renumbered (redrawn)": redrawn, "renumbered (label)": numbered,
    "renumbered (heading)": lettered, "edited (replaced)": replaced, "edited (inserted)": inserted,
    "edited (asked)": asked, "edited (reworded)": reworded, "edited (shortened)": shortened,
}  # fmt: skip
HELD_OUT: dict[str, Way] = {
    "reformatted (marked)": marked, "renumbered (one)": one_number, "edited (turned)": turned, "edited (told)": told,
    "edited (synonyms)": synonyms,
}  # fmt: skip
