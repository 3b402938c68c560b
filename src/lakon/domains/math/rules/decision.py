"""What a comparison of two answers says, and how the comparisons of their parts make one of the whole.

Invariant: a whole is equal only when every part is, and unequal as soon as one part is; otherwise nothing could decide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from lakon.domains.math.shapes.nodes import Node

MOST_ITEMS = 200


class Decision(NamedTuple):
    """`equal` is None when no method could decide."""

    equal: bool | None
    method: str


Compare: TypeAlias = Callable[[Node, Node], Decision]
"""`compare.compare`, given to rules that look at parts."""


def compare_pairwise(a: Sequence[Node], b: Sequence[Node], method: str, compare: Compare) -> Decision:
    """Equal one by one, in order."""
    if len(a) != len(b):
        return Decision(False, "count")
    return combine_decisions([compare(x, y) for x, y in zip(a, b, strict=True)], method)


def combine_decisions(decisions: Sequence[Decision], method: str) -> Decision:
    """Equal when all are."""
    if any(d.equal is False for d in decisions):
        return Decision(False, method)
    return Decision(None if any(d.equal is None for d in decisions) else True, method if decisions else "empty")


def compare_as_sets(a: Sequence[Node], b: Sequence[Node], compare: Compare) -> Decision:
    """Equal as sets: every answer of each side is on the other side."""
    if max(len(a), len(b)) > MOST_ITEMS:
        return Decision(None, "too-long")
    undecided = False
    for ours, theirs in ((a, b), (b, a)):
        for item in ours:
            decisions = [compare(item, other) for other in theirs]
            if not any(d.equal for d in decisions):
                if not any(d.equal is None for d in decisions):
                    return Decision(False, "set")
                undecided = True
    return Decision(None if undecided else True, "set")
