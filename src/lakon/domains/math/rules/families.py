"""Answers with a parameter: `\\frac{\\pi}{4} + k\\pi, k \\in \\mathbb{Z}` is a set, whatever its parameter is called.

Invariant: what is cut off a text says only which values a name takes (`for all x`, `k \\in \\mathbb{Z}`); two answers
whose parameters run over different sets are never made equal. Families that are linear in their parameter are compared
as sets of numbers: `-\\frac{\\pi}{4} + k\\pi` is `\\frac{3\\pi}{4} + n\\pi`.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from lakon.domains.math.parse.brackets import take_enclosed
from lakon.domains.math.parse.trees import Tree, find_symbols
from lakon.domains.math.rules.congruences import read_residues
from lakon.domains.math.shapes.nodes import Chain, Many, Node, Scalar
from lakon.domains.math.shapes.read import Reader
from lakon.domains.math.values import evaluate as evaluator
from lakon.domains.math.values import sample_points as numeric
from lakon.domains.math.values.expression import Expression
from lakon.domains.math.values.formula import Formula

MOST_RESIDUES = 200
_NUMBERS = r"\\mathbb\s*\{\s*(?P<set>[ZNRQC])\s*\}\s*(?P<sign>[_^]\s*\{?\s*(?:\+|\*|>\s*0|\\ge\s*0|\\geq\s*0)\s*\}?)?"
_NAME = r"(?P<name>\\?[A-Za-z]+(?:_\{?\w\}?)?)"
_TEXT = r"(?:\\text\s*\{\s*|\s|[,;(]){0,6}"
_KIND = (
    r"(?P<kind>(?:(?:an?|any|all|some|every|each|arbitrary)\s+){0,2}(?:(?:positive|non-?negative|real)\s+)?"
    r"(?:integers?|constants?|numbers?|reals?|parameters?))"
)
_TAILS = tuple(
    re.compile(pattern)
    for pattern in (
        # ", k \in Z", "(k \in Z)", "for all x \in R", "\forall x \in R"
        rf"(?P<lead>{_TEXT}(?:for\s+(?:all|any|every|each|some)|where|with|and|for|\\forall|\||:)?[\s}}]*(?:\\text\s*\{{\s*(?:real|integer)\s*\}}\s*)?){_NAME}\s*\\in\s*{_NUMBERS}[\s)}}.]*\Z",
        # "for all x", "for all real x", "for any constant c", "where k is an integer", "for integer k"
        rf"(?P<lead>{_TEXT}(?:for\s+(?:all|any|every|each|some)|\\forall|for|with|where|any)[\s}}]+(?:\\text\s*\{{\s*)?){_KIND}[\s}}]+{_NAME}[\s)}}.]*\Z",
        rf"(?P<lead>{_TEXT}(?:for\s+(?:all|any|every|each|some)|where|with)?[\s}}]*){_NAME}[\s}}]*(?:\\text\s*\{{\s*)?(?:is|are|being|denotes)\s+{_KIND}[\s)}}.]*\Z",
        rf"(?P<lead>{_TEXT}(?:for\s+(?:all|every|each|any)|\\forall)[\s}}]*(?:\\text\s*\{{\s*)?)(?:real[\s}}]+)?{_NAME}[\s)}}.]*\Z",
    )
)
_BUILT = re.compile(r"\\\{(?P<body>.*?)(?:\||:)(?P<tail>[^|:]*\\in\s*\\mathbb[^|:]*)\\\}", re.S)
_LETTERS = re.compile(r"\\text\s*\{[^{}]*\}|\\[A-Za-z]+|[A-Za-z]{3,}|[A-Za-z]")
_USUAL = "kntmlpjrsabcC"


class Parameter(NamedTuple):
    """A name and what it runs over: `Z`, `R`, `N+` (above zero), `N0` (not below), `N` (either), or nothing."""

    name: str
    domain: str


def split_parameter(text: str) -> tuple[str, Parameter | None]:
    """A cleaned answer without the clause that says which values a name takes, and that clause."""
    built = _BUILT.fullmatch(text) if "\\mathbb" in text and text.startswith("\\{") else None
    if built:
        text = f"{built['body'].strip()}, {built['tail'].strip()}"
    shown = text.strip(" .,;")
    for _ in range(2):  # braces that LaTeX does not show
        inner = take_enclosed(shown, "{", "}")
        shown = shown if inner is None else inner.strip(" .,;")
    for pattern in _TAILS:
        match = pattern.search(shown)
        if match and re.search(r"[\w)}\]]\s*\Z", shown[: match.start()].rstrip(" ,;(")):
            groups = match.groupdict()
            return shown[: match.start()].strip(" ,;"), Parameter(match["name"], _domain(groups))
    return text, None


def _domain(groups: dict[str, str | None]) -> str:
    kind = groups.get("kind") or ""
    name, sign = groups.get("set") or "", groups.get("sign") or ""
    if name == "Z" and "*" in sign:
        return "Z*"
    if name in ("Z", "N") and sign:
        return "N0" if "0" in sign and ">" not in sign else "N+"
    if name:
        return name
    if "integer" in kind:
        return "N0" if "negative" in kind else "N+" if "positive" in kind else "Z"
    return ""


def drop_parameters(ours: str, theirs: str) -> tuple[str, str, bool | None]:
    """Both texts without such clauses and with one name for the parameter; a verdict where the clauses decide."""
    if not any(
        mark in ours or mark in theirs for mark in ("\\in", "\\forall", "for ", "where ", "is a", "are ", "any ")
    ):
        return ours, theirs, None
    our_text, our_parameter = split_parameter(ours)
    their_text, their_parameter = split_parameter(theirs)
    if our_parameter is None and their_parameter is None:
        return ours, theirs, None
    domains = {p.domain for p in (our_parameter, their_parameter) if p is not None and p.domain}
    integers = any(domain[0] in "ZN" for domain in domains)
    domains = domains - {"N"} if domains & {"N+", "N0"} else domains
    named = {p.name for p in (our_parameter, their_parameter) if p is not None}
    if len(domains) > 1 and integers:
        return ours, theirs, False
    if integers or not named & {"x", "y", "z"}:
        name = _parameter_of(our_text, our_parameter)
        other = _parameter_of(their_text, their_parameter)
        if name and other and name != other and not _mentions(their_text, name) and not _mentions(our_text, other):
            their_text = _LETTERS.sub(lambda m: name if m[0] == other else m[0], their_text)
        either = name or other  # a congruence has no parameter of its own
        if either and domains == {"Z"} and _same_families(our_text, their_text, either):
            return our_text, their_text, True
    return our_text, their_text, None


def _parameter_of(text: str, parameter: Parameter | None) -> str | None:
    if parameter is not None:
        return parameter.name
    letters = [letter for letter in _USUAL if _mentions(text.partition("=")[2] or text, letter)]
    return letters[0] if len(letters) == 1 else None


def _mentions(text: str, name: str) -> bool:
    return name in _LETTERS.findall(text)


def _same_families(ours: str, theirs: str, name: str) -> bool:
    """Whether both are unions of arithmetic progressions in `name`, and the same set of numbers."""
    a, b = (_congruence(text) or _progressions(Reader()(text), name) for text in (ours, theirs))
    if not a or not b:
        return False
    steps = [step for _, step in (*a, *b)]
    ratios = [_fraction(step / steps[0]) for step in steps]
    known = [ratio for ratio in ratios if ratio is not None]
    if len(known) != len(ratios):
        return False
    period = Fraction(math.lcm(*(r.numerator for r in known)), math.gcd(*(r.denominator for r in known)))
    shares = [_residues(part, abs(steps[0]), period) for part in (a, b)]
    if shares[0] is None or shares[1] is None:
        return False
    first, second = shares[0], shares[1]
    return all(_is_among(x, second) for x in first) and all(_is_among(y, first) for y in second)


def _is_among(value: Any, values: Iterable[Any]) -> bool:
    return any(_close(value, other) for other in values)


def are_constants_renamed(ours: Expression, theirs: Expression) -> bool:
    """Whether two expressions differ only in what their arbitrary constants are called: `C_1 e^x`, `A e^x`."""
    if "C" not in ours.text and "c" not in ours.text:
        return False
    left, right = ours.formula, theirs.formula
    if left is None or right is None:
        return False
    mine = sorted(left.symbols - right.symbols)
    others = sorted(right.symbols - left.symbols)
    shared = left.symbols & right.symbols
    if not 0 < len(mine) == len(others) <= 3 or not any(name[0] == "\\" or name.islower() for name in shared):
        return False
    usual = _ARBITRARY if len(mine) == 1 else _SEVERAL
    if not all(_INTEGRATION.fullmatch(name) for name in mine) or not all(usual.fullmatch(name) for name in others):
        return False
    if not (_is_loose(left.tree, frozenset(mine)) and _is_loose(right.tree, frozenset(others))):
        return False
    try:
        orders = itertools.permutations(mine)
        return any(numeric.compare_values(left, _rename_symbols(right, others, order)) for order in orders)
    except (ArithmeticError, KeyError, TypeError, AttributeError):
        return False


def _rename_symbols(formula: Formula, names: Sequence[str], others: Sequence[str]) -> Formula:
    return formula.replace({("sym", name): ("sym", other) for name, other in zip(names, others, strict=True)})


_INTEGRATION = re.compile(r"[CK](?:_\w)?|c_\w")
"""How a reference calls constants of integration; `c` alone is the speed of light as often, and `k` anything."""
_ARBITRARY = re.compile(r"[CcKk](?:_\w)?")
_SEVERAL = re.compile(r"[ABCDKck](?:_\w)?")


def _is_loose(tree: Tree, names: frozenset[str], within: str = "") -> bool:
    """Whether the constants are terms and factors: never a base, in an exponent, or in a function other than a root."""
    if tree[0] == "sym":
        return tree[1] not in names or within != "pow"
    if tree[0] in ("add", "sub", "mul", "div", "neg", "num", "const", "root"):
        return all(_is_loose(part, names) for part in tree[1:] if isinstance(part, tuple))
    if tree[0] == "pow":
        base, exponent = (part for part in tree[1:3] if isinstance(part, tuple))
        return _is_loose(base, names, "pow") and not find_symbols(exponent) & names
    return tree[:2] in (("fn", "ln"), ("fn", "abs"), ("fn", "log")) or not find_symbols(tree) & names


def _congruence(text: str) -> list[tuple[Any, Any]]:
    residues = read_residues(text)
    mp = evaluator.get_context(evaluator.DIGITS)
    return [(mp.mpf(value), mp.mpf(residues.modulus)) for value in sorted(residues.classes)] if residues else []


def _progressions(node: Node, name: str) -> list[tuple[Any, Any]]:
    if isinstance(node, Chain) and node.relations == ("=",):
        node = node.terms[1].node
    if isinstance(node, Many) and node.kind in ("list", "set"):
        parts = [_progressions(item, name) for item in node.items]
        return [piece for part in parts for piece in part] if all(parts) else []
    formula = node.formula if isinstance(node, Scalar) else None
    if formula is None or formula.symbols != {name}:
        return []
    try:
        values = [formula.put(name, Fraction(k)).values[0] for k in (0, 1, 2, 7, -1, -6)]
    except (ArithmeticError, KeyError, TypeError, AttributeError):
        return []
    if None in values or not all(map(evaluator.is_real, values)):
        return []
    zero, one, two, seven, before, six_before = (value.real for value in values)
    step = one - zero
    above = _close(two - one, step) and _close(seven - zero, 7 * step)
    linear = above and _close(zero - before, step) and _close(zero - six_before, 6 * step) and abs(step) > 1e-9
    return [(zero, abs(step))] if linear else []


def _fraction(value: Any) -> Fraction | None:
    fraction = Fraction(str(evaluator.get_context(evaluator.DIGITS).nstr(value, 30))).limit_denominator(60)
    return fraction if fraction and _close(value * fraction.denominator, fraction.numerator) else None


def _residues(progressions: list[tuple[Any, Any]], unit: Any, period: Fraction) -> list[Any] | None:
    """Where the progressions lie in one period, as shares of it."""
    whole = unit * period.numerator / period.denominator
    shares: list[Any] = []
    for start, step in progressions:
        count = int(evaluator.get_context(evaluator.DIGITS).nint(whole / step))
        if count < 1 or count * len(progressions) > MOST_RESIDUES:
            return None
        shares.extend(((start + j * step) / whole) % 1 for j in range(count))
    return [0 if _close(share, 1) else share for share in shares]


def _close(a: Any, b: Any) -> bool:
    distance = abs(a - b)
    return bool(distance < 1e-30 * max(1, abs(a)))
