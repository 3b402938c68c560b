"""Columns in compact memory: what a step has to hold for every problem, where a Python object for each would be most
of what two million problems take.

Invariant: what lies here in numbers are places: the k-th of a column belongs to the k-th problem of its table.
"""

from __future__ import annotations

import contextlib
import hashlib
from abc import abstractmethod
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar, overload

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Scalar = TypeVar("Scalar", bound=np.generic)
Prints = NDArray[np.uint64]
"""64-bit digests of texts. Among two million texts two share one with a chance of 1 in ten million."""

_PATIENCE = 32
"""Steps a search by going on may waste for each id that it found before it learns all places by heart."""


class Column(Sequence[T]):
    """A sequence of which each item is made when somebody looks at it."""

    __slots__ = ()

    @abstractmethod
    def made(self, at: int) -> T:
        """The item at a place from 0 up, which is there."""

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...

    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return [self.made(at) for at in range(*index.indices(len(self)))]
        return self.made(range(len(self))[index])


class Texts(Column[str]):
    """Short texts, one after the other in one piece of memory. As long as all are ids, which are digests in 32
    hexadecimal characters, one takes 16 bytes; else an id takes 21, another text five beside its own, and an empty one
    four."""

    __slots__ = ("_data", "_ends")

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._data = bytearray()
        self._ends: array[int] | None = None
        """Where each text ends; None while all are digests."""
        for text in texts:
            self.append(text)

    def append(self, text: str) -> None:
        """One more at the end."""
        digest = _as_digest(text)
        if self._ends is None:
            if digest:
                self._data += digest
                return
            self._data, self._ends = _mixed(self._data)
        self._data += bytes([_DIGEST]) + digest if digest else _plain(text)
        try:
            self._ends.append(len(self._data))
        except OverflowError:  # four gigabytes
            self._ends = array("Q", self._ends)
            self._ends.append(len(self._data))

    def __len__(self) -> int:
        return len(self._data) // _DIGEST_BYTES if self._ends is None else len(self._ends)

    def made(self, at: int) -> str:
        if self._ends is None:
            return self._data[_DIGEST_BYTES * at : _DIGEST_BYTES * (at + 1)].hex()
        return _unpacked(self._data[self._ends[at - 1] if at else 0 : self._ends[at]])

    def __iter__(self) -> Iterator[str]:
        return (self.made(at) for at in range(len(self)))

    def halves(self) -> NDArray[np.uint64] | None:
        """The first and the last eight bytes of each digest as numbers, shape (n, 2): their order is that of the texts.
        None when not all are digests."""
        if self._ends is not None:
            return None
        return np.frombuffer(self._data, dtype=">u8").astype(np.uint64).reshape(-1, 2)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Texts):
            return self is other or (self._ends == other._ends and self._data == other._data)
        return NotImplemented

    __hash__ = None  # pyright: ignore[reportAssignmentType]  # it grows


_DIGEST, _PLAIN = 0, 1
"""What a packed text begins with where not all are digests; an empty one is nothing at all."""
_DIGEST_BYTES = 16


def _as_digest(text: str) -> bytes:
    """The bytes that a digest spells; none for another text."""
    if len(text) == 2 * _DIGEST_BYTES:
        with contextlib.suppress(ValueError):
            data = bytes.fromhex(text)
            if data.hex() == text:
                return data
    return b""


def _plain(text: str) -> bytes:
    return bytes([_PLAIN]) + text.encode("utf-8", "surrogatepass") if text else b""


def _mixed(digests: bytearray) -> tuple[bytearray, array[int]]:
    """Digests as they lie among other texts, and where they end."""
    n, data = len(digests) // _DIGEST_BYTES, bytearray()
    for at in range(n):
        data.append(_DIGEST)
        data += digests[_DIGEST_BYTES * at : _DIGEST_BYTES * (at + 1)]
    return data, array("I", range(_DIGEST_BYTES + 1, (_DIGEST_BYTES + 1) * n + 1, _DIGEST_BYTES + 1))


def _unpacked(data: bytearray) -> str:
    if not data:
        return ""
    return data[1:].hex() if data[0] == _DIGEST else data[1:].decode("utf-8", "surrogatepass")


class Places:
    """Where ids stand in a column, for ids that are asked for in about its order, as the rows of all tables are: the
    search goes on from the last one found. Where they are in disorder all places are learnt by heart."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._ids, self._at = ids, 0
        self._allowed = len(ids) + _PATIENCE
        self._known: dict[str, int] | None = None

    def find(self, key: str) -> int | None:
        """The place of `key`; None when it is not in the column."""
        if self._known is not None:
            return self._known.get(key)
        n = len(self._ids)
        for step in range(n):
            at = (self._at + step) % n
            if self._ids[at] == key:
                self._at = at
                self._allowed += _PATIENCE - step
                break
            if step > self._allowed:
                self._known = {known: place for place, known in enumerate(self._ids)}
                return self._known.get(key)
        else:
            self._allowed -= n
            return None
        return self._at

    def __getitem__(self, key: str) -> int:
        """The place of `key`. Raises `KeyError` when it is not in the column."""
        at = self.find(key)
        if at is None:
            raise KeyError(key)
        return at


def first_repeated(texts: Sequence[str]) -> str | None:
    """The first text that occurred before; None when all differ."""
    if len(np.unique(fingerprints(texts))) == len(texts):
        return None
    seen = set[str]()
    return next((text for text in texts if text in seen or seen.add(text)), None)


def order_of(texts: Sequence[str]) -> NDArray[np.intp]:
    """The places of texts in their alphabetical order, equal ones as they stand."""
    if isinstance(texts, Texts) and (halves := texts.halves()) is not None:
        return np.lexsort((halves[:, 1], halves[:, 0]))
    width = max((len(text.encode("utf-8", "surrogatepass")) for text in texts), default=1)
    keys = (text.encode("utf-8", "surrogatepass") for text in texts)
    return np.argsort(np.fromiter(keys, dtype=f"S{width or 1}", count=len(texts)), kind="stable")


def fingerprint(text: str) -> int:
    """A text's 64-bit digest, the same in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def fingerprints(texts: Iterable[str]) -> Prints:
    """The digests of texts, in their order."""
    return np.asarray(array("Q", map(fingerprint, texts)), dtype=np.uint64)


class Counts:
    """How often each of many texts occurs, by digests: a text whose digest another one has counts for both."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._prints, counts = np.unique(fingerprints(texts), return_counts=True)
        self._counts = thin(counts.astype(np.min_scalar_type(counts.max(initial=0))))

    def __getitem__(self, text: str) -> int:
        mine = fingerprint(text)
        at = int(np.searchsorted(self._prints, np.uint64(mine)))
        return int(self._counts[at]) if at < len(self._prints) and int(self._prints[at]) == mine else 0


def thin(column: NDArray[Scalar]) -> NDArray[Scalar]:
    """The same column; one that holds a single value throughout takes the memory of one."""
    if len(column) and bool((column == column[0]).all()):
        return np.broadcast_to(column[:1].copy(), column.shape)
    return column
