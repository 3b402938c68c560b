"""Answers in words: names, choices, the empty set, and words against what is no word."""

from __future__ import annotations

from functools import cache

from lakon.domains.math.rules import scalars, sets
from lakon.domains.math.rules.decision import Compare, Decision
from lakon.domains.math.shapes.nodes import Chain, Many, Node, Scalar, Words
from lakon.domains.math.shapes.number_words import fold_words
from lakon.domains.math.tables import load_table


def compare_words(ours: Node, theirs: Node, compare: Compare) -> Decision | None:
    """Where one of the two is in words."""
    if not (isinstance(ours, Words) or isinstance(theirs, Words)):
        return None
    if isinstance(ours, Words) and isinstance(theirs, Words):
        return _both_words(ours, theirs)
    said, other = (ours, theirs) if isinstance(ours, Words) else (theirs, ours)
    assert isinstance(said, Words)
    if sets.is_real_line(said):
        return None
    if isinstance(other, Scalar):
        if other.text == said.text:
            return Decision(True, "words")
        if not said.marked:
            return Decision(*scalars.compare_scalars(Scalar(said.text), other))
        return Decision(False, "words-against-value")
    if said.text == "\\emptyset" and isinstance(other, Many):
        return Decision(other.kind in ("set", "brace") and not other.items, "empty-set")
    if isinstance(other, Chain) and other.relations == ("=",):
        return compare(said, other.terms[1].node)
    return Decision(False, "words-against-value")


def _both_words(ours: Words, theirs: Words) -> Decision:
    if len(ours.text) == 1 or len(theirs.text) == 1:
        return Decision(ours.text == theirs.text, "choice")
    if sets.is_real_line(ours) and sets.is_real_line(theirs):
        return Decision(True, "words")
    if ours.text.isupper() and theirs.text.isupper() and " " not in ours.text:
        return Decision(ours.text == theirs.text, "letters")  # BCA is an order of points, not a product
    if not ours.marked and not theirs.marked and max(len(ours.text), len(theirs.text)) <= 3:
        return Decision(*scalars.compare_scalars(Scalar(ours.text), Scalar(theirs.text)))
    a, b = fold_words(ours.text), fold_words(theirs.text)
    return Decision(a == b or _same_stem(a, b), "words")


@cache
def _fillers() -> frozenset[str]:
    return frozenset(load_table("rules/words.toml")["fillers"].split())


def _same_stem(a: str, b: str) -> bool:
    """`the curve is an ellipse` against `ellipse`, but never `not even` against `even`."""
    short, long = sorted((a.split(), b.split()), key=len)
    if not short or len(long) - len(short) > 8 or {"not", "no", "or", "neither"} & set(long):
        return False
    if long[-len(short) :] == short and {"is", "are"} & set(long):
        return True
    starts = [i for i in range(len(long)) if long[i : i + len(short)] == short]
    return len(starts) == 1 and set(long[: starts[0]] + long[starts[0] + len(short) :]) <= _fillers()
