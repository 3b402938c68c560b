"""The value of an expression at one point, to any number of digits; `sample_points.py` compares such values.

Invariant: a symbol's value at a point is derived from its name, so the same tree has the same values in every process.
Nothing is simplified, and sizes are bounded before they are computed.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import mpmath

from lakon.domains.math.parse.trees import Tree

DIGITS = 60
AGREE = 40
LARGEST_LOG2 = 10_000_000
"""Powers above two to this are not computed: they are `TooLarge`."""
RANGES = ((1.1, 2.9), (0.1, 0.9), (1.5, 4.5), (-2.9, -1.1), (5.5, 19), (-19, -5.5), (110, 990), (-990, -110))
"""Where unknowns are drawn from, point by point."""
MOST_TERMS = 20_000
_CONTEXTS: dict[int, Any] = {}


class TooLarge(ArithmeticError):
    """A number that no comparison of answers needs."""


class NoValue(ArithmeticError):
    """The expression has no value at this point."""


class DividesByZero(NoValue):
    """Nor has it one at any other, for anyone who computes it."""


def get_context(digits: int) -> Any:
    """An mpmath context of its own for each precision, so that no other code can change it."""
    if digits not in _CONTEXTS:
        mp: Any = mpmath.mp.clone()
        mp.dps = digits
        _CONTEXTS[digits] = mp
    return _CONTEXTS[digits]


def is_real(value: Any) -> bool:
    """Whether a value is real up to the noise of its computation."""
    imaginary = abs(value.imag)
    return bool(imaginary == 0 or imaginary < abs(value.real) * 10**-(AGREE))


class Evaluator:
    """Computes one tree at one point; raises what is above where there is no value."""

    def __init__(self, mp: Any, point: int, decimal_log: bool) -> None:
        self.mp, self.point, self.decimal_log = mp, point, decimal_log
        self.bound: dict[str, Any] = {}

    def value(self, tree: Tree) -> Any:
        handler = _HANDLERS.get(str(tree[0]))
        if handler is None:
            raise NoValue(str(tree[0]))
        return handler(self, tree)

    def number(self, tree: Tree) -> Any:
        value = tree[1]
        assert isinstance(value, Fraction)
        return self.mp.mpf(value.numerator) / value.denominator

    def symbol(self, tree: Tree) -> Any:
        name = str(tree[1])
        return self.bound[name] if name in self.bound else self.drawn(name)

    def drawn(self, name: str) -> Any:
        """A value for `name` at this point."""
        seed = hashlib.sha256(f"{name}@{self.point}".encode()).digest() * 3
        share = self.mp.ldexp(self.mp.mpf(int.from_bytes(seed, "big")), -8 * len(seed))
        low, high = RANGES[self.point]
        return low + (high - low) * share

    def call(self, tree: Tree) -> Any:
        arguments = ",".join(self.mp.nstr(self.value(part), 30) for part in tree[2:] if isinstance(part, tuple))
        return self.drawn(f"{tree[1]}({arguments})")

    def constant(self, tree: Tree) -> Any:
        mp = self.mp
        return {"pi": +mp.pi, "e": +mp.e, "i": mp.mpc(0, 1), "inf": mp.inf}[str(tree[1])]

    def parts(self, tree: Tree) -> list[Any]:
        return [self.value(part) for part in tree[1:] if isinstance(part, tuple)]

    def add(self, tree: Tree) -> Any:
        a, b = self.parts(tree)
        return a + b

    def subtract(self, tree: Tree) -> Any:
        a, b = self.parts(tree)
        return a - b

    def multiply(self, tree: Tree) -> Any:
        a, b = self.parts(tree)
        return a * b

    def divide(self, tree: Tree) -> Any:
        a, b = self.parts(tree)
        if abs(b) <= self.mp.mpf(10) ** -(self.mp.dps - 8):
            raise DividesByZero
        return a / b

    def negate(self, tree: Tree) -> Any:
        return -self.parts(tree)[0]

    def degrees(self, tree: Tree) -> Any:
        return self.parts(tree)[0] * self.mp.pi / 180

    def factorial(self, tree: Tree) -> Any:
        (a,) = self.parts(tree)
        if abs(a) > 10**9:
            raise TooLarge
        return self.mp.fac2(a) if tree[0] == "fact2" else self.mp.factorial(a)

    def series(self, tree: Tree) -> Any:
        kind, index, low, high, body = tree
        if not (isinstance(low, tuple) and isinstance(high, tuple) and isinstance(body, tuple)):
            raise NoValue("a series without bounds")
        first, last = self.value(low), self.value(high)
        if not (self.mp.isint(first) and self.mp.isint(last)):
            return self.opaque(str(kind), str(index), first, last, body)
        if last - first > MOST_TERMS:
            raise TooLarge
        outer, total = self.bound.get(str(index)), self.mp.mpf(0 if kind == "sum" else 1)
        for k in range(int(first), int(last) + 1):
            self.bound[str(index)] = self.mp.mpf(k)
            term = self.value(body)
            total = total + term if kind == "sum" else total * term
        self.bound.pop(str(index)) if outer is None else self.bound.update({str(index): outer})
        return total

    def opaque(self, kind: str, index: str, first: Any, last: Any, body: Tree) -> Any:
        """A sum with unknown bounds stands for itself: equal to one with the same bounds and the same terms."""
        terms: list[Any] = [first, last]
        for k in (2, 3, 5):
            self.bound[index] = self.mp.mpf(k)
            terms.append(self.value(body))
        self.bound.pop(index)
        return self.drawn(kind + ",".join(self.mp.nstr(term, 30) for term in terms))

    def root(self, tree: Tree) -> Any:
        radicand, index = self.parts(tree)
        return self.rooted(radicand, tree[2]) if self.odd_index(tree[2]) else self.power_of(radicand, 1 / index)

    def odd_index(self, tree: object) -> bool:
        return isinstance(tree, tuple) and tree[0] == "num" and tree[1].denominator == 1 and tree[1] % 2 == 1  # type: ignore[union-attr]

    def rooted(self, radicand: Any, index: object) -> Any:
        exponent = 1 / self.mp.mpf(int(index[1]))  # type: ignore[index]
        if is_real(radicand) and radicand.real < 0:
            return -self.power_of(-radicand.real, exponent)
        return self.power_of(radicand, exponent)

    def power(self, tree: Tree) -> Any:
        base, exponent = self.parts(tree)
        rational = read_rational(tree[2])
        odd_root = rational is not None and rational.denominator % 2 == 1 and rational.denominator > 1
        if rational is not None and odd_root and is_real(base) and base.real < 0:
            size = self.power_of(-base.real, exponent)
            return size if rational.numerator % 2 == 0 else -size
        return self.power_of(base, exponent)

    def power_of(self, base: Any, exponent: Any) -> Any:
        if base == 0:
            if exponent == 0 or not is_real(exponent) or exponent.real < 0:
                raise DividesByZero
            return base
        if self.mp.isinf(base) or self.mp.isinf(exponent):
            raise NoValue("a power of infinity")
        if is_real(base) and base.real < 0 and not self.mp.isint(exponent):
            self.need_reals()
        if abs(exponent) * abs(self.mp.log(abs(base), 2)) > LARGEST_LOG2 or abs(exponent) > 10**15:
            raise TooLarge
        return self.mp.power(base, exponent)

    def need_reals(self) -> None:
        """Roots and logarithms of negative unknowns obey no rules: `\\sqrt x \\sqrt y` is not `\\sqrt{xy}` there."""
        if RANGES[self.point][0] < 0:
            raise NoValue("a root or a logarithm of a negative number")

    def function(self, tree: Tree) -> Any:
        name = str(tree[1])
        arguments = [self.value(part) for part in tree[2:] if isinstance(part, tuple)]
        if name in ("ln", "log", "lg", "logbase") and is_real(arguments[0]) and arguments[0].real < 0:
            self.need_reals()
        if name == "log" and self.decimal_log:
            name = "lg"
        if name in ("exp", "sinh", "cosh") and abs(arguments[0]) > LARGEST_LOG2:
            raise TooLarge
        if name in ("gcd", "lcm"):
            return self.divisors(name, arguments)
        return _FUNCTIONS[name](self.mp, *arguments)

    def divisors(self, name: str, arguments: list[Any]) -> Any:
        whole = [int(a.real) for a in arguments if abs(a) < 10**30 and a == int(a.real)]
        if len(whole) != len(arguments):
            raise NoValue(name)
        return self.mp.mpf(math.gcd(*whole) if name == "gcd" else math.lcm(*whole))


def read_rational(tree: object) -> Fraction | None:
    """The value of an exponent that is written as a rational number."""
    if not isinstance(tree, tuple):
        return None
    if tree[0] == "num":
        return tree[1] if isinstance(tree[1], Fraction) else None
    inner = [read_rational(part) for part in tree[1:]]
    if any(part is None for part in inner):
        return None
    if tree[0] == "neg":
        return -inner[0]  # type: ignore[operator]
    return inner[0] / inner[1] if tree[0] == "div" and inner[1] else None  # type: ignore[operator]


def _real_only(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def checked(mp: Any, x: Any) -> Any:
        if not is_real(x):
            raise NoValue("not real")
        return function(mp, x.real)

    return checked


def _floor(mp: Any, x: Any) -> Any:
    nearest = mp.nint(x)
    return nearest if abs(x - nearest) < mp.mpf(10) ** -AGREE else mp.floor(x)


def _ceil(mp: Any, x: Any) -> Any:
    return -_floor(mp, -x)


def _binomial(mp: Any, n: Any, k: Any) -> Any:
    if max(abs(n), abs(k)) > 10**10:
        raise TooLarge
    return mp.binomial(n, k)


def _named(name: str) -> Callable[..., Any]:
    return lambda mp, *xs: getattr(mp, name)(*xs)


def _inverse(name: str) -> Callable[..., Any]:
    return lambda mp, x: getattr(mp, name)(x)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{
        name: _named(name)
        for name in ["sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "coth", "sech", "csch", "exp"]
    },
    **{f"arc{name}": _inverse(f"a{name}") for name in ["sin", "cos", "tan", "cot", "sinh", "cosh", "tanh"]},
    "ln": _named("log"),
    "log": _named("log"),
    "lg": lambda mp, x: mp.log(x, 10),
    "logbase": lambda mp, x, b: mp.log(x) / mp.log(b),
    "abs": lambda mp, x: abs(x),
    "floor": _real_only(_floor),
    "ceil": _real_only(_ceil),
    "binom": _binomial,
    "max": lambda mp, *xs: max(x.real for x in xs),
    "min": lambda mp, *xs: min(x.real for x in xs),
    "Re": lambda mp, x: mp.re(x),
    "Im": lambda mp, x: mp.im(x),
    "arg": lambda mp, x: mp.arg(x),
    "cis": lambda mp, x: mp.expj(x),
}
_HANDLERS: dict[str, Callable[[Evaluator, Tree], Any]] = {
    "num": Evaluator.number,
    "sym": Evaluator.symbol,
    "call": Evaluator.call,
    "const": Evaluator.constant,
    "add": Evaluator.add,
    "sub": Evaluator.subtract,
    "mul": Evaluator.multiply,
    "div": Evaluator.divide,
    "neg": Evaluator.negate,
    "deg": Evaluator.degrees,
    "fact": Evaluator.factorial,
    "fact2": Evaluator.factorial,
    "root": Evaluator.root,
    "pow": Evaluator.power,
    "fn": Evaluator.function,
    "sum": Evaluator.series,
    "prod": Evaluator.series,
}
