"""Whether two answers are the same answer: shape against shape, down to scalars.

Invariant: every decision carries the method that made it; `equal` None means that nothing could decide. Shapes that
differ are unequal unless a rule below says otherwise: a value against `x = value`, a set against a bare list, an
interval against an inequality, a column vector against a tuple, braces that LaTeX does not show against any of these.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

from laconic.domains.math import scalars, sets, symbolic
from laconic.domains.math.chains import compatible, is_name, turned_round, values_of
from laconic.domains.math.families import renamed_constants, without_parameters
from laconic.domains.math.nodes import Based, Chain, Colon, Many, Matrix, Node, Pieces, Scalar, SetOf, Span, Words
from laconic.domains.math.normalise import clean, compact
from laconic.domains.math.spelling import contradiction, decimal_comma, same_text, with_unit
from laconic.domains.math.structure import read
from laconic.domains.math.vectors import as_vector, in_basis, same_line
from laconic.domains.math.words import folded

LONGEST = 6_000
"""Characters of an answer that are parsed; longer ones are compared as strings only."""
MOST_ITEMS = 200


class Decision(NamedTuple):
    """`equal` is None when no method could decide."""

    equal: bool | None
    method: str


def decide(reference: str, candidate: str) -> Decision:
    """Compare two answers as they were written."""
    ours, theirs = clean(reference), clean(candidate)
    if compact(ours) == compact(theirs):
        return Decision(True, "string")
    if max(len(ours), len(theirs)) > LONGEST:
        return Decision(None, "too-long")
    ours, theirs, by_parameter = without_parameters(ours, theirs)
    if by_parameter is not None:
        return Decision(by_parameter, "family" if by_parameter else "veto-domain")
    veto = contradiction(ours, theirs)
    if veto is not None:
        return Decision(False, veto)
    if decimal_comma(ours, theirs):
        return Decision(True, "decimal-comma")
    theirs = with_unit(ours, theirs)
    return compare(read(ours), read(theirs), ours, theirs)


def compare(ours: Node, theirs: Node, our_text: str = "", their_text: str = "") -> Decision:
    """Compare two shapes; the texts, when given, are the last resort."""
    if ours == theirs:
        return Decision(True, "structure")
    rule = _rule(ours, theirs)
    if rule is not None and rule.equal is not None:
        return rule
    if our_text and their_text and same_text(our_text, their_text):
        return Decision(True, "words")
    if our_text and their_text and (rule is None or rule.method == "unread"):
        verdict = symbolic.equal(our_text, their_text)
        if verdict is True and _veto(ours, theirs):
            return Decision(False, "veto-shape")
        if verdict is False and "\\ldots" in our_text + their_text:
            return Decision(None, "ellipsis")
        if verdict is not None:
            return Decision(verdict, "math-verify")
    return rule or Decision(False, "shape")


def _rule(ours: Node, theirs: Node) -> Decision | None:
    for rule in (_words, _pieces, _bases, _colons, _chains, _vectors, _sets, _several, _matrices, _scalars, _shapes):
        decision = rule(ours, theirs)
        if decision is not None:
            return decision
    return None


def _veto(ours: Node, theirs: Node) -> bool:
    """Shapes that math-verify likes to confuse: a relation with a value, brackets with none."""
    return isinstance(ours, Chain) != isinstance(theirs, Chain) or isinstance(ours, Many) != isinstance(theirs, Many)


def _shapes(ours: Node, theirs: Node) -> Decision | None:
    """Different shapes, both understood: a matrix is no interval, and neither is a polynomial."""
    if type(ours) is type(theirs) or any(
        isinstance(n, Scalar) and scalars.tree(n.text) is None for n in (ours, theirs)
    ):
        return None
    return Decision(False, "shape")


def _scalars(ours: Node, theirs: Node) -> Decision | None:
    if not (isinstance(ours, Scalar) and isinstance(theirs, Scalar)):
        return None
    decision = Decision(*scalars.compare(ours, theirs))
    if decision.equal is False and "\\ldots" in ours.text + theirs.text:
        return Decision(None, "ellipsis")
    if decision.equal is False and renamed_constants(ours.text, theirs.text):
        return Decision(True, "constants")
    return decision


def _words(ours: Node, theirs: Node) -> Decision | None:
    if not (isinstance(ours, Words) or isinstance(theirs, Words)):
        return None
    if isinstance(ours, Words) and isinstance(theirs, Words):
        return _both_words(ours, theirs)
    words, other = (ours, theirs) if isinstance(ours, Words) else (theirs, ours)
    assert isinstance(words, Words)
    if sets.is_real_line(words):
        return None
    if isinstance(other, Scalar):
        if other.text == words.text:
            return Decision(True, "words")
        if not words.marked:
            return Decision(*scalars.compare(Scalar(words.text), other))
        return Decision(False, "words-against-value")
    if words.text == "\\emptyset" and isinstance(other, Many):
        return Decision(other.kind in ("set", "brace") and not other.items, "empty-set")
    if isinstance(other, Chain) and other.relations == ("=",):
        return compare(words, read(other.terms[1]))
    return Decision(False, "words-against-value")


def _both_words(ours: Words, theirs: Words) -> Decision:
    if len(ours.text) == 1 or len(theirs.text) == 1:
        return Decision(ours.text == theirs.text, "choice")
    if sets.is_real_line(ours) and sets.is_real_line(theirs):
        return Decision(True, "words")
    if ours.text.isupper() and theirs.text.isupper() and " " not in ours.text:
        return Decision(ours.text == theirs.text, "letters")  # BCA is an order of points, not a product
    if not ours.marked and not theirs.marked and max(len(ours.text), len(theirs.text)) <= 3:
        return Decision(*scalars.compare(Scalar(ours.text), Scalar(theirs.text)))
    a, b = folded(ours.text), folded(theirs.text)
    return Decision(a == b or _same_stem(a, b), "words")


_FILLERS_LISTED = """
    function functions number numbers it its is are curve graph shape day answer student person s
    solution solutions triangle line sequence series color colour
    """


_FILLERS = frozenset(_FILLERS_LISTED.split())


def _same_stem(a: str, b: str) -> bool:
    """`the curve is an ellipse` against `ellipse`, but never `not even` against `even`."""
    short, long = sorted((a.split(), b.split()), key=len)
    if not short or len(long) - len(short) > 8 or {"not", "no", "or", "neither"} & set(long):
        return False
    if long[-len(short) :] == short and {"is", "are"} & set(long):
        return True
    starts = [i for i in range(len(long)) if long[i : i + len(short)] == short]
    return len(starts) == 1 and set(long[: starts[0]] + long[starts[0] + len(short) :]) <= _FILLERS


def _bases(ours: Node, theirs: Node) -> Decision | None:
    if isinstance(ours, Based) and isinstance(theirs, Based):
        return Decision(ours == theirs, "base")
    if isinstance(ours, Based) or isinstance(theirs, Based):
        other = theirs if isinstance(ours, Based) else ours
        if isinstance(other, Chain) and other.relations[-1] == "=":
            return None
        return Decision(False, "veto-base")
    return None


def _colons(ours: Node, theirs: Node) -> Decision | None:
    if isinstance(ours, Colon) and isinstance(theirs, Colon):
        return _both_colons(ours, theirs)
    if not (isinstance(ours, Colon) or isinstance(theirs, Colon)):
        return None
    colon, other = (ours, theirs) if isinstance(ours, Colon) else (theirs, ours)
    assert isinstance(colon, Colon)
    if colon.suffix and set(colon.parts[1:]) == {"00"} and isinstance(other, Scalar):
        return Decision(scalars.compare(Scalar(colon.parts[0]), other)[0], "time")
    if len(colon.parts) == 2 and not colon.suffix and isinstance(other, Scalar):
        return Decision(scalars.compare(Scalar(f"\\frac{{{colon.parts[0]}}}{{{colon.parts[1]}}}"), other)[0], "ratio")
    return None if isinstance(other, Chain) else Decision(False, "shape")


def _both_colons(ours: Colon, theirs: Colon) -> Decision:
    if ours.suffix and theirs.suffix and ours.suffix != theirs.suffix:
        return Decision(False, "time")
    a = [part.lstrip("0") or "0" for part in ours.parts]
    b = [part.lstrip("0") or "0" for part in theirs.parts]
    if a == b:
        return Decision(True, "time" if ours.suffix or theirs.suffix else "ratio")
    if len(a) == len(b) and bool(ours.suffix) != bool(theirs.suffix):
        return Decision(_of_day(ours) == _of_day(theirs), "time")
    clock = re.compile(r"0\d|[1-5]\d")
    if len(a) != len(b) or all(clock.fullmatch(part) for part in (*ours.parts[1:], *theirs.parts[1:])):
        return Decision(False, "time")
    sizes = [(scalars.exact(x), scalars.exact(y)) for x, y in zip(a, b, strict=True)]
    known = [(x, y) for x, y in sizes if x is not None and y is not None]
    products = [x * known[0][1] == y * known[0][0] for x, y in known]
    return Decision(len(products) == len(a) and all(products), "ratio")


def _of_day(time: Colon) -> tuple[int, ...] | None:
    """A time on the clock of 24 hours, `3:45 pm` as `15:45`; None for what is no time."""
    if not all(part.isdigit() for part in time.parts):
        return None
    hour = int(time.parts[0])
    if time.suffix:
        hour = hour % 12 + (12 if time.suffix == "pm" else 0)
    return (hour, *map(int, time.parts[1:]))


def _chains(ours: Node, theirs: Node) -> Decision | None:
    if isinstance(ours, Chain) and isinstance(theirs, Chain):
        return _both_chains(ours, theirs)
    if not (isinstance(ours, Chain) or isinstance(theirs, Chain)):
        return None
    chain, other = (ours, theirs) if isinstance(ours, Chain) else (theirs, ours)
    assert isinstance(chain, Chain)
    values = values_of(chain)
    if not values:
        return (
            None
            if sets.is_set_like(other) or set(chain.relations) & {"<", ">", "<=", ">=", "!="}
            else Decision(False, "veto-equation")
        )
    decisions = [compare(other, read(value)) for value in values]
    best = next((d for d in decisions if d.equal), decisions[0])
    return Decision(best.equal, f"assigned-{best.method}" if best.equal else best.method)


def _both_chains(ours: Chain, theirs: Chain) -> Decision | None:
    if set(ours.relations) | set(theirs.relations) <= {"=", "~", "=="}:
        return _both_equations(ours, theirs)
    if (
        sets.region(ours) is not None
        and sets.region(theirs) is not None
        and sets.variable(ours) == sets.variable(theirs)
    ):
        return None
    for candidate in (theirs, turned_round(theirs)):
        if candidate.relations == ours.relations and len(candidate.terms) == len(ours.terms):
            pairs = zip(ours.terms, candidate.terms, strict=True)
            if all(compare(read(a), read(b)).equal for a, b in pairs):
                return Decision(True, "relation")
    return Decision(*scalars.same_relation(ours.terms, ours.relations, theirs.terms, theirs.relations))


def _both_equations(ours: Chain, theirs: Chain) -> Decision | None:
    our_values, their_values = values_of(ours), values_of(theirs)
    undecided = not (our_values and their_values)
    if our_values and their_values and compatible(ours.terms[0], theirs.terms[0]):
        decision = compare(read(our_values[0]), read(their_values[-1]))
        if decision.equal:
            return decision
        undecided = decision.equal is None
    if len(ours.terms) == 2 and len(theirs.terms) == 2:
        verdict, method = scalars.same_relation(ours.terms, ours.relations, theirs.terms, theirs.relations)
        if verdict is not None:
            return Decision(verdict, method)
    pairs = list(zip(ours.terms, theirs.terms, strict=False))
    same = len(ours.terms) == len(theirs.terms) and all(compare(read(a), read(b)).equal for a, b in pairs)
    return (
        Decision(True, "equation")
        if same
        else Decision(None if undecided else False, "unread" if undecided else "equation")
    )


def _pieces(ours: Node, theirs: Node) -> Decision | None:
    """Functions in pieces: the same values under the same conditions, the one that is left otherwise."""
    if not (isinstance(ours, Pieces) or isinstance(theirs, Pieces)):
        return None
    if not (isinstance(ours, Pieces) and isinstance(theirs, Pieces)):
        chain = theirs if isinstance(ours, Pieces) else ours
        return None if isinstance(chain, Chain) else Decision(None, "pieces")
    left = list(theirs.rows)
    open_rows: list[tuple[Node, Node | None]] = []
    for value, condition in ours.rows:
        same = next((row for row in left if _same_condition(condition, row[1])), None)
        if same is None:
            open_rows.append((value, condition))
            continue
        left.remove(same)
        decision = compare(value, same[0])
        if not decision.equal:
            return Decision(decision.equal, "pieces")
    if len(open_rows) == len(left) == 1 and None in (open_rows[0][1], left[0][1]):
        verdict = compare(open_rows[0][0], left[0][0]).equal
        named = theirs if open_rows[0][1] is None else ours
        rest = left[0][1] if named is theirs else open_rows[0][1]
        covered = sets.is_rest([row[1] for row in named.rows if row[1] is not rest], rest)
        return Decision(verdict and covered, "pieces")
    if not open_rows and not left:
        return Decision(True, "pieces")
    values = _matching([value for value, _ in ours.rows], [value for value, _ in theirs.rows])
    return Decision(None if values.equal else values.equal, "pieces")


def _same_condition(ours: Node | None, theirs: Node | None) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    return bool(compare(ours, theirs).equal)


def _vectors(ours: Node, theirs: Node) -> Decision | None:
    for vector, other in ((ours, theirs), (theirs, ours)):
        if isinstance(vector, Matrix) and isinstance(other, Span):
            listed = as_vector(other)
            return compare(listed, vector) if listed != other else Decision(False, "shape")
        written = in_basis(vector, other)
        if written is not None:
            return Decision(written, "basis")
    return Decision(True, "line") if same_line(ours, theirs) else None


def _sets(ours: Node, theirs: Node) -> Decision | None:
    strong = (Span, SetOf)
    relational = [n for n in (ours, theirs) if isinstance(n, Chain) or (isinstance(n, Many) and _inequalities(n))]
    if not (
        isinstance(ours, strong)
        or isinstance(theirs, strong)
        or relational
        or any(map(sets.is_real_line, (ours, theirs)))
    ):
        return None
    if (isinstance(ours, Many) and ours.kind in ("list", "square")) != (
        isinstance(theirs, Many) and theirs.kind in ("list", "square")
    ):
        plain = ours if isinstance(ours, Many) else theirs
        if isinstance(plain, Many) and not _intervals_or_relations(plain):
            return Decision(False, "veto-brackets")
    a, b = sets.region(ours), sets.region(theirs)
    if a is not None and b is not None:
        return Decision(sets.same_region(a, b), "interval")
    if isinstance(ours, Span) and isinstance(theirs, Span):
        ends = (ours.low_closed, ours.high_closed) == (theirs.low_closed, theirs.high_closed)
        inner = compare(read(ours.low), read(theirs.low)).equal and compare(read(ours.high), read(theirs.high)).equal
        return Decision(ends and bool(inner), "interval")
    if isinstance(ours, Span) != isinstance(theirs, Span):
        return Decision(False, "veto-brackets")
    return None


def _inequalities(node: Many) -> bool:
    return any(isinstance(item, Chain) and set(item.relations) & {"<", ">", "<=", ">=", "!="} for item in node.items)


def _intervals_or_relations(node: Many) -> bool:
    return any(isinstance(item, (Span, Chain, SetOf)) for item in node.items)


def _several(ours: Node, theirs: Node) -> Decision | None:
    if isinstance(ours, Many) and isinstance(theirs, Many):
        return _both_several(ours, theirs)
    many, other = (ours, theirs) if isinstance(ours, Many) else (theirs, ours)
    if not isinstance(many, Many):
        return None
    if isinstance(other, Matrix):
        return _vector(many, other)
    if many.kind == "tuple" or not isinstance(other, (Scalar, Words, Chain, Colon, Based)):
        return Decision(False, "shape")
    if not many.items:
        return Decision(False, "shape")
    found = [compare(item, other) for item in many.items]
    if all(d.equal for d in found):
        return Decision(True, "repeated")
    return Decision(
        None if any(d.equal is None for d in found) and not any(d.equal is False for d in found) else False, "count"
    )


_ORDERED = frozenset(("tuple", "vector", "square"))
_LOOSE = frozenset(("list", "set"))


def _both_several(ours: Many, theirs: Many) -> Decision:
    kinds = {ours.kind, theirs.kind}
    our_names, their_names = _assigned(ours), _assigned(theirs)
    if our_names and their_names and set(our_names) == set(their_names):
        return _all([compare(our_names[name], their_names[name]) for name in our_names], "assignments")
    for names, other in ((our_names, theirs), (their_names, ours)):
        if names and other.kind in ("tuple", "vector"):
            return _pairwise(list(names.values()), list(other.items), "assignments")
    a, b = _flat(ours), _flat(theirs)
    if "brace" not in kinds and kinds & _ORDERED and kinds & _LOOSE:
        if (len(a) == 1 and len(b) != 1) or (len(b) == 1 and len(a) != 1):
            return Decision(False, "count")
        return Decision(False, "veto-brackets")
    if kinds <= _ORDERED or kinds == {"brace", "tuple"}:
        return _pairwise(a, b, "tuple")
    return _matching(a, b)


def _assigned(many: Many) -> dict[str, Node] | None:
    """`x = 1, y = 2` by name, in the order of the text; None unless every part assigns another unknown."""
    if many.kind not in _LOOSE or not all(isinstance(item, Chain) and is_name(item.terms[0]) for item in many.items):
        return None
    chains = [item for item in many.items if isinstance(item, Chain) and item.relations == ("=",)]
    named = {compact(chain.terms[0]): read(chain.terms[1]) for chain in chains}
    return named if len(named) == len(many.items) > 1 else None


def _flat(many: Many) -> list[Node]:
    """The answers one by one: `1 \\pm \\sqrt 5, -2` are three, and `x = 1, x = 2` are two."""
    if many.kind in _ORDERED:
        return list(many.items)
    flat: list[Node] = []
    for item in many.items:
        value = read(item.terms[-1]) if isinstance(item, Chain) and values_of(item) else item
        flat.extend(value.items if isinstance(value, Many) and value.kind == "list" else [value])
    return flat


def _pairwise(a: Sequence[Node], b: Sequence[Node], method: str) -> Decision:
    if len(a) != len(b):
        return Decision(False, "count")
    return _all([compare(x, y) for x, y in zip(a, b, strict=True)], method)


def _all(decisions: Sequence[Decision], method: str) -> Decision:
    if any(d.equal is False for d in decisions):
        return Decision(False, method)
    return Decision(None if any(d.equal is None for d in decisions) else True, method if decisions else "empty")


def _matching(a: Sequence[Node], b: Sequence[Node]) -> Decision:
    """Equal as sets: every answer of each side is on the other side."""
    if max(len(a), len(b)) > MOST_ITEMS:
        return Decision(None, "too-long")
    undecided = False
    for ours, theirs in ((a, b), (b, a)):
        for item in ours:
            found = [compare(item, other) for other in theirs]
            if not any(d.equal for d in found):
                if not any(d.equal is None for d in found):
                    return Decision(False, "set")
                undecided = True
    return Decision(None if undecided else True, "set")


def _matrices(ours: Node, theirs: Node) -> Decision | None:
    if isinstance(ours, Matrix) and isinstance(theirs, Matrix):
        if ours.bars != theirs.bars or [len(row) for row in ours.rows] != [len(row) for row in theirs.rows]:
            return Decision(False, "matrix")
        return _pairwise(list(itertools.chain(*ours.rows)), list(itertools.chain(*theirs.rows)), "matrix")
    return None


def _vector(many: Many, matrix: Matrix) -> Decision:
    if many.kind not in _ORDERED and many.kind != "brace":
        return Decision(False, "shape")
    if len(matrix.rows) == 1:
        return _pairwise(many.items, matrix.rows[0], "vector")
    if all(len(row) == 1 for row in matrix.rows):
        return _pairwise(many.items, [row[0] for row in matrix.rows], "vector")
    return Decision(False, "shape")
