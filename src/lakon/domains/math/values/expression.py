"""One expression as it is written, with what is read from it: each thing once, when it is first asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from lakon.domains.math.parse.grammar import parse_expression
from lakon.domains.math.parse.tokens import LONGEST_NUMERAL, Unreadable
from lakon.domains.math.values.formula import Formula

_NUMERAL = re.compile(r"([-+]*)\s*(\d+(?:\.\d*)?|\.\d+)(?:[eE]([-+]?\d{1,3}))?")
_FRACTION = re.compile(r"([-+]?)\s*(?:(\d+)\s*/\s*([-+]?\d+)|\\frac\s*(?:\{\s*(-?\d+)\s*\}\s*\{\s*(-?\d+)\s*\}))")


@dataclass(frozen=True)
class Expression:
    """An expression: equal to another one when it is written in the same way."""

    text: str

    @cached_property
    def numeral(self) -> Fraction | None:
        """Its value when it is a numeral or a fraction of whole numbers."""
        return _read_number(self.text.strip())

    @cached_property
    def formula(self) -> Formula | None:
        """What it says, or None when the grammar does not have it."""
        try:
            return Formula(parse_expression(self.text))
        except (Unreadable, RecursionError, ZeroDivisionError):
            return None

    @property
    def is_constant(self) -> bool:
        """Whether it can be read and has no unknowns."""
        return self.formula is not None and not self.formula.symbols


def _read_number(text: str) -> Fraction | None:
    if len(text) > LONGEST_NUMERAL:
        return None
    match = _NUMERAL.fullmatch(text)
    if match:
        value = Fraction(match[2].rstrip(".") if match[2] != "." else "0") * Fraction(10) ** int(match[3] or 0)
        return -value if match[1].count("-") % 2 else value
    match = _FRACTION.fullmatch(text)
    if not match:
        return None
    top, bottom = int(match[2] or match[4]), int(match[3] or match[5])
    if not bottom:
        return None
    return Fraction(-top if match[1] == "-" else top, bottom)
