"""Grade a JSONL file of answers without any study: one verdict a row, in a file that is valid at every moment.

Invariant: row i of OUT is row i of FILE with its own bytes, then the verdict. Rows are streamed: memory is the
verifier's window of rows. A row that cannot be graded is a row with the outcome `error`; only a fault of the whole file
ends the work. Read next: `rows.py`, one row; `resume.py`, how a second run goes on.
"""

from __future__ import annotations

import contextlib
import gzip
import itertools
import os
import sys
import time
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, cast

from lakon.core.errors import InputError, RunStopped
from lakon.core.protocols import Answered, Progress, Verifier
from lakon.core.records import UNGRADED
from lakon.standalone.verify_file.resume import REMOVE, Tally, kept_rows
from lakon.standalone.verify_file.rows import Fields, Row, check_head, format_line, row_of, verdict_of
from lakon.store.filesystem import lock_file

__all__ = ["Fields", "FileSummary", "grade_file"]

STREAM = "-"
"""The FILE that means standard input."""
HEAD = 20
"""Rows that are looked at before anything is written: when none of them has the field, its name is wrong."""
FLUSH_S = 1.0
"""How much grading a kill may cost."""
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSummary:
    """What became of a file: counts over all rows of OUT, the speed of this run."""

    file: str
    out: str
    verifier: str
    rows: int
    kept: int
    """Rows that an earlier run had graded."""
    outcomes: dict[str, int]
    methods: dict[str, int]
    ungraded: int
    """Rows whose outcome says nothing about their author: unparsed, timeout, error."""
    seconds: float
    """What grading took in this run."""
    rows_per_s: float


def grade_file(
    file: str | Path, *, out: str | Path | None, fields: Fields, verifier: Verifier, progress: Progress
) -> FileSummary:
    """Grade every row of `file` into `out`, going on after the last whole row that is there.

    Raises `InputError` for a fault of the whole file and `RunStopped` when interrupted.
    """
    tally = Tally()
    target = _target(file, out)
    try:
        with _opened(file) as handle:
            lines = _lines(handle, file)
            head = list(itertools.islice(lines, HEAD))
            check_head(head, fields, str(file))
            rows = (row_of(number, line, fields) for number, line in itertools.chain(head, lines))
            with _writing(target, fresh=_is_stream(file)) as sink:
                owed = kept_rows(sink, rows, fields, verifier, tally, progress, target)
                progress.start(0 if _is_stream(file) else _count(file), done=tally.kept, unit="rows")
                began = time.monotonic()
                _grade(owed, sink, fields, verifier, tally, progress)
    except KeyboardInterrupt:
        raise _interrupted(file, target) from None
    return _summary(str(file), target, verifier.version, tally, time.monotonic() - began)


def _summary(file: str, target: Path, version: str, tally: Tally, seconds: float) -> FileSummary:
    return FileSummary(
        file=file,
        out=str(target),
        verifier=version,
        rows=tally.rows,
        kept=tally.kept,
        outcomes=dict(tally.outcomes.most_common()),
        methods=dict(tally.methods.most_common()),
        ungraded=sum(tally.outcomes[kind] for kind in UNGRADED),
        seconds=round(seconds, 3),
        rows_per_s=round((tally.rows - tally.kept) / max(seconds, 1e-9), 1),
    )


def _interrupted(file: str | Path, target: Path) -> RunStopped:
    todo = "run the same command again to go on"
    if _is_stream(file):
        todo = "a stream cannot be resumed: give all of it again, with another --out"
    return RunStopped("interrupted", f"every row that was graded is in {target}", todo)


def _grade(
    rows: Iterator[Row], sink: BinaryIO, fields: Fields, verifier: Verifier, tally: Tally, progress: Progress
) -> None:
    ahead: deque[Row] = deque()

    def answers() -> Iterator[Answered]:
        for row in rows:
            ahead.append(row)
            yield row.answered

    flushed = time.monotonic()
    for grading in verifier.grade(answers()):
        row = ahead.popleft()
        verdict = verdict_of(row, grading, verifier.version)
        sink.write(row.start + format_line(fields.rename_own(verdict))[1:] + b"\n")
        tally.add(verdict)
        progress.advance(1)
        if time.monotonic() - flushed > FLUSH_S:
            sink.flush()
            flushed = time.monotonic()


# -- files ------------------------------------------------------------------------------------------------------


def _is_stream(file: str | Path) -> bool:
    """Standard input, or a pipe: read once, and never again from its beginning."""
    return str(file) == STREAM or (Path(file).exists() and not Path(file).is_file() and not Path(file).is_dir())


def _target(file: str | Path, out: str | Path | None) -> Path:
    """Where the rows go. Raises `InputError`."""
    if not _is_stream(file) and not Path(file).is_file():
        raise InputError(f"no file {str(file)!r}", "a JSONL file, or - for standard input", "check the path")
    if out is None and _is_stream(file):
        raise InputError("a stream without --out", "a file for the graded rows", "add --out OUT.jsonl")
    target = Path(out) if out is not None else _beside(Path(file))
    if target.suffix == ".gz":
        raise InputError(f"--out {target}", "a file without compression, so that a run can go on", "drop the .gz")
    if target.exists() and not _is_stream(file) and target.samefile(file):
        raise InputError(f"--out {target} is the input itself", "another file", "choose another --out")
    return target


def _beside(file: Path) -> Path:
    """`data.jsonl` and `data.jsonl.gz` are graded into `data.verified.jsonl`."""
    plain = file.with_suffix("") if file.suffix == ".gz" else file
    return plain.with_suffix(".verified.jsonl")


@contextlib.contextmanager
def _opened(file: str | Path) -> Iterator[BinaryIO]:
    """The bytes of FILE, unpacked if it is gzip, whatever its name."""
    with _raw(file) as raw:
        packed = raw.peek(2)[:2] == b"\x1f\x8b"
        yield cast("BinaryIO", gzip.GzipFile(fileobj=raw) if packed else raw)


def _raw(file: str | Path) -> contextlib.AbstractContextManager[BufferedReader]:
    if str(file) == STREAM:
        return contextlib.nullcontext(cast("BufferedReader", sys.stdin.buffer))  # not ours to close
    try:
        return Path(file).open("rb")
    except OSError as error:
        raise InputError(str(error.strerror), "a file that can be read", "check the file", where=str(file)) from error


def _lines(handle: BinaryIO, file: str | Path) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of every line that is not blank."""
    number = 0
    try:
        for number, line in enumerate(handle, 1):
            bare = (line.removeprefix(_BOM) if number == 1 else line).strip()
            if bare:
                yield number, bare
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"cannot be read after line {number}: {error}",
            "a whole file",
            "mend the file and run again to go on",
            where=str(file),
        ) from error


def _count(file: str | Path) -> int:
    """How many rows there are: one more look at the bytes, which is little beside grading them."""
    with _opened(file) as handle:
        return sum(1 for _ in _lines(handle, file))


@contextlib.contextmanager
def _writing(target: Path, *, fresh: bool) -> Iterator[BinaryIO]:
    """OUT, open for reading and writing and held against a second run. Raises `InputError`."""
    try:
        with open(os.open(target, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666), "r+b") as sink:
            _hold(sink, target)
            if fresh and target.stat().st_size:
                raise InputError(f"{target} has rows already", "a new file: a stream begins anew each time", REMOVE)
            yield cast("BinaryIO", sink)
    except OSError as error:
        raise InputError(
            f"{target}: {error.strerror or error}",
            "a file that can be written, and room for it",
            "mend that and run the same command again, or choose another file with --out",
        ) from error


def _hold(sink: Any, target: Path) -> None:
    try:
        lock_file(sink.fileno())
    except BlockingIOError as error:
        todo = "wait for it, stop it, or choose another file with --out"
        raise InputError(f"{target} is being written by another run", "one run at a time", todo) from error
