"""Answers in words: their plain form, the many ways of saying that there is none, and numbers written out."""

from __future__ import annotations

import re
from functools import cache

from lakon.domains.math.parse.clean import FUNCTIONS
from lakon.domains.math.tables import load_table

_NOTHING = re.compile(
    r"(?:(?:there|it|this|the (?:equation|system|inequality)) )?(?:(?:is|are|exists?|has|have) )?no "
    r"(?:(?:such|real|integer|rational|complex|possible|valid|positive|other) )*"
    r"(?:solutions?|numbers?|values?|roots?|answers?|integers?|intersections?)(?: (?:for|of) [a-z])?(?: exists?)?"
    r"|none|(?:the )?(?:empty|null) set"
)
_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
_SYMBOL_WORDS = FUNCTIONS | {"pi", "theta", "infty", "cup", "cap"}


@cache
def _counting_words() -> dict[str, int]:
    """Words below a hundred to their numbers."""
    table = load_table("shapes/number_words.toml")
    small = {word: number for number, word in enumerate(table["small"].split())}
    return small | {word: 10 * number for number, word in enumerate(table["tens"].split(), start=2)}


@cache
def _standard_words() -> dict[str, str]:
    """Each way of saying something to the one that stands for all."""
    standard: dict[str, str] = {}
    for words, others in load_table("shapes/number_words.toml")["same_words"].items():
        standard |= dict.fromkeys(others, words)
    return standard


def read_plain_words(text: str) -> str | None:
    """`text` as words with single spaces, without `\\text{}` and closing marks, or None when it is mathematics."""
    bare = _TEXT.sub(r" \1 ", text).replace("\\and", "and").replace("\\or", "or").replace("\\cr", " ")
    if re.search(r"[\\^_{}=<>+*/|\d&]", bare) or not re.search(r"[^\W\d_]{2,}", bare):
        return None
    if any(word in _SYMBOL_WORDS for word in re.findall(r"[A-Za-z]+", bare)):
        return None
    words = re.sub(r"\s+", " ", bare).strip(" .,;:!?\"'()")
    return words


def means_nothing(words: str) -> bool:
    """Whether the words say that the set of solutions is empty."""
    return bool(_NOTHING.fullmatch(words.lower()))


def means_everything(words: str) -> bool:
    """Whether the words name the set of real numbers."""
    return words.lower() in load_table("shapes/number_words.toml")["everything"]


def fold_words(words: str) -> str:
    """Words without case, articles and punctuation, for comparing."""
    text = re.sub(r"[^\w\s]", " ", re.sub(r"(?<=\w)['’](?=\w)", "", words.lower()))
    plain = " ".join(word for word in text.split() if word not in ("the", "a", "an"))
    return _standard_words().get(plain, plain)


def read_word_number(words: str) -> str | None:
    """The number that the words spell (`thirty-two`, `one hundred and five`, `two thirds`), or None."""
    parts = re.findall(r"[a-z]+", words.lower())
    if parts[-1:] == ["dozen"] and parts[:-1] in ([], ["a"], ["one"], ["half", "a"]):
        return "6" if parts[0] == "half" else "12"
    table, counting = load_table("shapes/number_words.toml"), _counting_words()
    if len(parts) == 2 and counting.get(parts[0], 20) < 20:
        below = table["denominators"].get(parts[1].removesuffix("s"))
        if below:
            return f"{counting[parts[0]]}/{below}"
    if not parts or not re.fullmatch(r"[A-Za-z\s-]+", words) or parts[0] == "and":
        return None
    total, group, seen = 0, 0, False
    sign = parts[0] in ("negative", "minus")
    for part in parts[1:] if sign else parts:
        if part in counting:
            group, seen = group + counting[part], True
        elif part == "hundred" and seen:
            group *= 100
        elif part in table["scales"] and seen:
            total, group = total + group * table["scales"][part], 0
        elif part != "and" or not seen:
            return None
    return str(-(total + group) if sign else total + group) if seen else None
