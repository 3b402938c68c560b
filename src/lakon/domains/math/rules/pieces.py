"""Functions in pieces: the same values under the same conditions."""

from __future__ import annotations

from lakon.domains.math.rules import sets
from lakon.domains.math.rules.decision import Compare, Decision, compare_as_sets
from lakon.domains.math.shapes.nodes import Chain, Node, Pieces


def compare_pieces(ours: Node, theirs: Node, compare: Compare) -> Decision | None:
    """Functions in pieces: the same values under the same conditions, the one that is left otherwise."""
    if not (isinstance(ours, Pieces) or isinstance(theirs, Pieces)):
        return None
    if not (isinstance(ours, Pieces) and isinstance(theirs, Pieces)):
        chain = theirs if isinstance(ours, Pieces) else ours
        return None if isinstance(chain, Chain) else Decision(None, "pieces")
    left = list(theirs.rows)
    open_rows: list[tuple[Node, Node | None]] = []
    for value, condition in ours.rows:
        same = next((row for row in left if _same_condition(condition, row[1], compare)), None)
        if same is None:
            open_rows.append((value, condition))
            continue
        left.remove(same)
        decision = compare(value, same[0])
        if not decision.equal:
            return Decision(decision.equal, "pieces")
    if len(open_rows) == len(left) == 1 and None in (open_rows[0][1], left[0][1]):
        verdict = compare(open_rows[0][0], left[0][0]).equal
        named = theirs if open_rows[0][1] is None else ours
        rest = left[0][1] if named is theirs else open_rows[0][1]
        covered = sets.is_rest([row[1] for row in named.rows if row[1] is not rest], rest)
        return Decision(verdict and covered, "pieces")
    if not open_rows and not left:
        return Decision(True, "pieces")
    values = compare_as_sets([value for value, _ in ours.rows], [value for value, _ in theirs.rows], compare)
    return Decision(None if values.equal else values.equal, "pieces")


def _same_condition(ours: Node | None, theirs: Node | None, compare: Compare) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    return bool(compare(ours, theirs).equal)
