"""Columns in compact memory, and the two ways in which tables are joined.

A step holds columns where a Python object for each row would be most of what two million problems take. Columns are
aligned by position: entry k of each belongs to row k of the table.

Tables that were written in one order are joined by `pair_rows`; all others by their ids, with a `PositionIndex`.
"""

from __future__ import annotations

import contextlib
import hashlib
from abc import abstractmethod
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Scalar = TypeVar("Scalar", bound=np.generic)
Prints = NDArray[np.uint64]
"""64-bit digests of texts. Among two million texts two share one with a chance of 1 in ten million."""

_PATIENCE = 32
"""Rows that a forward scan may skip for each id that it found, before a dict of all positions is built."""


class Column(Sequence[T]):
    """A sequence whose items are made on access."""

    __slots__ = ()

    @abstractmethod
    def item(self, at: int) -> T:
        """The item at a position, which is in range and not negative."""

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...

    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return [self.item(at) for at in range(*index.indices(len(self)))]
        return self.item(range(len(self))[index])


class PackedStrings(Column[str]):
    """Short texts in one buffer.

    An id is a digest in 32 hexadecimal characters. While all texts are ids, each takes 16 bytes. Among other texts an
    id takes 21 bytes, another text five more than its own, and an empty one four.
    """

    __slots__ = ("_data", "_ends")

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._data = bytearray()
        self._ends: array[int] | None = None
        """Where each text ends in the buffer; None while all are digests."""
        for text in texts:
            self.append(text)

    def append(self, text: str) -> None:
        """Add a text at the end."""
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

    def item(self, at: int) -> str:
        if self._ends is None:
            return self._data[_DIGEST_BYTES * at : _DIGEST_BYTES * (at + 1)].hex()
        return _unpacked(self._data[self._ends[at - 1] if at else 0 : self._ends[at]])

    def __iter__(self) -> Iterator[str]:
        return (self.item(at) for at in range(len(self)))

    def digest_words(self) -> NDArray[np.uint64] | None:
        """The first and the last eight bytes of each digest as big-endian numbers, shape (n, 2). Sorting by them sorts
        the texts. None unless all texts are digests."""
        if self._ends is not None:
            return None
        return np.frombuffer(self._data, dtype=">u8").astype(np.uint64).reshape(-1, 2)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, PackedStrings):
            return self is other or (self._ends == other._ends and self._data == other._data)
        return NotImplemented

    __hash__ = None  # pyright: ignore[reportAssignmentType]  # it grows


_DIGEST, _PLAIN = 0, 1
"""First byte of a packed text where not all are digests. An empty text has no bytes."""
_DIGEST_BYTES = 16


def _as_digest(text: str) -> bytes:
    """The 16 bytes of a digest; empty for any other text."""
    if len(text) == 2 * _DIGEST_BYTES:
        with contextlib.suppress(ValueError):
            data = bytes.fromhex(text)
            if data.hex() == text:
                return data
    return b""


def _plain(text: str) -> bytes:
    return bytes([_PLAIN]) + text.encode("utf-8", "surrogatepass") if text else b""


def _mixed(digests: bytearray) -> tuple[bytearray, array[int]]:
    """Digests repacked as they stand among other texts, and where each ends."""
    n, data = len(digests) // _DIGEST_BYTES, bytearray()
    for at in range(n):
        data.append(_DIGEST)
        data += digests[_DIGEST_BYTES * at : _DIGEST_BYTES * (at + 1)]
    return data, array("I", range(_DIGEST_BYTES + 1, (_DIGEST_BYTES + 1) * n + 1, _DIGEST_BYTES + 1))


def _unpacked(data: bytearray) -> str:
    if not data:
        return ""
    return data[1:].hex() if data[0] == _DIGEST else data[1:].decode("utf-8", "surrogatepass")


class PositionIndex:
    """The positions of ids in a column: the join of one table with another by id.

    Tables are written in about the same order. So a search scans forward from the last id that was found, which takes
    no memory. Where ids come in disorder, a dict of all positions is built once.
    """

    def __init__(self, ids: Sequence[str]) -> None:
        self._ids, self._at = ids, 0
        self._allowed = len(ids) + _PATIENCE
        self._known: dict[str, int] | None = None

    def find(self, key: str) -> int | None:
        """The position of `key`; None when it is not in the column."""
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
                self._known = {known: position for position, known in enumerate(self._ids)}
                return self._known.get(key)
        else:
            self._allowed -= n
            return None
        return self._at

    def __getitem__(self, key: str) -> int:
        """The position of `key`. Raises `KeyError` when it is not in the column."""
        at = self.find(key)
        if at is None:
            raise KeyError(key)
        return at


class _HasTrace(Protocol):
    @property
    def trace_id(self) -> str: ...


TraceRow = TypeVar("TraceRow", bound=_HasTrace)
VerdictRow = TypeVar("VerdictRow", bound=_HasTrace)


def pair_rows(traces: Iterable[TraceRow], verdicts: Iterable[VerdictRow]) -> Iterator[tuple[TraceRow, VerdictRow]]:
    """Each trace with its verdict: both tables have one row a trace, in the same order.

    Raises `ValueError` where a verdict is about another trace, or where one table is longer.
    """
    for trace, verdict in zip(traces, verdicts, strict=True):
        if trace.trace_id != verdict.trace_id:
            raise ValueError(f"verdict of {verdict.trace_id!r} beside trace {trace.trace_id!r}")
        yield trace, verdict


def find_repeated(texts: Sequence[str]) -> str | None:
    """The first text that occurred before; None when all differ."""
    if len(np.unique(fingerprints(texts))) == len(texts):
        return None
    seen = set[str]()
    return next((text for text in texts if text in seen or seen.add(text)), None)


def sort_positions(texts: Sequence[str]) -> NDArray[np.intp]:
    """The positions of texts in their alphabetical order; equal texts keep their order."""
    if isinstance(texts, PackedStrings) and (words := texts.digest_words()) is not None:
        return np.lexsort((words[:, 1], words[:, 0]))
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
    """How often each text occurs. Texts are told apart by 64-bit digests: two that share one are counted together."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._prints, counts = np.unique(fingerprints(texts), return_counts=True)
        self._counts = share_constant(counts.astype(np.min_scalar_type(counts.max(initial=0))))

    def __getitem__(self, text: str) -> int:
        mine = fingerprint(text)
        at = int(np.searchsorted(self._prints, np.uint64(mine)))
        return int(self._counts[at]) if at < len(self._prints) and int(self._prints[at]) == mine else 0


def share_constant(column: NDArray[Scalar]) -> NDArray[Scalar]:
    """The same column; if all its values are equal, it takes the memory of one."""
    if len(column) and bool((column == column[0]).all()):
        return np.broadcast_to(column[:1].copy(), column.shape)
    return column
