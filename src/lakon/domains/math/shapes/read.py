"""The shape of an answer: number, list, tuple, set, interval, matrix, equation, inequality, base, time, text.

Invariant: a shape is read from the notation alone, never from what would make two answers match; so a tuple never
becomes a list, nor an equation a value, except where `compare.py` says so by name. Reading is total: what fits no
other shape is a scalar, whose text the expression parsers then accept or refuse.
"""

from __future__ import annotations

import re

from lakon.domains.math.parse.brackets import split_outside, trace_brackets
from lakon.domains.math.parse.clean import clean_text
from lakon.domains.math.shapes.bracketed import read_bracketed, read_set_algebra
from lakon.domains.math.shapes.matrices import read_array
from lakon.domains.math.shapes.nodes import (
    Chain,
    Many,
    Node,
    Read,
    Scalar,
    SetOf,
    Term,
    Words,
)
from lakon.domains.math.shapes.number_words import means_nothing, read_plain_words, read_word_number
from lakon.domains.math.shapes.quantities import read_based, read_colon, read_compound, read_scalar
from lakon.domains.math.shapes.strip import tidy_answer

_RELATIONS = {
    "=": "=",
    "<": "<",
    ">": ">",
    "\\le": "<=",
    "\\ge": ">=",
    "\\ne": "!=",
    "\\approx": "~",
    "\\in": "in",
    "\\equiv": "==",
}
_INEQUALITY = re.compile(r"[<>]|\\(?:le|ge|ne)(?![a-z])")
_COUNTED = re.compile(r"\s*[-+]?\d[\d,]*(?:\.\d+|/\d+|(?:st|nd|rd|th)\b)?\s+[A-Za-z][A-Za-z ]*\.?\s*")
_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")


class Reader:
    """Reads one cleaned answer and its parts. Every part is read once, though several shapes are tried on it: without
    that, each pair of brackets would double the work."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}

    def __call__(self, text: str) -> Node:
        if text not in self._nodes:
            self._nodes[text] = _read(tidy_answer(text), self)
        return self._nodes[text]


def _read(text: str, read: Read) -> Node:
    if not text:
        return Scalar("")
    for reader in (
        _ruled,
        _nothing,
        read_based,
        read_colon,
        read_compound,
        _joined,
        _related,
        read_set_algebra,
        read_array,
        read_bracketed,
        _plus_minus,
        _worded,
    ):
        node = reader(text, read)
        if node is not None:
            return node
    return read_scalar(text, read)


_RULED = re.compile(r"(?:\\text\s*\{\s*)?(yes|no|true|false)\s*[,;:.-]\s*[A-Za-z]+\s+[a-z][^\\]*", re.I)


def _ruled(text: str, read: Read) -> Node | None:
    """`Yes, such a number exists`: the first word answers, the others explain."""
    ruled = _RULED.fullmatch(text)
    return Words(ruled[1], marked=False) if ruled else None


def _nothing(text: str, read: Read) -> Node | None:
    if re.fullmatch(r"\\emptyset|\\\{\s*\\\}|\\text\s*\{\s*\\emptyset\s*\}", text) or means_nothing(
        read_plain_words(text) or ""
    ):
        return Words("\\emptyset")
    return None


def _joined(text: str, read: Read) -> Node | None:
    """Bare answers joined by commas, semicolons, "and" or "or"."""
    separators = (
        (";", "\\and", "\\or", ",", "\\land", "\\lor", "\\cr") if "\\begin" not in text else (";", "\\and", "\\or", ",")
    )
    if not any(separator in text for separator in separators):
        return None
    groups = _parts(text, (";", "\\or", "\\lor"))
    if len(groups) > 1 and all(len(_parts(group, (",", "\\and", "\\land"))) > 1 for group in groups):
        return Many("list", tuple(_group(group, read) for group in groups))
    parts = _parts(text, separators)
    if len(parts) > 1 and len(groups) == 1 and all(_INEQUALITY.search(part) for part in parts):
        return SetOf("\\and", tuple(read(part) for part in parts))
    return Many("list", tuple(read(part) for part in parts)) if len(parts) > 1 else None


def _parts(text: str, separators: tuple[str, ...]) -> list[str]:
    return [part.strip() for part in split_outside(text, separators) if part.strip() and part.strip() != "\\ldots"]


def _group(text: str, read: Read) -> Node:
    """`p=5, q=2` among several such: one answer of two values, as `(5, 2)` is."""
    return Many("brace", tuple(read(part) for part in _parts(text, (",", "\\and", "\\land"))))


def _related(text: str, read: Read) -> Node | None:
    terms, relations, current = list[str](), list[str](), list[str]()
    for token, depth in trace_brackets(text):
        if depth == 0 and token in _RELATIONS:
            terms.append("".join(current).strip())
            relations.append(_RELATIONS[token])
            current = []
        else:
            current.append(token)
    if not relations:
        return None
    terms.append("".join(current).strip())
    if relations[0] == "in":
        return read(terms[1]) if len(terms) == 2 else None
    if not terms[0]:  # "= 5"
        terms, relations = terms[1:], relations[1:]
    return Chain(tuple(Term(term, read) for term in terms), tuple(relations)) if relations else read(terms[0])


def _plus_minus(text: str, read: Read) -> Node | None:
    if not re.search(r"\\(?:pm|mp)(?![a-z])", text):
        return None
    upper = re.sub(r"\\pm(?![a-z])\s*", "+", re.sub(r"\\mp(?![a-z])\s*", "-", text))
    lower = re.sub(r"\\pm(?![a-z])\s*", "-", re.sub(r"\\mp(?![a-z])\s*", "+", text))
    return Many("list", (read(upper.lstrip("+")), read(lower)))


def _worded(text: str, read: Read) -> Node | None:
    choice = re.fullmatch(
        r"\\text\s*\{\s*(?:(?:[Oo]ption|[Cc]hoice|[Aa]nswer|[Ss]tatement)\s)?\s*\(?([A-Z])\)?\s*\}|(?:[Oo]ption|[Cc]hoice)\s\(?([A-Z])\)?|\(([A-Z])\)|(?:\\text\s*\{\s*)?\(([A-Z])\)\s*\}?[:.\s].*|([A-Z])[.):]\s*.*",
        text,
    )
    if choice:
        return Words(next(group for group in choice.groups() if group))
    wrapped = _TEXT.fullmatch(text)
    if wrapped and (_COUNTED.fullmatch(wrapped[1]) or not re.search(r"[^\W\d_]{2,}", wrapped[1])):
        return read(clean_text(wrapped[1]))
    words = read_plain_words(text)
    if words is None:
        return None
    as_number = read_word_number(words)
    if as_number is not None:
        return Scalar(as_number)
    if "\\text" in text and not re.search(r"\d", text.split("\\text")[0]):
        listed = [part.strip() for part in re.split(r",\s*(?:and\b|or\b)?|\s(?:and|or)\s", words) if part.strip()]
        if len(listed) > 1 and max(len(part) for part in listed) <= 20:
            return Many("list", tuple(Words(part) for part in listed))
        return Words(words)
    return Words(words, marked=False) if re.fullmatch(r"[^\W\d_]{2,}(?:[\s,'-]+[^\W\d_]+)*", words) else None
