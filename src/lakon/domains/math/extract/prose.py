"""The final answer in a text that marks none with a box, `####` or a tag: what prose says, last and plainly.

Invariant: what stands in no statement is a guess, and says so (`stated` False): above, an unfinished author gets no
credit for one. What a text says that the answer is *not* is never the answer. This extractor has a version of its own,
and a study can do without it: `verify.extract = "boxed"`.
"""

from __future__ import annotations

import re

from lakon.domains.math.extract.endings import read_ending
from lakon.domains.math.extract.extracted import Extracted
from lakon.domains.math.extract.phrases import compile_phrase
from lakon.domains.math.extract.sentence_words import drop_refused, is_changed, spell_out
from lakon.domains.math.extract.statements import (
    MATH,
    join_spaces,
    read_bare,
    split_sentences,
    take_innermost,
    trim_answer,
)

PROSE = "prose@1"
"""Name and version of this extractor; the number counts changes of what it extracts."""


_FEW_WORDS = re.compile(r"[^\W\d_]+(?:[ -][^\W\d_]+){1,3}")
_DENIED = re.compile(
    r"(?:,?\s*(?<![\\\w])(?:and|but)\s+)?(?:(?<![\\\w])(?:not|never|cannot|rather\s+than|instead\s+of|reject|discard|exclude)\b|(?<=[a-z])n['’]t\b)\s+"
    r"(?:(?:be|equal|equal\s+to|simply|just|actually|the\s+number|the\s+value)\s+){0,2}"
    r"(?:\*\*[^*\n]{1,80}\*\*|\$[^$\n]{1,80}\$|\\\([^\n]{1,80}?\\\)|[-−]?[$€£]?\d[\d.,/]*)(?:,?\s+but\b)?"
)
"""What a text says that something is not: `not **5**`, `rather than $7$`."""
_ANNOUNCED = re.compile(
    r"^ ?(?:#{1,6} ?(?:\*\*)?|\*\*)(?:the )?(?:final )?answer ?:?(?:\*\*)? ?:? ?\n+(?P<answer>[^\n]{1,200})(?=\n\n|\Z)",
    re.I | re.M,
)
_BOLD_TAG = re.compile(r"</?(?:b|strong)>", re.I)
_TAG_OR_PICTURE = re.compile(
    "</?(?:i|em|u|p|br|span|div|h[1-6])(?: [^<>]{0,80})?/?>"
    "|[\U0001f300-\U0001faff\u2600-\u27bf\u2b50\ufe0f\u220e\u25a0\u25a1]+",
    re.I,
)
_CLOSING = re.compile(r"\bI hope (?:it|this) (?:is|helps)\b.*\Z|\bLet me know\b.*\Z", re.S)
_CODE_FENCE = re.compile(r"\A\s*```\w*\n(.*?)\n```\s*\Z", re.S)
_LABELS = re.compile(r"\A(?:\s|\*\*|__|:|\\\\|>|#{1,4}\s)+")


def read_prose(text: str) -> Extracted:
    """The answer that a text without marks ends on; its text is None when there is none."""
    text = _BOLD_TAG.sub("**", _CLOSING.sub("", text))
    text = join_spaces(_TAG_OR_PICTURE.sub(" ", text))
    fenced = _CODE_FENCE.match(text)
    if fenced:
        text = fenced[1].strip()
    bare = read_bare(text)
    if bare:
        return bare
    text = spell_out(join_spaces(_DENIED.sub(" ", drop_refused(text))))
    return _headed(text) or _phrased(text) or read_ending(text) or _few_words(text) or Extracted(None, "none")


def _few_words(text: str) -> Extracted | None:
    """Nothing but two to four words: `one fourth`, `right triangle`."""
    return Extracted(text, "words", stated=False) if _FEW_WORDS.fullmatch(text) else None


def _headed(text: str) -> Extracted | None:
    """A paragraph that is nothing but an answer, under a heading that announces it and before no other statement."""
    for match in reversed(list(_ANNOUNCED.finditer(text))):
        bare = read_bare(match["answer"])
        if bare and bare.text:
            return None if compile_phrase().search(text, match.end()) else Extracted(trim_answer(bare.text), "heading")
    return None


def _phrased(text: str) -> Extracted | None:
    """After the last "final answer is", "answer:" or the like."""
    for name, keep in (("final-answer", "final"), ("answer-phrase", "")):
        for match in reversed([m for m in compile_phrase().finditer(text) if keep in m[0].lower()]):
            answer = _after_phrase(text[match.end() : match.end() + 2000])
            if answer:
                return Extracted(answer, name)
    return None


def _after_phrase(rest: str) -> str | None:
    rest = _LABELS.sub("", rest.lstrip().removeprefix("}"))
    if rest.startswith(("\\[", "$$", "\\(", "$")) and (match := MATH.match(rest)):
        follow = re.match(r"\s*(?:and|or|,)\s*(?=\$|\\\()", rest[match.end() :])
        if not follow and not is_changed(rest, 0, match.end()):
            return trim_answer(next(group for group in match.groups() if group) + _unit_after(rest[match.end() :]))
    pieces = split_sentences(rest)
    line = (
        pieces[0].split("\n", 1)[0].strip()
        if pieces and not pieces[0].startswith(("\\[", "$$"))
        else "".join(pieces[:1])
    )
    return trim_answer(take_innermost(line)) or None


_UNIT_AFTER = re.compile(r"\s*(%|\\%|percent|degrees|°|dollars|cents)", re.I)


def _unit_after(rest: str) -> str:
    match = _UNIT_AFTER.match(rest)
    return rf" \text{{ {match[1]}}}" if match and match[1].isalpha() else ""
