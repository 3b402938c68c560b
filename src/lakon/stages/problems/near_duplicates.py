"""Near-duplicate groups: problems that read alike are one cluster for the statistics, not independent evidence.

MinHash over runs of three tokens with the numbers forgotten, candidates by locality-sensitive hashing, groups by
connecting what is alike. Nothing is dropped here; exact duplicates were before.

Invariant: memory holds some numbers for each text, never its words. Signatures are datasketch's and lie on the disk;
bands are its index's, too, but one is looked at at a time, sorted, because its dictionaries take kilobytes a text.
"""

from __future__ import annotations

import math
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from io import BufferedRandom
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lakon.core.records import Problem
from lakon.stages.problems.text_runs import Tokens, list_ngrams, mask_numbers, tokenize_text

ALIKE = 0.8
"""Estimated Jaccard similarity of the runs from which two problems are near-duplicates."""
_RUN = 3
_PERMUTATIONS = 128
_AGREEING = math.ceil(ALIKE * _PERMUTATIONS)
"""Hash values that two near-duplicates have in common, at least."""
_SHORTEST = 15
"""Tokens below which a skeleton is a template that unrelated problems share ("Compute # + #")."""
_BLOCK = 4_096
"""Rows that are written, read or compared at once."""
_FEW = 8
"""Rows of a bucket for which it is quickest to compare all pairs."""

Rows = NDArray[np.uint32]
"""Numbers of rows."""


def mark_groups(problems: Callable[[], Iterable[Problem]], scratch: Path) -> Iterator[Problem]:
    """The problems, those in a group of at least two marked with its name: the id of its first problem.

    `problems` is called, and what it gives is read, twice; files without a name lie in the folder `scratch` meanwhile.
    """
    first = groups((tokenize_text(problem.prompt) for problem in problems()), scratch)
    several = set(first[first != np.arange(len(first))].tolist())
    names: dict[int, str] = {}
    for at, problem in zip(map(int, first), problems(), strict=True):
        if at in several:
            yield replace(problem, duplicate_group=names.setdefault(at, problem.problem_id))
        else:
            yield problem


def groups(texts: Iterable[Tokens], scratch: Path) -> NDArray[np.uint32]:
    """For each text the index of the first one in its group: its own, if it stands alone or is that first one."""
    signed, n = array("I"), 0
    with tempfile.TemporaryFile(dir=scratch) as values, tempfile.TemporaryFile(dir=scratch) as hashes:
        signatures = _Signatures(values, hashes)
        for n, words in enumerate(texts, 1):
            if len(words) >= _SHORTEST:
                signed.append(n - 1)
                signatures.add(mask_numbers(words))
        first = np.arange(n, dtype=np.uint32)
        places = np.asarray(signed)
        first[places] = places[_connected(signatures)]
    return first


def _connected(signatures: _Signatures) -> Rows:
    """For each signature the first one that it is connected to. Equal ones are found at once, and of them one goes on:
    of a template there can be thousands."""
    joined = _Joined(len(signatures))
    different = np.ones(len(signatures), np.bool_)
    for bucket in _buckets(signatures.hashes(_Signatures.WHOLE), np.arange(len(signatures), dtype=np.uint32)):
        equal = bucket[1:][signatures.agreement(int(bucket[0]), bucket[1:]) == _PERMUTATIONS]
        different[equal] = False
        for row in equal.tolist():
            joined.join(int(bucket[0]), row)
    rows = np.flatnonzero(different).astype(np.uint32)
    for band in range(signatures.n_bands):
        for bucket in _buckets(signatures.hashes(band)[rows], rows):
            if not joined.all(bucket):
                for a, b in _alike(signatures, bucket):
                    joined.join(a, b)
    return joined.firsts()


class _Joined:
    """What has been connected with what, so far; each set is known by its first member."""

    def __init__(self, n: int) -> None:
        self._parent = array("I", range(n))

    def join(self, a: int, b: int) -> None:
        low, high = sorted((self._first(a), self._first(b)))
        self._parent[high] = low

    def all(self, rows: Rows) -> bool:
        """Whether these are connected with each other."""
        one = self._first(int(rows[0]))
        return all(self._first(row) == one for row in rows[1:].tolist())

    def firsts(self) -> Rows:
        for i, parent in enumerate(self._parent):  # nobody's parent is later than itself
            self._parent[i] = self._parent[parent]
        return np.array(self._parent, np.uint32)

    def _first(self, i: int) -> int:
        parent = self._parent
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i


def _buckets(hashes: NDArray[np.uint64], rows: Rows) -> Iterator[Rows]:
    """The rows that have the same hash, where several do, in their order."""
    order = np.argsort(hashes, kind="stable")
    hashes = hashes[order]
    edges = np.flatnonzero(np.diff(hashes[1:] == hashes[:-1], prepend=False, append=False))
    for start, last in edges.reshape(-1, 2):
        yield rows[order[start : last + 1]]


def _alike(signatures: _Signatures, bucket: Rows) -> Iterator[tuple[int, int]]:
    """Pairs that are alike, enough of them to connect all of the bucket that is connected."""
    if len(bucket) > _FEW:
        yield from _reached(signatures, _Points.of(signatures, bucket))
        return
    for i, row in enumerate(bucket.tolist()):
        for other in bucket[i + 1 :][signatures.agreement(row, bucket[i + 1 :]) >= _AGREEING].tolist():
            yield row, other


def _reached(signatures: _Signatures, unreached: _Points) -> Iterator[tuple[int, int]]:
    """From one row to those alike, from these on: each row is compared with what nobody has reached. Of that only with
    what is about as far from the first row as itself: signatures are points, and the triangle inequality rules out
    the others. So a bucket of many like rows, or of many groups far apart, takes no square of its size.
    """
    while len(unreached):
        waiting = [unreached.cut_first()]
        while waiting and len(unreached):
            for row, point, distance in waiting.pop().each():
                near = unreached.near(point, distance)
                near = near[signatures.agreement(row, unreached.rows[near]) >= _AGREEING]
                if len(near):
                    waiting.append(unreached.cut(near))
                    yield from ((row, other) for other in waiting[-1].rows.tolist())
                if not len(unreached):
                    return


class _Points:
    """Rows of a bucket in the order of their distance from one of them. Of each hash value one byte is held, which
    rules out nearly all that do not agree."""

    def __init__(self, rows: Rows, values: NDArray[np.uint8], distances: NDArray[np.int16]) -> None:
        self.rows, self._values, self._distances = rows, values, distances

    @classmethod
    def of(cls, signatures: _Signatures, rows: Rows) -> _Points:
        values = np.empty((_PERMUTATIONS, len(rows)), np.uint8)  # a column for each: one row's compare in one go
        for start in range(0, len(rows), _BLOCK):
            values[:, start : start + _BLOCK] = signatures.at(rows[start : start + _BLOCK]).astype(np.uint8).T
        points = cls(rows, values, np.zeros(len(rows), np.int16))
        distances = _PERMUTATIONS - points._agreement(values[:, 0], 0, len(rows)).astype(np.int16)
        order = np.argsort(distances, kind="stable")
        return cls(rows[order], values[:, order], distances[order])

    def __len__(self) -> int:
        return len(self.rows)

    def each(self) -> Iterator[tuple[int, NDArray[np.uint8], int]]:
        """Every row with its point and its distance."""
        for i, row in enumerate(self.rows.tolist()):
            yield row, self._values[:, i], int(self._distances[i])

    def near(self, point: NDArray[np.uint8], distance: int) -> NDArray[np.intp]:
        """Where those are that may agree with a point."""
        reach = _PERMUTATIONS - _AGREEING
        start, end = np.searchsorted(self._distances, [distance - reach, distance + reach + 1]).tolist()
        return start + np.flatnonzero(self._agreement(point, start, end) >= _AGREEING)

    def cut(self, places: NDArray[np.intp]) -> _Points:
        """Take these out."""
        points = _Points(self.rows[places], self._values[:, places], self._distances[places])
        self.rows, self._distances = np.delete(self.rows, places), np.delete(self._distances, places)
        self._values = np.delete(self._values, places, axis=1)
        return points

    def cut_first(self) -> _Points:
        """Take the first one out, without a copy of the others."""
        points = _Points(self.rows[:1], self._values[:, :1], self._distances[:1])
        self.rows, self._values, self._distances = self.rows[1:], self._values[:, 1:], self._distances[1:]
        return points

    def _agreement(self, point: NDArray[np.uint8], start: int, end: int) -> NDArray[np.uint8]:
        counts = np.empty(end - start, np.uint8)
        for at in range(start, end, _BLOCK):
            equal = self._values[:, at : min(at + _BLOCK, end)] == point[:, None]
            np.add.reduce(equal.view(np.uint8), axis=0, dtype=np.uint8, out=counts[at - start : at - start + _BLOCK])
        return counts


class _Signatures:
    """Signatures on the disk, beside them hashes of their bands and of the whole."""

    WHOLE = -1

    def __init__(self, values: BufferedRandom, hashes: BufferedRandom) -> None:
        """The library is imported late: planning a study needs no scipy."""
        import datasketch  # pyright: ignore[reportMissingTypeStubs]

        library: Any = datasketch  # it has no types
        self._empty = library.MinHash(num_perm=_PERMUTATIONS, seed=1)
        index = library.MinHashLSH(threshold=ALIKE, num_perm=_PERMUTATIONS)
        self._bands: list[tuple[int, int]] = [*index.hashranges, (0, _PERMUTATIONS)]
        self._odd = np.random.default_rng(0).integers(2**63, size=_PERMUTATIONS, dtype=np.uint64) * 2 + 1
        self._kind: np.dtype[Any] = self._empty.hashvalues.dtype
        self._values, self._hashes = values, hashes
        self._block: list[NDArray[Any]] = []
        self._written = 0

    def __len__(self) -> int:
        return self._written + len(self._block)

    @property
    def n_bands(self) -> int:
        return len(self._bands) - 1

    def add(self, words: Tokens) -> None:
        """The signature of one text more."""
        mine = self._empty.copy()
        mine.update_batch([" ".join(run).encode() for run in set(list_ngrams(words, _RUN))])
        self._block.append(mine.hashvalues)
        if len(self._block) == _BLOCK:
            self._write()

    def _write(self) -> None:
        if not self._block:
            return
        block = np.array(self._block, self._kind).reshape(-1, _PERMUTATIONS)
        self._values.write(block.data)
        # A sum of products tells bands apart as well as any hash; what it confuses costs a comparison.
        wide = block.astype(np.uint64) * self._odd
        sums = [wide[:, start:end].sum(axis=1, dtype=np.uint64) for start, end in self._bands]
        self._hashes.write(np.stack(sums, axis=1).data)
        self._written += len(block)
        self._block = []

    def hashes(self, band: int) -> NDArray[np.uint64]:
        """The hashes of one band, of all signatures."""
        self._write()
        hashes = np.empty(len(self), np.uint64)
        rows = np.empty((_BLOCK, len(self._bands)), np.uint64)
        self._hashes.seek(0)
        for start in range(0, len(self), _BLOCK):
            self._hashes.readinto(rows.data)
            hashes[start : start + _BLOCK] = rows[: len(self) - start, band]
        return hashes

    def at(self, rows: Rows) -> NDArray[Any]:
        """Some signatures."""
        signatures = np.empty((len(rows), _PERMUTATIONS), self._kind)
        for mine, row in zip(signatures, rows.tolist(), strict=True):
            self._values.seek(row * mine.nbytes)
            self._values.readinto(mine.data)
        return signatures

    def agreement(self, row: int, others: Rows) -> NDArray[np.intp]:
        """How many hash values of `row` each of `others` has."""
        mine = self.at(np.array([row], np.uint32))
        counts = np.empty(len(others), np.intp)
        for start in range(0, len(others), _BLOCK):
            block = others[start : start + _BLOCK]
            counts[start : start + _BLOCK] = np.count_nonzero(self.at(block) == mine, axis=1)
        return counts
