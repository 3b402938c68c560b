"""Reads one scalar expression, the whole of it or nothing: a strict grammar for LaTeX and plain notation.

Invariant: every token of the text is used, or `Unreadable` is raised. A parser that skips what it does not know turns
`1+\\frac{1}{\\mathrm{e}}` into 1 and calls it equal to 1. Trees are nested tuples `(operator, operands...)`, so they
hash, compare and can be cached. What this grammar leaves out (sums, integrals, limits) is math-verify's to read.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

from lakon.domains.math.parse.tokens import Unreadable, read_numeral, split_tokens
from lakon.domains.math.parse.trees import Tree

_UNARY_LISTED = """
    sin cos tan cot sec csc arcsin arccos arctan arccot sinh cosh tanh coth sech csch arcsinh arccosh arctanh
    ln log lg exp floor ceil abs Re Im arg cis det
    """
_UNARY: Final = frozenset(_UNARY_LISTED.split())
_MANY: Final = frozenset(("gcd", "lcm", "max", "min"))
_GREEK_LISTED = """
    alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau phi chi psi omega
    Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega ell hbar
    """
_GREEK: Final = frozenset(_GREEK_LISTED.split())
_CONSTANTS: Final = {"e": ("const", "e"), "i": ("const", "i"), "\\pi": ("const", "pi"), "\\infty": ("const", "inf")}
_CLOSERS: Final = {"(": ")", "[": "]", "{": "}", "\\{": "\\}", "\\lfloor": "\\rfloor", "\\lceil": "\\rceil"}
_MIXED: Final = re.compile(
    r"\\frac (?:\{ (\d{1,9}) \} \{ (\d{1,9}) \}|(\d) ?(\d)|\{ (\d{1,9}) \} (\d)|(\d) \{ (\d{1,9}) \})(?= |$)"
    r"|(\d{1,9}) / (\d{1,9})(?= |$)"
)
_CALLED: Final = frozenset("fghFGH")
_STOPS: Final = frozenset(
    ("+", "-", "*", "/", "=", ")", "]", "}", ",", "^", "_", "!", "%", "\\%", "'", "&", "\\}", "\\rfloor", "\\rceil")
)


def parse_expression(text: str) -> Tree:
    """The tree of a cleaned text. Raises `Unreadable`."""
    reader = _Reader(split_tokens(text))
    tree = reader.sum()
    if reader.peek():
        raise Unreadable(f"{reader.peek()!r} is left over")
    return tree


class _Reader:
    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.at = 0
        self.bars = 0

    def peek(self, ahead: int = 0) -> str:
        index = self.at + ahead
        return self.tokens[index] if index < len(self.tokens) else ""

    def take(self, expected: str = "") -> str:
        token = self.peek()
        if not token or (expected and token != expected):
            raise Unreadable(f"expected {expected or 'more'}, found {token!r}")
        self.at += 1
        return token

    def sum(self) -> Tree:
        tree = self.product()
        while self.peek() in ("+", "-"):
            sign = self.take()
            tree = ("add" if sign == "+" else "sub", tree, self.product())
        return tree

    def product(self) -> Tree:
        tree = self.signed()
        while True:
            token = self.peek()
            if token in ("*", "/"):
                self.take()
                tree = ("mul" if token == "*" else "div", tree, self.signed())
            elif self.starts_factor(token):
                tree = self.juxtaposed(tree)
            else:
                return tree

    def juxtaposed(self, left: Tree) -> Tree:
        before, token = self.peek(-1), self.peek()
        if token[0] in ".0123456789" and before not in (")", "}", "]", "|", "!"):
            raise Unreadable("two numbers side by side")
        return ("mul", left, self.power())

    def mixed(self, whole: str) -> Tree | None:
        """A whole number followed by a proper fraction of whole numbers is a mixed number: `3\\frac12`, `3 1/2`."""
        following = " ".join(self.tokens[self.at : self.at + 7])
        match = _MIXED.match(following) if whole.isdigit() else None
        if not match:
            return None
        top, bottom = (group for group in match.groups() if group is not None)
        if not 0 < int(top) < int(bottom):
            return None
        self.at += len(match[0].split())
        return ("num", int(whole) + Fraction(int(top), int(bottom)))

    def signed(self) -> Tree:
        sign = self.peek()
        if sign in ("+", "-"):
            self.take()
            inner = self.signed()
            return ("neg", inner) if sign == "-" else inner
        return self.power()

    def power(self) -> Tree:
        base = self.postfixed(self.atom())
        while self.peek() == "^":
            self.take()
            base = self.postfixed(self.raised(base))
        return base

    def raised(self, base: Tree) -> Tree:
        exponent = self.exponent()
        if exponent == ("degree",):
            return ("deg", base)
        return ("pow", base, exponent)

    def exponent(self) -> Tree:
        """An exponent; `x^15` without braces is what authors write for 15, though TeX would raise the 1 alone."""
        token = self.peek()
        if token.isdigit() or re.fullmatch(r"\d*\.\d+", token):
            self.take()
            return ("num", Fraction(token))
        return self.argument()

    def postfixed(self, tree: Tree) -> Tree:
        while self.peek() in ("!", "\\%", "%"):
            if self.take() == "!":
                double = self.peek() == "!"
                if double:
                    self.take()
                tree = ("fact2" if double else "fact", tree)
            else:
                tree = ("div", tree, ("num", Fraction(100)))
        return tree

    def argument(self) -> Tree:
        """What a script, a fraction or a root applies to: a group, or one token (one digit of a number)."""
        token = self.peek()
        if token == "{":
            self.take()
            if self.peek() == "\\circ":
                self.take()
                self.take("}")
                return ("degree",)
            tree = self.sum()
            self.take("}")
            return tree
        if token and token[0].isdigit() and len(token) > 1 and "\\" not in token:
            if token.isdigit():
                self.tokens[self.at] = token[1:]
                return ("num", Fraction(token[0]))
            raise Unreadable("a decimal without braces")
        if token in ("+", "-"):
            return self.signed()
        return self.atom()

    def starts_factor(self, token: str) -> bool:
        if not token or token in _STOPS:
            return False
        if token == "|":
            return self.bars == 0
        return True

    def atom(self) -> Tree:
        token = self.take()
        if token[0] in ".0123456789":
            return self.mixed(token) or ("num", read_numeral(token))
        if token in _CLOSERS:
            return self.group(token)
        if token == "|":
            self.bars += 1
            tree = self.sum()
            self.take("|")
            self.bars -= 1
            return ("fn", "abs", tree)
        if token in _CONSTANTS and self.peek() != "_":
            return _CONSTANTS[token]
        if token.startswith("\\"):
            return self.command(token[1:])
        if token[0].isalpha():
            return self.symbol(token)
        raise Unreadable(f"{token!r} begins nothing")

    def group(self, opener: str) -> Tree:
        bars, self.bars = self.bars, 0
        tree = self.sum()
        self.take(_CLOSERS[opener])
        self.bars = bars
        if opener in ("\\lfloor", "\\lceil"):
            return ("fn", "floor" if opener == "\\lfloor" else "ceil", tree)
        return tree

    def symbol(self, name: str) -> Tree:
        script = self.subscript()
        full = name + script
        if name[0] in _CALLED and self.peek() == "(":
            return ("call", full, *self.arguments("("))
        return ("sym", full)

    def subscript(self) -> str:
        if self.peek() != "_":
            return ""
        self.take()
        if self.peek() != "{":
            return "_" + self.take()
        depth, parts = 0, list[str]()
        while True:
            token = self.take()
            depth += (token == "{") - (token == "}")
            if depth == 0:
                return "_" + "".join(parts)
            if token != "{":
                parts.append(token)

    def arguments(self, opener: str) -> list[Tree]:
        self.take(opener)
        trees = [self.sum()]
        while self.peek() == ",":
            self.take()
            trees.append(self.sum())
        self.take(_CLOSERS[opener])
        return trees

    def command(self, name: str) -> Tree:
        if name == "frac":
            return ("div", self.argument(), self.argument())
        if name == "binom":
            return ("fn", "binom", self.argument(), self.argument())
        if name == "sqrt":
            return self.root()
        if name in _UNARY:
            return self.function(name)
        if name in _MANY:
            return ("fn", name, *self.arguments("("))
        if name in _GREEK:
            return self.symbol_named(name)
        if name in ("sum", "prod"):
            return self.series(name)
        raise Unreadable(f"\\{name}")

    def symbol_named(self, name: str) -> Tree:
        return ("sym", f"\\{name}{self.subscript()}")

    def series(self, name: str) -> Tree:
        """`\\sum_{k=1}^{n} body`: the body is the product that follows."""
        self.take("_")
        self.take("{")
        index = self.take()
        self.take("=")
        low = self.sum()
        self.take("}")
        self.take("^")
        high = self.argument()
        return (name, index, low, high, self.product())

    def root(self) -> Tree:
        index: Tree = ("num", Fraction(2))
        if self.peek() == "[":
            self.take()
            index = self.sum()
            self.take("]")
        return ("root", self.argument(), index)

    def function(self, name: str) -> Tree:
        base: Tree | None = None
        power: Tree | None = None
        for _ in range(2):
            if self.peek() == "_" and name == "log":
                self.take()
                base = self.argument()
            elif self.peek() == "^":
                self.take()
                power = self.argument()
        inner = self.operand()
        if power == ("neg", ("num", Fraction(1))) and name in ("sin", "cos", "tan", "cot", "sinh", "cosh", "tanh"):
            name, power = "arc" + name, None
        tree: Tree = ("fn", name, inner) if base is None else ("fn", "logbase", inner, base)
        return tree if power is None else ("pow", tree, power)

    def operand(self) -> Tree:
        """What a function without brackets applies to: `\\sin 2x \\cos y` is sin(2x) times cos(y)."""
        if self.peek() in ("(", "{", "["):
            return self.group(self.take())
        tree = self.signed()
        while self.starts_factor(self.peek()) and self.peek()[1:] not in _UNARY and self.peek() != "|":
            tree = self.juxtaposed(tree)
        return tree
