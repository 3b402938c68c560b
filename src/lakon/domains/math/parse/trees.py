"""Expressions as trees: nested tuples `(operator, operands...)`, so that they hash and compare.

Leaves are `("num", Fraction)`, `("sym", name)` and `("const", name)`; operands that are no tuples are names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

Tree: TypeAlias = "tuple[object, ...]"


def find_symbols(tree: Tree) -> frozenset[str]:
    """The names of the symbols and called functions in `tree`."""
    names = frozenset({str(tree[1])}) if tree[0] in ("sym", "call") else frozenset[str]()
    return names.union(*(find_symbols(part) for part in tree[1:] if isinstance(part, tuple)))


def has_node(tree: Tree, kind: str, name: str | None = None) -> bool:
    """Whether a node of this kind (and name) occurs in `tree`."""
    if tree[0] == kind and (name is None or tree[1] == name):
        return True
    return any(isinstance(part, tuple) and has_node(part, kind, name) for part in tree[1:])


def replace_leaves(tree: Tree, replacements: Mapping[Tree, Tree]) -> Tree:
    """`tree` with each of these symbols and constants as what it is mapped to."""
    if tree[0] in ("sym", "const"):
        return replacements.get(tree, tree)
    return tuple(replace_leaves(part, replacements) if isinstance(part, tuple) else part for part in tree)
