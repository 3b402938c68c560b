"""Styles: how a trace becomes the text that a student is trained on.

A style is a function `(reasoning, answer) -> (reasoning, answer)`. To add one: a function and a row in `STYLES`,
or `package.module:name` in the study.
"""

from __future__ import annotations

import re
from collections.abc import Callable

Style = Callable[[str, str], tuple[str, str]]

_BOX = re.compile(r"\\boxed\{")


def verbatim(reasoning: str, answer: str) -> tuple[str, str]:
    """The trace as it was written."""
    return reasoning, answer


def answer_only(reasoning: str, answer: str) -> tuple[str, str]:
    """No reasoning: the final box alone where there is one, else the answer text."""
    del reasoning
    return "", _last_box(answer) or answer


def _last_box(text: str) -> str | None:
    """The last balanced `\\boxed{...}` of `text`."""
    for match in reversed(list(_BOX.finditer(text))):
        depth = 0
        for end in range(match.end() - 1, len(text)):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            if depth == 0:
                return text[match.start() : end + 1]
    return None


STYLES: dict[str, Style] = {"verbatim": verbatim, "answer_only": answer_only}
