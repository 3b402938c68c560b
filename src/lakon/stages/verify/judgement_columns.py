"""A judge's judgements in columns by row.

As one record each, the judgements of 300,000 answers would be most of the memory of a study with a judge.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Judgement(NamedTuple):
    """What the judge said about one row."""

    correct: bool | None
    """None when its votes are undecided."""
    yes: int
    """Votes that call the answer correct."""
    no: int
    """Votes that call it wrong."""
    unparsed: int
    """Votes without a judgement."""
    tokens: int
    """Tokens that the judge generated for this row; 0 when a row before it has the same prompt."""


_CORRECT = (None, False, True)


class Judgements:
    """Row to judgement; rows come in ascending order."""

    def __init__(self) -> None:
        self._rows, self._tokens = array("Q"), array("Q")
        self._correct = bytearray()
        self._yes, self._no, self._unparsed = array("H"), array("H"), array("H")

    def add(self, row: int, judgement: Judgement) -> None:
        """Append the judgement of a row that comes after all others."""
        self._rows.append(row)
        self._correct.append(_CORRECT.index(judgement.correct))
        self._yes.append(judgement.yes)
        self._no.append(judgement.no)
        self._unparsed.append(judgement.unparsed)
        self._tokens.append(judgement.tokens)

    def find(self, row: int) -> Judgement | None:
        """The judgement of a row; None when the judge was not asked about it."""
        at = bisect_left(self._rows, row)
        if at == len(self._rows) or self._rows[at] != row:
            return None
        return Judgement(_CORRECT[self._correct[at]], self._yes[at], self._no[at], self._unparsed[at], self._tokens[at])

    def __getitem__(self, row: int) -> Judgement:
        """The judgement of a row. Raises `KeyError` when the judge was not asked about it."""
        judgement = self.find(row)
        if judgement is None:
            raise KeyError(row)
        return judgement


class RowSet:
    """A set of row numbers, one bit each."""

    def __init__(self) -> None:
        self._bits = bytearray()
        self._n = 0

    @staticmethod
    def of(rows: Iterable[int]) -> RowSet:
        """The set of these rows, given in any order."""
        row_set = RowSet()
        for row in rows:
            row_set.add(row)
        return row_set

    def add(self, row: int) -> None:
        """Add a row."""
        self._bits.extend(bytes(max(0, row // 8 + 1 - len(self._bits))))
        self._n += row not in self
        self._bits[row // 8] |= 1 << row % 8

    def __contains__(self, row: int) -> bool:
        return row // 8 < len(self._bits) and bool(self._bits[row // 8] >> row % 8 & 1)

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[int]:
        """The rows in ascending order."""
        return (row for row in range(8 * len(self._bits)) if row in self)
