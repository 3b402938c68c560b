"""What a judge said, in columns by row: as records the judgements of 300,000 answers would be most of what a study with
a judge keeps in memory. Only `judge.py` uses it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Judgement(NamedTuple):
    """What the judge said about one row."""

    equal: bool | None
    yes: int
    no: int
    unparsed: int
    tokens: int
    """Tokens it generated about this row; 0 when an equal answer was judged before."""


_EQUAL = (None, False, True)


class Judgements:
    """Row to judgement; rows come in ascending order."""

    def __init__(self) -> None:
        self._rows, self._tokens = array("Q"), array("Q")
        self._equal = bytearray()
        self._yes, self._no, self._unparsed = array("H"), array("H"), array("H")

    def add(self, row: int, made: Judgement) -> None:
        """The judgement of a row after all before."""
        self._rows.append(row)
        self._equal.append(_EQUAL.index(made.equal))
        self._yes.append(made.yes)
        self._no.append(made.no)
        self._unparsed.append(made.unparsed)
        self._tokens.append(made.tokens)

    def find(self, row: int) -> Judgement | None:
        """The judgement of a row; None when the judge was not asked about it."""
        at = bisect_left(self._rows, row)
        if at == len(self._rows) or self._rows[at] != row:
            return None
        return Judgement(_EQUAL[self._equal[at]], self._yes[at], self._no[at], self._unparsed[at], self._tokens[at])

    def __getitem__(self, row: int) -> Judgement:
        """The judgement of a row. Raises `KeyError` when the judge was not asked about it."""
        made = self.find(row)
        if made is None:
            raise KeyError(row)
        return made


class Rows:
    """A set of rows, a bit each."""

    def __init__(self) -> None:
        self._bits = bytearray()
        self._n = 0

    @staticmethod
    def of(rows: Iterable[int]) -> Rows:
        """These rows, in any order."""
        made = Rows()
        for row in rows:
            made.add(row)
        return made

    def add(self, row: int) -> None:
        """Take a row in."""
        self._bits.extend(bytes(max(0, row // 8 + 1 - len(self._bits))))
        self._n += row not in self
        self._bits[row // 8] |= 1 << row % 8

    def __contains__(self, row: int) -> bool:
        return row // 8 < len(self._bits) and bool(self._bits[row // 8] >> row % 8 & 1)

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[int]:
        """Ascending."""
        return (row for row in range(8 * len(self._bits)) if row in self)
