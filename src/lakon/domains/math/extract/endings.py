"""The answer of a text that states none: the mathematics, bold text or number that it ends on.

Invariant: what is found is a guess and says so, but where an author names its choice among several.
"""

from __future__ import annotations

import re

from lakon.domains.math.extract.extracted import Extracted
from lakon.domains.math.extract.phrases import compile_numbered
from lakon.domains.math.extract.sentence_words import is_changed
from lakon.domains.math.extract.statements import (
    BOLD,
    MATH,
    NUMBER,
    join_spaces,
    read_bare,
    split_sentences,
    take_innermost,
    take_principal_part,
    trim_answer,
)

_PLAIN_LIST = re.compile(r"(?:[-+]?\\?\$?\d[\d.,/:e^%]*|,|and|or|to|\s)+", re.I)
_WITHOUT = re.compile(r"\bno\s+(?:\w+\s+){0,2}(?:solutions?|roots?)\W*\Z", re.I)
_UNIT_WORD = re.compile(r"(?<=[\d\w)∞π½-¾²³])\s+(?:square\s+|cubic\s+)?[a-z]{2,12}\s*[.!]?\s*\Z")
_CHOSEN = re.compile(
    r"\b(?:[Oo]ption|[Cc]hoice|[Aa]nswer|[Ss]tatement)\s+(?:\*\*)?\(?([A-J])\)?(?:\*\*)?(?:\s*\([^()]{0,40}\))?,?\s+is\s+(?:the\s+)?"
    r"(?:only\s+)?(?:correct|right|true)\b(?!\s+(?:only|if|when|unless|provided|except|under|for|in)\b)"
    r"|\b(?:so|thus|hence|therefore),?\s(?:it\sis\s)?(?:option|choice)\s\(?([A-J])\)?\s?[.!]?\Z"
)
_NONE_SUCH = re.compile(r"\b(?:does|do)(?:\s+not|n['’]t)\s+exist\W*\Z")
_COUNT_IN_WORDS = re.compile(
    r"\b(?:has|have|are|is|exactly|takes?|costs?|gets?|needs?|sold|bought|of)\s+((?:(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|two|three"
    r"|four|five|six|seven|eight|nine|ten|eleven|twelve|\w{3,5}teen|hundred|thousand|and)\b[ -]?){1,8})"
)
_MARKER = re.compile(r"\A\s*[-*•]\s+")
_LISTED = re.compile(r":\s*\n\s*((?:[-*•][ \t]+[^\n]{1,80}(?:\n+|\Z)){2,20})\s*\Z")
_UNDECIDED = re.compile(
    r"\b(?:can\s?not|can['’]t|could\s+not|couldn['’]t|unable\s+to|impossible\s+to)\s+(?:be\s+)?(?:determine|say|tell|decide|solve|find|compute|answer)d?\b"
    r"|\b(?:not\s+enough|insufficient)\s+information\b|\bI\s+(?:do\s+not|don['’]t)\s+know\b",
    re.I,
)
_ASIDE = re.compile(r"\([^()]*\)")


def read_ending(text: str) -> Extracted | None:
    """No statement of an answer at all: the mathematics, bold text or number that ends the text."""
    listed = _LISTED.search(text)
    items = [_MARKER.sub("", item) for item in listed[1].split("\n") if item.strip()] if listed else []
    if items and all(read_bare(item) for item in items):
        return Extracted(", ".join(trim_answer(item) for item in items), "listed", stated=False)
    sentences = split_sentences(join_spaces(compile_numbered().sub(" ", text)))
    if sentences and _UNDECIDED.search(sentences[-1]):
        said = re.search(r"\bcan(?:not|\snot|['’]t) be determined\W*\Z", sentences[-1], re.I)
        return Extracted("cannot be determined", "said-none", stated=False) if said else None
    last = sentences[-1] if sentences else ""
    ending = _shown_in(last)
    if ending:
        return ending
    for sentence in reversed(sentences[:-1]):
        if re.match(r"(?:\*\*|#+\s*)?(?:so|thus|hence|therefore|answer|final|in conclusion)\b", sentence, re.I):
            ending = _shown_in(sentence)
            if ending:
                return ending
    numbers = NUMBER.findall(join_spaces(compile_numbered().sub(" ", text)))
    if numbers:
        return Extracted(trim_answer(numbers[-1]), "last-number", stated=False)
    bold = BOLD.findall(last)
    if bold:
        return Extracted(trim_answer(bold[-1]), "last-bold", stated=False)
    counted = _COUNT_IN_WORDS.findall(last)
    return Extracted(counted[0].strip(), "count-in-words", stated=False) if len(counted) == 1 else None


def _shown_in(sentence: str) -> Extracted | None:
    chosen = [letter for pair in _CHOSEN.findall(sentence) for letter in pair if letter]
    if chosen:
        return Extracted(chosen[-1], "choice")
    sentence = take_principal_part(sentence)
    if _WITHOUT.search(sentence) and not re.search(r"\d", sentence):
        return Extracted("no solution", "said-none", stated=False)
    if _NONE_SUCH.search(sentence) and not re.search(r"\d", sentence):
        return Extracted("does not exist", "said-none", stated=False)
    bold = BOLD.findall(sentence)
    if bold and (re.search(r"[\d$\\]", bold[-1]) or re.search(r"(?:\*\*|__)[.!]?\s*\Z", sentence)):
        return Extracted(trim_answer(take_innermost(bold[-1])), "last-bold", stated=False)
    said = list(re.finditer(r"\b(?:is|are|equals|be)\b\s*:?\s*(?=\S)", sentence))
    if said and MATH.match(sentence, said[-1].end()):
        return Extracted(trim_answer(take_innermost(sentence[said[-1].end() :])), "last-is", stated=False)
    if said and _is_symbols(sentence[said[-1].end() :]):
        return Extracted(trim_answer(_UNIT_WORD.sub("", sentence[said[-1].end() :])), "last-is", stated=False)
    if said and _PLAIN_LIST.fullmatch(sentence, said[-1].end()):
        return Extracted(trim_answer(sentence[said[-1].end() :]), "last-is", stated=False)
    maths = list(MATH.finditer(sentence))
    if maths and is_changed(sentence, *maths[-1].span()):
        return Extracted(trim_answer(sentence[said[-1].end() if said else 0 :]), "last-math", stated=False)
    if maths and not NUMBER.search(MATH.sub(" ", sentence)[-200:]):
        return Extracted(trim_answer(next(g for g in maths[-1].groups() if g)), "last-math", stated=False)
    numbers = NUMBER.findall(_ASIDE.sub(" ", sentence)) or NUMBER.findall(sentence)
    return Extracted(trim_answer(numbers[-1]), "last-number", stated=False) if numbers else None


def _is_symbols(tail: str) -> bool:
    """Whether an author ended on a short run of mathematics that no marks set apart: `∞`, `3√2 units`, `x²`."""
    tail = _UNIT_WORD.sub("", tail)
    return (
        len(tail) <= 40 and bool(re.search(r"[∞π√½-¾²³∅]|\d\s*[-+*/^]", tail)) and not re.search(r"[^\W\d_]{3,}", tail)
    )
