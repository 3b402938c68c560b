"""Scalars against scalars: exactly when both are rational, else by values to forty digits.

Invariant: a decimal equals an exact value only when it is that value or its correct rounding to at least six
significant digits; two decimals are never rounded towards each other.
"""

from __future__ import annotations

import re
from fractions import Fraction

from lakon.domains.math.shapes.nodes import Chain, Scalar
from lakon.domains.math.shapes.units import Unit, find_factor
from lakon.domains.math.values import evaluate as evaluator
from lakon.domains.math.values import sample_points as numeric
from lakon.domains.math.values.expression import Expression
from lakon.domains.math.values.formula import Formula

SIGNIFICANT = 6
TRUNCATED = 8
Verdict = tuple[bool | None, str]


def compare_scalars(ours: Scalar, theirs: Scalar) -> Verdict:
    """Compare two scalars with their units."""
    scale = find_factor(ours.unit, theirs.unit)
    if scale is None:
        return False, "veto-unit"
    if scale == 1:
        verdict = _bare(ours, theirs)
    else:
        verdict = _bare(ours, Expression(f"({theirs.text})*({scale.numerator})/({scale.denominator})"))
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
    a, b = (Expression(f"({scalar.text})/100") if _percent(scalar.unit) else scalar for scalar in (ours, theirs))
    return _bare(a, b)[0], "percent"


def _radians(ours: Scalar, theirs: Scalar) -> Verdict:
    if "\\pi" not in ours.text + theirs.text:
        return False, "numeric"
    a, b = (Expression(f"({scalar.text})*\\pi/180") if _angle(scalar.unit) else scalar for scalar in (ours, theirs))
    equal = _bare(a, b)[0]
    return (None if equal else equal), "radians"  # equal as angles, but not the form asked for: not ours to say


def _bare(ours: Expression, theirs: Expression) -> Verdict:
    if ours.text == theirs.text:
        return True, "string"
    if ours.numeral is not None and theirs.numeral is not None:
        if ours.numeral == theirs.numeral:
            return True, "rational"
        return _rounded(ours.text, theirs.text, abs(ours.numeral - theirs.numeral))
    left, right = ours.formula, theirs.formula
    if left is None or right is None:
        return None, "unread"
    if left.rational is not None and right.rational is not None:
        return (True, "rational") if left.rational == right.rational else _rounded_value(ours, theirs, left, right)
    return _by_value(ours, theirs, left, right)


def _counts(left: Formula, right: Formula) -> bool:
    """Whether a sum or a product up to an unknown is among them, which only whole numbers can stand for."""
    return any(formula.symbols and (formula.uses("sum") or formula.uses("prod")) for formula in (left, right))


def _by_value(ours: Expression, theirs: Expression, left: Formula, right: Formula) -> Verdict:
    try:
        verdict = (
            numeric.compare_at_whole_numbers(left, right)
            if _counts(left, right)
            else numeric.compare_values(left, right)
        )
        if verdict is False and (left.uses("fn", "log") or right.uses("fn", "log")):
            verdict = numeric.compare_values(left, right, decimal_log=True)
    except evaluator.TooLarge:
        return _too_large(left, right)
    except (ArithmeticError, KeyError, TypeError, AttributeError, RecursionError):
        return None, "unread"
    if verdict is False and not left.symbols and not right.symbols:
        return _rounded_value(ours, theirs, left, right)
    if verdict is None and (left.divides_by_zero() or right.divides_by_zero()):
        return None, "undefined"
    return verdict, "numeric" if verdict is not None else "unread"


def _too_large(left: Formula, right: Formula) -> Verdict:
    """A tower of powers is not any number that can be written down; quotients of towers stay undecided."""
    for tower, other in ((left, right), (right, left)):
        if tower.tree[0] in ("pow", "fact") and not tower.symbols:
            try:
                _ = other.values
            except (ArithmeticError, KeyError):
                continue
            return False, "too-large"
    return None, "too-large"


def _rounded(ours: str, theirs: str, distance: Fraction) -> Verdict:
    """A fraction against its decimal rounding."""
    for decimal, fraction in ((ours, theirs), (theirs, ours)):
        quotient = "/" in fraction or "frac" in fraction
        if _is_decimal(decimal) and quotient and _places(decimal) and distance <= _tolerance(decimal):
            return True, "rounded"
    return False, "rational"


def _rounded_value(ours: Expression, theirs: Expression, left: Formula, right: Formula) -> Verdict:
    mp = evaluator.get_context(evaluator.DIGITS)
    for decimal, own, other, written in ((ours.text, left, right, theirs.text), (theirs.text, right, left, ours.text)):
        if not _is_decimal(decimal) or _is_decimal(written):
            continue
        value, exact_value = own.values[0], other.values[0]
        tolerance = _tolerance(decimal)
        if (
            _places(decimal)
            and value is not None
            and exact_value is not None
            and abs(value - exact_value) <= mp.mpf(tolerance.numerator) / tolerance.denominator
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


def compare_relations(ours: Chain, theirs: Chain) -> Verdict:
    """Two equations or inequalities of two terms: their differences must be multiples of each other."""
    if ours.difference is None or theirs.difference is None:
        return None, "unread"
    try:
        ratio = _constant_ratio(ours.difference, theirs.difference)
    except (ArithmeticError, KeyError, TypeError, AttributeError):
        return None, "unread"
    if ratio is None:
        return False, "equation"
    relations = (ours.relations[0], theirs.relations[0])
    if relations in (("=", "="), ("!=", "!="), ("~", "~")):
        return True, "equation"
    turned = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
    expected = relations[1] if ratio > 0 else turned.get(relations[1])
    return relations[0] == expected, "relation"


def _constant_ratio(ours: Formula, theirs: Formula) -> int | None:
    """The sign of the constant by which the two differ, or None when there is no such constant."""
    if ours.symbols != theirs.symbols or not ours.symbols:
        return None
    pairs = [(a, b) for a, b in zip(ours.values, theirs.values, strict=True) if a is not None and b is not None]
    if len(pairs) < 2 or any(a == 0 or b == 0 for a, b in pairs):
        return None
    ratios = [a / b for a, b in pairs]
    if not all(numeric.is_close(ratio, ratios[0]) for ratio in ratios) or not evaluator.is_real(ratios[0]):
        return None
    return 1 if ratios[0].real > 0 else -1
