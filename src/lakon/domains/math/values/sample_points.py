"""Values of expressions at fixed points, to sixty digits: two expressions are equal when all their values are.

Invariant: the same tree has the same values in every process, because a symbol's value at a point is derived from
its name. Agreement to forty digits at several unrelated points is no accident; a difference at one point is a proof
of being unequal. Nothing is simplified, so nothing searches, and sizes are bounded before they are computed.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Any

from lakon.domains.math.parse.expression import Tree
from lakon.domains.math.values.evaluate import (
    AGREE,
    DIGITS,
    RANGES,
    DividesByZero,
    Evaluator,
    NoValue,
    TooLarge,
    context,
    is_real,
    rational_value,
)

CLOSELY = 400
"""Digits for expressions with large powers, where `10^{100}` and `10^{100}+1` agree to a hundred."""
POINTS = 4
"""How many of the points most expressions need: what has bars, roots or steps is looked at far from zero as well."""


@lru_cache(maxsize=50_000)
def symbols(tree: Tree) -> frozenset[str]:
    """The names of the symbols and called functions in `tree`."""
    if tree[0] in ("sym", "call"):
        inner = frozenset({str(tree[1])})
    else:
        inner = frozenset[str]()
    return inner.union(*(symbols(part) for part in tree[1:] if isinstance(part, tuple)))


def uses(tree: Tree, kind: str, name: str | None = None) -> bool:
    """Whether a node of this kind (and name) occurs in `tree`."""
    if tree[0] == kind and (name is None or tree[1] == name):
        return True
    return any(isinstance(part, tuple) and uses(part, kind, name) for part in tree[1:])


def values(tree: Tree, *, decimal_log: bool = False) -> tuple[Any, ...]:
    """The values of `tree` at the points; None where it has none. Raises `TooLarge`."""
    return _values(tree, decimal_log, DIGITS, POINTS if symbols(tree) else 1)


@lru_cache(maxsize=50_000)
def _values(tree: Tree, decimal_log: bool, digits: int, n_points: int) -> tuple[Any, ...]:
    return tuple(_value_or_none(tree, point, decimal_log, digits) for point in range(n_points))


def _value_or_none(tree: Tree, point: int, decimal_log: bool, digits: int) -> Any:
    try:
        value = Evaluator(context(digits), point, decimal_log).value(tree)
    except (NoValue, ZeroDivisionError, ValueError):
        return None
    except TooLarge:
        if point < POINTS:
            raise
        return None
    return value if context(digits).isfinite(value) or context(digits).isinf(value) else None


def divides_by_zero(tree: Tree) -> bool:
    """Whether computing `tree` runs into a division by zero; two such expressions are never the same answer."""
    try:
        Evaluator(context(DIGITS), 0, False).value(tree)
    except DividesByZero:
        return True
    except (ArithmeticError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False
    return False


def same(left: Tree, right: Tree, *, decimal_log: bool = False) -> bool | None:
    """Whether two trees are equal everywhere; None when they cannot be compared at enough points."""
    compared = 0
    names = symbols(left) | symbols(right)
    n_points = 1 if not names else len(RANGES) if _has_pieces(left) or _has_pieces(right) else POINTS
    ours = _values(left, decimal_log, DIGITS, n_points)
    theirs = _values(right, decimal_log, DIGITS, n_points)
    for point, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if a is None or b is None:
            continue
        if RANGES[point][0] < 0 and is_real(a) != is_real(b):
            continue  # a root or a logarithm that is not defined for negative arguments
        if not _agree(left, right, a, b, point, decimal_log) or not (
            (_narrow(left) and _narrow(right)) or _agree_closely(left, right, point, decimal_log)
        ):
            return False
        compared += 1
    return True if compared >= min(2, n_points) else None


def same_at_whole_numbers(left: Tree, right: Tree) -> bool | None:
    """`same`, with the unknowns of a sum's bounds at two to nine: `\\sum_{k=1}^n k` is `n(n+1)/2`."""
    names = sorted(_in_bounds(left) | _in_bounds(right))
    if not names:
        return same(left, right)
    verdicts = [same(_put(left, names, k), _put(right, names, k)) for k in range(2, 10)]
    return False if False in verdicts else None if None in verdicts else True


def _in_bounds(tree: Tree) -> frozenset[str]:
    parts = [part for part in tree[1:] if isinstance(part, tuple)]
    own = symbols(tree[2]) | symbols(tree[3]) if tree[0] in ("sum", "prod") else frozenset[str]()  # type: ignore[arg-type]
    return own.union(*map(_in_bounds, parts))


def _put(tree: Tree, names: list[str], k: int) -> Tree:
    if tree[0] == "sym" and tree[1] in names:
        return ("num", Fraction(k + names.index(str(tree[1]))))
    return tuple(_put(part, names, k) if isinstance(part, tuple) else part for part in tree)


@lru_cache(maxsize=50_000)
def _has_pieces(tree: Tree) -> bool:
    """Whether `tree` may be one expression here and another there: `|x+4|` is `x+4` wherever that is positive."""
    if tree[0] == "root" or (tree[0] == "fn" and tree[1] in ("abs", "floor", "ceil", "max", "min", "Re", "arg")):
        return True
    if tree[0] == "pow" and (exponent := rational_value(tree[2])) is not None and exponent.denominator > 1:
        return True
    return any(_has_pieces(part) for part in tree[1:] if isinstance(part, tuple))


def _agree(left: Tree, right: Tree, a: Any, b: Any, point: int, decimal_log: bool) -> bool:
    if close(a, b):
        return True
    mp = context(DIGITS)
    if mp.isinf(a) or mp.isinf(b) or abs(a - b) > mp.mpf(10) ** -30 * max(abs(a), abs(b), 1):
        return False
    # Cancellation leaves noise where there should be zero: at twice the digits noise shrinks and a difference does not.
    finer = context(2 * DIGITS)
    a2 = _value_or_none(left, point, decimal_log, 2 * DIGITS)
    b2 = _value_or_none(right, point, decimal_log, 2 * DIGITS)
    if a2 is None or b2 is None:
        return False
    return bool(close(a2, b2) or abs(a2 - b2) < abs(finer.mpf(1) * (a - b)) * finer.mpf(10) ** -20)


@lru_cache(maxsize=50_000)
def _narrow(tree: Tree) -> bool:
    """Whether no part is so large or small beside another that forty digits could miss a difference."""
    if tree[0] == "num":
        number = tree[1]
        return isinstance(number, Fraction) and max(number.numerator.bit_length(), number.denominator.bit_length()) < 64
    if tree[0] == "pow" and isinstance(tree[2], tuple):
        exponent = rational_value(tree[2])
        return exponent is not None and abs(exponent) <= 12 and _narrow(tree[1])  # type: ignore[arg-type]
    return tree[0] not in ("fact", "fact2") and all(_narrow(part) for part in tree[1:] if isinstance(part, tuple))


def _agree_closely(left: Tree, right: Tree, point: int, decimal_log: bool) -> bool:
    a = _value_or_none(left, point, decimal_log, CLOSELY)
    b = _value_or_none(right, point, decimal_log, CLOSELY)
    if a is None or b is None or a == b:
        return a is not None and b is not None
    mp = context(CLOSELY)
    return bool(abs(a - b) <= mp.mpf(10) ** -(CLOSELY - 60) * max(abs(a), abs(b), 1 if abs(a) < 1 else 0))


def close(a: Any, b: Any) -> bool:
    """Equal to `AGREE` digits, relative to the larger of the two."""
    mp = context(DIGITS)
    if mp.isinf(a) or mp.isinf(b):
        return bool(a == b)
    return bool(abs(a - b) <= mp.mpf(10) ** -AGREE * max(abs(a), abs(b)))
