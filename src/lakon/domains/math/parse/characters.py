"""Characters beyond ASCII as LaTeX: signs, Greek letters, fractions, raised and lowered digits, Chinese numeral signs.

Invariant: the result means what the characters mean; a character in no table stays as Unicode's own plain form (NFKC).
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from lakon.domains.math.tables import load_table

_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ"
_SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉"
_RAISED_RUN = re.compile(f"[{_SUPERSCRIPTS}]+")
_LOWERED_RUN = re.compile(f"[{_SUBSCRIPTS}]+")
_FROM_RAISED = str.maketrans(_SUPERSCRIPTS, "0123456789+-n")
_FROM_LOWERED = str.maketrans(_SUBSCRIPTS, "0123456789")
_ROOT_OF_NUMBER = re.compile(r"√\s*(\d+(?:\.\d+)?)")
_ROOT_OF_BRACKET = re.compile(r"√\s*\(([^()]*)\)")
_SCALED_BY_SIGN = re.compile(
    r"(?<![\d.,/^_])(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?\s*(\\(?:text|mathrm|mbox)\s*\{\s*)?((?:[百千万萬亿億](?![克米分])){1,4})(?!\d)(\s*\})?"
)
"""`5万元`; not `3千克`, `3千米` and `百分`, which are a unit's."""


def replace_characters(text: str) -> str:
    """`text` with LaTeX for its characters beyond ASCII."""
    text = _RAISED_RUN.sub(lambda m: f"^{{{m[0].translate(_FROM_RAISED)}}}", text)
    text = _LOWERED_RUN.sub(lambda m: f"_{{{m[0].translate(_FROM_LOWERED)}}}", text)
    text = _ROOT_OF_NUMBER.sub(r"\\sqrt{\1}", text)
    text = _ROOT_OF_BRACKET.sub(r"\\sqrt{\1}", text)
    table = _translation()
    # twice: some characters become ones of the table only in their plain form
    text = unicodedata.normalize("NFKC", text.translate(table)).translate(table)
    return _SCALED_BY_SIGN.sub(_write_out, text)


@cache
def list_greek_names() -> frozenset[str]:
    """The names of the commands of Greek letters, without their backslash."""
    return frozenset(load_table("parse/characters.toml")["greek"].values())


@cache
def _translation() -> dict[int, str]:
    tables = load_table("parse/characters.toml")
    latex: dict[str, str] = dict(tables["signs"])
    for letter, name in tables["greek"].items():
        latex[letter] = f"\\{name} "
    for sign, fraction in tables["fractions"].items():
        top, bottom = fraction.split("/")
        latex[sign] = f" \\frac{{{top}}}{{{bottom}}}"
    return str.maketrans(latex)


def _write_out(match: re.Match[str]) -> str:
    """`1.5万` as 15000."""
    powers: dict[str, int] = load_table("parse/characters.toml")["han_scales"]
    number, part, opened, scales, closed = match.groups()
    places = sum(powers[scale] for scale in scales)
    below = (part or ".")[1:].ljust(places, "0")
    digits = (number.replace(",", "") + below[:places]).lstrip("0") or "0"
    rest = f".{below[places:]}" if below[places:] else ""
    return digits + rest + (opened or "" if not closed else "" if opened else closed)
