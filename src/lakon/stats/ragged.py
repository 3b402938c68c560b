"""Rows of different lengths in one flat array.

One numpy array for each row costs a hundred bytes or more of overhead; for 30,000 problems that was most of the memory.

Invariant: the flat array is read-only, and every row is a view of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)


class Ragged(Generic[Scalar]):
    """A sequence of 1-D arrays. `counts` holds their lengths; several `Ragged` may share one `counts`."""

    __slots__ = ("_starts", "counts", "flat")

    def __init__(self, flat: NDArray[Scalar], counts: NDArray[np.int64]) -> None:
        self.flat, self.counts = freeze_array(flat), freeze_array(counts)
        self._starts: NDArray[np.int64] | None = None

    @property
    def starts(self) -> NDArray[np.int64]:
        """Where each row begins, shape (n,); computed at first use."""
        if self._starts is None:
            self._starts = freeze_array(np.cumsum(self.counts) - self.counts)
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
        rows = np.asarray(indices, dtype=np.int64)
        counts = self.counts[rows]
        new_starts = np.cumsum(counts) - counts
        source = np.arange(counts.sum(), dtype=np.int64) + np.repeat(self.starts[rows] - new_starts, counts)
        return Ragged(self.flat[source], counts)


def freeze_array(array: NDArray[Scalar]) -> NDArray[Scalar]:
    """The same array, read-only from here on."""
    array.flags.writeable = False
    return array
