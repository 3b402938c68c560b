"""The final answer in a text that marks none with a box, `####` or a tag: what prose says, last and plainly.

Invariant: what stands in no statement is a guess, and says so (`stated` False): above, an unfinished author gets no
credit for one. What a text says that the answer is *not* is never the answer. This extractor has a version of its own,
and a study can do without it: `verify.extract = "boxed"`.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from lakon.domains.math.extract.sentence_words import is_changed, one_of, spelt_out, without_refused
from lakon.domains.math.parse.brackets import balanced
from lakon.domains.math.tables import load_table

PROSE = "prose@1"
"""Name and version of this extractor; the number counts changes of what it extracts."""


class Extracted(NamedTuple):
    """The final answer as written, and how it was found; `stated` when the author marked it as final."""

    text: str | None
    rule: str
    stated: bool = True


@cache
def _phrase() -> re.Pattern[str]:
    """What announces an answer, in all the languages of the table."""
    languages: list[dict[str, list[str]]] = list(load_table("extract/phrases.toml")["answer"].values())
    nouns = one_of(noun for language in languages for noun in language["nouns"])
    verbs = one_of(verb for language in languages for verb in language["verbs"])
    adjectives = one_of(adjective for language in languages for adjective in language["adjectives"])
    return re.compile(
        r"(?:最终|最后)?答案(?:应该|应)?(?:(?:是|为|為|等于)\s*[:：]?|[:：])|答え(?:は|[:：])|답(?:은|:)"
        r"|(?:故|应|所以|因此)?选(?:择|项)?\s*[:：]?\s*(?=[(（]?[A-Z])"
        rf"|(?:\b{nouns}\b|^\s*A(?=:))"
        r"(?P<link>\"?\s*(?:\*\*|__|\$\$?)?\s*(?:(?:to|of|for)\s[^.\n:]{0,80}?\s)?"
        rf"(?:\s?{adjectives})?\s*(?:{verbs}\b"
        r"(?:\s+(?:therefore|thus|then|simply|just|given by))?\s*:?|[:：]|=)(?:\*\*|__)?)",
        re.I | re.M,
    )


_MATH = re.compile(
    r"(?<!\\)\$\$(?P<a>.+?)(?<!\\)\$\$|\\\[(?P<b>(?:(?!\\\[).)+?)\\\]|\\\((?P<c>(?:(?!\\\().)+?)\\\)|(?<![\\$])\$(?P<d>\n?(?:\\\$|[^$\n])+?\n?)(?<!\\)\$(?![\d$])",
    re.S,
)
_BOLD = re.compile(r"(?:\*\*|__)([^*\n]{1,200}?)(?:\*\*|__)")
_NUMBER = re.compile(
    r"(?<![\w.:])\d{1,20}(?:\s?:\s?\d{1,20}){1,5}(?![\d:])(?:\s?[AaPp]\.?\s?[Mm]\b\.?)?"
    r"|(?<![A-Za-z0-9_.^\\])[-−+]?(?:[$€£]\s?)?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)?(?:[.,]?\d+)(?:\s?/\s?\d+)?(?:\s?%)?(?![\d])"
)
_NOT_PROSE = re.compile(r"\\[a-z]+\s*\{[^{}]*\}|\$[^$]*\$|\\[A-Za-z]+")
_WORDED = re.compile(r"[A-Za-zÀ-ɏ]{2,}\s+[A-Za-zÀ-ɏ]{2,}")
_SENTENCE = re.compile(r"(?<=[.!?])\*{0,3}(?:\s+(?=[A-Z\\$*(])|\s*\Z)|\n\s*\n|(?<=。)")
"""Where a sentence ends; the stars right after its full stop close it, those after a space open the next one."""
_HIDDEN = re.compile("\\$\ue000(\\d+)\ue001")
_PLAIN_LIST = re.compile(r"(?:[-+]?\\?\$?\d[\d.,/:e^%]*|,|and|or|to|\s)+", re.I)
_LABELLED = re.compile(r"\A[A-Za-z][A-Za-z ]{0,40}:\s+(?=[-$€£\\]*\d)")
_WITHOUT = re.compile(r"\bno\s+(?:\w+\s+){0,2}(?:solutions?|roots?)\W*\Z", re.I)
_UNIT_WORD = re.compile(r"(?<=[\d\w)∞π½-¾²³])\s+(?:square\s+|cubic\s+)?[a-z]{2,12}\s*[.!]?\s*\Z")
_HAN = re.compile(
    r"[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af].*[\d$\\]|[\d$\\].*[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]{2}"
)
_CONCLUDING = re.compile(r"\A(?:so|thus|hence|therefore|then)\b[,:]?\s*(?=\S)", re.I)
_FEW_WORDS = re.compile(r"[^\W\d_]+(?:[ -][^\W\d_]+){1,3}")
_UNIT_IN_WORDS = re.compile(r"\s*(?:[A-Za-z]{2,12}(?:\s+per\s+[a-z]{2,12})?|[°%])(?=\s*[.!]?\s*\Z)")
_DENIED = re.compile(
    r"(?:,?\s*(?<![\\\w])(?:and|but)\s+)?(?:(?<![\\\w])(?:not|never|cannot|rather\s+than|instead\s+of|reject|discard|exclude)\b|(?<=[a-z])n['’]t\b)\s+"
    r"(?:(?:be|equal|equal\s+to|simply|just|actually|the\s+number|the\s+value)\s+){0,2}"
    r"(?:\*\*[^*\n]{1,80}\*\*|\$[^$\n]{1,80}\$|\\\([^\n]{1,80}?\\\)|[-−]?[$€£]?\d[\d.,/]*)(?:,?\s+but\b)?"
)
"""What a text says that something is not: `not **5**`, `rather than $7$`."""
_CHOSEN = re.compile(
    r"\b(?:[Oo]ption|[Cc]hoice|[Aa]nswer|[Ss]tatement)\s+(?:\*\*)?\(?([A-J])\)?(?:\*\*)?(?:\s*\([^()]{0,40}\))?,?\s+is\s+(?:the\s+)?"
    r"(?:only\s+)?(?:correct|right|true)\b(?!\s+(?:only|if|when|unless|provided|except|under|for|in)\b)"
    r"|\b(?:so|thus|hence|therefore),?\s(?:it\sis\s)?(?:option|choice)\s\(?([A-J])\)?\s?[.!]?\Z"
)
_BECAUSE = re.compile(r",?\s+(?:since|because|whereas|as\s+(?:the|there|we|it)|where\s+\$?[a-zA-Z]\$?)\b.*", re.S)
_REJECTED = re.compile(
    r"(?:\s?[,;(])?\s?(?:(?:and\s+)?we\s+)?\b(?:reject|discard|ignor|exclud)(?:e|ed|ing)?\b"
    r"(?!.{0,400}\b(?:so|thus|hence|therefore|leav\w+|giv\w+)\b).*",
    re.S,
)
_ANNOUNCED = re.compile(
    r"^ ?(?:#{1,6} ?(?:\*\*)?|\*\*)(?:the )?(?:final )?answer ?:?(?:\*\*)? ?:? ?\n+(?P<answer>[^\n]{1,200})(?=\n\n|\Z)",
    re.I | re.M,
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
_NONE_SUCH = re.compile(r"\b(?:does|do)(?:\s+not|n['’]t)\s+exist\W*\Z")
_COUNT_IN_WORDS = re.compile(
    r"\b(?:has|have|are|is|exactly|takes?|costs?|gets?|needs?|sold|bought|of)\s+((?:(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|two|three"
    r"|four|five|six|seven|eight|nine|ten|eleven|twelve|\w{3,5}teen|hundred|thousand|and)\b[ -]?){1,8})"
)
_MARKER = re.compile(r"\A\s*[-*•]\s+")
_LISTED = re.compile(r":\s*\n\s*((?:[-*•][ \t]+[^\n]{1,80}(?:\n+|\Z)){2,20})\s*\Z")
_THIN = re.compile("(?<=\\d)[\u00a0\u2009\u202f](?=\\d{3}(?!\\d))")
"""Spaces that separate thousands and nothing else."""
_BOLD_TAG = re.compile(r"</?(?:b|strong)>", re.I)
_TAG_OR_PICTURE = re.compile(
    "</?(?:i|em|u|p|br|span|div|h[1-6])(?: [^<>]{0,80})?/?>"
    "|[\U0001f300-\U0001faff\u2600-\u27bf\u2b50\ufe0f\u220e\u25a0\u25a1]+",
    re.I,
)
_RULED = re.compile(r"\s*(?:\*\*)?(yes|no|true|false)(?:\*\*)?\s*[,;:.](?:\*\*)?\s+[A-Za-z]+\s+[a-z]", re.I)
_UNDECIDED = re.compile(
    r"\b(?:can\s?not|can['’]t|could\s+not|couldn['’]t|unable\s+to|impossible\s+to)\s+(?:be\s+)?(?:determine|say|tell|decide|solve|find|compute|answer)d?\b"
    r"|\b(?:not\s+enough|insufficient)\s+information\b|\bI\s+(?:do\s+not|don['’]t)\s+know\b",
    re.I,
)
_SAID_OF = re.compile(r"(?:\A|,\s*|\band\s+)(?:\*\*)?[A-Z][a-z]+\s+(?:is|are)\b")
_SPACES = re.compile(r"[^\S\n]+")
_BLANK_LINES = re.compile(r" ?\n ?(?:\n ?)+")
_ASIDE = re.compile(r"\([^()]*\)")
_CLOSING = re.compile(r"\bI hope (?:it|this) (?:is|helps)\b.*\Z|\bLet me know\b.*\Z", re.S)
_CODE_FENCE = re.compile(r"\A\s*```\w*\n(.*?)\n```\s*\Z", re.S)
_LABELS = re.compile(r"\A(?:\s|\*\*|__|:|\\\\|>|#{1,4}\s)+")


@cache
def _counted() -> re.Pattern[str]:
    """A word with its number: `apples 30`."""
    functions = one_of(load_table("extract/phrases.toml")["words"]["functions"])
    return re.compile(rf"(?<![A-Za-z])(?!{functions}(?![A-Za-z]))[A-Za-z]{{3,}}\s*[:(=]?\s*-?\$?\d")


@cache
def _qualifying() -> re.Pattern[str]:
    return re.compile(rf"\b{one_of(load_table('extract/phrases.toml')['words']['qualifying'])}\b", re.I)


@cache
def _numbered() -> re.Pattern[str]:
    """Numbers that count paragraphs and never an answer."""
    counted = one_of(load_table("extract/phrases.toml")["words"]["numbered"])
    return re.compile(rf"\b{counted}\s+#?\d{{1,3}}\b(?!\s*[%/])", re.I)


def in_prose(text: str) -> Extracted:
    """The answer that a text without marks ends on; its text is None when there is none."""
    text = _BOLD_TAG.sub("**", _CLOSING.sub("", text))
    text = spaced(_TAG_OR_PICTURE.sub(" ", text))
    fenced = _CODE_FENCE.match(text)
    if fenced:
        text = fenced[1].strip()
    bare = _bare(text)
    if bare:
        return bare
    text = spelt_out(spaced(_DENIED.sub(" ", without_refused(text))))
    return _headed(text) or _phrased(text) or _shown(text) or _few_words(text) or Extracted(None, "none")


def spaced(text: str) -> str:
    """`text` without long runs of space, over which patterns with several optional spaces would take cubic time."""
    return _BLANK_LINES.sub("\n\n", _SPACES.sub(" ", _THIN.sub("", text))).strip()


def _bare(text: str) -> Extracted | None:
    """A text that is nothing but an answer: one line without prose."""
    text = _CONCLUDING.sub("", text.strip())
    prose = _NOT_PROSE.sub(" ", text).replace("**", "")
    if "\n" in text or len(text) > 5000 or _HAN.search(text) or _WORDED.search(prose) or _phrase().search(text):
        return None
    if re.match(r"(?:Answer|Final)\b", text, re.I) or _counted().search(prose):
        return None
    whole = _only_math(re.sub(r"(?<![\w)*])\*\*([^*]+)\*\*(?![\w(*])", r"\1", text))
    return Extracted(trim(whole), "bare")


def _few_words(text: str) -> Extracted | None:
    """Nothing but two to four words: `one fourth`, `right triangle`."""
    return Extracted(text, "words", stated=False) if _FEW_WORDS.fullmatch(text) else None


def _only_math(text: str) -> str:
    match = _MATH.fullmatch(text.strip().rstrip("."))
    return next(group for group in match.groups() if group) if match else text


def _headed(text: str) -> Extracted | None:
    """A paragraph that is nothing but an answer, under a heading that announces it and before no other statement."""
    for match in reversed(list(_ANNOUNCED.finditer(text))):
        bare = _bare(match["answer"])
        if bare and bare.text:
            return None if _phrase().search(text, match.end()) else Extracted(trim(bare.text), "heading")
    return None


def _phrased(text: str) -> Extracted | None:
    """After the last "final answer is", "answer:" or the like."""
    for name, keep in (("final-answer", "final"), ("answer-phrase", "")):
        for match in reversed([m for m in _phrase().finditer(text) if keep in m[0].lower()]):
            answer = _after_phrase(text[match.end() : match.end() + 2000])
            if answer:
                return Extracted(answer, name)
    return None


def _after_phrase(rest: str) -> str | None:
    rest = _LABELS.sub("", rest.lstrip().removeprefix("}"))
    if rest.startswith(("\\[", "$$", "\\(", "$")) and (match := _MATH.match(rest)):
        follow = re.match(r"\s*(?:and|or|,)\s*(?=\$|\\\()", rest[match.end() :])
        if not follow and not is_changed(rest, 0, match.end()):
            return trim(next(group for group in match.groups() if group) + _unit_after(rest[match.end() :]))
    pieces = _sentences(rest)
    line = (
        pieces[0].split("\n", 1)[0].strip()
        if pieces and not pieces[0].startswith(("\\[", "$$"))
        else "".join(pieces[:1])
    )
    return trim(innermost(line)) or None


_UNIT_AFTER = re.compile(r"\s*(%|\\%|percent|degrees|°|dollars|cents)", re.I)


def _unit_after(rest: str) -> str:
    match = _UNIT_AFTER.match(rest)
    return rf" \text{{ {match[1]}}}" if match and match[1].isalpha() else ""


def innermost(line: str) -> str:
    """The answer within a statement: its mathematics, or what stands after its last "is"."""
    line = line.strip()
    line = _LABELLED.sub("", line)
    ruled = _RULED.match(line)
    if ruled:
        return ruled[1]
    line = re.sub(r"(?<=\d)!\Z", "", _principal(line))  # joy, not a factorial, outside of mathematics
    line = _lone_bold(line) or line
    said = list(re.finditer(r"\b(?:is|are|equals|by|be)\b\s*:?\s*(?=\S)|[:=]\s+(?=\*\*|\$|\\\()", line))
    if len(_SAID_OF.findall(line)) > 1 and not re.search(r"[\d$\\]", line):
        return re.sub(r"\*\*|__", "", line).strip()  # of several it says what each is
    tail = line[said[-1].end() :] if said else line
    tail = re.sub(r"\*\*|__", "", tail).strip()
    found = list(_MATH.finditer(tail))
    if any(is_changed(tail, *match.span()) for match in found):
        return tail
    pieces = [_first_group(match) for match in found]
    outside = _MATH.sub(" ", tail)
    words = re.sub(r"\b(?:and|or)\b", " ", outside)
    if pieces and not re.search(r"\d", outside):
        joined = len(pieces) > 1 and not re.search(r"[A-Za-z]{2,}", words)
        return ", ".join(pieces) if joined else pieces[0]
    if not re.search(r"[A-Za-z]{2,}", tail):
        return tail
    worked = _WORKED.match(tail)
    tail = tail[worked.end() :].lstrip() if worked and balanced(worked[0]) else tail
    if _TWO_QUANTITIES.match(tail):
        return tail
    number = _NUMBER.search(tail)
    if number and len(tail) > len(number[0]) and re.match(r"[\s$€£]*[-\d]", tail):
        return tail if len(tail.split()) <= 4 and not re.search(r"[,;:]\s", tail) else number[0]
    return tail


def _first_group(match: re.Match[str]) -> str:
    """The first group that took part and is not empty."""
    return next(group for group in match.groups() if group)


def _lone_bold(line: str) -> str | None:
    """The one bold number of a statement that has no other number, mathematics or qualifying word, with its unit."""
    bold = list(_BOLD.finditer(line))
    if len(bold) != 1 or not re.search(r"\d", bold[0][1]) or bold[0][1].rstrip().endswith(":"):
        return None
    before, after = line[: bold[0].start()], line[bold[0].end() :]
    if re.search(r"[\d$\\<>=+/^≤≥-]", before + after) or _qualifying().search(before + after):
        return None
    return bold[0][1].strip() + (_UNIT_IN_WORDS.match(after) or [""])[0]


def _shown(text: str) -> Extracted | None:
    """No statement of an answer at all: the mathematics, bold text or number that ends the text."""
    listed = _LISTED.search(text)
    items = [_MARKER.sub("", item) for item in listed[1].split("\n") if item.strip()] if listed else []
    if items and all(_bare(item) for item in items):
        return Extracted(", ".join(trim(item) for item in items), "listed", stated=False)
    sentences = _sentences(spaced(_numbered().sub(" ", text)))
    if sentences and _UNDECIDED.search(sentences[-1]):
        said = re.search(r"\bcan(?:not|\snot|['’]t) be determined\W*\Z", sentences[-1], re.I)
        return Extracted("cannot be determined", "said-none", stated=False) if said else None
    last = sentences[-1] if sentences else ""
    found = _shown_in(last)
    if found:
        return found
    for sentence in reversed(sentences[:-1]):
        if re.match(r"(?:\*\*|#+\s*)?(?:so|thus|hence|therefore|answer|final|in conclusion)\b", sentence, re.I):
            found = _shown_in(sentence)
            if found:
                return found
    numbers = _NUMBER.findall(spaced(_numbered().sub(" ", text)))
    if numbers:
        return Extracted(trim(numbers[-1]), "last-number", stated=False)
    bold = _BOLD.findall(last)
    if bold:
        return Extracted(trim(bold[-1]), "last-bold", stated=False)
    counted = _COUNT_IN_WORDS.findall(last)
    return Extracted(counted[0].strip(), "count-in-words", stated=False) if len(counted) == 1 else None


def _sentences(text: str) -> list[str]:
    """`text` cut into sentences, never inside mathematics."""
    maths: list[str] = []

    def hide(match: re.Match[str]) -> str:
        maths.append(match[0])
        return f"$\ue000{len(maths) - 1}\ue001"

    parts = _SENTENCE.split(_MATH.sub(hide, text))
    return [_HIDDEN.sub(lambda m: maths[int(m[1])], part).strip() for part in parts if part and part.strip()]


def _shown_in(sentence: str) -> Extracted | None:
    chosen = [letter for pair in _CHOSEN.findall(sentence) for letter in pair if letter]
    if chosen:
        return Extracted(chosen[-1], "choice")
    sentence = _principal(sentence)
    if _WITHOUT.search(sentence) and not re.search(r"\d", sentence):
        return Extracted("no solution", "said-none", stated=False)
    if _NONE_SUCH.search(sentence) and not re.search(r"\d", sentence):
        return Extracted("does not exist", "said-none", stated=False)
    bold = _BOLD.findall(sentence)
    if bold and (re.search(r"[\d$\\]", bold[-1]) or re.search(r"(?:\*\*|__)[.!]?\s*\Z", sentence)):
        return Extracted(trim(innermost(bold[-1])), "last-bold", stated=False)
    said = list(re.finditer(r"\b(?:is|are|equals|be)\b\s*:?\s*(?=\S)", sentence))
    if said and _MATH.match(sentence, said[-1].end()):
        return Extracted(trim(innermost(sentence[said[-1].end() :])), "last-is", stated=False)
    if said and _is_symbols(sentence[said[-1].end() :]):
        return Extracted(trim(_UNIT_WORD.sub("", sentence[said[-1].end() :])), "last-is", stated=False)
    if said and _PLAIN_LIST.fullmatch(sentence, said[-1].end()):
        return Extracted(trim(sentence[said[-1].end() :]), "last-is", stated=False)
    maths = list(_MATH.finditer(sentence))
    if maths and is_changed(sentence, *maths[-1].span()):
        return Extracted(trim(sentence[said[-1].end() if said else 0 :]), "last-math", stated=False)
    if maths and not _NUMBER.search(_MATH.sub(" ", sentence)[-200:]):
        return Extracted(trim(next(g for g in maths[-1].groups() if g)), "last-math", stated=False)
    numbers = _NUMBER.findall(_ASIDE.sub(" ", sentence)) or _NUMBER.findall(sentence)
    return Extracted(trim(numbers[-1]), "last-number", stated=False) if numbers else None


def _principal(sentence: str) -> str:
    """A sentence without the reason or the rounding that it ends on, where an answer stands before that."""
    for pattern in (_BECAUSE, _REJECTED, _ROUGHLY, _FOR_ALL_THOSE):
        match = pattern.search(sentence)
        if match and re.search(r"[\d$\\]", sentence[: match.start()]):
            sentence = sentence[: match.start()]
    return sentence


def _is_symbols(tail: str) -> bool:
    """Whether an author ended on a short run of mathematics that no marks set apart: `∞`, `3√2 units`, `x²`."""
    tail = _UNIT_WORD.sub("", tail)
    return (
        len(tail) <= 40 and bool(re.search(r"[∞π√½-¾²³∅]|\d\s*[-+*/^]", tail)) and not re.search(r"[^\W\d_]{3,}", tail)
    )


def trim(text: str) -> str:
    text = text.strip().strip("*_`").strip()
    text = text.rstrip('"”’') if text[:1] not in "\"“‘'" else text.strip("\"“”‘’'")
    if not text.endswith("!") or not re.search(r"[\w)]!\Z", text):
        text = text.strip().rstrip(".;:,!?。，；：！？")
    return _only_math(text.strip())
