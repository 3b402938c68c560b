"""The key under which two files mean the same problem: the digest of its words, numbers and operators.

Tools wrap a problem in spacing, case and LaTeX of their own; what is left after normalising is the same in all.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from lakon.stages.problems.text_runs import tokenize_text

_LONGEST = 100_000
"""Characters of a problem that are looked at."""


@lru_cache(maxsize=1 << 16)
def find_text_key(text: str) -> str:
    """The digest of a problem's normalised text, in 32 hexadecimal characters."""
    words = "\x1f".join(tokenize_text(text[:_LONGEST])) or text[:_LONGEST]
    return hashlib.blake2b(words.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
