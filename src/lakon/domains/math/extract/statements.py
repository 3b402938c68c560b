"""One statement of an author: its mathematics, what it says last, what stands around an answer and is no part of it."""

from __future__ import annotations

import re

from lakon.domains.math.extract.extracted import Extracted
from lakon.domains.math.extract.phrases import compile_counted, compile_phrase, compile_qualifying
from lakon.domains.math.extract.sentence_words import is_changed
from lakon.domains.math.parse.brackets import is_balanced

MATH = re.compile(
    r"(?<!\\)\$\$(?P<a>.+?)(?<!\\)\$\$|\\\[(?P<b>(?:(?!\\\[).)+?)\\\]|\\\((?P<c>(?:(?!\\\().)+?)\\\)|(?<![\\$])\$(?P<d>\n?(?:\\\$|[^$\n])+?\n?)(?<!\\)\$(?![\d$])",
    re.S,
)
BOLD = re.compile(r"(?:\*\*|__)([^*\n]{1,200}?)(?:\*\*|__)")
NUMBER = re.compile(
    r"(?<![\w.:])\d{1,20}(?:\s?:\s?\d{1,20}){1,5}(?![\d:])(?:\s?[AaPp]\.?\s?[Mm]\b\.?)?"
    r"|(?<![A-Za-z0-9_.^\\])[-−+]?(?:[$€£]\s?)?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)?(?:[.,]?\d+)(?:\s?/\s?\d+)?(?:\s?%)?(?![\d])"
)
_NOT_PROSE = re.compile(r"\\[a-z]+\s*\{[^{}]*\}|\$[^$]*\$|\\[A-Za-z]+")
_WORDED = re.compile(r"[A-Za-zÀ-ɏ]{2,}\s+[A-Za-zÀ-ɏ]{2,}")
_SENTENCE = re.compile(r"(?<=[.!?])\*{0,3}(?:\s+(?=[A-Z\\$*(])|\s*\Z)|\n\s*\n|(?<=。)")
"""Where a sentence ends; the stars right after its full stop close it, those after a space open the next one."""
_HIDDEN = re.compile("\\$\ue000(\\d+)\ue001")
_LABELLED = re.compile(r"\A[A-Za-z][A-Za-z ]{0,40}:\s+(?=[-$€£\\]*\d)")
_HAN = re.compile(
    r"[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af].*[\d$\\]|[\d$\\].*[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]{2}"
)
_CONCLUDING = re.compile(r"\A(?:so|thus|hence|therefore|then)\b[,:]?\s*(?=\S)", re.I)
_UNIT_IN_WORDS = re.compile(r"\s*(?:[A-Za-z]{2,12}(?:\s+per\s+[a-z]{2,12})?|[°%])(?=\s*[.!]?\s*\Z)")
_BECAUSE = re.compile(r",?\s+(?:since|because|whereas|as\s+(?:the|there|we|it)|where\s+\$?[a-zA-Z]\$?)\b.*", re.S)
_REJECTED = re.compile(
    r"(?:\s?[,;(])?\s?(?:(?:and\s+)?we\s+)?\b(?:reject|discard|ignor|exclud)(?:e|ed|ing)?\b"
    r"(?!.{0,400}\b(?:so|thus|hence|therefore|leav\w+|giv\w+)\b).*",
    re.S,
)
_WORKED = re.compile(
    r"(?=[^=]*[\d)]\s?(?:[A-Za-z]+\s)?(?:[-+−*/×·÷^]|x(?=\s?\d)))"
    r"(?:[-+−*/×·÷^()\s$€£%\d]|[.,](?=\d)|x(?=\s?\d)|(?!(?:and|but|since|because|where|when|with|from)\b)[A-Za-z]{3,}+)+="
    r"(?:(?:[-+−*/×·÷^()\s$€£%\d]|[.,](?=\d)|x(?=\s?\d))+=){0,3}"
)
"""Working before its result: `40 + 20 + 100 =`."""
_TWO_QUANTITIES = re.compile(r"[$€£]?-?\d[\d.,/]*(?:\s[A-Za-z]+){1,3},?\s(?:and|plus)\s[$€£]?\d")
"""`2 hours and 40 minutes`, of which the first is not the answer."""
_FOR_ALL_THOSE = re.compile(
    r"\s+(?:for|in|from|on|of)\s+(?:the|all|his|her|their|those|these|its)\s+\d+\s+[a-z]+(?:\s[a-z]+)?\s*[.!]?\s*\Z"
)
_ROUGHLY = re.compile(
    r"(?:[,;]\s?)?(?:\(\s?)?\b(?:or|which\s+is|that\s+is|i\.e\.,?)\s+(?:about|approximately|roughly|around|nearly)\b.*",
    re.S,
)
_THIN = re.compile("(?<=\\d)[\u00a0\u2009\u202f](?=\\d{3}(?!\\d))")
"""Spaces that separate thousands and nothing else."""
_RULED = re.compile(r"\s*(?:\*\*)?(yes|no|true|false)(?:\*\*)?\s*[,;:.](?:\*\*)?\s+[A-Za-z]+\s+[a-z]", re.I)
_SAID_OF = re.compile(r"(?:\A|,\s*|\band\s+)(?:\*\*)?[A-Z][a-z]+\s+(?:is|are)\b")
_SPACES = re.compile(r"[^\S\n]+")
_BLANK_LINES = re.compile(r" ?\n ?(?:\n ?)+")


def join_spaces(text: str) -> str:
    """`text` without long runs of space, over which patterns with several optional spaces would take cubic time."""
    return _BLANK_LINES.sub("\n\n", _SPACES.sub(" ", _THIN.sub("", text))).strip()


def read_bare(text: str) -> Extracted | None:
    """A text that is nothing but an answer: one line without prose."""
    text = _CONCLUDING.sub("", text.strip())
    prose = _NOT_PROSE.sub(" ", text).replace("**", "")
    if "\n" in text or len(text) > 5000 or _HAN.search(text) or _WORDED.search(prose) or compile_phrase().search(text):
        return None
    if re.match(r"(?:Answer|Final)\b", text, re.I) or compile_counted().search(prose):
        return None
    whole = take_only_math(re.sub(r"(?<![\w)*])\*\*([^*]+)\*\*(?![\w(*])", r"\1", text))
    return Extracted(trim_answer(whole), "bare")


def take_only_math(text: str) -> str:
    match = MATH.fullmatch(text.strip().rstrip("."))
    return next(group for group in match.groups() if group) if match else text


def take_innermost(line: str) -> str:
    """The answer within a statement: its mathematics, or what stands after its last "is"."""
    line = line.strip()
    line = _LABELLED.sub("", line)
    ruled = _RULED.match(line)
    if ruled:
        return ruled[1]
    line = re.sub(r"(?<=\d)!\Z", "", take_principal_part(line))  # joy, not a factorial, outside of mathematics
    line = _lone_bold(line) or line
    said = list(re.finditer(r"\b(?:is|are|equals|by|be)\b\s*:?\s*(?=\S)|[:=]\s+(?=\*\*|\$|\\\()", line))
    if len(_SAID_OF.findall(line)) > 1 and not re.search(r"[\d$\\]", line):
        return re.sub(r"\*\*|__", "", line).strip()  # of several it says what each is
    tail = line[said[-1].end() :] if said else line
    tail = re.sub(r"\*\*|__", "", tail).strip()
    formulas = list(MATH.finditer(tail))
    if any(is_changed(tail, *match.span()) for match in formulas):
        return tail
    pieces = [take_first_group(match) for match in formulas]
    outside = MATH.sub(" ", tail)
    words = re.sub(r"\b(?:and|or)\b", " ", outside)
    if pieces and not re.search(r"\d", outside):
        joined = len(pieces) > 1 and not re.search(r"[A-Za-z]{2,}", words)
        return ", ".join(pieces) if joined else pieces[0]
    if not re.search(r"[A-Za-z]{2,}", tail):
        return tail
    worked = _WORKED.match(tail)
    tail = tail[worked.end() :].lstrip() if worked and is_balanced(worked[0]) else tail
    if _TWO_QUANTITIES.match(tail):
        return tail
    number = NUMBER.search(tail)
    if number and len(tail) > len(number[0]) and re.match(r"[\s$€£]*[-\d]", tail):
        return tail if len(tail.split()) <= 4 and not re.search(r"[,;:]\s", tail) else number[0]
    return tail


def take_first_group(match: re.Match[str]) -> str:
    """The first group that took part and is not empty."""
    return next(group for group in match.groups() if group)


def _lone_bold(line: str) -> str | None:
    """The one bold number of a statement that has no other number, mathematics or qualifying word, with its unit."""
    bold = list(BOLD.finditer(line))
    if len(bold) != 1 or not re.search(r"\d", bold[0][1]) or bold[0][1].rstrip().endswith(":"):
        return None
    before, after = line[: bold[0].start()], line[bold[0].end() :]
    if re.search(r"[\d$\\<>=+/^≤≥-]", before + after) or compile_qualifying().search(before + after):
        return None
    return bold[0][1].strip() + (_UNIT_IN_WORDS.match(after) or [""])[0]


def split_sentences(text: str) -> list[str]:
    """`text` cut into sentences, never inside mathematics."""
    maths: list[str] = []

    def hide(match: re.Match[str]) -> str:
        maths.append(match[0])
        return f"$\ue000{len(maths) - 1}\ue001"

    parts = _SENTENCE.split(MATH.sub(hide, text))
    return [_HIDDEN.sub(lambda m: maths[int(m[1])], part).strip() for part in parts if part and part.strip()]


def take_principal_part(sentence: str) -> str:
    """A sentence without the reason or the rounding that it ends on, where an answer stands before that."""
    for pattern in (_BECAUSE, _REJECTED, _ROUGHLY, _FOR_ALL_THOSE):
        match = pattern.search(sentence)
        if match and re.search(r"[\d$\\]", sentence[: match.start()]):
            sentence = sentence[: match.start()]
    return sentence


def trim_answer(text: str) -> str:
    text = text.strip().strip("*_`").strip()
    text = text.rstrip('"”’') if text[:1] not in "\"“‘'" else text.strip("\"“”‘’'")
    if not text.endswith("!") or not re.search(r"[\w)]!\Z", text):
        text = text.strip().rstrip(".;:,!?。，；：！？")
    return take_only_math(text.strip())
