r"""When two problems read alike: text reduced to what a copy keeps, for decontamination and near-duplicate groups.

A copy is rarely byte for byte: `\dfrac` becomes `\frac`, `$...$` becomes `\(...\)`, words change case, line breaks
move. Words, numbers and operators survive that, so they are the tokens; everything that only formats is dropped. The
skeleton also forgets the numbers, so that a problem and its renumbered copy have the same one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

Tokens = tuple[str, ...]

NUMBER = "#"
"""What stands for every number in a skeleton."""

_SPELLED = frozenset(
    re.findall(
        r"\w+",
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million",
    )
)
_FORMAT = re.compile(
    r"\\(?:left|right|bigl?|bigr?|displaystyle|textstyle|text(?:bf|it|rm|tt)?|math(?:rm|bf|it|sf)|mbox"
    r"|operatorname|boldsymbol|limits|quad|qquad|label|tag|item|begin|end)(?![a-zA-Z])\*?"
)
_SAME = {
    r"\times": "*", r"\cdot": "*", "×": "*", "·": "*", r"\div": "/", "÷": "/", r"\leq": "<=", r"\le": "<=",
    "≤": "<=", r"\geq": ">=", r"\ge": ">=", "≥": ">=", r"\neq": "!=", r"\ne": "!=", "≠": "!=", "−": "-", "–": "-",
    "π": "pi", "√": "sqrt", "∠": "angle", "△": "triangle", "°": "circ", "∞": "infty",
}  # fmt: skip
"""Spellings of one sign; LaTeX commands only as whole words."""
_SIGNS = re.compile(
    "|".join(re.escape(sign) + ("(?![a-zA-Z])" if sign[0] == "\\" else "") for sign in sorted(_SAME, reverse=True))
)
_FRACTION = re.compile(r"\\[dtc]?frac\s*(?:\{([^{}]*)\}\s*\{([^{}]*)\}|(\d)\s*(\d))")
"""A fraction without another one in it, in every spelling; of what is nested the command goes."""
_LEFT = re.compile(r"\\[dtc]?frac(?![a-zA-Z])")
_THOUSANDS = re.compile(r"(?<=\d)(?:,|\{,\}|\\,|\\!,?)(?=\d{3}(?!\d))")
_TOKEN = re.compile(r"[^\W\d_]+|\d+(?:\.\d+)?|[+\-*/=<>!|%]")


def tokenize_text(text: str) -> Tokens:
    """Words, numbers and operators of a problem, without case, spacing and LaTeX formatting."""
    plain = unicodedata.normalize("NFKC", text).lower()
    plain = _SIGNS.sub(lambda found: f" {_SAME[found[0]]} ", plain)
    plain = _LEFT.sub(" ", _FRACTION.sub(_slashed, _FORMAT.sub(" ", plain)))
    return tuple(_TOKEN.findall(_THOUSANDS.sub("", plain)))


def _slashed(match: re.Match[str]) -> str:
    above, below = (match[1], match[2]) if match[1] is not None else (match[3], match[4])
    return f" {above} / {below} "


def find_numbers(words: Sequence[str]) -> Tokens:
    """The numbers among tokens, in digits or spelled, in their order."""
    return tuple(word for word in words if word[0].isdigit() or word in _SPELLED)


def mask_numbers(words: Sequence[str]) -> Tokens:
    """Tokens with every number, in digits or spelled, as one and the same, and a fraction of two as a number, too."""
    masked: list[str] = []
    for word in words:
        number = word[0].isdigit() or word in _SPELLED
        if number and masked[-2:] == [NUMBER, "/"]:
            masked.pop()
        elif not (number and masked[-1:] == [NUMBER]):
            masked.append(NUMBER if number else word)
    return tuple(masked)


def list_ngrams(words: Sequence[str], n: int) -> Iterator[Tokens]:
    """Runs of `n` tokens in order; of a shorter text the whole of it."""
    return zip(*(words[at:] for at in range(min(n, len(words)))), strict=False)
