"""The tokens of one scalar expression: numerals, commands, letters, signs.

Invariant: every character belongs to a token, or `Unreadable` is raised. Read next: `grammar.py`.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

from lakon.domains.math.parse.clean import FUNCTIONS


class Unreadable(ValueError):
    """The text is not an expression of this grammar."""


LONGEST_NUMERAL: Final = 3_000
"""Characters of a numeral; Python itself converts no more than 4,300 digits."""
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<repeating>(?:\d+)?\.\d*\\(?:overline|bar)\s*\{\d+\}|(?:\d+)?\.\d*\\dot\s*\{?\d\}?(?:\d*\\dot\s*\{?\d\}?)?)"
    r"|(?P<number>\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|\.\d+)"
    r"|(?P<command>\\[A-Za-z]+|\\[%{}|])|(?P<word>[A-Za-z]+'*)|(?P<sign>[-+*/^_=!|(){}\[\],%'&]))"
)
_WORDS: Final = frozenset((*FUNCTIONS, "pi", "theta", "alpha", "beta", "phi", "lambda"))
_LONGEST_WORDS: Final = sorted(_WORDS, key=len, reverse=True)


def split_tokens(text: str) -> list[str]:
    """The tokens of `text`; raises `Unreadable` at the first character that begins none."""
    tokens: list[str] = []
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if not match:
            raise Unreadable(f"at {text[position : position + 20]!r}")
        position = match.end()
        if len(match[0]) > LONGEST_NUMERAL:
            raise Unreadable("a numeral that is longer than any answer")
        if match["word"]:
            tokens.extend(_split_word(match["word"]))
        else:
            tokens.append(match[0].strip())
    return tokens


def _split_word(word: str) -> list[str]:
    """`xsin` is x times sin, `pir` is pi times r; other runs of letters are products of letters."""
    parts: list[str] = []
    while word:
        name = next((w for w in _LONGEST_WORDS if word.startswith(w)), None)
        if name:
            parts.append("\\" + name)
            word = word[len(name) :]
            continue
        primes = len(word) - len(word[1:].lstrip("'")) - 1
        parts.append(word[: 1 + primes])
        word = word[1 + primes :]
    return parts


def read_numeral(text: str) -> Fraction:
    """The exact value of a numeral, whose digits may repeat without end: `0.1\\overline{6}`."""
    if "\\" not in text:
        return Fraction(text)
    text = re.sub(r"[\s{}]", "", text)
    lead, _, rest = text.partition("\\")
    digits = re.sub(r"overline|bar|dot|\\", "", rest)
    head, _, fixed = lead.partition(".")
    base = Fraction(f"{head or 0}.{fixed or 0}")
    return base + Fraction(int(digits), (10 ** len(digits) - 1) * 10 ** len(fixed))
