"""Vectors against what else may mean one: a column, `2\\mathbf{i} - \\mathbf{j}`, a line under another parameter.

Invariant: a sum of basis vectors is one only beside a vector; alone it is an expression like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from lakon.domains.math.parse.trees import Tree
from lakon.domains.math.shapes.nodes import Many, Matrix, Node, Scalar, Span
from lakon.domains.math.values import evaluate as evaluator
from lakon.domains.math.values import sample_points as numeric
from lakon.domains.math.values.formula import Formula

_BASIS: tuple[Tree, ...] = (("const", "i"), ("sym", "j"), ("sym", "k"))
_SAMPLES = tuple(map(Fraction, ("0", "1", "3", "-2", "1/2", "-5/3")))
"""Where a line must be straight: on both sides of zero, for `|t|`, and between whole numbers."""
_PARAMETERS = frozenset(("t", "s", "u", "r", "\\lambda", "\\mu", "\\tau"))


def components(node: Node) -> list[Node] | None:
    """The components of a vector in whatever brackets, rows or columns."""
    if isinstance(node, Many) and node.kind in ("tuple", "vector", "square"):
        return list(node.items)
    if isinstance(node, Matrix) and not node.bars:
        if len(node.rows) == 1:
            return list(node.rows[0])
        return [row[0] for row in node.rows] if all(len(row) == 1 for row in node.rows) else None
    return None


def is_in_basis(vector: Node, written: Node) -> bool | None:
    """Whether a sum of i, j and k is this vector; None when the other is no such sum."""
    parts = components(vector)
    total = written.formula if isinstance(written, Scalar) else None
    if parts is None or total is None or len(parts) not in (2, 3) or not total.symbols & {"j", "k"}:
        return None
    formulas = [part.formula if isinstance(part, Scalar) else None for part in parts]
    along = [_at(total, unit) for unit in _UNITS]
    try:
        is_homogeneous = numeric.compare_values(_at(total, (0, 0, 0)), _ZERO)
        is_sum = numeric.compare_values(_at(total, (1, 1, 1)), _sum(along))
        if not is_homogeneous or not is_sum:
            return None
        padded = [*formulas, _ZERO][:3]
        return all(
            formula is not None and bool(numeric.compare_values(formula, component))
            for formula, component in zip(padded, along, strict=True)
        )
    except (ArithmeticError, KeyError, TypeError, AttributeError):
        return None


_UNITS = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
_ZERO = Formula(("num", Fraction(0)))


def _sum(formulas: list[Formula]) -> Formula:
    total = formulas[0].tree
    for formula in formulas[1:]:
        total = ("add", total, formula.tree)
    return Formula(total)


def _at(formula: Formula, where: tuple[int, ...]) -> Formula:
    return formula.replace({vector: ("num", Fraction(size)) for vector, size in zip(_BASIS, where, strict=True)})


def is_same_line(ours: Node, theirs: Node) -> bool:
    """Whether two vectors, each linear in a parameter of its own name, run along the same line."""
    a, b = _line(ours), _line(theirs)
    if a is None or b is None or a[0] == b[0] or len(a[1]) != len(b[1]):
        return False
    (_, start, along), (_, other, across) = a, b
    between = [x - y for x, y in zip(start, other, strict=True)]
    return _parallel(along, across) and _parallel(along, between)


def _line(node: Node) -> tuple[str, list[Any], list[Any]] | None:
    parts = components(node)
    if parts is None:
        return None
    formulas = [part.formula if isinstance(part, Scalar) else None for part in parts]
    known = [formula for formula in formulas if formula is not None]
    names = frozenset[str]().union(*(formula.symbols for formula in known))
    if len(known) != len(formulas) or len(known) < 2 or len(names) != 1 or not names <= _PARAMETERS:
        return None
    (name,) = names
    try:
        points = [_point(known, name, k) for k in _SAMPLES]
    except (ArithmeticError, KeyError, TypeError, AttributeError):
        return None
    if any(value is None or not evaluator.is_real(value) for point in points for value in point):
        return None
    zero, one, *others = map(_real_parts, points)
    along = [y - x for x, y in zip(zero, one, strict=True)]
    straight = all(
        abs(z - x - (k.numerator * d) / k.denominator) < 1e-30
        for k, point in zip(_SAMPLES[2:], others, strict=True)
        for x, d, z in zip(zero, along, point, strict=True)
    )
    return (name, zero, along) if straight and any(abs(d) > 1e-30 for d in along) else None


def _parallel(a: list[Any], b: list[Any]) -> bool:
    return all(abs(a[i] * b[j] - a[j] * b[i]) < 1e-25 for i in range(len(a)) for j in range(i))


def read_vector(node: Node) -> Node:
    """`[1, 2]` beside a column is a vector, though alone it is an interval."""
    if isinstance(node, Span) and node.low_closed and node.high_closed:
        return Many("square", (Scalar(node.low.text), Scalar(node.high.text)))
    return node


def _point(formulas: Sequence[Formula], name: str, k: Fraction) -> list[Any]:
    """The components with the parameter at `k`."""
    return [formula.put(name, k).values[0] for formula in formulas]


def _real_parts(point: Sequence[Any]) -> list[Any]:
    return [value.real for value in point]
