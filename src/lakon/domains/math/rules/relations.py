"""What an equation or a chain of relations says: a name and its value, or a relation that no value can stand for."""

from __future__ import annotations

import re

from lakon.domains.math.parse.brackets import split_outside, take_enclosed
from lakon.domains.math.parse.clean import compact_text
from lakon.domains.math.shapes.nodes import Chain, Colon, Term
from lakon.domains.math.shapes.read import Reader
from lakon.domains.math.shapes.units import split_unit
from lakon.domains.math.values.expression import Expression

_NAME = re.compile(
    r"\\?[A-Za-z]+'*(?:_(?:\{[^{}]*\}|\w))?'*(?:\^\s*(?:\{\s*(?:-1|\(\w\))\s*\}|-1))?'*(?:\s*\([^()=]*\))?|\([\sA-Za-z_,{}\d]*[A-Za-z][\sA-Za-z_,{}\d]*\)"
    r"|(?:\\text\s*\{[^{}]*\}|\s|[A-Za-z]|\\(?:m|angle|triangle|overline|overrightarrow|vec|measuredangle)(?![a-z])|[{}()'|^\\circ])++"
    r"|\|[A-Z]{2}\||\[[A-Z]{3,}\]|[A-Z]{2}\^(?:\{2\}|2)"
)


_UNKNOWN = re.compile(
    r"(?:[A-Za-z]|\\(?:alpha|beta|gamma|delta|epsilon|theta|kappa|lambda|mu|nu|rho|sigma|tau|phi|psi|omega)(?![a-z]))(?:_\{?\w{1,3}\}?)?'*"
)
_USUAL_ORDERS = (
    ("x", "y"),
    ("x", "y", "z"),
    ("a", "b"),
    ("a", "b", "c"),
    ("a", "b", "c", "d"),
    ("r", "\\theta"),
    ("r", "\\theta", "z"),
    ("r", "\\theta", "\\phi"),
    ("\\rho", "\\theta", "\\phi"),
)
"""Names whose values are given in this order, unless an answer says otherwise."""
_UNIT = re.compile(r"\\text\s*\{[^{}]*\}(?:\s*\^\s*\{?\s*-?\d\s*\}?)?|\\usd(?![a-z])|\^\s*\{\s*\\circ\s*\}|\\?%")


def is_name(term: str) -> bool:
    """Whether a term names what is asked for: `x`, `f(x)`, `(r, \\theta)`, `\\angle ABC`, `\\text{Area}`."""
    if re.fullmatch(r"\\?(?:pi|e|i)", term.strip()):
        return False
    return bool(_NAME.fullmatch(term.strip())) or bool(find_unknowns(term))


def find_unknowns(term: str) -> tuple[str, ...]:
    """The names in `(r, \\theta)`, in order; none in what is no tuple of names."""
    inner = take_enclosed(term.strip(), "(", ")") if "," in term else None
    names = tuple(compact_text(part.strip()) for part in split_outside(inner, (",",))) if inner else ()
    return names if all(map(_UNKNOWN.fullmatch, names)) else ()


def is_out_of_order(chain: Chain) -> bool:
    """Whether a tuple's names say that its values stand in another order than a bare tuple's: `(y, x) = ...`."""
    names = find_unknowns(chain.terms[0].text)
    return any(names != order and sorted(names) == sorted(order) for order in _USUAL_ORDERS)


def put_in_order(ours: Chain, theirs: Chain) -> Chain:
    """`(y, x) = (3, 2)` as `(x, y) = (2, 3)`, where the first chain has its names in that order."""
    our_names, their_names = find_unknowns(ours.terms[0].text), find_unknowns(theirs.terms[0].text)
    if our_names == their_names or sorted(our_names) != sorted(their_names) or len(set(our_names)) != len(our_names):
        return theirs
    inner = take_enclosed(theirs.terms[-1].text.strip(), "(", ")")
    values = split_outside(inner, (",",)) if inner else []
    if len(values) != len(our_names):
        return _assigned(ours.terms[0], "")  # nothing that these names could stand for
    named = dict(zip(their_names, values, strict=True))
    return _assigned(ours.terms[0], f"({','.join(named[name] for name in our_names)})")


def _assigned(name: Term, value: str) -> Chain:
    return Chain((name, Term(value, Reader())), ("=",))


def is_quantity(term: Expression) -> bool:
    """Whether a term is an expression without unknowns, whatever its units: `12 \\text{ cm} * 5 \\text{ cm}`."""
    return term.is_constant or Expression(_UNIT.sub(" ", split_unit(term.text)[0]).strip()).is_constant


def read_values(chain: Chain) -> list[Term]:
    """What a chain of equalities says that the answer is; empty for an equation or an inequality."""
    if set(chain.relations) - {"=", "~", "=="}:
        return []
    first, last = chain.terms[0], chain.terms[-1]
    if "~" in chain.relations:
        at = chain.relations.index("~")
        exact, rounded = chain.terms[at], chain.terms[at + 1]
        return [rounded] if is_name(exact.text) and not exact.is_constant else [exact, rounded]
    if is_name(first.text) and not first.is_constant:
        return [last]
    if all(map(is_quantity, chain.terms)) or len(chain.terms) > 2:
        return [last]
    if last.is_constant and Expression(compact_text(first.text)).formula is None:
        return [last]
    if isinstance(last.node, Colon) and ":" in first.text:
        return [last]
    if is_name(last.text) and is_quantity(first) and not is_quantity(last):
        return [first]
    return []


def are_compatible(a: str, b: str) -> bool:
    """Names that may stand for the same thing: equal ones, and a function's value for a plain letter."""
    a, b = compact_text(a), compact_text(b)
    single = re.compile(r"\\?[A-Za-z]+(?:_\{?\w+\}?)?")
    return a == b or not (single.fullmatch(a) and single.fullmatch(b)) or a.lower() == b.lower()


def turn_round(chain: Chain) -> Chain:
    """The same chain read from its end."""
    turned = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
    return Chain(chain.terms[::-1], tuple(turned.get(r, r) for r in chain.relations[::-1]))
