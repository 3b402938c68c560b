"""Rows of different lengths in one flat array: an array of its own for each row, at a hundred bytes and more, was most
of what the statistics of 30,000 problems kept in memory.

Invariant: the flat array is read-only and so is every row, which is a view of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)


class Ragged(Generic[Scalar]):
    """A sequence of 1-D arrays. `counts` are their lengths; rows that have the same ones share them."""

    __slots__ = ("_starts", "counts", "flat")

    def __init__(self, flat: NDArray[Scalar], counts: NDArray[np.int64]) -> None:
        self.flat, self.counts = frozen(flat), frozen(counts)
        self._starts: NDArray[np.int64] | None = None

    @property
    def starts(self) -> NDArray[np.int64]:
        """Where each row begins, shape (n,); worked out when somebody looks at a row."""
        if self._starts is None:
            self._starts = frozen(np.cumsum(self.counts) - self.counts)
        return self._starts

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, index: int) -> NDArray[Scalar]:
        start = self.starts[index]
        return self.flat[start : start + self.counts[index]]

    def __iter__(self) -> Iterator[NDArray[Scalar]]:
        return (self[i] for i in range(len(self)))

    def take(self, indices: Sequence[int]) -> Ragged[Scalar]:
        """The rows at `indices`, in that order."""
        chosen = np.asarray(indices, dtype=np.int64)
        counts = self.counts[chosen]
        before = np.cumsum(counts) - counts
        places = np.arange(counts.sum(), dtype=np.int64) + np.repeat(self.starts[chosen] - before, counts)
        return Ragged(self.flat[places], counts)


def frozen(array: NDArray[Scalar]) -> NDArray[Scalar]:
    """The same array, read-only from here on."""
    array.flags.writeable = False
    return array
