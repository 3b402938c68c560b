"""Styles: how a trace becomes the text that a student is trained on.

A style is a function `(reasoning, answer, extracted) -> (reasoning, answer)`; `extracted` is the final answer that the
verifier found in the answer text. It gives None for a trace that it can make no target of, which is then left out by
name. To add one: a function and a row in `STYLES`, or `package.module:name` in the study.
"""

from __future__ import annotations

from collections.abc import Callable

from lakon.core.boxes import write_box

Style = Callable[[str, str, str | None], tuple[str, str] | None]


def verbatim(reasoning: str, answer: str, extracted: str | None) -> tuple[str, str]:
    """The trace as it was written."""
    del extracted
    return reasoning, answer


def answer_only(reasoning: str, answer: str, extracted: str | None) -> tuple[str, str] | None:
    """The final answer in a box and nothing else: an answer text may hold the whole derivation once more. None where
    the verifier found no answer, or one whose braces the box could not close."""
    del reasoning, answer
    boxed = write_box(extracted) if extracted and extracted.strip() else None
    return None if boxed is None else ("", boxed)


STYLES: dict[str, Style] = {"verbatim": verbatim, "answer_only": answer_only}
