"""The shapes that an answer can have, as plain values: what `structure.py` reads and `compare.py` compares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from lakon.domains.math.parse.units import Unit

Bracket: TypeAlias = Literal["tuple", "list", "set", "brace", "vector", "square"]


@dataclass(frozen=True, slots=True)
class Scalar:
    """One expression with its unit."""

    text: str
    unit: Unit | None = None


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
    """An interval with its ends as texts."""

    low: str
    high: str
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


@dataclass(frozen=True, slots=True)
class Chain:
    """Terms joined by relations: `x = 5`, `1 < x \\le 3`, `a = b = c`."""

    terms: tuple[str, ...]
    relations: tuple[str, ...]


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
