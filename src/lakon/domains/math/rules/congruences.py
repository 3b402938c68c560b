"""Classes of whole numbers: `x \\equiv -7 \\pmod{12}` names the same ones as `x \\equiv 5 \\pmod{12}`.

Invariant: two classes are the same only under one modulus and for one unknown; a number without a modulus is no class,
so that the remainder 5 is not -7. What is no congruence with whole numbers throughout has nothing to say here.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from lakon.domains.math.parse.brackets import split_outside
from lakon.domains.math.rules.relations import are_compatible
from lakon.domains.math.shapes.nodes import Many, Node, Scalar
from lakon.domains.math.shapes.read import Reader

_MODULUS = re.compile(
    r"\s*(?:\\text\s*\{\s*)?\(?\s*(?:\\text\s*\{\s*)?(?:\\mod|mod|modulo)\s*\}?\s*\{?\s*(\d{1,9})\s*\}?\s*\)?\s*\}?\s*\.?\Z"
)
_NAMED = re.compile(r"(?P<name>[A-Za-z](?:_\{?\w+\}?)?)\s*(?:\\equiv(?![a-z])|=)")
_SEPARATORS = (",", ";", "\\or", "\\and")


class Residues(NamedTuple):
    """The classes of one modulus that an answer names, and its unknown, empty where it has none."""

    name: str
    classes: frozenset[int]
    modulus: int


def read_residues(text: str) -> Residues | None:
    """The classes that a cleaned answer names; None when it is anything else."""
    if "mod" not in text:
        return None
    names, values, moduli = set[str](), set[int](), set[int]()
    parts = [part.strip() for part in split_outside(text, _SEPARATORS) if part.strip()]
    read = Reader()
    for part in parts:
        modulus = _MODULUS.search(part)
        if modulus:
            moduli.add(int(modulus[1]))
            part = part[: modulus.start()]
        named = _NAMED.match(part)
        if named:
            names.add(named["name"])
            part = part[named.end() :]
        numbers = _whole_numbers(read(part.strip()))
        if not numbers:
            return None
        values.update(numbers)
    if len(moduli) != 1 or len(names) > 1 or not _MODULUS.search(parts[-1]):
        return None
    (modulus,) = moduli
    return Residues("".join(names), frozenset(v % modulus for v in values), modulus) if modulus else None


def _whole_numbers(node: Node) -> list[int] | None:
    """The numbers of `5` or `\\pm 1`."""
    items = node.items if isinstance(node, Many) and node.kind == "list" else (node,)
    numbers: list[int] = []
    for item in items:
        formula = item.formula if isinstance(item, Scalar) and item.unit is None else None
        value = formula.rational if formula is not None else None
        if value is None or value.denominator != 1:
            return None
        numbers.append(int(value))
    return numbers


def compare_classes(ours: str, theirs: str) -> bool | None:
    """Whether two answers name the same classes; None when one of them names none, or of another unknown."""
    a = read_residues(ours)
    b = read_residues(theirs) if a else None
    if a is None or b is None or (a.name and b.name and not are_compatible(a.name, b.name)):
        return None
    return (a.classes, a.modulus) == (b.classes, b.modulus)
