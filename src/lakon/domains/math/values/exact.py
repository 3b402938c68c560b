"""Exact values of expressions of rational numbers: `10^{100}` is not `10^{100}+1`, however many digits agree.

Invariant: no number above `MOST_BITS` bits is ever made; what would need one, or is not rational, has no value here
and is compared by digits instead (`sample_points.py`).
"""

from __future__ import annotations

import math
from fractions import Fraction

from lakon.domains.math.parse.trees import Tree

MOST_BITS = 50_000
LARGEST_FACTORIAL = 3_000


class _Unknown(Exception):
    """Not rational, or too large to be made."""


def find_exact_value(tree: Tree) -> Fraction | None:
    """The exact value of a tree, when it is a rational number of bearable size."""
    try:
        return _value(tree)
    except (_Unknown, ZeroDivisionError, RecursionError):
        return None


def _value(tree: object) -> Fraction:
    if not isinstance(tree, tuple):
        raise _Unknown
    kind = tree[0]
    if kind == "num" and isinstance(tree[1], Fraction):
        return tree[1]
    if kind == "pow":
        return _power(_value(tree[1]), _value(tree[2]))
    if kind == "fact":
        return Fraction(math.factorial(_whole(_value(tree[1]))))
    if kind == "fn" and tree[1] == "binom":
        return Fraction(math.comb(_whole(_value(tree[2])), _whole(_value(tree[3]))))
    if kind not in ("add", "sub", "mul", "div", "neg"):
        raise _Unknown
    return _combined(str(kind), [_value(part) for part in tree[1:]])


def _combined(kind: str, parts: list[Fraction]) -> Fraction:
    if any(_bits(part) > MOST_BITS for part in parts):
        raise _Unknown
    if kind == "neg":
        return -parts[0]
    a, b = parts
    return a + b if kind == "add" else a - b if kind == "sub" else a * b if kind == "mul" else a / b


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1 or abs(exponent) * _bits(base) > MOST_BITS or (base == 0 and exponent <= 0):
        raise _Unknown
    return base ** int(exponent)


def _whole(number: Fraction) -> int:
    if number.denominator != 1 or not 0 <= number <= LARGEST_FACTORIAL:
        raise _Unknown
    return int(number)


def _bits(number: Fraction) -> int:
    return max(number.numerator.bit_length(), number.denominator.bit_length())
