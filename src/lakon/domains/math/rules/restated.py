r"""One answer in several spellings: `x > 2 \text{ or equivalently } (2, \infty)`.

Invariant: text is taken apart only at words that claim that both sides are the same, and only between mathematics; what
is in words has its own rules. The text comes cleaned, and the spellings of one answer are few.
"""

from __future__ import annotations

import re

from lakon.domains.math.parse.characters import list_greek_names
from lakon.domains.math.shapes.number_words import read_plain_words

_SET_OFF = r"(?:(?<=[,;({]\s)|(?<=[,;({]))"
_CLAIM = (
    r"(?:\\?or\s?,?\sequivalently|equivalently|in\sother\swords|i\.\s?e\.?"
    rf"|\\?or\s?,?\sin\s(?:interval|set|set-builder|inequality)\snotation|{_SET_OFF}(?:that\sis|in\sinterval\snotation))"
)
_JOINT = re.compile(
    rf"[,;]?\s?(?:\\text\s?\{{\s?[,;]?\s?(?P<opened>\()?\s?{_CLAIM}\s?[,:]?\s?\}}"
    rf"|(?P<open>\()?\s?(?<![A-Za-z]){_CLAIM}(?![A-Za-z]))[,:]?\s?",
    re.I,
)
_CHOICE = re.compile(r"(?:\\text\s?\{\s?)?\(?\s?[A-Z]\s?\)?\s?\}?")
"""The letter of a choice: beside anything else it names that, and is no spelling of it."""
_NAMED = re.compile(r"(?:\A|[,;]|\\and|\\or)\s*\\?[A-Za-z]+(?:_\{?\w+\}?)?(?:\(\w\))?\s*=")
_LETTER = re.compile(r"\\text\s?\{[^{}]*\}|\\(?P<command>[A-Za-z]+)|[A-Za-df-hj-z]")
MOST = 3
"""Spellings of one answer; what claims to have more is no answer."""


def split_spellings(text: str) -> list[str]:
    """The spellings that `text` says are of one answer; the text alone when it has but one."""
    parts: list[str] = []
    start, opened = 0, False
    for joint in _JOINT.finditer(text):
        parts.append(_inner(text[start : joint.start()], opened))
        start, opened = joint.end(), bool(joint["opened"] or joint["open"])
    parts.append(_inner(text[start:], opened))
    named = sum(bool(_CHOICE.fullmatch(part)) for part in parts)
    whole = 1 < len(parts) <= MOST and all(map(_is_mathematics, parts)) and named in (0, len(parts))
    return parts if whole else [text]


def is_step(part: str, answer: str) -> bool:
    """Whether `part` is an equation on the way to an answer, as `2x = 6` is to 3: it has unknowns, the answer none. It
    differs from the answer and says nothing against it."""
    return "=" in part and _has_unknowns(part) and not _has_unknowns(answer)


def _has_unknowns(text: str) -> bool:
    """Whether there are letters beside those that are given a value."""
    unknowns = list_greek_names() - {"pi"}
    letters = _LETTER.finditer(_NAMED.sub(" ", text))
    return any(m["command"] in unknowns if m["command"] else len(m[0]) == 1 for m in letters)


def _inner(part: str, opened: bool) -> str:
    """A spelling without what sets it apart: `(i.e. (2, \\infty))` ends with the bracket that its words opened."""
    part = part.strip(" ,;:.")
    return part[:-1].rstrip() if opened and part.endswith(")") else part


def _is_mathematics(part: str) -> bool:
    if part.startswith("\\approx"):  # `i.e. \\approx 3.46` claims no equality
        return False
    closed = part.count("{") == part.count("}")
    return (
        bool(part)
        and closed
        and sum(map(part.count, "([")) == sum(map(part.count, ")]"))
        and not read_plain_words(part)
    )
