"""Whole numbers, exactly and without any algebra: the whole of GSM8K and AIME is decided here.

Invariant: `whole` returns the digits of the number or None, never a guess: anything with a unit that matters, a
percent sign, a base or a second number is left to the methods after this one. Digits stay text, so that a
number of a hundred thousand digits costs nothing. No two of the pattern's optional parts can both take a space.
"""

from __future__ import annotations

import re

_WHOLE = re.compile(
    r"[\s$*_]*(?:(?:\\\$|\\\(|\\\[|[€£])\s*)?(?:(?P<sign>[-+−])\s*)?(?:\\?\$\s*)?"
    r"(?P<digits>[1-9]\d{0,2}(?:(?:,\\!\s*|\{,\}|,|\\,)\d{3})+(?!\d)|\d+)(?:\.0*)?(?:\\\)|\\\]|[\s$*.])*"
)
_NOT_DIGITS = re.compile(r"\D+")


def read_whole_number(text: str) -> str | None:
    """`text` as a canonical decimal integer (`-12`, `0`), or None when it is not plainly one."""
    match = _WHOLE.fullmatch(text)
    if not match or not match["digits"].isascii():
        return None
    digits = _NOT_DIGITS.sub("", match["digits"]).lstrip("0") or "0"
    return f"-{digits}" if match["sign"] in ("-", "−") and digits != "0" else digits
