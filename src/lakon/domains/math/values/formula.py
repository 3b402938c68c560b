"""An expression that was parsed, with what is worked out from it: each thing once, when it is first asked for.

Invariant: a formula has the same values in every process, because a symbol's value at a point is derived from its name.
Nothing is simplified, so nothing searches, and sizes are bounded before they are computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import cached_property
from typing import Any

from lakon.domains.math.parse.trees import Tree, find_symbols, has_node, replace_leaves
from lakon.domains.math.values.evaluate import (
    DIGITS,
    DividesByZero,
    Evaluator,
    NoValue,
    TooLarge,
    get_context,
    read_rational,
)
from lakon.domains.math.values.exact import find_exact_value

POINTS = 4
"""How many of the points most expressions need: what has bars, roots or steps is looked at far from zero as well."""


class Formula:
    """A tree and what is known of it."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._samples: dict[tuple[bool, int], tuple[Any, ...]] = {}

    @cached_property
    def symbols(self) -> frozenset[str]:
        """The names of its symbols and called functions."""
        return find_symbols(self.tree)

    @cached_property
    def rational(self) -> Fraction | None:
        """Its exact value, when that is a rational number of bearable size."""
        return find_exact_value(self.tree)

    @cached_property
    def has_pieces(self) -> bool:
        """Whether it may be one expression here and another there: `|x+4|` is `x+4` wherever that is positive."""
        return _has_pieces(self.tree)

    @cached_property
    def is_narrow(self) -> bool:
        """Whether no part is so large or small beside another that forty digits could miss a difference."""
        return _is_narrow(self.tree)

    def uses(self, kind: str, name: str | None = None) -> bool:
        """Whether a node of this kind (and name) occurs in it."""
        return has_node(self.tree, kind, name)

    def replace(self, replacements: Mapping[Tree, Tree]) -> Formula:
        """The formula with each of these symbols and constants as what it is mapped to."""
        return Formula(replace_leaves(self.tree, replacements))

    def put(self, name: str, number: Fraction) -> Formula:
        """The formula with a number for the symbol `name`."""
        return self.replace({("sym", name): ("num", number)})

    @property
    def values(self) -> tuple[Any, ...]:
        """Its values at the points, at one where it has no symbols; None where it has none. Raises `TooLarge`."""
        return self.sample(POINTS if self.symbols else 1)

    def sample(self, n_points: int, *, decimal_log: bool = False) -> tuple[Any, ...]:
        """Its values at the first `n_points`; None where it has none. Raises `TooLarge`."""
        wanted = (decimal_log, n_points)
        if wanted not in self._samples:
            self._samples[wanted] = tuple(self.value_at(point, decimal_log, DIGITS) for point in range(n_points))
        return self._samples[wanted]

    def value_at(self, point: int, decimal_log: bool, digits: int) -> Any:
        """Its value at one point, or None. Raises `TooLarge` at the points near zero."""
        try:
            value = Evaluator(get_context(digits), point, decimal_log).value(self.tree)
        except (NoValue, ZeroDivisionError, ValueError):
            return None
        except TooLarge:
            if point < POINTS:
                raise
            return None
        return value if get_context(digits).isfinite(value) or get_context(digits).isinf(value) else None

    def divides_by_zero(self) -> bool:
        """Whether computing it runs into a division by zero; two such expressions are never the same answer."""
        try:
            Evaluator(get_context(DIGITS), 0, False).value(self.tree)
        except DividesByZero:
            return True
        except (ArithmeticError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return False
        return False


def _has_pieces(tree: Tree) -> bool:
    if tree[0] == "root" or (tree[0] == "fn" and tree[1] in ("abs", "floor", "ceil", "max", "min", "Re", "arg")):
        return True
    if tree[0] == "pow" and (exponent := read_rational(tree[2])) is not None and exponent.denominator > 1:
        return True
    return any(_has_pieces(part) for part in tree[1:] if isinstance(part, tuple))


def _is_narrow(tree: Tree) -> bool:
    if tree[0] == "num":
        number = tree[1]
        return isinstance(number, Fraction) and max(number.numerator.bit_length(), number.denominator.bit_length()) < 64
    if tree[0] == "pow" and isinstance(tree[2], tuple):
        exponent = read_rational(tree[2])
        return exponent is not None and abs(exponent) <= 12 and _is_narrow(tree[1])  # type: ignore[arg-type]
    return tree[0] not in ("fact", "fact2") and all(_is_narrow(part) for part in tree[1:] if isinstance(part, tuple))
