"""The shapes that an answer can have, as plain values: what `read.py` reads and `rules/compare.py` compares.

The leaves are expressions, which parse their text and work out their values when these are first asked for, and once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias

from lakon.domains.math.shapes.units import Unit
from lakon.domains.math.values.expression import Expression
from lakon.domains.math.values.formula import Formula

Bracket: TypeAlias = Literal["tuple", "list", "set", "brace", "vector", "square"]


@dataclass(frozen=True)
class Scalar(Expression):
    """One expression with its unit."""

    unit: Unit | None = None


@dataclass(frozen=True)
class Term(Expression):
    """A part of a relation or of an interval, as it is written: an expression, or a shape of its own."""

    read: Read = field(compare=False, repr=False)

    @cached_property
    def node(self) -> Node:
        """Its shape."""
        return self.read(self.text)


@dataclass(frozen=True, slots=True)
class Words:
    """An answer in words, or a choice letter. `marked` when it stood in `\\text{}` or in brackets."""

    text: str
    marked: bool = True


@dataclass(frozen=True, slots=True)
class Many:
    """Several answers: bare (`list`), in brackets, or in braces that LaTeX does not show (`brace`)."""

    kind: Bracket
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """An interval."""

    low: Term
    high: Term
    low_closed: bool
    high_closed: bool


@dataclass(frozen=True, slots=True)
class SetOf:
    """Sets joined by `\\cup`, `\\cap` or `\\setminus`; inequalities that stand side by side by `\\and`."""

    operator: str
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of a matrix; `bars` when it is a determinant."""

    rows: tuple[tuple[Node, ...], ...]
    bars: bool = False


@dataclass(frozen=True, slots=True)
class Pieces:
    """A function in pieces: values with their conditions; None is "otherwise"."""

    rows: tuple[tuple[Node, Node | None], ...]


@dataclass(frozen=True)
class Chain:
    """Terms joined by relations: `x = 5`, `1 < x \\le 3`, `a = b = c`."""

    terms: tuple[Term, ...]
    relations: tuple[str, ...]

    @cached_property
    def difference(self) -> Formula | None:
        """The left side less the right one; None unless there are two, and both are expressions."""
        formulas = [term.formula for term in self.terms]
        if len(formulas) != 2 or formulas[0] is None or formulas[1] is None:
            return None
        return Formula(("sub", formulas[0].tree, formulas[1].tree))


@dataclass(frozen=True, slots=True)
class Based:
    """A numeral with its base."""

    digits: str
    base: int


@dataclass(frozen=True, slots=True)
class Colon:
    """Numbers joined by colons: a ratio or a time of day."""

    parts: tuple[str, ...]
    suffix: str = ""


Node: TypeAlias = "Scalar | Words | Many | Span | SetOf | Matrix | Pieces | Chain | Based | Colon"
Read: TypeAlias = Callable[[str], Node]
"""Reads a part of the same answer."""
