"""Single quantities: numerals with a base, ratios and times of day, numbers with units, what fits no other shape."""

from __future__ import annotations

import re

from lakon.domains.math.parse.clean import compact_text
from lakon.domains.math.shapes.nodes import (
    Based,
    Colon,
    Node,
    Read,
    Scalar,
)
from lakon.domains.math.shapes.units import read_in_parts, split_unit, write_fraction
from lakon.domains.math.tables import load_table

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
_HOUR = re.compile(r"(\d{1,2})\s*(?:\\text\s*\{)?\s*([ap])(?:\.\s*m\.?|m)\s*\}?\.?", re.I)
_MULTIPLIED = re.compile(
    r"(\d+(?:\.\d+)?)\s*(?:\\text\s*\{)?\s*(hundred|thousand|million|billion|trillion|dozen)\b\s*(\}?)"
)
_TEXT_DIGIT = re.compile(r"\s*\\text\s*\{\s*([A-F]{1,9})\s*\}\s*")


def read_based(text: str, read: Read) -> Node | None:
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


def read_colon(text: str, read: Read) -> Node | None:
    hour = _HOUR.fullmatch(text)
    if hour:
        return Colon((hour[1], "00"), f"{hour[2].lower()}m")
    match = _COLON.fullmatch(text)
    if not match:
        return None
    suffix = re.sub(r"[^a-z]", "", (match[2] or "").lower())
    return Colon(tuple(part.strip() for part in match[1].replace("to", ":").split(":")), suffix)


def read_compound(text: str, read: Read) -> Node | None:
    """`5 \\text{ ft } 6 \\text{ in}`: one quantity, in the smaller of its units."""
    quantity = read_in_parts(text) if _TWO_NUMBERS.search(text) else None
    return Scalar(*quantity) if quantity else None


_TWO_NUMBERS = re.compile(r"\d\D*[A-Za-z]\D*\d")
_LEAD = re.compile(r"\\text\s*\{[^{}]*[A-Za-z]{2,}[^{}]*\}\s*:?\s*(?=[-+\d\\(])")


def read_scalar(text: str, read: Read) -> Node:
    lead = _LEAD.match(text)
    if lead:
        return read(text[lead.end() :])
    spaced = re.fullmatch(r"([-+]?\d{1,3}(?: \d{3})+)(\.\d+)?", text)
    if spaced:
        text = text.replace(" ", "")
    text = write_fraction(_MULTIPLIED.sub(_multiplied, text))
    body, unit = split_unit(text)
    if unit is not None and body != text:
        inner = read(body)
        if isinstance(inner, Scalar):
            return Scalar(inner.text, unit if inner.unit is None else inner.unit)
        return inner
    return Scalar(compact_text(text), unit)


def _multiplied(match: re.Match[str]) -> str:
    """`3 \\text{ million dollars}` as `3*1000000 \\text{ dollars}`."""
    multipliers: dict[str, int] = load_table("shapes/number_words.toml")["multipliers"]
    reopened = r" \text{" if "\\text" in match[0] and not match[3] else ""
    return f"{match[1]}*{multipliers[match[2]]}{reopened}"
