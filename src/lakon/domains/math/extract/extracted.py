"""What an extractor says: the answer as written and the rule that found it."""

from __future__ import annotations

from typing import NamedTuple


class Extracted(NamedTuple):
    """The final answer as written, and how it was found; `stated` when the author marked it as final."""

    text: str | None
    rule: str
    stated: bool = True
