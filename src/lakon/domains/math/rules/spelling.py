"""What can be said of two answers from their texts alone, before and after their shapes are compared.

These are the spellings that mean something only beside the other answer: a comma that may be a decimal one, a letter
that may be a unit, words and numbers in one text.
"""

from __future__ import annotations

import re

from lakon.domains.math.rules.answer import Answer
from lakon.domains.math.rules.relations import is_quantity
from lakon.domains.math.shapes.nodes import Scalar
from lakon.domains.math.tables import load_table
from lakon.domains.math.values.expression import Expression

_COMMA = re.compile(r"(-?\d+),(\d+)")
_GROUPED = re.compile(r"-?[1-9]\d{0,2},\d{3}")
_BRACED_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
_LETTERED = re.compile(r"\\text\s*\{\s*\([A-E]\)\s*:?\s*\}\s*:?\s*(?P<value>\S.*)")
_UNKNOWN = re.compile(r"(?<![A-Za-z\\])[A-Za-z](?![A-Za-z])")
_SYMBOL = r"(?:m|s|g|h|[lLNJWVK]|(?<=\s)[CATF]|\\text\s*\{[^{}]*\})"
_POWER = r"(?:\s*\^\s*\{?\s*-?\d\s*\}?)?"
_ONE_LETTER_UNIT = re.compile(rf"(?<=[\d}}])\s*({_SYMBOL}(?:{_POWER}\s*[/*]\s*{_SYMBOL}){{0,4}})(?={_POWER}\s*\Z)")
"""A unit of one letter is a unit where the reference has no unknown: `15 m` against 15, but never 15 against `15m`."""


def is_decimal_comma(ours: Answer, theirs: Answer) -> bool:
    """`2,74` against `2.74`: a comma without a space, no thousands, and in a reference no pair such as `1,2`."""
    for answer, other, is_reference in ((ours, theirs, True), (theirs, ours, False)):
        match = _COMMA.fullmatch(answer.text)
        if not match or _GROUPED.fullmatch(answer.text) or "," in other.text:
            continue
        if not (is_reference and len(match[2]) == 1):
            node = other.node
            return isinstance(node, Scalar) and node.numeral == Expression(f"{match[1]}.{match[2]}").numeral
    return False


def mark_unit(ours: str, theirs: str) -> str:
    """A candidate with its one-letter unit marked as such, where the reference has no unknown."""
    if _UNKNOWN.search(re.sub(r"(?<=\d)[eE](?=[-+]?\d)", "", _BRACED_TEXT.sub("", ours))):
        return theirs
    return _ONE_LETTER_UNIT.sub(_in_text, theirs)


def drop_letter(ours: str, theirs: str) -> str:
    """A candidate without its choice letter, `\\text{(C)} 12`, where the reference is a quantity and no letter."""
    lettered = _LETTERED.fullmatch(theirs)
    return lettered["value"] if lettered and is_quantity(Expression(ours)) and not _LETTERED.fullmatch(ours) else theirs


def _in_text(match: re.Match[str]) -> str:
    inside = re.sub(r"[{}]|\s*(?<=[/*])\s*|\s*(?=[/*^])", "", _BRACED_TEXT.sub(lambda m: m[1], match[1])).strip()
    return f" \\text{{{inside}}}"


def is_same_text(ours: str, theirs: str) -> bool:
    """Words and numbers that mean nothing but themselves: `\\text{July 4}` against `\\text{July }4`."""
    plain = [" ".join(_BRACED_TEXT.sub(r" \1 ", text).split()).casefold() for text in (ours, theirs)]
    dates = [_date(text) for text in plain]
    if dates[0] is not None and dates[0] == dates[1]:
        return True
    return plain[0] == plain[1] and bool(re.fullmatch(r"[\w\s.,'-]*[^\W\d_]{3,}[\w\s.,'-]*", plain[0]))


_ORDINAL = re.compile(r"(?<=\d)\s*(?:st|nd|rd|th)\b")


def _date(text: str) -> tuple[str, ...] | None:
    """Month, day and year of `July 4th, 2023` or `the 4th of July`, sorted; None for what is no date."""
    words = re.findall(r"[a-z]+|\d+", _ORDINAL.sub("", text))
    parts = [word for word in words if word not in ("the", "of", "on", "and")]
    named: list[str] = load_table("rules/words.toml")["months"].split()
    short = [month[:3] for month in named]
    months = [word for word in parts if word in named or word in short]
    others = [word for word in parts if word not in months]
    if len(months) != 1 or not 1 <= len(others) <= 2 or not all(word.isdigit() for word in others):
        return None
    return (months[0][:3], *sorted(others, key=len))


_MODULUS = re.compile(r"\\mod\s*\{?\s*(\w+)|\(?\s*\bmod(?:ulo)?\b\s*(\w+)")
_IN_DEGREES = re.compile(r"\^\{\\circ\}|\bdegrees?\b")


def find_contradiction(ours: str, theirs: str) -> str | None:
    """What the readers leave out as decoration and two answers may yet differ in: a modulus, degrees of radians."""
    if "mod" in ours and "mod" in theirs:
        moduli = [_moduli(text) for text in (ours, theirs)]
        if all(moduli) and moduli[0] != moduli[1]:
            return "veto-modulus"
    degrees = [bool(_IN_DEGREES.search(text)) for text in (ours, theirs)]
    if degrees[0] != degrees[1] and "\\pi" in (ours if degrees[0] else theirs):
        return "veto-degrees"
    return None


def _moduli(text: str) -> set[str]:
    """The moduli that a text names."""
    return {match[1] or match[2] for match in _MODULUS.finditer(text)}
