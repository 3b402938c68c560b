"""The number that stands beside each reply in the ledger: enough to know what is owed and what was spent.

Invariant: the layout is on disks. It may gain a meaning where it has none, and never changes one.
"""

from __future__ import annotations

from typing import NamedTuple

from lakon.core.spending import Spent

_WHOLE = 1 << 63
_ASKED_IN_VAIN = 1 << 62
_PROMPT_SHIFT = 32
_PROMPT_MAX = (1 << 30) - 1
_COMPLETION_MAX = (1 << 32) - 1


class CallNote(NamedTuple):
    """What is known of a call without reading its reply. Packed, high bit first: whole (1 bit), asked in vain (1),
    prompt tokens (30), completion tokens (32)."""

    whole: bool = False
    """Whether there is a reply that was not cut off."""
    asked_in_vain: bool = False
    """Whether another reply was asked for in place of this one, and did not come."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    """Of all attempts at the call: a reply that was replaced was paid for too."""

    @property
    def spent(self) -> Spent:
        """The tokens of all attempts."""
        return Spent(self.prompt_tokens, self.completion_tokens)

    def pack(self) -> int:
        """The note as the ledger keeps it: 64 bits; counts beyond their bits are cut to the largest."""
        flags = (_WHOLE if self.whole else 0) | (_ASKED_IN_VAIN if self.asked_in_vain else 0)
        prompt = min(self.prompt_tokens, _PROMPT_MAX) << _PROMPT_SHIFT
        return flags | prompt | min(self.completion_tokens, _COMPLETION_MAX)

    @classmethod
    def unpack(cls, number: int | None) -> CallNote:
        """The note that was packed into a number; of a call without one, that nothing is there."""
        if number is None:
            return cls()
        prompt = number >> _PROMPT_SHIFT & _PROMPT_MAX
        return cls(bool(number & _WHOLE), bool(number & _ASKED_IN_VAIN), prompt, number & _COMPLETION_MAX)
