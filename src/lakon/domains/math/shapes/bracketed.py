"""Tuples, sets and intervals: what brackets say, and what joins or cuts the sets in them."""

from __future__ import annotations

import re

from lakon.domains.math.parse.brackets import is_balanced, split_outside, take_enclosed
from lakon.domains.math.shapes.nodes import (
    Bracket,
    Chain,
    Many,
    Node,
    Read,
    Scalar,
    SetOf,
    Span,
    Term,
    Words,
)

_POINT = re.compile(r"[A-Z]'?\s*(?=\((?:[^(),;]|\([^()]*\))*\d[^;]*,)")
_CHOICE = re.compile(r"(?:\\text\s*\{\s*)?\(?\s*([A-Z])\s*\)?\s*\}?[.,]?")
_SIGNS = re.compile(r"(?:(?<=[(,])|\A)\s*\\(?:pm|mp)(?![a-z])\s*")


def read_set_algebra(text: str, read: Read) -> Node | None:
    for operator in ("\\cup", "\\cap", "\\setminus"):
        parts = split_outside(text, (operator,)) if operator in text else []
        if len(parts) > 1:
            return SetOf(operator, tuple(read(part) for part in parts))
    but = _EXCEPT.fullmatch(text)
    if but:
        return SetOf("\\setminus", (Words("\\mathbb{R}"), _as_set(but[1], read)))
    half = re.fullmatch(r"\\mathbb\s*\{\s*R\s*\}\s*([_^])\s*\{?\s*([-+]|[<>]\s*0|\\[lg]e\s*0)\s*\}?", text)
    if half:
        return _half_line(half[2].removesuffix("0").strip(), read)
    minus = re.fullmatch(r"(\\mathbb\s*\{\s*R\s*\})\s*[-\\]\s*(\\\{.*\\\})", text)
    if minus:
        return SetOf("\\setminus", (read(minus[1]), read(minus[2])))
    return Words("\\mathbb{R}") if re.fullmatch(r"\\mathbb\s*\{\s*R\s*\}", text) else None


_EXCEPT = re.compile(
    r"(?:\\text\s*\{\s*)?(?:all\s+)?(?:the\s+)?(?:real\s+numbers?|reals)(?:\s+[a-z])?,?\s+(?:except|other\s+than|excluding|but|besides)"
    r"(?:\s+for)?[\s}:]+(.{1,200})|\\mathbb\s*\{\s*R\s*\}\s*\^\s*\{?\s*(?:\*|\\ast|\\times)\s*\}?",
    re.S,
)


def _as_set(text: str | None, read: Read) -> Node:
    """What is left out: numbers one by one; zero where a star says so."""
    node = read(text) if text else Scalar("0")
    items = node.items if isinstance(node, Many) and node.kind in ("list", "set") else (node,)
    values = tuple(n.terms[-1].node if isinstance(n, Chain) and n.relations == ("=",) else n for n in items)
    return Many("set", values)


def _half_line(sign: str, read: Read) -> Node:
    """`\\mathbb{R}^+`, `\\mathbb{R}_{\\ge 0}`: the numbers on one side of zero."""
    closed = sign.startswith("\\")
    if sign in ("+", ">", "\\ge"):
        return _span("0", "\\infty", closed, False, read)
    return _span("-\\infty", "0", False, closed, read)


def read_bracketed(text: str, read: Read) -> Node | None:
    named = _POINT.match(text)
    if named and take_enclosed(text[named.end() :], "(", ")") is not None:
        text = text[named.end() :]
    for opener, closer, kind in (
        ("(", ")", "tuple"),
        ("\\{", "\\}", "set"),
        ("{", "}", "brace"),
        ("\\langle", "\\rangle", "vector"),
    ):
        inner = take_enclosed(text, opener, closer)
        if inner is not None:
            return _inside(inner, kind, read)  # type: ignore[arg-type]  # the literals above
    inner = take_enclosed(text, "[", "]")
    if inner is not None:
        ends = split_outside(inner, (",", ";"))
        if len(ends) == 2:
            return _span(ends[0].strip(), ends[1].strip(), True, True, read)
        return _inside(inner, "square", read)
    return _half_open(text, read)


def _span(low: str, high: str, low_closed: bool, high_closed: bool, read: Read) -> Span:
    return Span(Term(low, read), Term(high, read), low_closed, high_closed)


def _half_open(text: str, read: Read) -> Node | None:
    for opener, closer, low, high in (
        ("(", "]", False, True),
        ("[", ")", True, False),
        ("]", "[", False, False),
        ("]", "]", False, True),
        ("[", "[", True, False),
    ):
        if text.startswith(opener) and text.endswith(closer) and len(text) > 2:
            ends = split_outside(text[1:-1], (",", ";"))
            if len(ends) == 2 and is_balanced(ends[0]) and is_balanced(ends[1]):
                return _span(ends[0].strip(), ends[1].strip(), low, high, read)
    return None


def _inside(inner: str, kind: Bracket, read: Read) -> Node | None:
    if kind == "set" and (builder := re.match(r"\s*[a-z]\s*(?:\\in\s*\\mathbb\{R\})?\s*(?:\||:)\s*(.+)", inner)):
        return read(builder[1])
    choice = _CHOICE.fullmatch(inner.strip())
    if kind == "tuple" and choice:
        return Words(choice[1])
    if kind == "tuple" and len(_SIGNS.findall(inner)) == 1 and len(split_outside(inner, (",",))) > 1:
        return Many("list", tuple(read(f"({_SIGNS.sub(sign, inner)})") for sign in ("", "-")))
    if kind == "tuple" and "\\infty" in inner and len(ends := split_outside(inner, (",", ";"))) == 2:
        return _span(ends[0].strip(), ends[1].strip(), False, False, read)
    separators = (";",) if kind == "tuple" and ";" in inner else (",", ";", "\\and", "\\or")
    parts = [part.strip() for part in split_outside(inner, separators)]
    if kind == "tuple" and len(parts) == 1:
        return None
    return Many(kind, tuple(read(part) for part in parts if part))
