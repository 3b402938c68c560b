"""Answers in words: their plain form, the many ways of saying that there is none, and numbers written out."""

from __future__ import annotations

import re

from lakon.domains.math.parse.clean import FUNCTIONS

_NOTHING = re.compile(
    r"(?:(?:there|it|this|the (?:equation|system|inequality)) )?(?:(?:is|are|exists?|has|have) )?no "
    r"(?:(?:such|real|integer|rational|complex|possible|valid|positive|other) )*"
    r"(?:solutions?|numbers?|values?|roots?|answers?|integers?|intersections?)(?: (?:for|of) [a-z])?(?: exists?)?"
    r"|none|(?:the )?(?:empty|null) set"
)
_EVERYTHING = frozenset(
    ("all real numbers", "all reals", "the real numbers", "real numbers", "the set of real numbers")
)
_SAME_WORDS: dict[str, str] = (
    dict.fromkeys(["dne", "doesnt exist", "limit does not exist", "limit doesnt exist"], "does not exist")
    | dict.fromkeys(["convergent", "converge", "is convergent"], "converges")
    | dict.fromkeys(["divergent", "diverge", "is divergent"], "diverges")
)
_UNITS = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen
"""
_SMALL = {word: i for i, word in enumerate(_UNITS.split())}
_TENS = {
    word: 10 * (i + 2)
    for i, word in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"])
}
_SCALES = {"thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_PARTS = {"half": 2, "halve": 2, "third": 3, "quarter": 4} | {
    f"{word}th": _SMALL[whole]
    for word, whole in zip(
        ("four", "fif", "six", "seven", "eigh", "nin", "ten"),
        ("four", "five", "six", "seven", "eight", "nine", "ten"),
        strict=True,
    )
}
_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
_SYMBOL_WORDS = FUNCTIONS | {"pi", "theta", "infty", "cup", "cap"}


def plain_words(text: str) -> str | None:
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
    return words.lower() in _EVERYTHING


def folded(words: str) -> str:
    """Words without case, articles and punctuation, for comparing."""
    text = re.sub(r"[^\w\s]", " ", re.sub(r"(?<=\w)['’](?=\w)", "", words.lower()))
    plain = " ".join(word for word in text.split() if word not in ("the", "a", "an"))
    return _SAME_WORDS.get(plain, plain)


def word_number(words: str) -> str | None:
    """The number that the words spell (`thirty-two`, `one hundred and five`, `two thirds`), or None."""
    parts = re.findall(r"[a-z]+", words.lower())
    if parts[-1:] == ["dozen"] and parts[:-1] in ([], ["a"], ["one"], ["half", "a"]):
        return "6" if parts[0] == "half" else "12"
    if len(parts) == 2 and parts[0] in _SMALL and (below := _PARTS.get(parts[1].removesuffix("s"))):
        return f"{_SMALL[parts[0]]}/{below}"
    if not parts or not re.fullmatch(r"[A-Za-z\s-]+", words) or parts[0] == "and":
        return None
    total, group, seen = 0, 0, False
    sign = parts[0] in ("negative", "minus")
    for part in parts[1:] if sign else parts:
        if part in _SMALL or part in _TENS:
            group, seen = group + _SMALL.get(part, _TENS.get(part, 0)), True
        elif part == "hundred" and seen:
            group *= 100
        elif part in _SCALES and seen:
            total, group = total + group * _SCALES[part], 0
        elif part != "and" or not seen:
            return None
    return str(-(total + group) if sign else total + group) if seen else None
