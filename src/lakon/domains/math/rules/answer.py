"""One answer with everything that is read from it: each thing once, when it is first asked for.

Invariant: this is the one place that remembers answers. A reference that is compared with several samples is cleaned,
read and worked out once, and what hangs on an answer goes when the answer does. Importing this loads no algebra.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from lakon.domains.math.parse.clean import clean_text, compact_text

if TYPE_CHECKING:
    from lakon.domains.math.shapes.nodes import Node

MOST_REMEMBERED = 4_000
"""Answers that are remembered: those of some hundred problems with their samples."""


@dataclass(frozen=True, eq=False)
class Answer:
    """A cleaned answer."""

    text: str
    _variants: dict[str, Answer] = field(default_factory=dict[str, "Answer"], repr=False)

    @cached_property
    def compacted(self) -> str:
        """What is compared as a string."""
        return compact_text(self.text)

    @cached_property
    def node(self) -> Node:
        """Its shape."""
        from lakon.domains.math.shapes.read import Reader

        return Reader()(self.text)

    @cached_property
    def spellings(self) -> tuple[Answer, ...]:
        """The spellings that it says are of one answer; itself alone when it has but one."""
        from lakon.domains.math.rules.restated import split_spellings

        return tuple(map(self.written_as, split_spellings(self.text)))

    @cached_property
    def symbolic(self) -> Any:
        """What math-verify reads, or None when it reads nothing or not everything."""
        from lakon.domains.math.rules.math_verify import parse_whole

        return parse_whole(self.text)

    def written_as(self, text: str) -> Answer:
        """The same answer in another way of writing, such as without its parameter's clause."""
        if text == self.text:
            return self
        if text not in self._variants:
            self._variants[text] = Answer(text)
        return self._variants[text]


@lru_cache(maxsize=MOST_REMEMBERED)
def read_answer(text: str) -> Answer:
    """The answer in `text` as an author wrote it."""
    return Answer(clean_text(text))
