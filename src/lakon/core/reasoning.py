"""What an author says, without the reasoning before it.

Invariant: reasoning that was never closed hides everything after its opening. Every scan is linear in the length of the
text.
"""

from __future__ import annotations

import re

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


def drop_reasoning(text: str) -> str:
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
