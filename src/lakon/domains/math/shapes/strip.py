"""A cleaned answer without what says nothing about its value: reasons, lines of a display, spelt-out numbers, outer
brackets, the commas of thousands. `read.py` reads the shape of what is left.
"""

from __future__ import annotations

import itertools
import re

from lakon.domains.math.parse.brackets import peel_brackets, take_enclosed, trace_brackets
from lakon.domains.math.shapes.number_words import read_word_number

_CASES = re.compile(r"\\begin\{(?:cases|aligned|array|gathered)\}(?:\{[^{}]*\})?(.*?)\\end\{[a-z]+\}", re.S)
_ALIGNED = re.compile(
    r"\\begin\{(align\*?|aligned|gathered|gather\*?|split|equation\*?|eqnarray\*?)\}(?P<body>.*?)\\end\{\1\}", re.S
)
_RELATED = re.compile(r"=|<|>|\\(?:le|ge|approx)(?![a-z])")
_UNKNOWN = re.compile(r"(?<![A-Za-z\\])[A-Za-z](?![A-Za-z])")
_SPELT_AGAIN = re.compile(r"(?<=\d)\s*\(\s*(?:\\text\s*\{)?\s*([A-Za-z][A-Za-z -]{1,60})\}?\s*\)\Z")
_REASON = re.compile(r"(?<=\S)\s*\(?\s*\\text\s*\{\s*\(?\s*(?:since|because)\b.*\Z")
_THOUSANDS = re.compile(r"(?<![\w.,}^])[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?(?!,?\d)")
_MOD = re.compile(r"\s*(?:\(?\s*\\mod(?![a-z])\s*\{?\s*[\w^{}]+\s*\}?\s*\)?|\\text\s*\{\s*\(?mod\s*\w+\)?\s*\})\s*\Z")


def tidy_answer(text: str) -> str:
    text = _REASON.sub("", text) if "\\text" in text else text
    lines = _ALIGNED.fullmatch(text) if "\\begin" in text else None
    if lines and len(rows := _rows(lines["body"].replace("&", " "))) and all(_RELATED.match(row) for row in rows[1:]):
        text = " ".join(rows)
    system = _CASES.fullmatch(text) if "\\begin" in text else None
    rows = _rows(re.sub(r"&\s*(?==)|(?<==)\s*&", "", system[1])) if system else []
    if rows and all("=" in row and "&" not in row for row in rows):
        text = rows[-1] if lines and _is_derivation(rows) else ", ".join(rows)
    text = _MOD.sub("", text.strip()) if "mod" in text else text.strip()
    while True:
        before = text
        text = text.strip().rstrip(".,;:").strip()
        spelt = _SPELT_AGAIN.search(text)
        text = text[: spelt.start()] if spelt and read_word_number(spelt[1]) else text
        text = re.sub(r"\A(?:\\therefore|\\Rightarrow|\\implies|\\to)(?![a-z])\s*", "", text)
        text = _one_number(text) if text.startswith("{") and "," in text else text
        text = peel_brackets(peel_brackets(text, "(", ")"), "{", "}")
        if text == before:
            return _ungrouped(text) if "," in text else text


def _one_number(text: str) -> str:
    """`{\\usd 1,000.}` without its braces; `{100,200}` stays a list, as nothing says that it is one number."""
    inner = take_enclosed(text, "{", "}")
    plain = _ungrouped(inner.strip()) if inner is not None else text
    marked = inner is not None and re.search(r"\\usd|\\text|,0\d\d", inner)
    return plain if marked and "," not in plain else text


def _rows(body: str) -> list[str]:
    return [row.strip(" ,;.") for row in body.split("\\cr") if row.strip(" ,;.")]


def _is_derivation(rows: list[str]) -> bool:
    """Whether the last of these equations in one unknown gives its value and the others do not: `2x = 6 \\\\ x = 3`."""
    unknowns = {letter for row in rows for letter in _UNKNOWN.findall(row)}
    if len(unknowns) != 1 or len(rows) < 2:
        return False
    assigned = re.compile(rf"\s*{unknowns.pop()}\s*=(?P<value>[^=]*)")
    assignments = [assigned.fullmatch(row) for row in rows]
    return assignments[-1] is not None and not any(assignments[:-1]) and not _UNKNOWN.search(assignments[-1]["value"])


def _ungrouped(text: str) -> str:
    """`1,234 \\text{ km}` and `x = 1,234` without the comma; within brackets a comma separates."""
    depths = list(itertools.chain.from_iterable([depth] * len(token) for token, depth in trace_brackets(text)))
    return _THOUSANDS.sub(
        lambda m: m[0] if depths[m.start() : m.end()].count(0) != len(m[0]) else m[0].replace(",", ""), text
    )
