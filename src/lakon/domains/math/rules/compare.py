"""Whether two answers are the same answer: shape against shape, down to scalars.

Invariant: every decision carries the method that made it; `equal` None means that nothing could decide. Shapes that
differ are unequal unless a rule below says otherwise: a value against `x = value`, a set against a bare list, an
interval against an inequality, a column vector against a tuple, braces that LaTeX does not show against any of these.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

from lakon.domains.math.rules import math_verify as symbolic
from lakon.domains.math.rules import scalars, sets
from lakon.domains.math.rules.answer import Answer, read_answer
from lakon.domains.math.rules.congruences import compare_classes
from lakon.domains.math.rules.decision import Decision
from lakon.domains.math.rules.families import are_constants_renamed, drop_parameters
from lakon.domains.math.rules.lists import compare_matrices, compare_several, list_unknowns
from lakon.domains.math.rules.pieces import compare_pieces
from lakon.domains.math.rules.ratios_and_times import compare_colons
from lakon.domains.math.rules.relations import (
    are_compatible,
    find_unknowns,
    is_out_of_order,
    put_in_order,
    read_values,
    turn_round,
)
from lakon.domains.math.rules.restated import is_step
from lakon.domains.math.rules.spelling import drop_letter, find_contradiction, is_decimal_comma, is_same_text, mark_unit
from lakon.domains.math.rules.vectors import is_in_basis, is_same_line, read_vector
from lakon.domains.math.rules.words import compare_words
from lakon.domains.math.shapes.nodes import Based, Chain, Many, Matrix, Node, Scalar, SetOf, Span

LONGEST = 6_000
"""Characters of an answer that are parsed; longer ones are compared as strings only."""


def decide(reference: str, candidate: str) -> Decision:
    """Compare two answers as they were written. What is spelt twice is equal when every spelling is: one that differs
    is never made good by the other, unless it is a step on the way to it."""
    ours, theirs = read_answer(reference), read_answer(candidate)
    if ours.compacted == theirs.compacted:
        return Decision(True, "string")
    if max(len(ours.text), len(theirs.text)) > LONGEST:
        return Decision(None, "too-long")
    pairs = list(itertools.product(ours.spellings, theirs.spellings))
    if len(pairs) == 1:
        return _decide(ours, theirs)
    verdicts = [a.compacted == b.compacted or _decide(a, b).equal for a, b in pairs]
    if all(verdicts):
        return Decision(True, "restated")
    decision = _decide(ours, theirs)
    steps = (is_step(a.text, b.text) or is_step(b.text, a.text) for a, b in pairs)
    differ = any(equal is False and not step for equal, step in zip(verdicts, steps, strict=True))
    return Decision(False, "restated") if decision.equal and differ else decision


def _decide(ours: Answer, theirs: Answer) -> Decision:
    """Compare two answers of one spelling each."""
    our_text, their_text, by_parameter = drop_parameters(ours.text, theirs.text)
    if by_parameter is not None:
        return Decision(by_parameter, "family" if by_parameter else "veto-domain")
    veto = find_contradiction(our_text, their_text)
    if veto is not None:
        return Decision(False, veto)
    congruent = compare_classes(our_text, their_text)
    if congruent is not None:
        return Decision(congruent, "residues")
    ours, theirs = ours.written_as(our_text), theirs.written_as(their_text)
    if is_decimal_comma(ours, theirs):
        return Decision(True, "decimal-comma")
    theirs = theirs.written_as(mark_unit(our_text, drop_letter(our_text, their_text)))
    decision = _by_rule(ours.node, theirs.node)
    if decision is not None and decision.equal is not None:
        return decision
    return _by_text(ours, theirs, decision) or decision or Decision(False, "shape")


def compare(ours: Node, theirs: Node) -> Decision:
    """Compare two shapes."""
    return _by_rule(ours, theirs) or Decision(False, "shape")


def _by_text(ours: Answer, theirs: Answer, decision: Decision | None) -> Decision | None:
    """The last resort, where the rules on shapes came to no decision or to one without a verdict."""
    if not (ours.text and theirs.text):
        return None
    if is_same_text(ours.text, theirs.text):
        return Decision(True, "words")
    if decision is not None and decision.method != "unread":
        return None
    verdict = symbolic.are_equal(ours.symbolic, theirs.symbolic)
    if verdict is True and _veto(ours.node, theirs.node):
        return Decision(False, "veto-shape")
    if verdict is False and "\\ldots" in ours.text + theirs.text:
        return Decision(None, "ellipsis")
    return None if verdict is None else Decision(verdict, "math-verify")


def _by_rule(ours: Node, theirs: Node) -> Decision | None:
    if ours == theirs:
        return Decision(True, "structure")
    for rule in _RULES:
        decision = rule(ours, theirs)
        if decision is not None:
            return decision
    return None


def _veto(ours: Node, theirs: Node) -> bool:
    """Shapes that math-verify likes to confuse: a relation with a value, brackets with none."""
    return isinstance(ours, Chain) != isinstance(theirs, Chain) or isinstance(ours, Many) != isinstance(theirs, Many)


def _shapes(ours: Node, theirs: Node) -> Decision | None:
    """Different shapes, both understood: a matrix is no interval, and neither is a polynomial."""
    if type(ours) is type(theirs) or any(isinstance(n, Scalar) and n.formula is None for n in (ours, theirs)):
        return None
    return Decision(False, "shape")


def _scalars(ours: Node, theirs: Node) -> Decision | None:
    if not (isinstance(ours, Scalar) and isinstance(theirs, Scalar)):
        return None
    decision = Decision(*scalars.compare_scalars(ours, theirs))
    if decision.equal is False and "\\ldots" in ours.text + theirs.text:
        return Decision(None, "ellipsis")
    if decision.equal is False and are_constants_renamed(ours, theirs):
        return Decision(True, "constants")
    return decision


def _bases(ours: Node, theirs: Node) -> Decision | None:
    if isinstance(ours, Based) and isinstance(theirs, Based):
        return Decision(ours == theirs, "base")
    if isinstance(ours, Based) or isinstance(theirs, Based):
        other = theirs if isinstance(ours, Based) else ours
        if isinstance(other, Chain) and other.relations[-1] == "=":
            return None
        return Decision(False, "veto-base")
    return None


def _chains(ours: Node, theirs: Node) -> Decision | None:
    if isinstance(ours, Chain) and isinstance(theirs, Chain):
        return _both_chains(ours, theirs)
    if not (isinstance(ours, Chain) or isinstance(theirs, Chain)):
        return None
    chain, other = (ours, theirs) if isinstance(ours, Chain) else (theirs, ours)
    assert isinstance(chain, Chain)
    values = read_values(chain)
    if is_out_of_order(chain):
        return Decision(False, "veto-order")
    if len(list_unknowns(other)) > 1 and not find_unknowns(chain.terms[0].text):
        return Decision(False, "count")  # of two unknowns, against one
    if not values:
        return (
            None
            if sets.is_set_like(other) or set(chain.relations) & {"<", ">", "<=", ">=", "!="}
            else Decision(False, "veto-equation")
        )
    decisions = [compare(other, value.node) for value in values]
    best = next((d for d in decisions if d.equal), decisions[0])
    return Decision(best.equal, f"assigned-{best.method}" if best.equal else best.method)


def _both_chains(ours: Chain, theirs: Chain) -> Decision | None:
    if set(ours.relations) | set(theirs.relations) <= {"=", "~", "=="}:
        return _both_equations(ours, theirs)
    if (
        sets.find_region(ours) is not None
        and sets.find_region(theirs) is not None
        and sets.find_variable(ours) == sets.find_variable(theirs)
    ):
        return None
    for candidate in (theirs, turn_round(theirs)):
        if candidate.relations == ours.relations and len(candidate.terms) == len(ours.terms):
            pairs = zip(ours.terms, candidate.terms, strict=True)
            if all(compare(a.node, b.node).equal for a, b in pairs):
                return Decision(True, "relation")
    return Decision(*scalars.compare_relations(ours, theirs))


def _both_equations(ours: Chain, theirs: Chain) -> Decision | None:
    theirs = put_in_order(ours, theirs)
    if is_out_of_order(ours) != is_out_of_order(theirs):
        return Decision(False, "veto-order")
    our_values, their_values = read_values(ours), read_values(theirs)
    undecided = not (our_values and their_values)
    if our_values and their_values and are_compatible(ours.terms[0].text, theirs.terms[0].text):
        decision = compare(our_values[0].node, their_values[-1].node)
        if decision.equal:
            return decision
        undecided = decision.equal is None
    if len(ours.terms) == 2 and len(theirs.terms) == 2:
        verdict, method = scalars.compare_relations(ours, theirs)
        if verdict is not None:
            return Decision(verdict, method)
    pairs = list(zip(ours.terms, theirs.terms, strict=False))
    same = len(ours.terms) == len(theirs.terms) and all(compare(a.node, b.node).equal for a, b in pairs)
    return (
        Decision(True, "equation")
        if same
        else Decision(None if undecided else False, "unread" if undecided else "equation")
    )


def _vectors(ours: Node, theirs: Node) -> Decision | None:
    for vector, other in ((ours, theirs), (theirs, ours)):
        if isinstance(vector, Matrix) and isinstance(other, Span):
            listed = read_vector(other)
            return compare(listed, vector) if listed != other else Decision(False, "shape")
        written = is_in_basis(vector, other)
        if written is not None:
            return Decision(written, "basis")
    return Decision(True, "line") if is_same_line(ours, theirs) else None


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
    a, b = sets.find_region(ours), sets.find_region(theirs)
    if a is not None and b is not None:
        return Decision(sets.is_same_region(a, b), "interval")
    if isinstance(ours, Span) and isinstance(theirs, Span):
        ends = (ours.low_closed, ours.high_closed) == (theirs.low_closed, theirs.high_closed)
        inner = compare(ours.low.node, theirs.low.node).equal and compare(ours.high.node, theirs.high.node).equal
        return Decision(ends and bool(inner), "interval")
    if isinstance(ours, Span) != isinstance(theirs, Span):
        return Decision(False, "veto-brackets")
    return None


def _inequalities(node: Many) -> bool:
    return any(isinstance(item, Chain) and set(item.relations) & {"<", ">", "<=", ">=", "!="} for item in node.items)


def _intervals_or_relations(node: Many) -> bool:
    return any(isinstance(item, (Span, Chain, SetOf)) for item in node.items)


_RULES: tuple[Callable[[Node, Node], Decision | None], ...] = (
    partial(compare_words, compare=compare),
    partial(compare_pieces, compare=compare),
    _bases,
    compare_colons,
    _chains,
    _vectors,
    _sets,
    partial(compare_several, compare=compare),
    partial(compare_matrices, compare=compare),
    _scalars,
    _shapes,
)
"""In this order: the first that has something to say decides."""
