"""What words do to the mathematics of a sentence: they spell it out, make another value of it, or refuse it.

Invariant: words become a number only where they are all that a statement says; what is spelt out as a part of something
longer (`twice the square root of 2`) stays words, so that no number in it is taken for the answer. The text comes
without runs of white space. Read next: `prose.py`, whose sentences these are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from lakon.domains.math.tables import load_table

_WHOLE_BEFORE = (
    r"(?P<before>\A|\n|\b(?:is|are|be|equals)\s(?:(?:exactly|simply|just|equal\sto|then)\s){0,2}|[:=]\s?)"
    r"(?P<sign>(?:minus|negative)\s)?(?:the\s)?"
)
_WHOLE_AFTER = (
    r"(?=(?:\s(?:square\s|cubic\s)?(?:units?|[ckm]?m|(?:centi|milli|kilo)?met(?:er|re)s?|inch(?:es)?|feet|foot|ft|yards?|miles?"
    r"|radians?|degrees?|seconds?|minutes?|hours?|days?|dollars?|cents?))?(?:\*\*)?"
    r"(?:[.!;]?\s?(?:\Z|\n)|[.!;]\s[A-Z]|\s\(|,?\s(?:or|which\sis)\s(?:about|approximately|roughly)\b))"
)
_SPELT = tuple(
    (re.compile(_WHOLE_BEFORE + written + _WHOLE_AFTER, re.I), latex)
    for written, latex in (
        (r"square\sroot\sof\s(\d{1,20})", r"\\sqrt{{{0}}}"),
        (r"cube\sroot\sof\s(\d{1,20})", r"\\sqrt[3]{{{0}}}"),
        (r"(\d{1,9}|pi|π)\sover\s(\d{1,9})", r"\\frac{{{0}}}{{{1}}}"),
    )
)
"""Roots and quotients in words that are all of a statement, `minus the square root of 2`."""
_PARTLY_SPELT = re.compile(r"\b(?:(?:square|cube)\sroot\sof\s\d{1,20}|(?:\d{1,9}|pi|π)\sover\s\d{1,9})\b", re.I)
"""The same as a part of something longer: `twice the square root of 2`, `1 over 2 to the n`."""
_MONEY = re.compile(r"\$?(?<![\d,])(\d[\d,]*+)\s+dollars?\s+and\s+(\d\d?)\s+cents?\b")
_NEGATED = re.compile(r"(?<=\b(?:is|be)\s)(?:negative|minus)\s+(?=[$€£]?\d)")
_VALUE = r"(?:\$[^$\n]{1,40}\$|\*\*[^*\n]{1,40}\*\*|\\\([^\n]{1,40}?\\\)|[-−]?\d{1,20}(?:[./]\d{1,20})?)"
MOST_REFUSED = 4
"""Refusals that are looked at, from the end: each takes a pass over the text."""


def match_any(phrases: Iterable[str]) -> str:
    """A pattern for any of these phrases, each of which is a pattern itself; a space stands for any white space."""
    return f"(?:{'|'.join(phrases)})".replace(" ", r"\s+")


@cache
def _refused() -> re.Pattern[str]:
    words: dict[str, list[str]] = load_table("extract/phrases.toml")["refusals"]
    return re.compile(
        r"(?:[,;]?\s(?:and|but|where|since|as)\s|[,;]\s)?(?:"
        rf"(?:we\s)?(?:must\s)?{match_any(words['verbs'])}\s(?:[a-z]\s?=\s?)?(?P<object>{_VALUE})"
        rf"|(?:[a-z]\s?=\s?)?(?P<subject>{_VALUE})\s(?:is|was|(?:must|can|has\sto|should)\sbe)\s"
        rf"(?:not\s(?:a\s)?{match_any(words['negated'])}|{match_any(words['adjectives'])})"
        r"(?:\s(?:solution|root|value))?\b)"
    )


@cache
def _changed() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What changes the mathematics after it (`twice $5$`), and what changes the one before it (`$5$ out of $6$`)."""
    words: dict[str, list[str]] = load_table("extract/phrases.toml")["changes"]
    before = rf"(?:[-−]|\b{match_any(words['before'])}\s(?:the\s)?)\Z"
    after = (
        rf"\s?(?:{match_any(words['after'])}\b"
        r"|times\s+(?:\$|\\\(|\d|as\b|the\b|pi\b)|(?:over|in)\s+(?:\$|\\\()?\d{1,9}(?:\$|\\\))?[.!]?\s?\Z)"
    )
    return re.compile(before, re.I), re.compile(after, re.I)


def spell_out(text: str) -> str:
    """Roots, quotients and signs in words as mathematics, so that no number in them is taken for the answer."""
    text = _MONEY.sub(lambda m: f"${m[1]}.{m[2]:0>2}", text)
    for pattern, latex in _SPELT:
        text = pattern.sub(lambda m, latex=latex: _latex(m, latex), text)
    return _NEGATED.sub("-", _PARTLY_SPELT.sub(r"$\\text{\g<0>}$", text))


def _latex(match: re.Match[str], latex: str) -> str:
    _, sign, *parts = match.groups()
    return f"{match['before']}${'-' if sign else ''}{latex.format(*parts)}$"


def drop_refused(text: str) -> str:
    """`3 and -2, but -2 is extraneous` without what it refuses, where that stands in a list of values before."""
    for _ in range(MOST_REFUSED):
        refusals = list(_refused().finditer(text))[-MOST_REFUSED:]
        shorter = next(filter(None, (_listed_before(text, refusal) for refusal in refusals)), None)
        if shorter is None:
            return text
        text = shorter
    return text


def _listed_before(text: str, refusal: re.Match[str]) -> str | None:
    value = re.escape(refusal["object"] or refusal["subject"])
    start = max(0, refusal.start() - 300)
    named = rf"(?:[a-z]\s?=\s?)?{value}(?![\w/]|[.,]\d)"
    listed = re.search(
        rf"(?:,?\s(?:and|or)\s|,\s){named}|(?<![\w.]){named}(?:,\s|,?\s(?:and|or)\s)", text[start : refusal.start()]
    )
    if not listed:
        return None
    return text[: start + listed.start()] + text[start + listed.end() : refusal.start()] + text[refusal.end() :]


def is_changed(text: str, start: int, end: int) -> bool:
    """Whether the words right before or after mathematics make another value of it."""
    before, after = _changed()
    return bool(before.search(text[max(0, start - 40) : start]) or after.match(text, end))
