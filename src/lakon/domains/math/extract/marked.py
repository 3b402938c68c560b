"""The final answer in what an author wrote, and the rule that found it.

Invariant: only text outside reasoning counts (`core/reasoning.py`), and of near boxes the last one is the answer; boxes
are read together only when nothing but "and", "or" or a comma joins them. Every scan is linear in the length of the
text, which no rule sees with its runs of white space: patterns with several optional spaces take cubic time over those.
Read next: `prose.py`, for texts without a mark.
"""

from __future__ import annotations

import re

from lakon.core.boxes import Box, find_boxes
from lakon.core.reasoning import drop_reasoning
from lakon.domains.math.extract.extracted import Extracted
from lakon.domains.math.extract.prose import read_prose
from lakon.domains.math.extract.statements import join_spaces, take_innermost, trim_answer

LONGEST = 400_000
"""Characters of an answer that are looked at, from its end."""
ENDING = 16_000
"""Characters in which an answer that no mark sets apart is looked for, from the end."""
_JOINT = re.compile(
    r"(?:[\s$.,;]|\\[()\[\],;!]|\\q?quad|\\text\{\s*(?:and|or)\s*\}|\b(?:and|or)\b|\\(?:land|lor)\b"
    r"|[A-Za-z](?:_\{?\w{1,3}\}?)?\s*=(?!=)){1,40}"
)
_JOINING_WORD = re.compile(r"\band\b|\bor\b|,|\\land|\\lor")
_HASHES = re.compile(r"^[ \t]*#{4}[ \t]*(\S.*)$", re.M)
_HEADING = re.compile(
    r"[*_]{0,2}(?:step|case|part|method|final|answer|solution|conclusion|verification|check)\b"
    r"|[^\n]{0,400}?(?<![A-Za-z])[A-Za-z]{3,}+\s+(?:\w+\s+)?[A-Za-z]{2,}|[^\n]{1,400}:[*_\s]*\Z",
    re.I,
)
"""A heading of the fourth level; what marks an answer is followed by the answer alone."""
LONGEST_HEADING = 500
"""Characters of a line in which `_HEADING` looks for one: it tries every word, so that its time is their square."""
_ANSWER_TAG = re.compile(r"<(?:final_?)?answer>((?:(?!answer>).){0,20000}?)</(?:final_?)?answer>", re.S | re.I)


_ANSWER_MARK = re.compile(r"\[(ANS(?:WER)?)\]:?((?:(?!\[ANS)[^\n])*?)(?:\[/\1\]|$|(?=\[ANS))", re.M)
"""`[ANS] 10`, closed by `[/ANS]`, by the next one or by the end of its line."""


UNMARKED = "unmarked"
"""The rule of a text without a box or another mark, where nothing else is read."""


def extract(answer_text: str, *, boxed_only: bool = False) -> Extracted:
    """The final answer of `answer_text`; its text is None when there is none. Never raises.

    A box, a `####` line or an answer tag marks an answer. What marks none is read as prose, or with `boxed_only` not
    at all.
    """
    text = join_spaces(drop_reasoning(answer_text[-LONGEST:].replace("\x00", "")))
    if not text:
        return Extracted(None, "empty")
    for rule in (_boxed, _hashed, _tagged):
        extracted = rule(text)
        if extracted is not None:
            return extracted
    return Extracted(None, UNMARKED) if boxed_only else read_prose(text[-ENDING:])


def _boxed(text: str) -> Extracted | None:
    boxes = find_boxes(text)
    if not boxes:
        return None
    opened = next((i for i in reversed(range(len(boxes))) if boxes[i].content is None), -1)
    filled = [box for box in boxes[opened + 1 :] if box.content and box.content.strip()]
    return _last_answer(text, filled) if filled else Extracted(None, "unbalanced-box")


def _last_answer(text: str, boxes: list[Box]) -> Extracted:
    """The last of these boxes, with those before it that only a conjunction joins to it."""
    first = len(boxes) - 1
    while first > 0 and _is_joined(text[boxes[first - 1].end : boxes[first].start]):
        first -= 1
    contents = list(dict.fromkeys((box.content or "").strip() for box in boxes[first:]))
    if len(contents) == 1:
        return Extracted(contents[0], "boxed")
    return Extracted(", ".join(contents), "boxes")


def _is_joined(between: str) -> bool:
    return len(between) < 80 and bool(_JOINING_WORD.search(between)) and bool(_JOINT.fullmatch(between))


def _hashed(text: str) -> Extracted | None:
    for content in reversed(_HASHES.findall(text)):
        if not _HEADING.match(content[:LONGEST_HEADING]):
            return Extracted(trim_answer(content), "hashes")
    return None


def _tagged(text: str) -> Extracted | None:
    tags = [tag for tag in _ANSWER_TAG.findall(text) if tag.strip()]
    tags = tags or [said for _, said in _ANSWER_MARK.findall(text) if said.strip()]
    return Extracted(trim_answer(take_innermost(tags[-1])), "answer-tag") if tags else None
