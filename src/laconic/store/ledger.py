"""The ledger: every paid call's raw response, appended to one file and never edited.

Invariant: what `flush` returned for survives a power cut; what a crash tore is owed again, never an error.
The newest record of a key wins. The file's format is in `ledger_frames`.
One process writes, guarded by `locks.WriterLock`; any number may read.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from laconic.core.errors import StoreError
from laconic.store.ledger_frames import (
    CHUNK,
    HEADER_BYTES,
    MAGIC,
    NOTE_MAX,
    Place,
    decoded,
    deflated,
    encoded,
    header,
    headers,
    packed,
    record,
    sound,
    unpacked,
)
from laconic.store.locks import WriterLock

COMMIT_WINDOW_S = 0.02
"""How long records gather before one write and one fsync take them all."""
PENDING_MAX = 2 << 20
"""Bytes that may wait for the disk; beyond them `put` waits too, so memory stays flat. As many again may be in writing:
with four times these, long replies that come as fast as they can left a heap of twice the size."""
CHECKED_TAIL = 64 << 20
"""Bodies this close to the end are checked at opening: a power cut can only have torn the last window."""
CHECKED_WHOLE = 256 << 20
"""Files up to this size are checked from end to end at opening."""


class Waiting(NamedTuple):
    """A record that is not on the disk yet."""

    body: bytes
    note: int


class Ledger:
    """The newest raw response under each call key, on disk; only the index is in memory."""

    def __init__(self, path: Path, fd: int, lock: WriterLock | None, *, durable: bool = True) -> None:
        self.path = path
        self._durable = durable
        self._fd = fd
        self._lock = lock
        self._index: dict[bytes, int] = {}
        self._end = len(MAGIC)
        self._changed = threading.Condition()
        self._waiting: dict[bytes, Waiting] = {}
        self._writing: dict[bytes, Waiting] = {}
        self._waiting_bytes = 0
        self._flushers = 0
        self._failure: Exception | None = None
        self._pid = os.getpid()
        self._closed = False
        self.damaged = 0
        """Bytes that were stepped over or cut off at opening, and of bodies found bad since."""
        self._thread: threading.Thread | None = None

    @classmethod
    def open(cls, path: Path, *, create: bool = True, readonly: bool = False, durable: bool = True) -> Ledger:
        """The ledger at `path`. Raises `StoreError` when it is missing, locked or not a ledger.

        `durable=False` leaves the disk to the system's own time, and bodies as they are, which nobody keeps long enough
        for deflating them to pay: for what can be had again for nothing.
        """
        if not create and not path.exists():
            raise StoreError("there is no ledger", "one from an earlier run", "run the study first", where=str(path))
        lock = None if readonly else WriterLock.take(path.with_name(path.name + ".lock"), "the ledger")
        fd = -1
        try:
            fd = _open_file(path, readonly=readonly)
            ledger = cls(path, fd, lock, durable=durable)
            ledger._load()
        except BaseException as error:
            if fd >= 0:
                os.close(fd)
            if lock:
                lock.release()
            if isinstance(error, OSError):
                raise _io_error(path, error) from error
            raise
        if lock:
            _scratch(path).unlink(missing_ok=True)
            ledger._start()
        return ledger

    # -- reading ---------------------------------------------------------------------------------------------

    def __contains__(self, key: str) -> bool:
        raw = bytes.fromhex(key)
        with self._changed:
            return raw in self._index or raw in self._waiting or raw in self._writing

    def __len__(self) -> int:
        with self._changed:
            return len(self._index.keys() | self._waiting.keys() | self._writing.keys())

    def keys(self) -> list[str]:
        """The keys of all finished calls, as hexadecimal digits."""
        with self._changed:
            return [raw.hex() for raw in {**self._index, **self._writing, **self._waiting}]

    def get(self, key: str) -> Mapping[str, object] | None:
        """The newest payload under `key`; None when there is none or when it is damaged and so owed again."""
        raw = bytes.fromhex(key)
        with self._changed:
            waiting = self._waiting.get(raw) or self._writing.get(raw)
            body = waiting.body if waiting else self._read(raw)
        return None if body is None else decoded(body)

    def note(self, key: str) -> int | None:
        """The note that `put` was given with the newest payload, which is not read; None without one."""
        raw = bytes.fromhex(key)
        with self._changed:
            if waiting := self._waiting.get(raw) or self._writing.get(raw):
                return waiting.note
            value = self._index.get(raw)
        return None if value is None else unpacked(value).note

    def _read(self, raw: bytes) -> bytes | None:
        value = self._index.get(raw)
        if value is None:
            return None
        place = unpacked(value)
        data = os.pread(self._fd, HEADER_BYTES + place.length, place.offset - HEADER_BYTES)
        found, body = header(data, 0), data[HEADER_BYTES:]
        if found is None or found.key != raw or zlib.crc32(body) != found.crc:
            del self._index[raw]
            self.damaged += place.length
            return None
        return body

    # -- writing ---------------------------------------------------------------------------------------------

    def put(self, key: str, payload: Mapping[str, object], *, note: int = 0) -> None:
        """Append; durable within one commit window. Raises `StoreError` when an earlier write failed.

        `note` is a number of the caller's (64 bits) that can be read back without reading the payload.
        """
        raw, body = bytes.fromhex(key), encoded(payload)
        if len(raw) != 16 or not 0 <= note <= NOTE_MAX:
            raise ValueError(f"key {key!r}, note {note}; a key has 32 hexadecimal digits, a note 64 bits")
        with self._changed:
            self._changed.wait_for(lambda: self._waiting_bytes < PENDING_MAX or self._failure or self._closed)
            self._check_writable()
            idle = not self._waiting
            before = self._waiting.get(raw)
            self._waiting_bytes += len(body) - (len(before.body) if before else 0)
            self._waiting[raw] = Waiting(body, note)
            if idle or self._waiting_bytes >= PENDING_MAX:
                self._changed.notify_all()

    def flush(self) -> None:
        """Return when everything put so far is on the disk. Raises `StoreError` when it cannot be."""
        with self._changed:
            self._check_writable()
            self._drain()
            self._check_writable()

    def _drain(self) -> None:
        self._flushers += 1
        self._changed.notify_all()
        self._changed.wait_for(lambda: self._failure or not (self._waiting or self._writing))
        self._flushers -= 1

    def close(self) -> None:
        """Write what waits, stop the writer, give the lock back; may be called twice."""
        with self._changed:
            if self._closed or os.getpid() != self._pid:  # a forked copy has no writer to wait for
                return
            if self._thread:
                self._drain()
            self._closed = True
            self._changed.notify_all()
        if self._thread:
            self._thread.join()
            atexit.unregister(self.close)
        os.close(self._fd)
        if self._lock:
            self._lock.release()
        if self._failure:
            raise _io_error(self.path, self._failure)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The exception under way says more than a second one about the same full disk.
        with contextlib.suppress(StoreError) if error else contextlib.nullcontext():
            self.close()

    def compact(self) -> int:
        """Rewrite the file without superseded and damaged records; the bytes saved. Crash-safe."""
        with self._changed:
            self._check_writable()
            self._drain()
            self._check_writable()
            before, scratch = self._end, _scratch(self.path)
            try:
                fd, index, end = self._rewrite(scratch)
                scratch.replace(self.path)
                _sync_folder(self.path.parent)
            except OSError as error:
                scratch.unlink(missing_ok=True)
                raise _io_error(self.path, error) from error
            os.close(self._fd)
            self._fd, self._index, self._end = fd, index, end
            return before - end

    def _rewrite(self, scratch: Path) -> tuple[int, dict[bytes, int], int]:
        fd = os.open(scratch, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            index: dict[bytes, int] = {}
            end = _write(fd, MAGIC, 0)
            for raw in sorted(self._index, key=lambda raw: self._index[raw]):
                note = unpacked(self._index[raw]).note
                if (body := self._read(raw)) is not None:
                    index[raw] = packed(Place(end + HEADER_BYTES, len(body), note))
                    end = _write(fd, record(raw, note, body), end)
            os.fsync(fd)
        except BaseException:
            os.close(fd)
            raise
        return fd, index, end

    def _check_writable(self) -> None:
        if self._failure:
            raise _io_error(self.path, self._failure)
        if self._closed or not self._thread or os.getpid() != self._pid:
            how = "closed" if self._closed else "a forked copy" if self._thread else "open for reading only"
            found = f"the ledger is {how}"
            raise StoreError(found, "one open for writing", "open it again", where=str(self.path))

    # -- the writer's thread ---------------------------------------------------------------------------------

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._commit_all, name="ledger", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def _commit_all(self) -> None:
        while self._gather():
            try:
                index = self._commit(self._writing)
            except Exception as error:  # whatever it is, whoever waits in `flush` must hear of it
                self._give_up(error)
                return
            with self._changed:
                self._index.update(index)
                self._writing = {}
                self._changed.notify_all()

    def _gather(self) -> bool:
        """Wait for one window's records and take them; false when the ledger is closed and nothing waits."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            deadline = time.monotonic() + COMMIT_WINDOW_S
            while not (self._flushers or self._closed or self._waiting_bytes >= PENDING_MAX):
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            self._writing, self._waiting, self._waiting_bytes = self._waiting, {}, 0
            self._changed.notify_all()
            return bool(self._writing) or not self._closed

    def _commit(self, records: Mapping[bytes, Waiting]) -> dict[bytes, int]:
        """Write the records in a few large writes and sync once; what they are indexed under."""
        index: dict[bytes, int] = {}
        chunk = bytearray()
        end = self._end
        for raw, waiting in records.items():
            body = deflated(waiting.body) if self._durable else waiting.body
            index[raw] = packed(Place(end + len(chunk) + HEADER_BYTES, len(body), waiting.note))
            chunk += record(raw, waiting.note, body)
            if len(chunk) >= CHUNK:
                end = _write(self._fd, chunk, end)
                chunk = bytearray()
        end = _write(self._fd, chunk, end)
        if self._durable:
            os.fsync(self._fd)
        self._end = end
        return index

    def _give_up(self, error: Exception) -> None:
        # Cutting a file shorter works on a full disk; should it not, the next opening cuts it.
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, self._end)
        with self._changed:
            self._failure = error
            self._waiting, self._writing = {}, {}
            self._changed.notify_all()

    # -- opening ---------------------------------------------------------------------------------------------

    def _load(self) -> None:
        size = os.fstat(self._fd).st_size
        start = os.pread(self._fd, len(MAGIC), 0)
        if start != MAGIC:
            self._begin(start)
            return
        checked_from = 0 if size <= CHECKED_WHOLE else size - CHECKED_TAIL
        end = len(MAGIC)
        for found in headers(self._fd, size):
            if found.body.offset >= checked_from and not sound(self._fd, found):
                continue
            self.damaged += found.body.offset - HEADER_BYTES - end
            self._index[found.key] = packed(found.body)
            end = found.end
        self.damaged += size - end
        self._end = end
        if self._lock and end < size:
            os.ftruncate(self._fd, end)
            os.fsync(self._fd)

    def _begin(self, start: bytes) -> None:
        """A new file, or one whose very first write was torn. Raises `StoreError` for any other file."""
        if not MAGIC.startswith(start):
            raise StoreError(
                f"the file begins with {start[:16]!r}",
                f"a ledger, which begins with {MAGIC!r}",
                "move the file away; the run writes a new one",
                where=str(self.path),
            )
        if self._lock:
            os.ftruncate(self._fd, 0)
            _write(self._fd, MAGIC, 0)
            os.fsync(self._fd)
            _sync_folder(self.path.parent)


def _scratch(path: Path) -> Path:
    """Where `compact` writes before it replaces the ledger; what a crash left there is worth nothing."""
    return path.with_name(path.name + ".compact")


def _open_file(path: Path, *, readonly: bool) -> int:
    if readonly:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


def _write(fd: int, data: bytes | bytearray, offset: int) -> int:
    """All of `data` at `offset`; the offset after it."""
    view = memoryview(data)
    while view:
        n = os.pwrite(fd, view, offset)
        view, offset = view[n:], offset + n
    return offset


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _io_error(path: Path, error: Exception) -> StoreError:
    return StoreError(
        f"the ledger cannot be used: {getattr(error, 'strerror', None) or error}",
        "a readable and writable disk with room on it",
        "free some space or mend the permissions, then run again: every reply written before is kept",
        where=str(path),
    )
