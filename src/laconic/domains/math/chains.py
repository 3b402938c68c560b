"""What an equation or a chain of relations says: a name and its value, or a relation that no value can stand for."""

from __future__ import annotations

import re

from laconic.domains.math import scalars
from laconic.domains.math.nodes import Chain, Colon
from laconic.domains.math.normalise import compact
from laconic.domains.math.structure import read

_NAME = re.compile(
    r"\\?[A-Za-z]+'*(?:_(?:\{[^{}]*\}|\w))?'*(?:\^\s*(?:\{\s*(?:-1|\(\w\))\s*\}|-1))?'*(?:\s*\([^()=]*\))?|\([\sA-Za-z_,{}\d]*[A-Za-z][\sA-Za-z_,{}\d]*\)"
    r"|(?:\\text\s*\{[^{}]*\}|\s|[A-Za-z]|\\(?:m|angle|triangle|overline|overrightarrow|vec|measuredangle)(?![a-z])|[{}()'|^\\circ])+"
    r"|\|[A-Z]{2}\||\[[A-Z]{3,}\]|[A-Z]{2}\^(?:\{2\}|2)"
)


def is_name(term: str) -> bool:
    """Whether a term names what is asked for: `x`, `f(x)`, `(x, y)`, `\\angle ABC`, `\\text{Area}`."""
    return bool(_NAME.fullmatch(term.strip())) and not re.fullmatch(r"\\?(?:pi|e|i)", term.strip())


def values_of(chain: Chain) -> list[str]:
    """What a chain of equalities says that the answer is; empty for an equation or an inequality."""
    if set(chain.relations) - {"=", "~", "=="}:
        return []
    first, last = chain.terms[0], chain.terms[-1]
    fixed = [scalars.is_constant(term) for term in chain.terms]
    if "~" in chain.relations:
        at = chain.relations.index("~")
        exact, rounded = chain.terms[at], chain.terms[at + 1]
        return [rounded] if is_name(exact) and not scalars.is_constant(exact) else [exact, rounded]
    if is_name(first) and (not scalars.is_constant(first)):
        return [last]
    if all(fixed) or len(chain.terms) > 2 or (fixed[-1] and scalars.tree(compact(first)) is None):
        return [last]
    if isinstance(read(last), Colon) and ":" in first:
        return [last]
    if is_name(last) and fixed[0] and not fixed[-1]:
        return [first]
    return []


def compatible(a: str, b: str) -> bool:
    """Names that may stand for the same thing: equal ones, and a function's value for a plain letter."""
    a, b = compact(a), compact(b)
    single = re.compile(r"\\?[A-Za-z]+(?:_\{?\w+\}?)?")
    return a == b or not (single.fullmatch(a) and single.fullmatch(b)) or a.lower() == b.lower()


def turned_round(chain: Chain) -> Chain:
    """The same chain read from its end."""
    turned = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
    return Chain(chain.terms[::-1], tuple(turned.get(r, r) for r in chain.relations[::-1]))
