"""Brackets: where a text can be cut, and what stands inside of what.

Invariant: one pass, linear in the length; brackets need not match in kind, because `(0, 1]` is an interval.
"""

from __future__ import annotations

import re

_OPEN = re.compile(r"\\begin\{[a-z*]+\}|\\langle(?![a-z])|\\\{|[(\[{]|\\lfloor|\\lceil")
_CLOSE = re.compile(r"\\end\{[a-z*]+\}|\\rangle(?![a-z])|\\\}|[)\]}]|\\rfloor|\\rceil")
_STEP = re.compile(r"\\begin\{[a-z*]+\}(?:\{[^{}]*\})?|\\end\{[a-z*]+\}|\\[A-Za-z]+|\\.|[(\[{)\]}]|[^\\(\[{)\]}]", re.S)


def trace_brackets(text: str) -> list[tuple[str, int]]:
    """Tokens with the bracket depth they stand at; half-open intervals make `(` close with `]`."""
    depths: list[tuple[str, int]] = []
    depth = 0
    for match in _STEP.finditer(text):
        token = match[0]
        is_command = len(token) > 1
        if _CLOSE.fullmatch(token) if is_command else token in ")]}":
            depth -= 1
        depths.append((token, depth))
        if _OPEN.match(token) if is_command else token in "([{":
            depth += 1
    return depths


def split_outside(text: str, separators: tuple[str, ...]) -> list[str]:
    """`text` cut at the separators that stand outside all brackets."""
    parts, current = list[str](), list[str]()
    for token, depth in trace_brackets(text):
        if depth == 0 and token in separators:
            parts.append("".join(current))
            current = []
        else:
            current.append(token)
    parts.append("".join(current))
    return parts


def take_enclosed(text: str, opener: str, closer: str) -> str | None:
    """The inside of `text` when its first bracket closes at its very end."""
    if not (text.startswith(opener) and text.endswith(closer)):
        return None
    tokens = trace_brackets(text)
    if any(depth == 0 for _, depth in tokens[1:-1]) or len(tokens) < 2 or tokens[-1][0] != closer:
        return None
    return text[len(opener) : len(text) - len(closer)]


def is_balanced(text: str) -> bool:
    """Whether every bracket in `text` is opened before it is closed, and closed."""
    tokens = trace_brackets(text)
    return (
        all(depth >= 0 for _, depth in tokens)
        and sum(bool(_OPEN.match(t)) - bool(_CLOSE.fullmatch(t)) for t, _ in tokens) == 0
    )


def peel_brackets(text: str, opener: str, closer: str) -> str:
    """`text` without the brackets around all of it, unless they make a tuple, braces a list, or `(B)` a choice."""
    if not (text.startswith(opener) and text.endswith(closer)):
        return text
    tokens = trace_brackets(text)
    first = next((i for i, (token, _) in enumerate(tokens) if token != opener), len(tokens))
    last = next((i for i, (token, _) in enumerate(reversed(tokens)) if token != closer), len(tokens))
    inner = tokens[first : len(tokens) - last]
    if not inner or any(depth < 0 for _, depth in tokens):
        return text
    around = min(first, last, *(depth for _, depth in inner))
    if any(depth == around and token in (",", ";") for token, depth in inner) or (
        opener == "(" and re.fullmatch(r"\s*(?:\\text\s*\{)?\s*[A-Z]\s*\}?\s*", "".join(token for token, _ in inner))
    ):
        around -= 1
    return text[around : len(text) - around] if around > 0 else text
