"""From the rows of a source to its distinct usable problems, all of them or a sample, in one pass.

Invariant: a problem occurs once, and what is left out is an exclusion with a rule. Texts are kept in a file: memory
holds the packed ids and, of a sample, its sort keys.
"""

from __future__ import annotations

import heapq
import pickle
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from io import BufferedRandom

import numpy as np

from lakon.core.digest import derive_seed
from lakon.core.errors import InputError
from lakon.core.records import Exclusion, Problem

_LAST = 2**63 - 1
"""The largest seed that is derived."""


class ProblemSampler:
    """Distinct usable problems of a source in one pass: all of them, or a seeded sample of `count`.

    The sample is the problems whose digests with the seed are smallest. So it does not depend on the order of the
    source, a larger count contains a smaller one, and of two million rows only those that enter the sample are written:
    a duplicate is found there, or is left out as its twin was. `waiting` is an empty file for the problems' texts.
    """

    def __init__(
        self, rows: Iterable[Problem | Exclusion], *, count: int | None, seed: int, waiting: BufferedRandom
    ) -> None:
        self._rows, self._count, self._seed, self._waiting = rows, count, seed, waiting
        self._ids = _Ids()
        self._end = 0
        self._places = array("Q")
        self._heap: list[bytes] = []
        """Of a sample: sort key, id and file offset of each problem. The first one is the next to be replaced."""
        self.n_rows = 0

    def exclusions(self) -> Iterator[Exclusion]:
        """What is left out, while the source is read; `problems` are known when this has ended.

        Raises `InputError` when nothing is left, or less than the study counts on.
        """
        lost: Counter[str] = Counter()
        for row in self._rows:
            self.n_rows += 1
            exclusion = row if isinstance(row, Exclusion) else self._take(row)
            if exclusion is not None:
                lost[exclusion.rule] += 1
                yield exclusion
        self._check(lost)

    def problems(self) -> Iterator[Problem]:
        """What was kept, in the order of the source. It can be read again, once it has been read to its end."""
        places = np.fromiter((int.from_bytes(key[24:]) for key in self._heap), np.uint64, len(self._heap))
        for place in self._places if self._count is None else map(int, np.sort(places)):
            yield self._read(place)

    def _take(self, problem: Problem) -> Exclusion | None:
        if not problem.prompt.strip():
            return _excluded(problem, "empty_prompt")
        if not problem.reference.strip():
            return _excluded(problem, "no_reference")
        key = bytes.fromhex(problem.problem_id)
        if not self._ids.add(key):
            return _excluded(problem, "duplicate_problem")
        if self._count is not None:
            return self._sample(problem, key, self._count)
        self._places.append(self._write(problem))
        return None

    def _sample(self, problem: Problem, key: bytes, count: int) -> Exclusion | None:
        """Take a problem into the sample; the exclusion of the last in the seeded order once there are too many."""
        order = (_LAST - derive_seed(self._seed, "sample", problem.problem_id)).to_bytes(8) + key
        if len(self._heap) < count:
            heapq.heappush(self._heap, order + self._write(problem).to_bytes(8))
            return None
        if order < self._heap[0]:
            self._ids.remove(key)
            return _excluded(problem, "beyond_count")
        last = heapq.heapreplace(self._heap, order + self._write(problem).to_bytes(8))
        self._ids.remove(last[8:24])
        dropped = self._read(int.from_bytes(last[24:]))
        self._waiting.seek(self._end)
        return _excluded(dropped, "beyond_count")

    def _write(self, problem: Problem) -> int:
        """Append a problem to the file; its offset."""
        place, data = self._end, pickle.dumps(problem)
        self._waiting.write(data)
        self._end += len(data)
        return place

    def _read(self, place: int) -> Problem:
        self._waiting.seek(place)
        return pickle.load(self._waiting)

    def _check(self, lost: Counter[str]) -> None:
        rules = ", ".join(f"{rule}: {n:,}" for rule, n in lost.most_common()) or "none"
        n_kept = len(self._places) + len(self._heap)
        if not n_kept:
            raise InputError(
                f"an empty problem set ({lost.total():,} rows were left out; {rules})",
                "at least one problem with a prompt and a reference",
                "check the file, `where`, and the names of its prompt and reference fields",
            )
        if self._count is not None and n_kept < self._count:
            raise InputError(
                f"{n_kept:,} problems in {self.n_rows:,} rows (left out: {rules})",
                f"at least the {self._count:,} that `count` asks for",
                "lower `count`, widen `where`, or see whether the source has become smaller",
            )


def _excluded(problem: Problem, rule: str) -> Exclusion:
    return Exclusion(subject=problem.problem_id, arm="", rule=rule, detail=problem.source)


class _Ids:
    """A set of 16-byte ids in little more than 16 bytes each, a fifth of what a Python set takes. The first two bytes
    name a bucket, which holds the other 14 of each of its ids one after the other."""

    _REST = 14

    def __init__(self) -> None:
        self._buckets = [bytearray() for _ in range(1 << 16)]

    def add(self, key: bytes) -> bool:
        """Whether it is new."""
        bucket, at = self._find(key)
        if at < 0:
            bucket += key[2:]
        return at < 0

    def remove(self, key: bytes) -> None:
        bucket, at = self._find(key)
        del bucket[at : at + self._REST]

    def _find(self, key: bytes) -> tuple[bytearray, int]:
        bucket, rest = self._buckets[int.from_bytes(key[:2])], key[2:]
        at = bucket.find(rest)
        while at > 0 and at % self._REST:  # the end of one and the beginning of the next
            at = bucket.find(rest, at + 1)
        return bucket, at
