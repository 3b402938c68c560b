"""Several answers at once: lists, sets, tuples, vectors, matrices, and unknowns with their values."""

from __future__ import annotations

import itertools

from lakon.domains.math.parse.clean import compact_text
from lakon.domains.math.rules.decision import Compare, Decision, combine_decisions, compare_as_sets, compare_pairwise
from lakon.domains.math.rules.relations import is_name, read_values
from lakon.domains.math.shapes.nodes import Based, Chain, Colon, Many, Matrix, Node, Scalar, Words


def compare_several(ours: Node, theirs: Node, compare: Compare) -> Decision | None:
    """Where one of the two is several answers."""
    if isinstance(ours, Many) and isinstance(theirs, Many):
        return _both_several(ours, theirs, compare)
    many, other = (ours, theirs) if isinstance(ours, Many) else (theirs, ours)
    if not isinstance(many, Many):
        return None
    if isinstance(other, Matrix):
        return _vector(many, other, compare)
    if many.kind == "tuple" or not isinstance(other, (Scalar, Words, Chain, Colon, Based)):
        return Decision(False, "shape")
    if not many.items:
        return Decision(False, "shape")
    decisions = [compare(item, other) for item in many.items]
    if all(d.equal for d in decisions):
        return Decision(True, "repeated")
    return Decision(
        None if any(d.equal is None for d in decisions) and not any(d.equal is False for d in decisions) else False,
        "count",
    )


_ORDERED = frozenset(("tuple", "vector", "square"))
_LOOSE = frozenset(("list", "set"))


def _both_several(ours: Many, theirs: Many, compare: Compare) -> Decision:
    kinds = {ours.kind, theirs.kind}
    our_names, their_names = _assigned(ours), _assigned(theirs)
    if our_names and their_names and set(our_names) == set(their_names):
        return combine_decisions([compare(our_names[name], their_names[name]) for name in our_names], "assignments")
    for names, other in ((our_names, theirs), (their_names, ours)):
        if names and other.kind in ("tuple", "vector"):
            return compare_pairwise(list(names.values()), list(other.items), "assignments", compare)
    a, b = _flat(ours), _flat(theirs)
    if "brace" not in kinds and kinds & _ORDERED and kinds & _LOOSE:
        if (len(a) == 1 and len(b) != 1) or (len(b) == 1 and len(a) != 1):
            return Decision(False, "count")
        return Decision(False, "veto-brackets")
    if kinds <= _ORDERED or kinds == {"brace", "tuple"}:
        return compare_pairwise(a, b, "tuple", compare)
    return compare_as_sets(a, b, compare)


def _assigned(many: Many) -> dict[str, Node] | None:
    """`x = 1, y = 2` by name, in the order of the text; None unless every part assigns another unknown."""
    if many.kind not in _LOOSE or not all(map(_is_assigned, many.items)):
        return None
    chains = [item for item in many.items if isinstance(item, Chain) and item.relations == ("=",)]
    named = {compact_text(chain.terms[0].text): chain.terms[1].node for chain in chains}
    return named if len(named) == len(many.items) > 1 else None


def _is_assigned(item: Node) -> bool:
    return isinstance(item, Chain) and is_name(item.terms[0].text)


def list_unknowns(node: Node) -> set[str]:
    """The names to which a list assigns values, without subscripts: `x_1 = 5, x_2 = 5` has one."""
    items = node.items if isinstance(node, Many) and node.kind in _LOOSE else ()
    first = [item.terms[0].text for item in items if isinstance(item, Chain) and is_name(item.terms[0].text)]
    return {compact_text(name).partition("_")[0] for name in first}


def _flat(many: Many) -> list[Node]:
    """The answers one by one: `1 \\pm \\sqrt 5, -2` are three, and `x = 1, x = 2` are two."""
    if many.kind in _ORDERED:
        return list(many.items)
    flat: list[Node] = []
    for item in many.items:
        value = item.terms[-1].node if isinstance(item, Chain) and read_values(item) else item
        flat.extend(value.items if isinstance(value, Many) and value.kind == "list" else [value])
    return flat


def compare_matrices(ours: Node, theirs: Node, compare: Compare) -> Decision | None:
    """Two matrices, entry by entry."""
    if isinstance(ours, Matrix) and isinstance(theirs, Matrix):
        if ours.bars != theirs.bars or [len(row) for row in ours.rows] != [len(row) for row in theirs.rows]:
            return Decision(False, "matrix")
        return compare_pairwise(
            list(itertools.chain(*ours.rows)), list(itertools.chain(*theirs.rows)), "matrix", compare
        )
    return None


def _vector(many: Many, matrix: Matrix, compare: Compare) -> Decision:
    if many.kind not in _ORDERED and many.kind != "brace":
        return Decision(False, "shape")
    if len(matrix.rows) == 1:
        return compare_pairwise(many.items, matrix.rows[0], "vector", compare)
    if all(len(row) == 1 for row in matrix.rows):
        return compare_pairwise(many.items, [row[0] for row in matrix.rows], "vector", compare)
    return Decision(False, "shape")
