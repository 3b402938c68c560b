"""Matrices, vectors, sums of vectors and functions in pieces, read from their texts.

Invariant: what is read has one shape whatever it was written in: `\\left[\\begin{matrix}...`, `[[1, 2], [3, 4]]` and
`pmatrix` are one matrix, `(1,2)^T` is `(1,2)`, and `(1,2) + t(3,4)` is `(1+3t, 2+4t)`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from lakon.domains.math.parse.brackets import split_outside, take_enclosed, trace_brackets
from lakon.domains.math.parse.clean import compact_text
from lakon.domains.math.shapes.nodes import Many, Matrix, Node, Pieces, Read, Scalar

_MATRIX = re.compile(
    r"(?P<factor>[^&=]{0,60}?)\\begin\{(?P<env>[pbvBV]?matrix|smallmatrix|array)\}(?:\{[^{}]*\})?(?P<body>.*)\\end\{(?P=env)\}",
    re.S,
)
_FRAMED = re.compile(
    r"([\[(|])\s*\\begin\{(array|matrix|smallmatrix)\}(?:\{[^{}]*\})?((?:(?!\\begin|\\end).){0,20000})\\end\{\2\}\s*[\])|]",
    re.S,
)
_TRANSPOSED = re.compile(
    r"(?<=[)\]}])\s*\^\s*\{?\s*(?:T|\\top|\\intercal|\\text\s*\{\s*T\s*\}|\\math(?:sf|rm|tt)\s*\{?T\}?)\s*\}?\s*\Z"
)
_CASES = re.compile(r"\\begin\{(cases|dcases|array|aligned)\}(?:\{[^{}]*\})?(?P<body>.*)\\end\{\1\}", re.S)
_IF = re.compile(r"(?:\\text\s*\{\s*,?\s*(?:if|for|when|where|in case)\s*\}|(?<![A-Za-z\\])(?:if|for|when)\s)\s*")
_ELSE = re.compile(r"(?:\\text\s*\{)?\s*(?:otherwise|else|elsewhere)\s*\.?\s*\}?", re.I)
_BRACKETS = (("(", ")"), ("\\langle", "\\rangle"), ("[", "]"))
_SCALE = re.compile(
    r"(?:[\d./*\s^{}]|(?<![A-Za-z])[a-eijk-z](?![A-Za-z])|\\(?:frac|sqrt|pi|lambda|mu|tau|alpha|beta|theta)(?![a-z])){0,60}"
)
"""A coefficient; `\\max(2,7)`, `f(1,2)` and the point `A(1,2)` are no multiples of a vector."""
MOST_TERMS = 12


def read_array(text: str, read: Read) -> Node | None:
    """The matrix, vector arithmetic or function in pieces that `text` is, or None."""
    if "\\begin{" in text:
        text = _FRAMED.sub(_framed, text)
        node = _in_pieces(text, read) or _matrix(text, read)
        if node is not None:
            return node
    transposed = _TRANSPOSED.search(text) if "^" in text else None
    if transposed:
        return _turned(read(text[: transposed.start()]))
    if text.startswith("[") and "[" in text[1:]:
        return _nested(text, read)
    return _combined(text, read) if "," in text or "\\cr" in text else None


def _matrix(text: str, read: Read) -> Node | None:
    match = _MATRIX.fullmatch(text)
    if not match or match["body"].count("\\begin"):
        return None
    rows = [row for row in match["body"].replace("\\hline", " ").split("\\cr") if row.strip()]
    scale = match["factor"].strip().removesuffix("*").strip()
    if scale and match["env"] in ("vmatrix", "Vmatrix"):
        return None
    scaled = functools.partial(_scaled, scale, read=read)
    cells = tuple(tuple(map(scaled, row.split("&"))) for row in rows)
    return Matrix(cells, bars=match["env"] in ("vmatrix", "Vmatrix"))


def _framed(match: re.Match[str]) -> str:
    name = {"[": "bmatrix", "(": "pmatrix", "|": "vmatrix"}[match[1]]
    return rf"\begin{{{name}}}{match[3]}\end{{{name}}}"


def _scaled(scale: str, cell: str, read: Read) -> Node:
    """A cell of a matrix that a number stands before: `\\frac12 \\begin{pmatrix} ...`."""
    if not scale:
        return read(cell)
    return Scalar(compact_text(f"({'-1' if scale == '-' else scale})*({cell.strip()})"))


def _turned(node: Node) -> Node | None:
    if isinstance(node, Matrix) and not node.bars and len({len(row) for row in node.rows}) == 1:
        return Matrix(tuple(zip(*node.rows, strict=True)))
    return node if isinstance(node, Many) and node.kind in ("tuple", "square", "vector") else None


def _nested(text: str, read: Read) -> Node | None:
    """`[[1, 2], [3, 4]]`, as programs write matrices."""
    inner = take_enclosed(text, "[", "]")
    rows = [take_enclosed(row.strip(), "[", "]") for row in split_outside(inner, (",",))] if inner else []
    cells = [tuple(map(read, split_outside(row, (",",)))) for row in rows if row is not None]
    if not cells or len(cells) != len(rows) or len({len(row) for row in cells}) != 1:
        return None
    return Matrix(tuple(cells))


def _in_pieces(text: str, read: Read) -> Node | None:
    """A function in pieces; None for a system of equations, which has no conditions."""
    match = _CASES.fullmatch(text)
    if not match or "\\begin" in match["body"]:
        return None
    rows: list[tuple[Node, Node | None]] = []
    for row in match["body"].split("\\cr"):
        if not row.strip():
            continue
        value, *rest = [part.strip(" ,;.") for part in split_outside(row, ("&",)) if part.strip(" ,;.")]
        parts = [value, " ".join(rest)] if rest else [part.strip(" ,;.") for part in _IF.split(value, maxsplit=1)]
        if len(parts) != 2 or not all(parts) or parts[1].startswith("="):
            return None
        condition = _IF.sub("", parts[1]).strip(" ,;.")
        rows.append((read(parts[0]), None if _ELSE.fullmatch(condition) else read(condition)))
    if match[1] in ("array", "aligned") and any(isinstance(condition, Scalar) for _, condition in rows):
        return None
    return Pieces(tuple(rows)) if len(rows) > 1 else None


def _combined(text: str, read: Read) -> Node | None:
    """A sum of vectors with coefficients, component by component."""
    terms = _terms(text)
    if not terms or len(terms) > MOST_TERMS:
        return None
    vectors = [_vector(sign, term, read) for sign, term in terms]
    known = [vector for vector in vectors if vector is not None]
    if len(known) != len(vectors) or len({len(items) for _, items in known}) != 1:
        return None
    if len(known) == 1 and known[0][0] in ("1", "-1") and terms[0][0] == "+":
        return None
    components: list[Scalar] = []
    for i in range(len(known[0][1])):
        total = " + ".join(f"({scale})*({items[i]})" for scale, items in known)
        components.append(Scalar(compact_text(total)))
    return Many("tuple", tuple(components))


def _terms(text: str) -> list[tuple[str, str]]:
    terms: list[tuple[str, str]] = []
    sign, current = "+", list[str]()
    for token, depth in trace_brackets(text):
        if depth == 0 and token in ("+", "-"):
            if "".join(current).strip():
                terms.append((sign, "".join(current).strip()))
            sign, current = token, []
        else:
            current.append(token)
    return [*terms, (sign, "".join(current).strip())] if "".join(current).strip() else []


def _vector(sign: str, term: str, read: Read) -> tuple[str, Sequence[str]] | None:
    """Coefficient and components of one term."""
    for position, opener, closer in _openings(term):
        scale = term[:position].strip().removesuffix("*").strip()
        if not _SCALE.fullmatch(scale):
            return None
        inner = take_enclosed(term[position:], opener, closer)
        parts = split_outside(inner, (",",)) if inner is not None else []
        if len(parts) > 1:
            items = [read(part) for part in parts]
            texts = [item.text for item in items if isinstance(item, Scalar) and item.text and item.unit is None]
            if len(texts) != len(items):
                return None
            return (scale or "1") if sign == "+" else f"-({scale or '1'})", texts
    node = _matrix(term, read) if "\\begin" in term else None
    if isinstance(node, Matrix) and all(len(row) == 1 for row in node.rows):
        texts = [row[0].text for row in node.rows if isinstance(row[0], Scalar)]
        return ("1" if sign == "+" else "-1", texts) if len(texts) == len(node.rows) else None
    return None


def _openings(term: str) -> list[tuple[int, str, str]]:
    brackets: list[tuple[int, str, str]] = []
    position = 0
    for token, depth in trace_brackets(term):
        brackets.extend((position, opener, closer) for opener, closer in _BRACKETS if token == opener and depth == 0)
        position += len(token)
    return brackets[-1:]
