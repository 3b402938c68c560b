"""One schema for reasoning, whichever way a model or its server marks it.

Invariant: these functions are pure and total: any text or message gives a `Split`, and no text is lost except
the tags. What was cut off while thinking is all reasoning and no answer, so it is never graded as one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

TAGS: tuple[tuple[str, str], ...] = (
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("◁think▷", "◁/think▷"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
)
"""Tags that mean thinking wherever they stand: DeepSeek's and Qwen's, Mistral's, Seed's, Kimi's, Sky-T1's."""
MARKUP: tuple[tuple[str, str], ...] = (
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
)
"""Tags that an answer may use for something else, so they count only where they begin the text."""

_END_TOKENS = (
    "<|im_end|>",
    "<|eot_id|>",
    "<|endoftext|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<\uff5cend\u2581of\u2581sentence\uff5c>",
    "</s>",
    "<eos>",
    "<end_of_turn>",
)
"""What servers leave at the end when they don't skip special tokens."""
_LEAD = re.compile(r"(?:\s*(?:<s>|<\|im_start\|>assistant|<\|assistant\|>|<\uff5cAssistant\uff5c>))+")
_SOLUTION = re.compile(r"<\|(?:begin|end)_of_solution\|>")
_HARMONY_START = re.compile(r"\s*<\|(?:start|channel|message)\|>")
_HARMONY_FINAL = re.compile(r"<\|channel\|>final\b[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>")
_HARMONY_PART = re.compile(r"(?:<\|channel\|>([^<]*)(?:<\|constrain\|>[^<]*)?)?<\|message\|>")
_HARMONY_STOP = re.compile(r"<\|(?:end|return|call)\|>(?:<\|start\|>[^<]*)?|<\|start\|>[^<]*|(?=<\|channel\|>)")
_BARE_HARMONY = re.compile(r"\s*analysis(?=[A-Z]|.*?assistantfinal)", re.DOTALL)
_BARE_TURN = re.compile(r"assistant(?:analysis|commentary)(?=[A-Z])")


class Split(NamedTuple):
    """A text taken apart."""

    reasoning: str
    answer: str
    finished: bool
    """Whether the thinking ended (true when there was none); when it did not, there is no answer."""


def split_reasoning(text: str, *, prefills_think: bool = False) -> Split:
    """Reasoning, answer, and whether the thinking ended.

    `prefills_think` says that the chat template wrote the opening tag, so that a text without any tag is thinking
    that never ended; a closing tag alone is understood without it.
    """
    # `match`, where a pattern begins with the text: `search` tries it at every character of a long one.
    lead = _LEAD.match(text)
    text = _without_end_tokens(text[lead.end() :] if lead else text)
    if _HARMONY_START.match(text) or _HARMONY_FINAL.search(text):
        return _split_harmony(text)
    if _BARE_HARMONY.match(text):
        return _split_bare_harmony(text)
    for opening, closing in (*TAGS, *MARKUP):
        # A closing tag alone will do for the first kind: the chat template wrote the opening one.
        if text.lstrip().startswith(opening) or ((opening, closing) in TAGS and closing in text):
            return _split_tagged(text, opening, closing)
    return Split(text.strip(), "", False) if prefills_think else Split("", text.strip(), True)


def _without_end_tokens(text: str) -> str:
    # Not a pattern: one that ends in `$` looks again at every space of a long text.
    text = text.rstrip()
    while token := next((token for token in _END_TOKENS if text.endswith(token)), None):
        text = text.removesuffix(token).rstrip()
    return text


def _split_tagged(text: str, opening: str, closing: str) -> Split:
    before, closed, rest = text.partition(closing)
    first = before.replace(opening, "", 1).strip()
    if not closed:
        return Split(first, "", False)
    more, answer, finished = _later_blocks(rest, opening, closing)
    return Split(_joined([first, *more]), answer, finished)


def _later_blocks(rest: str, opening: str, closing: str) -> tuple[list[str], str, bool]:
    """Thinking that begins again, or went on after all, behind the first closing tag.

    Only tags at the beginning of a line count: an answer may well mention one in a sentence.
    """
    tag = re.compile(rf"^[ \t]*({re.escape(opening)}|{re.escape(closing)})", re.MULTILINE)
    reasoning: list[str] = []
    outside: list[str] = []
    position = 0
    while match := tag.search(rest, position):
        before, position = rest[position : match.start()], match.end()
        if match.group(1) == closing:
            reasoning.append(before)
            continue
        outside.append(before)
        end = rest.find(closing, position)
        if end < 0:
            return [*reasoning, *outside, rest[position:]], "", False
        reasoning.append(rest[position:end])
        position = end + len(closing)
    answer = _SOLUTION.sub("", rest[position:])
    return reasoning, _joined([*outside, answer]), True


def _split_harmony(text: str) -> Split:
    """gpt-oss's channels: `final` is the answer, everything else is reasoning."""
    reasoning: list[str] = []
    answer: list[str] = []
    head = _HARMONY_PART.search(text)
    position = 0
    if head and (lead := re.sub(r"<\|start\|>[^<]*|<\|(?:end|return|call)\|>", "", text[: head.start()]).strip()):
        reasoning.append(lead)
    finished = False
    while part := _HARMONY_PART.search(text, position):
        stop = _HARMONY_STOP.search(text, part.end())
        position = stop.end() if stop else len(text)
        final = (part.group(1) or "").strip().startswith("final")
        finished = finished or final
        (answer if final else reasoning).append(text[part.end() : stop.start() if stop else len(text)])
    if not head:
        reasoning.append(re.sub(r"<\|[a-z]+\|>", " ", text))
    return Split(_joined(reasoning), _joined(answer), finished)


def _split_bare_harmony(text: str) -> Split:
    """The same where the server dropped the special tokens: `analysisWe need ...assistantfinal42`."""
    body = text.lstrip().removeprefix("analysis")
    thinking, final, answer = body.rpartition("assistantfinal")
    reasoning = _BARE_TURN.sub("\n\n", thinking if final else answer).strip()
    return Split(reasoning, answer.strip() if final else "", bool(final))


def _joined(texts: Sequence[str]) -> str:
    return "\n\n".join(stripped for text in texts if (stripped := text.strip()))


def split_message(message: Mapping[str, object], *, prefills_think: bool = False) -> Split:
    """A chat message: reasoning in a field of its own, in parts of the content, or inside its text."""
    parts_reasoning, text = _content(message.get("content"))
    explicit = _explicit_reasoning(message) or parts_reasoning
    split = split_reasoning(text, prefills_think=prefills_think and not explicit)
    if not explicit:
        return split
    if not split.reasoning or split.reasoning == explicit.strip():
        return split._replace(reasoning=explicit.strip())
    return split._replace(reasoning=_joined([explicit, split.reasoning]))


def split_output(items: Sequence[object]) -> Split:
    """A Responses API output: reasoning items and messages, in order."""
    reasoning: list[str] = []
    answer: list[str] = []
    for item in map(as_mapping, items):
        if item.get("type") == "reasoning":
            reasoning.append(_texts(item.get("content")) or _texts(item.get("summary")))
        elif item.get("type") == "message":
            answer.append(_content(item.get("content"))[1])
    split = split_reasoning("".join(answer))
    return split._replace(reasoning=_joined([*reasoning, split.reasoning]))


def _explicit_reasoning(message: Mapping[str, object]) -> str:
    # In this order: some servers send two of them with one text.
    for name in ("reasoning_content", "reasoning", "thinking"):
        value = message.get(name)
        if isinstance(value, str) and value.strip():
            return value
    return _texts(message.get("reasoning_details")) or _texts(message.get("thinking_blocks"))


def _content(content: object) -> tuple[str, str]:
    """The reasoning and the text of a message's content, which is a string or a list of parts."""
    if not isinstance(content, list):
        return "", content if isinstance(content, str) else ""
    reasoning: list[str] = []
    text: list[str] = []
    for part in cast("list[object]", content):
        kind = as_mapping(part).get("type")
        thinks = kind in {"thinking", "reasoning", "reasoning_text", "redacted_thinking"}
        (reasoning if thinks else text).append(_texts(part))
    return _joined(reasoning), "".join(text)


def _texts(value: object) -> str:
    """All text in a part or a list of parts, under whichever name a provider keeps it."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(_texts, cast("list[object]", value)))
    part = as_mapping(value)
    values = (part[name] for name in ("text", "thinking", "summary", "content") if part.get(name))
    return next(filter(None, map(_texts, values)), "")


def as_mapping(value: object) -> Mapping[str, object]:
    """`value` when it is a mapping, else an empty one: providers put null anywhere."""
    return cast("Mapping[str, object]", value) if isinstance(value, dict) else {}
