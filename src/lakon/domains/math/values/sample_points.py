"""Values of expressions at fixed points, to sixty digits: two expressions are equal when all their values are.

Invariant: agreement to forty digits at several unrelated points is no accident; a difference at one point is a proof of
being unequal. What the points are, and how values are bounded, stands in `evaluate.py` and `formula.py`.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from lakon.domains.math.parse.trees import Tree, find_symbols
from lakon.domains.math.values.evaluate import AGREE, DIGITS, RANGES, get_context, is_real
from lakon.domains.math.values.formula import POINTS, Formula

CLOSELY = 400
"""Digits for expressions with large powers, where `10^{100}` and `10^{100}+1` agree to a hundred."""


def compare_values(left: Formula, right: Formula, *, decimal_log: bool = False) -> bool | None:
    """Whether two formulas are equal everywhere; None when they cannot be compared at enough points."""
    compared = 0
    n_points = 1
    if left.symbols or right.symbols:
        n_points = len(RANGES) if left.has_pieces or right.has_pieces else POINTS
    ours = left.sample(n_points, decimal_log=decimal_log)
    theirs = right.sample(n_points, decimal_log=decimal_log)
    for point, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if a is None or b is None:
            continue
        if RANGES[point][0] < 0 and is_real(a) != is_real(b):
            continue  # a root or a logarithm that is not defined for negative arguments
        if not _agree(left, right, a, b, point, decimal_log) or not (
            (left.is_narrow and right.is_narrow) or _agree_closely(left, right, point, decimal_log)
        ):
            return False
        compared += 1
    return True if compared >= min(2, n_points) else None


def compare_at_whole_numbers(left: Formula, right: Formula) -> bool | None:
    """`same`, with the unknowns of a sum's bounds at two to nine: `\\sum_{k=1}^n k` is `n(n+1)/2`."""
    names = sorted(_in_bounds(left.tree) | _in_bounds(right.tree))
    if not names:
        return compare_values(left, right)
    verdicts = [compare_values(_put(left, names, k), _put(right, names, k)) for k in range(2, 10)]
    return False if False in verdicts else None if None in verdicts else True


def _in_bounds(tree: Tree) -> frozenset[str]:
    parts = [part for part in tree[1:] if isinstance(part, tuple)]
    own = find_symbols(tree[2]) | find_symbols(tree[3]) if tree[0] in ("sum", "prod") else frozenset[str]()  # type: ignore[arg-type]
    return own.union(*map(_in_bounds, parts))


def _put(formula: Formula, names: list[str], k: int) -> Formula:
    return formula.replace({("sym", name): ("num", Fraction(k + i)) for i, name in enumerate(names)})


def _agree(left: Formula, right: Formula, a: Any, b: Any, point: int, decimal_log: bool) -> bool:
    if is_close(a, b):
        return True
    mp = get_context(DIGITS)
    if mp.isinf(a) or mp.isinf(b) or abs(a - b) > mp.mpf(10) ** -30 * max(abs(a), abs(b), 1):
        return False
    # Cancellation leaves noise where there should be zero: at twice the digits noise shrinks and a difference does not.
    finer = get_context(2 * DIGITS)
    a2 = left.value_at(point, decimal_log, 2 * DIGITS)
    b2 = right.value_at(point, decimal_log, 2 * DIGITS)
    if a2 is None or b2 is None:
        return False
    return bool(is_close(a2, b2) or abs(a2 - b2) < abs(finer.mpf(1) * (a - b)) * finer.mpf(10) ** -20)


def _agree_closely(left: Formula, right: Formula, point: int, decimal_log: bool) -> bool:
    a = left.value_at(point, decimal_log, CLOSELY)
    b = right.value_at(point, decimal_log, CLOSELY)
    if a is None or b is None or a == b:
        return a is not None and b is not None
    mp = get_context(CLOSELY)
    return bool(abs(a - b) <= mp.mpf(10) ** -(CLOSELY - 60) * max(abs(a), abs(b), 1 if abs(a) < 1 else 0))


def is_close(a: Any, b: Any) -> bool:
    """Equal to `AGREE` digits, relative to the larger of the two."""
    mp = get_context(DIGITS)
    if mp.isinf(a) or mp.isinf(b):
        return bool(a == b)
    return bool(abs(a - b) <= mp.mpf(10) ** -AGREE * max(abs(a), abs(b)))
