"""math-verify, for the expressions that the strict grammar leaves out: sums, integrals, limits, matrix arithmetic.

Invariant: it accepts only what it has read whole. Its parser drops what it does not know, so every letter and number
of the text must be found again in what was parsed, or the answer is undecided. It has no time limit of its own here
(`signal.alarm` neither works in threads nor stops C code); run it in the killable pool.
"""

from __future__ import annotations

import logging
import re
from typing import Any

_LETTERS = re.compile(
    r"(?<![A-Za-z\\])[A-Za-z](?![A-Za-z])|\\(?:alpha|beta|gamma|theta|phi|lambda|mu|omega|sigma|pi)(?![a-z])"
)
_NUMBERS = re.compile(r"\d+")
_IGNORED = frozenset("eidE")


def load_math_verify() -> None:
    """Import math-verify now, so that no row pays for it."""
    import math_verify

    logging.getLogger("math_verify").setLevel(logging.ERROR)
    assert math_verify


def parse_whole(text: str) -> Any:
    """What math-verify reads; None when it reads nothing or not everything, or fails on it."""
    try:
        return _parse_whole(text)
    except MemoryError:
        raise
    except Exception:  # sympy raises TypeError, AttributeError and others of its own on texts such as 0/0 + 5
        return None


def _parse_whole(text: str) -> Any:
    from math_verify import LatexExtractionConfig, parse

    load_math_verify()
    expressions = parse(
        f"\\boxed{{{_latex(text)}}}",
        extraction_config=[LatexExtractionConfig()],
        fallback_mode="no_fallback",
        parsing_timeout=None,  # pyright: ignore[reportArgumentType]  # its README says None,
    )
    return (
        expressions[0]
        if len(expressions) >= 1 and not isinstance(expressions[0], str) and is_lossless(text, expressions[0])
        else None
    )


def _latex(cleaned: str) -> str:
    """A cleaned text without the marks that only our own parsers know."""
    text = cleaned.replace("\\cr ", "\\\\ ").replace("\\usd", "").replace("*", "\\cdot ")
    return re.sub(r"\\(and|or)(?![a-z])", r"\\text{ \1 }", text)


def is_lossless(text: str, expression: object) -> bool:
    """Whether every letter and every number above one of `text` is still there in what was parsed from it."""
    import sympy

    written = sympy.srepr(expression)  # type: ignore[arg-type]  # math-verify has no types
    for number in set(_NUMBERS.findall(text)) - {"0", "1"}:
        if number.lstrip("0") not in written:
            return False
    return all(letter.lstrip("\\") in written for letter in set(_LETTERS.findall(text)) - _IGNORED)


def are_equal(reference: Any, candidate: Any) -> bool | None:
    """Whether math-verify finds two that it read equal; None when it could not read one of them, or failed on it."""
    try:
        return _equal(reference, candidate)
    except MemoryError:
        raise
    except Exception:  # sympy raises TypeError, AttributeError and others of its own on texts such as 0/0 + 5
        return None


def _equal(reference: Any, candidate: Any) -> bool | None:
    from math_verify import verify

    if reference is None or candidate is None:
        return None
    return bool(
        verify([reference], [candidate], float_rounding=15, numeric_precision=30, strict=True, timeout_seconds=None)
    )
