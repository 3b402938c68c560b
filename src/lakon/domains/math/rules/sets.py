"""Sets of real numbers: intervals, unions, inequalities and finite sets in one canonical form.

Invariant: a region is a sorted list of disjoint pieces with numeric ends, so two sets are the same exactly when their
regions are; what has unknowns in its ends has no region.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from lakon.domains.math.shapes.nodes import Chain, Many, Node, Scalar, SetOf, Span, Term, Words
from lakon.domains.math.shapes.number_words import means_everything
from lakon.domains.math.values import evaluate as evaluator
from lakon.domains.math.values import sample_points as numeric
from lakon.domains.math.values.formula import Formula


class Piece(NamedTuple):
    """An interval with its ends as numbers; a single point has equal, closed ends."""

    low: Any
    low_closed: bool
    high: Any
    high_closed: bool


Region = list[Piece]
_TURNED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
_VARIABLE = re.compile(r"\\?[A-Za-z]+(?:_\{?\w+\}?)?")


def is_real_line(node: Node) -> bool:
    """Whether the node names all real numbers."""
    return isinstance(node, Words) and (node.text == "\\mathbb{R}" or means_everything(node.text))


def is_set_like(node: Node) -> bool:
    """Whether the node can be read as a set of numbers."""
    return isinstance(node, (Span, SetOf)) or (isinstance(node, Many) and node.kind != "list") or is_real_line(node)


def read_value(expression: Term | Scalar) -> Any:
    """The real number that an expression stands for, infinities included, or None."""
    text = expression.text.strip()
    sign = -1 if text.startswith("-") else 1
    mp = evaluator.get_context(evaluator.DIGITS)
    if re.fullmatch(r"[-+]?\s*\\infty", text):
        return sign * mp.inf
    node = expression.node if isinstance(expression, Term) else expression
    formula = node.formula if isinstance(node, Scalar) else None
    if formula is None or formula.symbols:
        return None
    try:
        number = formula.values[0]
    except (ArithmeticError, KeyError, TypeError, AttributeError):
        return None
    return number.real if number is not None and evaluator.is_real(number) else None


def find_region(node: Node) -> Region | None:
    """The region of a node, or None when it is no set of numbers."""
    if is_real_line(node):
        mp = evaluator.get_context(evaluator.DIGITS)
        return [Piece(-mp.inf, False, mp.inf, False)]
    if isinstance(node, Words):
        return [] if node.text == "\\emptyset" else None
    if isinstance(node, Span):
        return _interval(node.low, node.high, node.low_closed, node.high_closed)
    if isinstance(node, Scalar):
        return _point(node)
    if isinstance(node, Chain):
        return _solved(node)
    if isinstance(node, SetOf):
        return _combined(node)
    return _listed(node) if isinstance(node, Many) else None


def _interval(low: Term | Scalar, high: Term | Scalar, low_closed: bool, high_closed: bool) -> Region | None:
    a, b = read_value(low), read_value(high)
    if a is None or b is None:
        return None
    mp = evaluator.get_context(evaluator.DIGITS)
    piece = Piece(a, low_closed and not mp.isinf(a), b, high_closed and not mp.isinf(b))
    return _merged([piece])


def _point(scalar: Scalar) -> Region | None:
    number = read_value(scalar)
    return None if number is None else [Piece(number, True, number, True)]


def _listed(node: Many) -> Region | None:
    if node.kind == "tuple":
        ends = [item for item in node.items if isinstance(item, Scalar)]
        return _interval(ends[0], ends[1], False, False) if len(ends) == len(node.items) == 2 else None
    parts = [find_region(item) for item in node.items]
    return _merged([piece for part in parts if part is not None for piece in part]) if None not in parts else None


def find_variable(chain: Chain) -> str | None:
    """The unknown of an inequality: it stands alone, or between bars."""
    formulas = [term.formula for term in chain.terms]
    in_bars = [formula for formula in formulas if formula is not None and formula.tree[:2] == ("fn", "abs")]
    names = sorted(in_bars[0].symbols) if in_bars else []
    return _alone(chain) or (names[0] if len(names) == 1 else None)


def _alone(chain: Chain) -> str | None:
    names = [term.text for term in chain.terms if _VARIABLE.fullmatch(term.text) and not term.is_constant]
    return names[0] if len(names) == 1 else None


def _solved(chain: Chain) -> Region | None:
    """`a < x \\le b`, `x > a`, `x \\ne a`, `x = a`: the unknown alone, once, against numbers."""
    name = _alone(chain)
    if name is None:
        return _within(chain)
    mp = evaluator.get_context(evaluator.DIGITS)
    at = [term.text for term in chain.terms].index(name)
    low, low_closed, high, high_closed = -mp.inf, False, mp.inf, False
    for i, relation in enumerate(chain.relations):
        if not i <= at <= i + 1:
            return None
        bound = read_value(chain.terms[i + 1] if at == i else chain.terms[i])
        if bound is None:
            return None
        turned = relation if at == i else _TURNED.get(relation, relation)
        if turned == "!=":
            return [Piece(-mp.inf, False, bound, False), Piece(bound, False, mp.inf, False)]
        if turned == "=":
            return [Piece(bound, True, bound, True)]
        if turned in (">", ">="):
            low, low_closed = bound, turned == ">="
        elif turned in ("<", "<="):
            high, high_closed = bound, turned == "<="
        else:
            return None
    return _merged([Piece(low, low_closed, high, high_closed)])


def _within(chain: Chain) -> Region | None:
    """`|ax + b| < c` and its kin: the numbers near the point where the inside is zero, or those far from it."""
    sides = (chain, Chain(chain.terms[::-1], tuple(_TURNED.get(r, r) for r in chain.relations)))
    for side in sides:
        terms, relations = side.terms, side.relations
        inside = _inside_of_bars(terms[0]) if len(terms) == 2 else None
        bound = read_value(terms[1]) if inside is not None else None
        if inside is None or bound is None or bound < 0 or relations[0] not in _TURNED:
            continue
        at_zero, slope = inside
        ends = sorted((sign * bound - at_zero) / slope for sign in (-1, 1))
        closed = relations[0] in ("<=", ">")  # what is farther than 1 is the complement of [-1, 1]
        near = _merged([Piece(ends[0], closed, ends[1], closed)])
        return near if relations[0] in ("<", "<=") else _complement(near)
    return None


def _inside_of_bars(term: Term) -> tuple[Any, Any] | None:
    """Value at zero and slope of what stands between bars, when it is linear in its one unknown."""
    formula = term.formula
    if formula is None or formula.tree[:2] != ("fn", "abs") or len(formula.symbols) != 1:
        return None
    (name,) = formula.symbols
    inner = formula.tree[2]
    assert isinstance(inner, tuple)
    try:
        at = [Formula(inner).put(name, Fraction(x)).values[0] for x in (0, 1, 2)]
    except (ArithmeticError, KeyError, TypeError, AttributeError):
        return None
    if None in at or not all(map(evaluator.is_real, at)) or at[0] == at[1] or not _near(at[2] - at[1], at[1] - at[0]):
        return None
    return at[0].real, at[1].real - at[0].real


def _combined(node: SetOf) -> Region | None:
    parts = [find_region(part) for part in node.parts]
    known = [part for part in parts if part is not None]
    if len(known) != len(parts):
        return None
    if node.operator == "\\cup":
        return _merged([piece for part in known for piece in part])
    if node.operator == "\\and" and len({find_variable(part) for part in node.parts if isinstance(part, Chain)}) > 1:
        return None
    result = known[0]
    for part in known[1:]:
        result = _intersection(result, _complement(part) if node.operator == "\\setminus" else part)
    if node.operator == "\\and" and not result:  # "x < 1, x > 3" means either
        return _merged([piece for part in known for piece in part])
    return result


def is_rest(others: Sequence[Node | None], rest: Node | None) -> bool | None:
    """Whether `rest` is every number that no condition of the others holds for; None where one is no region."""
    regions = [None if node is None else find_region(node) for node in (*others, rest)]
    names = {find_variable(node) for node in (*others, rest) if isinstance(node, Chain)}
    known = [part for part in regions if part is not None]
    if len(known) != len(regions) or len(names) > 1:
        return None
    return is_same_region(_complement(_merged([piece for part in known[:-1] for piece in part])), known[-1])


def _merged(pieces: Region) -> Region:
    """Sorted, without empty pieces, touching pieces joined."""
    filled = [p for p in pieces if p.low < p.high or (p.low == p.high and p.low_closed and p.high_closed)]
    filled.sort(key=lambda p: (p.low, not p.low_closed))
    joined: Region = []
    for piece in filled:
        last = joined[-1] if joined else None
        touches = last is not None and (
            piece.low < last.high or (_near(piece.low, last.high) and (piece.low_closed or last.high_closed))
        )
        if last is None or not touches:
            joined.append(piece)
        elif piece.high > last.high or (_near(piece.high, last.high) and piece.high_closed):
            joined[-1] = Piece(last.low, last.low_closed, piece.high, piece.high_closed)
    return joined


def _complement(pieces: Region) -> Region:
    mp = evaluator.get_context(evaluator.DIGITS)
    low, closed = -mp.inf, False
    gaps: Region = []
    for piece in pieces:
        gaps.append(Piece(low, closed, piece.low, not piece.low_closed))
        low, closed = piece.high, not piece.high_closed
    gaps.append(Piece(low, closed, mp.inf, False))
    return _merged([p._replace(low_closed=p.low_closed and not mp.isinf(p.low)) for p in gaps])


def _intersection(ours: Region, theirs: Region) -> Region:
    overlaps: Region = []
    for a in ours:
        for b in theirs:
            low = max(a.low, b.low)
            high = min(a.high, b.high)
            low_closed = all(p.low_closed for p in (a, b) if p.low == low)
            high_closed = all(p.high_closed for p in (a, b) if p.high == high)
            overlaps.append(Piece(low, low_closed, high, high_closed))
    return _merged(overlaps)


def _near(a: Any, b: Any) -> bool:
    return a == b or numeric.is_close(a, b)


def is_same_region(ours: Region, theirs: Region) -> bool:
    """Whether two regions are the same set."""
    return len(ours) == len(theirs) and all(
        _near(a.low, b.low) and _near(a.high, b.high) and (a.low_closed, a.high_closed) == (b.low_closed, b.high_closed)
        for a, b in zip(ours, theirs, strict=True)
    )
