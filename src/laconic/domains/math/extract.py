"""The final answer in what an author wrote, and the rule that found it.

Invariant: only text outside reasoning counts. Reasoning that was never closed hides everything after its opening,
and of near boxes the last one is the answer; boxes are read together only when nothing but "and", "or" or a comma
joins them. Every scan is linear in the length of the text.
"""

from __future__ import annotations

import re
from typing import NamedTuple

LONGEST = 400_000
"""Characters of an answer that are looked at, from its end."""
ENDING = 16_000
"""Characters in which an answer that no mark sets apart is looked for, from the end."""


class Extracted(NamedTuple):
    """The final answer as written, and how it was found; `stated` when the author marked it as final."""

    text: str | None
    rule: str
    stated: bool = True


_REASONING = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<reasoning>", "</reasoning>"),
    ("<thought>", "</thought>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
)
_TURN_ENDS = re.compile(
    r"<\|(?:im_end|im_start|endoftext|eot_id|end_of_text|return|end|start)\|>|<｜end▁of▁sentence｜>|</s>|<end_of_turn>"
)
_FINAL_CHANNEL = re.compile(r"<\|channel\|>\s*final\b[^<]*<\|message\|>")
_BARE_HARMONY = re.compile(r"\A\s*analysis(?=[A-Z\"'\s]).*?assistant\s*final", re.S)
_BOX = re.compile(r"\\(?:boxed|fbox|framebox)(?![A-Za-z])\s*")
_JOINT = re.compile(
    r"(?:[\s$.,;]|\\[()\[\],;!]|\\q?quad|\\text\{\s*(?:and|or)\s*\}|\b(?:and|or)\b|\\(?:land|lor)\b"
    r"|[A-Za-z](?:_\{?\w{1,3}\}?)?\s*=(?!=)){1,40}"
)
_JOINING_WORD = re.compile(r"\band\b|\bor\b|,|\\land|\\lor")
_HASHES = re.compile(r"^[ \t]*#{4}[ \t]*(\S.*)$", re.M)
_ANSWER_TAG = re.compile(r"<answer>((?:(?!<answer>).){0,20000}?)</answer>", re.S | re.I)
_PHRASE = re.compile(
    r"(?:最终|最后)?答案(?:应该|应)?(?:(?:是|为|為|等于)\s*[:：]?|[:：])|答え(?:は|[:：])|답(?:은|:)"
    r"|(?:故|应|所以|因此)?选(?:择|项)?\s*[:：]?\s*(?=[(（]?[A-Z])"
    r"|(?:\bfinal\s+answer\b|\banswer\b|\b(?:correct|right)\s+(?:option|choice)\b|^\s*A(?=:)|\brésultat\b|\brespuesta\b"
    r"|\bréponse\b|\bAntwort\b|\brisposta\b|\bresposta\b|\bответ\b)"
    r"(?P<link>\"?\s*(?:\*\*|__|\$\$?)?\s*(?:(?:to|of|for)\s[^.\n:]{0,80}?\s)?"
    r"(?:\s?(?:final|correcta|correcte|finale))?\s*(?:(?:is|are|was|equals|es|est|ist|lautet|é|è)\b"
    r"(?:\s+(?:therefore|thus|then|simply|just|given by))?\s*:?|[:：]|=)(?:\*\*|__)?)",
    re.I | re.M,
)
_MATH = re.compile(
    r"(?<!\\)\$\$(?P<a>.+?)(?<!\\)\$\$|\\\[(?P<b>.+?)\\\]|\\\((?P<c>.+?)\\\)|(?<![\\$])\$(?P<d>\n?(?:\\\$|[^$\n])+?\n?)(?<!\\)\$(?![\d$])",
    re.S,
)
_BOLD = re.compile(r"(?:\*\*|__)([^*\n]{1,200}?)(?:\*\*|__)")
_NUMBER = re.compile(
    r"(?<![\w.:])\d{1,20}(?:\s?:\s?\d{1,20}){1,5}(?![\d:])(?:\s?[AaPp]\.?\s?[Mm]\b\.?)?"
    r"|(?<![A-Za-z0-9_.^\\])[-−+]?(?:[$€£]\s?)?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)?(?:[.,]?\d+)(?:\s?/\s?\d+)?(?:\s?%)?(?![\d])"
)
_NOT_PROSE = re.compile(r"\\[a-z]+\s*\{[^{}]*\}|\$[^$]*\$|\\[A-Za-z]+")
_COUNTED = re.compile(
    r"(?<![A-Za-z])(?!(?:a?(?:sin|cos|tan)h?|and|or|arc(?:sin|cos|tan)|cot|sec|csc|log|exp|sqrt|cbrt|abs|gcd|lcm|max|min|pow)(?![A-Za-z]))"
    r"[A-Za-z]{3,}\s*[:(=]?\s*-?\$?\d"
)
_WORDED = re.compile(r"[A-Za-zÀ-ɏ]{2,}\s+[A-Za-zÀ-ɏ]{2,}")
_SENTENCE = re.compile(r"(?<=[.!?])[\s*]+(?=[A-Z\\$*(]|$)|\n\s*\n|(?<=。)")
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
_ASIDE = re.compile(r"\([^()]*\)")
_CLOSING = re.compile(r"\bI hope (?:it|this) (?:is|helps)\b.*\Z|\bLet me know\b.*\Z", re.S)
_CODE_FENCE = re.compile(r"\A\s*```\w*\n(.*?)\n```\s*\Z", re.S)
_LABELS = re.compile(r"\A(?:\s|\*\*|__|:|\\\\|>|#{1,4}\s)+")


def extract(answer_text: str) -> Extracted:
    """The final answer of `answer_text`; its text is None when there is none. Never raises."""
    text = visible(answer_text[-LONGEST:].replace("\x00", ""))
    if not text.strip():
        return Extracted(None, "empty")
    for rule in (_boxed, _hashed, _tagged):
        found = rule(text)
        if found is not None:
            return found
    text = _CLOSING.sub("", text[-ENDING:]).strip()
    fenced = _CODE_FENCE.match(text)
    if fenced:
        text = fenced[1].strip()
    return _bare(text) or _phrased(text) or _shown(text) or _few_words(text) or Extracted(None, "none")


def visible(text: str) -> str:
    """`text` without reasoning, harmony channels that are not final, and anything after the end of the turn."""
    text = _final_channel(text)
    for start, end in _REASONING:
        closed = text.rfind(end)
        if closed >= 0:
            text = text[closed + len(end) :]
        opened = text.find(start)
        if opened >= 0:
            text = text[:opened]
    cut = _TURN_ENDS.search(text)
    while cut and not text[: cut.start()].strip():
        text = text[cut.end() :]
        cut = _TURN_ENDS.search(text)
    return text[: cut.start()] if cut else text


def has_open_reasoning(text: str) -> bool:
    """Whether reasoning was begun and never closed, so that the author never came to its answer."""
    if "<|channel|>" in text and not _FINAL_CHANNEL.search(text):
        return True
    return any(text.rfind(start) > text.rfind(end) for start, end in _REASONING if start in text)


def _final_channel(text: str) -> str:
    if "<|channel|>" in text:
        finals = list(_FINAL_CHANNEL.finditer(text))
        return text[finals[-1].end() :] if finals else ""
    bare = _BARE_HARMONY.match(text) if text.lstrip().startswith("analysis") else None
    return text[bare.end() :] if bare else text


def _boxed(text: str) -> Extracted | None:
    starts = list(_BOX.finditer(text))
    if not starts:
        return None
    closing = _closing_braces(text)
    spans: list[tuple[int, int, str]] = []
    position = 0
    for match in starts:
        if match.start() < position:
            continue  # a box in a box
        end, content = _box_content(text, match.end(), closing)
        if content is None and text[match.end() : match.end() + 1] == "{":
            spans.clear()  # never closed: nothing before it is the final answer
        if content is not None:
            position = end
            if content.strip():
                spans.append((match.start(), end, _unboxed(content)))
    return _last_box(text, spans) if spans else Extracted(None, "unbalanced-box")


def _last_box(text: str, spans: list[tuple[int, int, str]]) -> Extracted:
    """The last box, with those before it that only a conjunction joins to it."""
    first = len(spans) - 1
    while first > 0 and _joined(text[spans[first - 1][1] : spans[first][0]]):
        first -= 1
    contents = list(dict.fromkeys(content.strip() for _, _, content in spans[first:]))
    if len(contents) == 1:
        return Extracted(contents[0], "boxed")
    return Extracted(", ".join(contents), "boxes")


def _joined(between: str) -> bool:
    return len(between) < 80 and bool(_JOINING_WORD.search(between)) and bool(_JOINT.fullmatch(between))


def _closing_braces(text: str) -> dict[int, int]:
    """Where each opening brace is closed; an opening brace that is not closed is left out."""
    closing: dict[int, int] = {}
    opened: list[int] = []
    for brace in _BRACES.finditer(text):
        if brace[0] == "{":
            opened.append(brace.start())
        elif brace[0] == "}" and opened:
            closing[opened.pop()] = brace.start()
    return closing


def _box_content(text: str, start: int, closing: dict[int, int]) -> tuple[int, str | None]:
    """The argument of a box whose brace (or single token) begins at `start`, and where it ends."""
    if text[start : start + 1] == "{":
        end = closing.get(start)
        return (len(text), None) if end is None else (end + 1, text[start + 1 : end])
    token = _TOKEN.match(text, start)
    return (token.end(), token[0]) if token else (start, None)


_BRACES = re.compile(r"\\.|[{}]", re.S)
_TOKEN = re.compile(r"\\[A-Za-z]+|[-+]?[\w.]{1,200}")


def _unboxed(content: str) -> str:
    match = _BOX.search(content)
    if not match:
        return content
    end, inner = _box_content(content, match.end(), _closing_braces(content))
    return content if inner is None else content[: match.start()] + inner + content[end:]


def _hashed(text: str) -> Extracted | None:
    found = _HASHES.findall(text)
    return Extracted(_trim(found[-1]), "hashes") if found else None


def _tagged(text: str) -> Extracted | None:
    found = [tag for tag in _ANSWER_TAG.findall(text) if tag.strip()]
    return Extracted(_trim(_innermost(found[-1])), "answer-tag") if found else None


def _bare(text: str) -> Extracted | None:
    """A text that is nothing but an answer: one line without prose."""
    text = _CONCLUDING.sub("", text.strip())
    prose = _NOT_PROSE.sub(" ", text)
    if "\n" in text or len(text) > 5000 or _HAN.search(text) or _WORDED.search(prose) or _PHRASE.search(text):
        return None
    if re.match(r"(?:Answer|Final)\b", text, re.I) or _COUNTED.search(prose):
        return None
    whole = _only_math(text)
    return Extracted(_trim(whole), "bare")


def _few_words(text: str) -> Extracted | None:
    """Nothing but two to four words: `one fourth`, `right triangle`."""
    return Extracted(text, "words", stated=False) if _FEW_WORDS.fullmatch(text) else None


def _only_math(text: str) -> str:
    match = _MATH.fullmatch(text.strip().rstrip("."))
    return next(group for group in match.groups() if group) if match else text


def _phrased(text: str) -> Extracted | None:
    """After the last "final answer is", "answer:" or the like."""
    for name, keep in (("final-answer", "final"), ("answer-phrase", "")):
        for match in reversed([m for m in _PHRASE.finditer(text) if keep in m[0].lower()]):
            answer = _after_phrase(text[match.end() : match.end() + 2000])
            if answer:
                return Extracted(answer, name)
    return None


def _after_phrase(rest: str) -> str | None:
    rest = _LABELS.sub("", rest.lstrip().removeprefix("}"))
    if rest.startswith(("\\[", "$$", "\\(", "$")) and (match := _MATH.match(rest)):
        follow = re.match(r"\s*(?:and|or|,)\s*(?=\$|\\\()", rest[match.end() :])
        if not follow:
            return _trim(next(group for group in match.groups() if group) + _unit_after(rest[match.end() :]))
    pieces = _sentences(rest)
    line = (
        pieces[0].split("\n", 1)[0].strip()
        if pieces and not pieces[0].startswith(("\\[", "$$"))
        else "".join(pieces[:1])
    )
    return _trim(_innermost(line)) or None


_UNIT_AFTER = re.compile(r"\s*(%|\\%|percent|degrees|°|dollars|cents)", re.I)


def _unit_after(rest: str) -> str:
    match = _UNIT_AFTER.match(rest)
    return rf" \text{{ {match[1]}}}" if match and match[1].isalpha() else ""


def _innermost(line: str) -> str:
    """The answer within a statement: its mathematics, or what stands after its last "is"."""
    line = line.strip()
    line = _LABELLED.sub("", line)
    bold = list(_BOLD.finditer(line))
    if len(bold) == 1 and re.search(r"\d", bold[0][1]) and not re.search(r"[\d$\\]", _BOLD.sub(" ", line)):
        line = bold[0][1].strip()  # nothing else in the statement could be meant
    said = list(re.finditer(r"\b(?:is|are|equals|by|be)\b\s*:?\s*(?=\S)|[:=]\s+(?=\*\*|\$|\\\()", line))
    tail = line[said[-1].end() :] if said else line
    tail = re.sub(r"\*\*|__", "", tail).strip()
    pieces = [next(g for g in m.groups() if g) for m in _MATH.finditer(tail)]
    outside = _MATH.sub(" ", tail)
    words = re.sub(r"\b(?:and|or)\b", " ", outside)
    if pieces and not re.search(r"\d", outside):
        joined = len(pieces) > 1 and not re.search(r"[A-Za-z]{2,}", words)
        return ", ".join(pieces) if joined else pieces[0]
    if not re.search(r"[A-Za-z]{2,}", tail):
        return tail
    number = _NUMBER.search(tail)
    if number and len(tail) > len(number[0]) and re.match(r"[\s$€£]*[-\d]", tail):
        return tail if len(tail.split()) <= 4 and not re.search(r"[,;:]\s", tail) else number[0]
    return tail


def _shown(text: str) -> Extracted | None:
    """No statement of an answer at all: the mathematics, bold text or number that ends the text."""
    sentences = _sentences(text)
    last = sentences[-1] if sentences else ""
    found = _shown_in(last)
    if found:
        return found
    for sentence in reversed(sentences[:-1]):
        if re.match(r"(?:\*\*|#+\s*)?(?:so|thus|hence|therefore|answer|final|in conclusion)\b", sentence, re.I):
            found = _shown_in(sentence)
            if found:
                return found
    numbers = _NUMBER.findall(text)
    if numbers:
        return Extracted(_trim(numbers[-1]), "last-number", stated=False)
    bold = _BOLD.findall(last)
    return Extracted(_trim(bold[-1]), "last-bold", stated=False) if bold else None


def _sentences(text: str) -> list[str]:
    """`text` cut into sentences, never inside mathematics."""
    maths: list[str] = []

    def hide(match: re.Match[str]) -> str:
        maths.append(match[0])
        return f"$\ue000{len(maths) - 1}\ue001"

    parts = _SENTENCE.split(_MATH.sub(hide, text))
    return [_HIDDEN.sub(lambda m: maths[int(m[1])], part).strip() for part in parts if part and part.strip()]


def _shown_in(sentence: str) -> Extracted | None:
    if _WITHOUT.search(sentence) and not re.search(r"\d", sentence):
        return Extracted("no solution", "said-none", stated=False)
    bold = _BOLD.findall(sentence)
    if bold and (re.search(r"[\d$\\]", bold[-1]) or re.search(r"(?:\*\*|__)[.!]?\s*\Z", sentence)):
        return Extracted(_trim(_innermost(bold[-1])), "last-bold", stated=False)
    said = list(re.finditer(r"\b(?:is|are|equals|be)\b\s*:?\s*(?=\S)", sentence))
    if said and _MATH.match(sentence, said[-1].end()):
        return Extracted(_trim(_innermost(sentence[said[-1].end() :])), "last-is", stated=False)
    if said and _is_symbols(sentence[said[-1].end() :]):
        return Extracted(_trim(_UNIT_WORD.sub("", sentence[said[-1].end() :])), "last-is", stated=False)
    if said and _PLAIN_LIST.fullmatch(sentence, said[-1].end()):
        return Extracted(_trim(sentence[said[-1].end() :]), "last-is", stated=False)
    maths = [next(g for g in m.groups() if g) for m in _MATH.finditer(sentence)]
    if maths and not _NUMBER.search(_MATH.sub(" ", sentence)[-200:]):
        return Extracted(_trim(maths[-1]), "last-math", stated=False)
    numbers = _NUMBER.findall(_ASIDE.sub(" ", sentence)) or _NUMBER.findall(sentence)
    return Extracted(_trim(numbers[-1]), "last-number", stated=False) if numbers else None


def _is_symbols(tail: str) -> bool:
    """Whether an author ended on a short run of mathematics that no marks set apart: `∞`, `3√2 units`, `x²`."""
    tail = _UNIT_WORD.sub("", tail)
    return (
        len(tail) <= 40 and bool(re.search(r"[∞π√½-¾²³∅]|\d\s*[-+*/^]", tail)) and not re.search(r"[^\W\d_]{3,}", tail)
    )


def _trim(text: str) -> str:
    text = text.strip().strip("*_`").strip()
    text = text.rstrip('"”’') if text[:1] not in "\"“‘'" else text.strip("\"“”‘’'")
    text = (
        re.sub(r"[.;:,!?。，；：！？]+\Z", "", text.strip())
        if not text.endswith("!") or not re.search(r"[\w)]!\Z", text)
        else text
    )
    return _only_math(text.strip())
