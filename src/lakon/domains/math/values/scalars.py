"""Scalars against scalars: exactly when both are rational, else by values to forty digits.

Invariant: a decimal equals an exact value only when it is that value or its correct rounding to at least six
significant digits; two decimals are never rounded towards each other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

from lakon.domains.math.parse.expression import LONGEST_NUMERAL, Tree, Unreadable, parse
from lakon.domains.math.parse.shapes import Scalar
from lakon.domains.math.parse.units import Unit, factor
from lakon.domains.math.values import evaluate as evaluator
from lakon.domains.math.values import sample_points as numeric
from lakon.domains.math.values.exact import rational

SIGNIFICANT = 6
TRUNCATED = 8
_NUMERAL = re.compile(r"([-+]*)\s*(\d+(?:\.\d*)?|\.\d+)(?:[eE]([-+]?\d{1,3}))?")
_FRACTION = re.compile(r"([-+]?)\s*(?:(\d+)\s*/\s*([-+]?\d+)|\\frac\s*(?:\{\s*(-?\d+)\s*\}\s*\{\s*(-?\d+)\s*\}))")
Verdict = tuple[bool | None, str]


def exact(text: str) -> Fraction | None:
    """The value of a numeral or a fraction of whole numbers."""
    text = text.strip()
    if len(text) > LONGEST_NUMERAL:
        return None
    match = _NUMERAL.fullmatch(text)
    if match:
        value = Fraction(match[2].rstrip(".") if match[2] != "." else "0") * Fraction(10) ** int(match[3] or 0)
        return -value if match[1].count("-") % 2 else value
    match = _FRACTION.fullmatch(text)
    if not match:
        return None
    top, bottom = int(match[2] or match[4]), int(match[3] or match[5])
    if not bottom:
        return None
    return Fraction(-top if match[1] == "-" else top, bottom)


@lru_cache(maxsize=50_000)
def tree(text: str) -> Tree | None:
    """The tree of a scalar's text, or None when the grammar does not have it."""
    try:
        return parse(text)
    except (Unreadable, RecursionError, ZeroDivisionError):
        return None


def is_constant(text: str) -> bool:
    """Whether the text is an expression without unknowns."""
    found = tree(text)
    return found is not None and not numeric.symbols(found)


def compare(ours: Scalar, theirs: Scalar) -> Verdict:
    """Compare two scalars with their units."""
    scale = factor(ours.unit, theirs.unit)
    if scale is None:
        return False, "veto-unit"
    if scale == 1:
        verdict = _bare(ours.text, theirs.text)
    else:
        verdict = _bare(ours.text, f"({theirs.text})*({scale.numerator})/({scale.denominator})")
    if verdict[0] is False and (_percent(ours.unit) != _percent(theirs.unit)):
        hundredth = _hundredth(ours, theirs)
        return hundredth if hundredth[0] else verdict
    if verdict[0] is False and (_angle(ours.unit) != _angle(theirs.unit)):
        turned = _radians(ours, theirs)
        return turned if turned[0] is None else verdict
    return verdict


def _percent(unit: Unit | None) -> bool:
    return unit is not None and unit.measures == "percent"


def _angle(unit: Unit | None) -> bool:
    return unit is not None and unit.measures == "angle"


def _hundredth(ours: Scalar, theirs: Scalar) -> Verdict:
    a = f"({ours.text})/100" if _percent(ours.unit) else ours.text
    b = f"({theirs.text})/100" if _percent(theirs.unit) else theirs.text
    return _bare(a, b)[0], "percent"


def _radians(ours: Scalar, theirs: Scalar) -> Verdict:
    if "\\pi" not in ours.text + theirs.text:
        return False, "numeric"
    a = f"({ours.text})*\\pi/180" if _angle(ours.unit) else ours.text
    b = f"({theirs.text})*\\pi/180" if _angle(theirs.unit) else theirs.text
    equal = _bare(a, b)[0]
    return (None if equal else equal), "radians"  # equal as angles, but not the form asked for: not ours to say


@lru_cache(maxsize=20_000)
def _bare(ours: str, theirs: str) -> Verdict:
    if ours == theirs:
        return True, "string"
    a, b = exact(ours), exact(theirs)
    if a is not None and b is not None:
        if a == b:
            return True, "rational"
        return _rounded(ours, theirs, a, b)
    left, right = tree(ours), tree(theirs)
    if left is None or right is None:
        return None, "unread"
    a, b = rational(left), rational(right)
    if a is not None and b is not None:
        return (True, "rational") if a == b else _rounded_value(ours, theirs, left, right)
    return _by_value(ours, theirs, left, right)


def _counts(left: Tree, right: Tree) -> bool:
    """Whether a sum or a product up to an unknown is among them, which only whole numbers can stand for."""
    return any(numeric.symbols(t) and (numeric.uses(t, "sum") or numeric.uses(t, "prod")) for t in (left, right))


def _by_value(ours: str, theirs: str, left: Tree, right: Tree) -> Verdict:
    try:
        verdict = numeric.same_at_whole_numbers(left, right) if _counts(left, right) else numeric.same(left, right)
        if verdict is False and any(numeric.uses(t, "fn", "log") for t in (left, right)):
            verdict = numeric.same(left, right, decimal_log=True)
    except evaluator.TooLarge:
        return _too_large(left, right)
    except (ArithmeticError, KeyError, TypeError, AttributeError, RecursionError):
        return None, "unread"
    if verdict is False and not numeric.symbols(left) and not numeric.symbols(right):
        return _rounded_value(ours, theirs, left, right)
    if verdict is None and (numeric.divides_by_zero(left) or numeric.divides_by_zero(right)):
        return None, "undefined"
    return verdict, "numeric" if verdict is not None else "unread"


def _too_large(left: Tree, right: Tree) -> Verdict:
    """A tower of powers is not any number that can be written down; quotients of towers stay undecided."""
    for tower, other in ((left, right), (right, left)):
        if tower[0] in ("pow", "fact") and not numeric.symbols(tower):
            try:
                numeric.values(other)
            except (ArithmeticError, KeyError):
                continue
            return False, "too-large"
    return None, "too-large"


def _rounded(ours: str, theirs: str, a: Fraction, b: Fraction) -> Verdict:
    """A fraction against its decimal rounding."""
    for text, other_text, value, other in ((ours, theirs, a, b), (theirs, ours, b, a)):
        if _is_decimal(text) and ("/" in other_text or "frac" in other_text):
            places = _places(text)
            if places and abs(value - other) <= _tolerance(text):
                return True, "rounded"
    return False, "rational"


def _rounded_value(ours: str, theirs: str, left: Tree, right: Tree) -> Verdict:
    mp = evaluator.context(evaluator.DIGITS)
    for text, own, other, other_text in ((ours, left, right, theirs), (theirs, right, left, ours)):
        if not _is_decimal(text) or _is_decimal(other_text):
            continue
        places = _places(text)
        value, exact_value = numeric.values(own)[0], numeric.values(other)[0]
        if (
            places
            and value is not None
            and exact_value is not None
            and abs(value - exact_value) <= mp.mpf(_tolerance(text).numerator) / _tolerance(text).denominator
        ):
            return True, "rounded"
    return False, "numeric"


def _is_decimal(text: str) -> bool:
    return bool(re.fullmatch(r"-?\d*\.\d+", text.strip()))


def _tolerance(text: str) -> Fraction:
    """How far a rounded numeral may be off: half a unit of its last place, a whole one (cut off) from eight digits."""
    significant = len(re.sub(r"\D", "", text).lstrip("0"))
    return Fraction(1 if significant >= TRUNCATED else Fraction(1, 2)) / 10 ** _places(text)


def _places(text: str) -> int:
    """Decimal places, when the numeral has enough significant digits to be a rounded value: 0.333333, 16386.16."""
    whole, _, rest = text.strip().lstrip("-").partition(".")
    significant = len((whole + rest).lstrip("0"))
    return len(rest) if significant > SIGNIFICANT or (significant == SIGNIFICANT and len(rest) >= SIGNIFICANT) else 0


def same_relation(
    our_terms: Sequence[str], our_relations: Sequence[str], their_terms: Sequence[str], their_relations: Sequence[str]
) -> Verdict:
    """Two equations or inequalities of two terms: their differences must be multiples of each other."""
    if len(our_terms) != 2 or len(their_terms) != 2:
        return None, "unread"
    sides = [tree(text) for text in (*our_terms, *their_terms)]
    if any(side is None for side in sides):
        return None, "unread"
    ours: Tree = ("sub", sides[0], sides[1])
    theirs: Tree = ("sub", sides[2], sides[3])
    try:
        ratio = _constant_ratio(ours, theirs)
    except (ArithmeticError, KeyError, TypeError, AttributeError):
        return None, "unread"
    if ratio is None:
        return False, "equation"
    relations = (our_relations[0], their_relations[0])
    if relations in (("=", "="), ("!=", "!="), ("~", "~")):
        return True, "equation"
    turned = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
    expected = their_relations[0] if ratio > 0 else turned.get(their_relations[0])
    return our_relations[0] == expected, "relation"


def _constant_ratio(ours: Tree, theirs: Tree) -> int | None:
    """The sign of the constant by which the two differ, or None when there is no such constant."""
    if numeric.symbols(ours) != numeric.symbols(theirs) or not numeric.symbols(ours):
        return None
    pairs = [
        (a, b)
        for a, b in zip(numeric.values(ours), numeric.values(theirs), strict=True)
        if a is not None and b is not None
    ]
    if len(pairs) < 2 or any(a == 0 or b == 0 for a, b in pairs):
        return None
    ratios = [a / b for a, b in pairs]
    if not all(numeric.close(ratio, ratios[0]) for ratio in ratios) or not evaluator.is_real(ratios[0]):
        return None
    return 1 if ratios[0].real > 0 else -1
