r"""Boxes in what authors write: `\boxed{...}` and its kin, which mark a final answer.

Verification, sampling of problems, filters and styles must agree on what a box is, so there is one reader of them. The
scan is linear in the length of the text. Braces follow LaTeX: `\{` is a brace on paper and opens nothing.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_BOX = re.compile(r"\\(?:boxed|fbox|framebox|bbox(?:\[[^\]\n]{0,80}\])?)(?![A-Za-z])\s*")
_BRACES = re.compile(r"\\.|[{}]", re.S)
_TOKEN = re.compile(r"\\[A-Za-z]+|[-+]?[\w.]{1,200}")


class Box(NamedTuple):
    """One box of a text."""

    start: int
    """Where its command begins, in characters."""
    end: int
    """Just after its closing brace; the end of the text when it is never closed."""
    content: str | None
    """What stands in it, without the command of a box in that box; empty when nothing does, None when its brace is
    never closed."""


def find_boxes(text: str) -> list[Box]:
    r"""Every box of `text`, in order; a box in a box is a part of the outer one. `\boxed 5` without braces counts."""
    commands = list(_BOX.finditer(text))
    closing = _closing_braces(text) if commands else {}
    boxes: list[Box] = []
    for command in commands:
        if boxes and boxes[-1].content is not None and command.start() < boxes[-1].end:
            continue
        end, content = _argument(text, command.end(), closing)
        boxes.append(Box(command.start(), end, content if content is None else _without_inner_box(content)))
    return boxes


def last_box(text: str) -> str | None:
    """The content of the last box, without white space around it; None without a box or when its brace is never
    closed."""
    boxes = find_boxes(text)
    content = boxes[-1].content if boxes else None
    return None if content is None else content.strip()


def write_box(content: str) -> str | None:
    r"""`\boxed{content}`, or None when the braces of `content` do not pair up, so that the box would end elsewhere."""
    boxed = f"\\boxed{{{content}}}"
    first = find_boxes(boxed)[0]
    return boxed if first.content is not None and first.end == len(boxed) else None


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


def _argument(text: str, start: int, closing: dict[int, int]) -> tuple[int, str | None]:
    """Where the argument that begins at `start` ends, and its content: a group in braces or a single token."""
    if text[start : start + 1] == "{":
        end = closing.get(start)
        return (len(text), None) if end is None else (end + 1, text[start + 1 : end])
    token = _TOKEN.match(text, start)
    return (token.end(), token[0]) if token else (start, "")


def _without_inner_box(content: str) -> str:
    command = _BOX.search(content)
    if not command:
        return content
    end, inner = _argument(content, command.end(), _closing_braces(content))
    return content if inner is None else content[: command.start()] + inner + content[end:]
