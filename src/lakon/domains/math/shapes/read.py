"""The shape of an answer: number, list, tuple, set, interval, matrix, equation, inequality, base, time, text.

Invariant: a shape is read from the notation alone, never from what would make two answers match; so a tuple never
becomes a list, nor an equation a value, except where `compare.py` says so by name. Reading is total: what fits no
other shape is a scalar, whose text the expression parsers then accept or refuse.
"""

from __future__ import annotations

import re

from lakon.domains.math.parse.brackets import balanced, enclosed, split, steps
from lakon.domains.math.parse.clean import clean, compact
from lakon.domains.math.shapes.matrices import array
from lakon.domains.math.shapes.nodes import (
    Based,
    Bracket,
    Chain,
    Colon,
    Many,
    Node,
    Read,
    Scalar,
    SetOf,
    Span,
    Term,
    Words,
)
from lakon.domains.math.shapes.number_words import means_nothing, plain_words, word_number
from lakon.domains.math.shapes.strip import tidy
from lakon.domains.math.shapes.units import compound, in_parts, split_unit
from lakon.domains.math.tables import load_table

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
_POINT = re.compile(r"[A-Z]'?\s*(?=\((?:[^(),;]|\([^()]*\))*\d[^;]*,)")
_BASE = re.compile(
    r"(?P<digits>(?:\\text\s*\{|[({])?\s*[0-9A-Fa-f]+\s*[})]?)\s*(?:_\s*(?:\{\s*\(?\s*(?:\\text\s*\{)?\s*(?:base\s*\}?\s*)?(?P<base>\w+)\s*\}?\s*\)?\s*\}"
    r"|(?P<short>\d))|(?:\\text\s*\{)?\s*\(?\s*(?:in\s+)?base[- ]*\}?\s*\{?(?P<word>\w+)\s*\)?\s*\}?)"
)
_DIGIT_GROUPS = re.compile(
    r"\d(?:[0-9A-F]{0,2}(?: [0-9A-F]{3})+|[0-9A-F]{0,3}(?: [0-9A-F]{4})+|[0-9A-F]{0,7}(?: [0-9A-F]{8})+)(?=\s*_)"
)
"""Digits with spaces between groups of one size, `1 0001_2`; no group is cut short."""
_COLON = re.compile(
    r"(\d+(?:\.\d+)?(?:\s*(?::|\bto\b)\s*\d+(?:\.\d+)?)+)\s*(?:\\text\s*\{)?\s*([ap]\.?\s*m\.?)?\s*\}?\.?", re.I
)
_INEQUALITY = re.compile(r"[<>]|\\(?:le|ge|ne)(?![a-z])")
_COUNTED = re.compile(r"\s*[-+]?\d[\d,]*(?:\.\d+|/\d+|(?:st|nd|rd|th)\b)?\s+[A-Za-z][A-Za-z ]*\.?\s*")
_HOUR = re.compile(r"(\d{1,2})\s*(?:\\text\s*\{)?\s*([ap])(?:\.\s*m\.?|m)\s*\}?\.?", re.I)
_CHOICE = re.compile(r"(?:\\text\s*\{\s*)?\(?\s*([A-Z])\s*\)?\s*\}?[.,]?")
_SIGNS = re.compile(r"(?:(?<=[(,])|\A)\s*\\(?:pm|mp)(?![a-z])\s*")
_MULTIPLIED = re.compile(
    r"(\d+(?:\.\d+)?)\s*(?:\\text\s*\{)?\s*(hundred|thousand|million|billion|trillion|dozen)\b\s*(\}?)"
)
_TEXT_DIGIT = re.compile(r"\s*\\text\s*\{\s*([A-F]{1,9})\s*\}\s*")
_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")


class Reader:
    """Reads one cleaned answer and its parts. Every part is read once, though several shapes are tried on it: without
    that, each pair of brackets would double the work."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}

    def __call__(self, text: str) -> Node:
        if text not in self._nodes:
            self._nodes[text] = _read(tidy(text), self)
        return self._nodes[text]


def _read(text: str, read: Read) -> Node:
    if not text:
        return Scalar("")
    for reader in (
        _ruled,
        _nothing,
        _based,
        _colon,
        _compound,
        _joined,
        _related,
        _set_algebra,
        _array,
        _bracketed,
        _plus_minus,
        _worded,
    ):
        node = reader(text, read)
        if node is not None:
            return node
    return _scalar(text, read)


_RULED = re.compile(r"(?:\\text\s*\{\s*)?(yes|no|true|false)\s*[,;:.-]\s*[A-Za-z]+\s+[a-z][^\\]*", re.I)


def _ruled(text: str, read: Read) -> Node | None:
    """`Yes, such a number exists`: the first word answers, the others explain."""
    ruled = _RULED.fullmatch(text)
    return Words(ruled[1], marked=False) if ruled else None


def _nothing(text: str, read: Read) -> Node | None:
    if re.fullmatch(r"\\emptyset|\\\{\s*\\\}|\\text\s*\{\s*\\emptyset\s*\}", text) or means_nothing(
        plain_words(text) or ""
    ):
        return Words("\\emptyset")
    return None


def _based(text: str, read: Read) -> Node | None:
    if "_" in text:
        text = _DIGIT_GROUPS.sub(lambda m: m[0].replace(" ", ""), _TEXT_DIGIT.sub(r"\1", text), count=1)
    match = _BASE.fullmatch(text)
    if not match:
        return None
    name = match["base"] or match["short"] or match["word"]
    base = int(name) if name.isdigit() else load_table("shapes/number_words.toml")["bases"].get(name.lower(), 0)
    digits = re.sub(r"\\text|[(){}\s]", "", match["digits"]).upper()
    if not 2 <= base <= 36 or any(int(digit, 36) >= base for digit in digits):
        return None
    return Based(digits.lstrip("0") or "0", base)


def _colon(text: str, read: Read) -> Node | None:
    hour = _HOUR.fullmatch(text)
    if hour:
        return Colon((hour[1], "00"), f"{hour[2].lower()}m")
    match = _COLON.fullmatch(text)
    if not match:
        return None
    suffix = re.sub(r"[^a-z]", "", (match[2] or "").lower())
    return Colon(tuple(part.strip() for part in match[1].replace("to", ":").split(":")), suffix)


def _compound(text: str, read: Read) -> Node | None:
    """`5 \\text{ ft } 6 \\text{ in}`: one quantity, in the smaller of its units."""
    found = compound(text) if _TWO_NUMBERS.search(text) else None
    return Scalar(*found) if found else None


_TWO_NUMBERS = re.compile(r"\d\D*[A-Za-z]\D*\d")


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
    return [part.strip() for part in split(text, separators) if part.strip() and part.strip() != "\\ldots"]


def _group(text: str, read: Read) -> Node:
    """`p=5, q=2` among several such: one answer of two values, as `(5, 2)` is."""
    return Many("brace", tuple(read(part) for part in _parts(text, (",", "\\and", "\\land"))))


def _related(text: str, read: Read) -> Node | None:
    terms, relations, current = list[str](), list[str](), list[str]()
    for token, depth in steps(text):
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


def _set_algebra(text: str, read: Read) -> Node | None:
    for operator in ("\\cup", "\\cap", "\\setminus"):
        parts = split(text, (operator,)) if operator in text else []
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


def _array(text: str, read: Read) -> Node | None:
    return array(text, read)


def _bracketed(text: str, read: Read) -> Node | None:
    named = _POINT.match(text)
    if named and enclosed(text[named.end() :], "(", ")") is not None:
        text = text[named.end() :]
    for opener, closer, kind in (
        ("(", ")", "tuple"),
        ("\\{", "\\}", "set"),
        ("{", "}", "brace"),
        ("\\langle", "\\rangle", "vector"),
    ):
        inner = enclosed(text, opener, closer)
        if inner is not None:
            return _inside(inner, kind, read)  # type: ignore[arg-type]  # the literals above
    inner = enclosed(text, "[", "]")
    if inner is not None:
        ends = split(inner, (",", ";"))
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
            ends = split(text[1:-1], (",", ";"))
            if len(ends) == 2 and balanced(ends[0]) and balanced(ends[1]):
                return _span(ends[0].strip(), ends[1].strip(), low, high, read)
    return None


def _inside(inner: str, kind: Bracket, read: Read) -> Node | None:
    if kind == "set" and (builder := re.match(r"\s*[a-z]\s*(?:\\in\s*\\mathbb\{R\})?\s*(?:\||:)\s*(.+)", inner)):
        return read(builder[1])
    choice = _CHOICE.fullmatch(inner.strip())
    if kind == "tuple" and choice:
        return Words(choice[1])
    if kind == "tuple" and len(_SIGNS.findall(inner)) == 1 and len(split(inner, (",",))) > 1:
        return Many("list", tuple(read(f"({_SIGNS.sub(sign, inner)})") for sign in ("", "-")))
    if kind == "tuple" and "\\infty" in inner and len(ends := split(inner, (",", ";"))) == 2:
        return _span(ends[0].strip(), ends[1].strip(), False, False, read)
    separators = (";",) if kind == "tuple" and ";" in inner else (",", ";", "\\and", "\\or")
    parts = [part.strip() for part in split(inner, separators)]
    if kind == "tuple" and len(parts) == 1:
        return None
    return Many(kind, tuple(read(part) for part in parts if part))


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
        return read(clean(wrapped[1]))
    words = plain_words(text)
    if words is None:
        return None
    as_number = word_number(words)
    if as_number is not None:
        return Scalar(as_number)
    if "\\text" in text and not re.search(r"\d", text.split("\\text")[0]):
        listed = [part.strip() for part in re.split(r",\s*(?:and\b|or\b)?|\s(?:and|or)\s", words) if part.strip()]
        if len(listed) > 1 and max(len(part) for part in listed) <= 20:
            return Many("list", tuple(Words(part) for part in listed))
        return Words(words)
    return Words(words, marked=False) if re.fullmatch(r"[^\W\d_]{2,}(?:[\s,'-]+[^\W\d_]+)*", words) else None


_LEAD = re.compile(r"\\text\s*\{[^{}]*[A-Za-z]{2,}[^{}]*\}\s*:?\s*(?=[-+\d\\(])")


def _scalar(text: str, read: Read) -> Node:
    lead = _LEAD.match(text)
    if lead:
        return read(text[lead.end() :])
    spaced = re.fullmatch(r"([-+]?\d{1,3}(?: \d{3})+)(\.\d+)?", text)
    if spaced:
        text = text.replace(" ", "")
    text = in_parts(_MULTIPLIED.sub(_multiplied, text))
    body, unit = split_unit(text)
    if unit is not None and body != text:
        inner = read(body)
        if isinstance(inner, Scalar):
            return Scalar(inner.text, unit if inner.unit is None else inner.unit)
        return inner
    return Scalar(compact(text), unit)


def _multiplied(match: re.Match[str]) -> str:
    """`3 \\text{ million dollars}` as `3*1000000 \\text{ dollars}`."""
    multipliers: dict[str, int] = load_table("shapes/number_words.toml")["multipliers"]
    reopened = r" \text{" if "\\text" in match[0] and not match[3] else ""
    return f"{match[1]}*{multipliers[match[2]]}{reopened}"
