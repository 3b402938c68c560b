"""Going on where an earlier run ended: OUT is checked against FILE row by row before a byte of it is changed.

Invariant: what is kept is what this run would have written. The carried bytes of every kept row are compared with FILE,
the verifier's version too, and some verdicts are made again, because fields of other names would show in nothing else.
"""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from lakon.core.errors import InputError
from lakon.core.protocols import Answered, Grading, Progress, Verifier
from lakon.standalone.verify_file.rows import NO_ROW, UNSTEADY, VERDICT, Fields, Row, format_line, parse_line

REGRADED_FIRST = 100
REGRADED_EARLY, EARLY_EVERY = 10_000, 10
REGRADED_EVERY = 1_000
"""Which kept rows are graded again when a run goes on, because fields of other names would show in them: the first
hundred, every tenth of the first ten thousand, every thousandth of all. Two fields may well begin alike."""
_ALL = (*VERDICT, "fault")
REMOVE = "remove it to begin anew, or choose another file with --out"


@dataclass(slots=True)
class Tally:
    """Rows of OUT by outcome and by method."""

    outcomes: Counter[str] = field(default_factory=Counter[str])
    methods: Counter[str] = field(default_factory=Counter[str])
    kept: int = 0
    """Rows that were there before this run."""

    @property
    def rows(self) -> int:
        """All rows of OUT so far."""
        return self.outcomes.total()

    def add(self, verdict: Mapping[str, Any]) -> None:
        """Count one row."""
        self.outcomes[str(verdict["outcome"])] += 1
        self.methods[str(verdict["method"])] += 1


def kept_rows(
    sink: BinaryIO,
    rows: Iterator[Row],
    fields: Fields,
    verifier: Verifier,
    tally: Tally,
    progress: Progress,
    target: Path,
) -> Iterator[Row]:
    """Check what an earlier run left in OUT, cut off its torn end, and return the rows that are owed."""
    progress.start(0, unit="earlier rows checked")
    names = dict(zip(fields.rename_own(dict.fromkeys(_ALL)), _ALL, strict=True))
    earlier = _Earlier(sink, rows, names, verifier.version, tally, progress, target)
    for grading in verifier.grade(earlier.samples()):
        earlier.compare(grading)
    sink.seek(earlier.end)
    sink.truncate()
    tally.kept = tally.rows
    return itertools.chain(earlier.owed, rows)


@dataclass(slots=True)
class _Earlier:
    """The rows of OUT beside those of FILE. Raises `InputError` at the first pair that does not belong together."""

    sink: BinaryIO
    rows: Iterator[Row]
    names: Mapping[str, str]
    """What a verdict's fields are called in OUT, and what they are."""
    version: str
    tally: Tally
    progress: Progress
    target: Path
    end: int = 0
    """Where the last whole row ends."""
    owed: list[Row] = field(default_factory=list[Row])
    """The row whose verdict was torn."""
    told: deque[tuple[Row, dict[str, Any]]] = field(default_factory=deque[tuple[Row, dict[str, Any]]])

    def samples(self) -> Iterator[Answered]:
        """Walk through both files; what is yielded is to be graded again and given to `compare`."""
        for index, line in enumerate(self.sink):
            row = next(self.rows, None)
            if row is None:
                raise self._foreign(index, "is beyond the end of the input")
            if not line.endswith(b"\n"):
                self._check_torn(index, line, row)
                return
            verdict = self._verdict(index, line, row)
            self.end += len(line)
            self.tally.add(verdict)
            self.progress.advance(1)
            if _is_regraded(index) and verdict["outcome"] not in UNSTEADY:
                self.told.append((row, verdict))
                yield row.answered

    def compare(self, grading: Grading) -> None:
        """A kept verdict against the one that this run would give: they differ when other fields were graded."""
        row, verdict = self.told.popleft()
        now = (str(grading.outcome), grading.extracted, grading.method)
        then = (verdict["outcome"], verdict["extracted"], verdict["method"])
        if grading.outcome not in UNSTEADY and now != then:
            raise InputError(
                f"{self.target} says {then[0]} ({then[1]!r}) of line {row.number}, this run {now[0]} ({now[1]!r})",
                "verdicts about the same fields",
                f"name the fields as before, {REMOVE}",
            )

    def _verdict(self, index: int, line: bytes, row: Row) -> dict[str, Any]:
        if not line.startswith(row.start):
            raise self._foreign(index, f"is not line {row.number} of the input")
        try:
            fields = parse_line(b"{" + line[len(row.start) :])
        except ValueError:
            fields = {}
        verdict = {name: fields[own] for own, name in self.names.items() if own in fields}
        if not set(VERDICT) <= verdict.keys() or len(verdict) < len(fields):
            raise self._foreign(index, f"has no verdict ({', '.join(self.names)}) after the input's fields")
        if verdict["verifier"] != self.version:
            found = f"{self.target} was made by {verdict['verifier']}"
            raise InputError(found, f"{self.version}, which is this verifier", REMOVE)
        if (verdict["method"] == NO_ROW) != bool(row.fault):
            raise self._foreign(
                index, f"was made from other fields than those named now: {row.fault or 'all is there'}"
            )
        return verdict

    def _check_torn(self, index: int, line: bytes, row: Row) -> None:
        """A last line that a kill cut short is done again; anything else without a newline is somebody's data."""
        begins = format_line({next(iter(self.names)): 0})[1:-2]  # as in `"outcome":`
        whole = row.start + begins
        if not (whole.startswith(line) or line.startswith(whole)):
            raise self._foreign(index, f"is not line {row.number} of the input")
        self.owed.append(row)

    def _foreign(self, index: int, why: str) -> InputError:
        return InputError(
            f"{self.target} does not belong to this input: its row {index + 1} {why}",
            "the rows of the input in their order, each with its verdict",
            REMOVE,
        )


def _is_regraded(index: int) -> bool:
    every = EARLY_EVERY if index < REGRADED_EARLY else REGRADED_EVERY
    return index < REGRADED_FIRST or index % every == 0
