"""The ledger: every paid call's raw response, appended to one file and never edited.

Invariant: what `flush` returned for survives a power cut; what a crash tore is owed again, never an error.
The newest record of a key wins. The file's format is in `frames.py`.
One process writes, guarded by `locks.take_lock`; any number may read.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType

from lakon.core.errors import StoreError
from lakon.core.storage import WriterLock
from lakon.store import filesystem
from lakon.store.ledger.frames import (
    HEADER_BYTES,
    MAGIC,
    NOTE_MAX,
    Place,
    decode_payload,
    deflate_body,
    encode_payload,
    frame_record,
    frame_remains,
    is_sound,
    parse_header,
    scan_headers,
)
from lakon.store.ledger.index import Index
from lakon.store.ledger.writer import Writer
from lakon.store.locks import take_lock

CHECKED_TAIL = 64 << 20
"""Bodies this close to the end are checked at opening: no power cut can have torn more (`writer.UNSYNCED_MAX`).
What damaged others, `has_payload` finds before they are taken for settled."""
CHECKED_WHOLE = 256 << 20
"""Files up to this size are checked from end to end at opening."""


class Ledger:
    """The newest raw response under each call key, on disk; only the index is in memory."""

    def __init__(self, path: Path, fd: int, lock: WriterLock | None, *, durable: bool = True) -> None:
        self.path = path
        self._fd = fd
        self._lock = lock
        self._index = Index()
        self._writer = Writer(fd, durable=durable, filed=self._index.put)
        self._changed = self._writer.changed
        self._pid = os.getpid()
        self._checked_from = 0
        """Bodies from here on are known to be whole: checked at opening, or written since."""
        self.damaged = 0
        """Bytes that were stepped over or cut off at opening, and of bodies found bad since."""
        self._bad: set[bytes] = set()
        self._n_gaps = 0
        """Stretches without a sound header, so that nobody knows whose records stood there."""

    @classmethod
    def open(cls, path: Path, *, create: bool = True, readonly: bool = False, durable: bool = True) -> Ledger:
        """The ledger at `path`. Raises `StoreError` when it is missing, locked or not a ledger.

        `durable=False` leaves the disk to the system's own time, and bodies as they are, which nobody keeps long enough
        for deflating them to pay: for what can be had again for nothing.
        """
        if not create and not filesystem.is_file(path):
            raise StoreError("there is no ledger", "one from an earlier run", "run the study first", where=str(path))
        lock = None if readonly else take_lock(path.with_name(path.name + ".lock"), "the ledger")
        fd = -1
        try:
            fd = filesystem.open_file(path, "read" if readonly else "write")
            ledger = cls(path, fd, lock, durable=durable)
            end = ledger._load()
        except BaseException as error:
            if fd >= 0:
                filesystem.close_file(fd)
            if lock:
                lock.release()
            if isinstance(error, OSError):
                raise _io_error(path, error) from error
            raise
        if lock:
            filesystem.remove_file(_scratch(path))
            ledger._writer.start(end)
            atexit.register(ledger.close)
        return ledger

    # -- reading ---------------------------------------------------------------------------------------------

    def __contains__(self, key: str) -> bool:
        raw = bytes.fromhex(key)
        with self._changed:
            return raw in self._index or self._writer.get(raw) is not None

    def __len__(self) -> int:
        with self._changed:
            return len(self._index) + sum(raw not in self._index for raw in self._writer.unwritten())

    def keys(self) -> list[str]:
        """The keys of all finished calls, as hexadecimal digits."""
        with self._changed:
            new = (raw for raw in self._writer.unwritten() if raw not in self._index)
            return [raw.hex() for raw in (*self._index, *new)]

    def lost_keys(self) -> set[str]:
        """Keys whose record failed its checksum and that no sound record has: paid for, and owed again."""
        with self._changed:
            return {raw.hex() for raw in self._bad if raw not in self._index and self._writer.get(raw) is None}

    def lost_among(self, keys: Collection[str]) -> int:
        """How many of these calls were paid for and cannot be read any more. A record whose header is damaged is taken
        for one of those that no record has."""
        lost = self.lost_keys()
        n_gone = sum(key in lost for key in keys) if lost else 0
        n_without = sum(key not in self for key in keys) - n_gone if self._n_gaps else 0
        return n_gone + min(self._n_gaps, n_without)

    def get(self, key: str) -> Mapping[str, object] | None:
        """The newest payload under `key`; None when there is none or when it is damaged and so owed again."""
        raw = bytes.fromhex(key)
        with self._changed:
            waiting = self._writer.get(raw)
            body = waiting.body if waiting else self._read(raw)
        return None if body is None else decode_payload(body)

    def note(self, key: str) -> int | None:
        """The note that `put` was given with the newest payload, which is not read and may have turned out to be
        damaged; None without one."""
        raw = bytes.fromhex(key)
        with self._changed:
            waiting = self._writer.get(raw)
            return waiting.note if waiting else self._index.note(raw)

    def has_payload(self, key: str) -> bool:
        """Whether there is a payload under `key` that can be read; only what opening left unchecked is read for it."""
        raw = bytes.fromhex(key)
        with self._changed:
            if self._writer.get(raw):
                return True
            place = self._index.get(raw)
            return place is not None and (place.offset >= self._checked_from or self._read(raw) is not None)

    def _read(self, raw: bytes) -> bytes | None:
        place = self._index.get(raw)
        if place is None:
            return None
        data = filesystem.read_at(self._fd, HEADER_BYTES + place.length, place.offset - HEADER_BYTES)
        header, body = parse_header(data, 0), data[HEADER_BYTES:]
        if header is None or header.key != raw or zlib.crc32(body) != header.crc:
            self._index.drop(raw)
            self._bad.add(raw)
            self.damaged += place.length
            return None
        return body

    # -- writing ---------------------------------------------------------------------------------------------

    def put(self, key: str, payload: Mapping[str, object], *, note: int = 0) -> None:
        """Append: in the file within one commit window, on the disk one sync later. Raises `StoreError` when an earlier
        write failed.

        `note` is a number of the caller's (64 bits) that can be read back without reading the payload.
        """
        raw, body = bytes.fromhex(key), encode_payload(payload)
        if len(raw) != 16 or not 0 <= note <= NOTE_MAX:
            raise ValueError(f"key {key!r}, note {note}; a key has 32 hexadecimal digits, a note 64 bits")
        with self._changed:
            self._writer.wait_for_room()
            self._check_writable()
            self._writer.put(raw, body, note)

    def flush(self) -> None:
        """Return when all that was put before is on the disk, whatever is put meanwhile. Raises `StoreError` when it
        cannot be."""
        with self._changed:
            self._check_writable()
            self._writer.drain()
            self._check_writable()

    def close(self) -> None:
        """Write what waits, stop the writer, give the lock back; may be called twice."""
        if self._writer.closed or os.getpid() != self._pid:  # a forked copy has no writer to wait for
            return
        self._writer.stop()
        atexit.unregister(self.close)
        filesystem.close_file(self._fd)
        if self._lock:
            self._lock.release()
        if self._writer.failure:
            raise _io_error(self.path, self._writer.failure)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The exception under way says more than a second one about the same full disk.
        with contextlib.suppress(StoreError) if error else contextlib.nullcontext():
            self.close()

    def compact(self) -> int:
        """Rewrite the file without superseded and damaged records, all deflated; the bytes saved. Crash-safe. Of a
        damaged record its note stays: what it took was spent."""
        with self._changed:
            self._check_writable()
            self._writer.come_to_rest()
            self._check_writable()
            before = self._writer.end
            try:
                fd, index, end = self._rewritten()
            except OSError as error:
                raise _io_error(self.path, error) from error
            filesystem.close_file(self._fd)
            self._fd, self._index, self._checked_from = fd, index, 0
            self._writer.continue_in(fd, end, index.put)
            try:
                filesystem.sync_folder(self.path.parent)
            except OSError as error:
                # A power cut may bring the old file back, and what is put from now on would go with the new one.
                self._writer.fail(error)
                raise _io_error(self.path, error) from error
            return before - end

    def _rewritten(self) -> tuple[int, Index, int]:
        """A file with the newest records alone, in the place of the old one: its handle, index and end."""
        scratch = _scratch(self.path)
        fd = filesystem.open_file(scratch, "begin")
        try:
            index = Index()
            end = filesystem.write_at(fd, MAGIC, 0)
            places = [(place, raw) for raw in self._index if (place := self._index.get(raw))]
            for place, raw in sorted(places):
                if (body := self._read(raw)) is not None:
                    body = deflate_body(body)
                    index.put(raw, Place(end + HEADER_BYTES, len(body), place.note))
                    end = filesystem.write_at(fd, frame_record(raw, place.note, body), end)
            for raw, note in self._index.dropped_notes():
                _file_lost(index, raw, Place(end + HEADER_BYTES, 0, note))
                end = filesystem.write_at(fd, frame_remains(raw, note), end)
            filesystem.sync_file(fd)
            filesystem.replace_file(self.path, scratch)
        except BaseException:
            filesystem.close_file(fd)
            filesystem.remove_file(scratch)
            raise
        return fd, index, end

    def _check_writable(self) -> None:
        writer = self._writer
        if writer.failure:
            raise _io_error(self.path, writer.failure)
        if writer.closed or not writer.started or os.getpid() != self._pid:
            how = "closed" if writer.closed else "a forked copy" if writer.started else "open for reading only"
            found = f"the ledger is {how}"
            raise StoreError(found, "one open for writing", "open it again", where=str(self.path))

    # -- opening ---------------------------------------------------------------------------------------------

    def _load(self) -> int:
        """Index what is there; the offset after it."""
        size = filesystem.measure_file(self._fd)
        start = filesystem.read_at(self._fd, len(MAGIC), 0)
        if start != MAGIC:
            self._begin(start)
            return len(MAGIC)
        self._checked_from = 0 if size <= CHECKED_WHOLE else size - CHECKED_TAIL
        end = len(MAGIC)
        for header in scan_headers(self._fd, size):
            gap = header.body.offset - HEADER_BYTES - end
            self._n_gaps += gap > 0
            self.damaged += gap
            end = header.end
            unchecked = header.body.offset < self._checked_from and header.body.length
            if unchecked or is_sound(self._fd, header):
                self._index.put(header.key, header.body)
                continue
            self.damaged += header.body.length
            self._bad.add(header.key)
            if header.key not in self._index:  # else the reply before it is of more use than this one's note
                _file_lost(self._index, header.key, header.body)
        self.damaged += size - end
        if self._lock and end < size:
            filesystem.cut_file(self._fd, end)
            filesystem.sync_file(self._fd)
        return end

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
            filesystem.cut_file(self._fd, 0)
            filesystem.write_at(self._fd, MAGIC, 0)
            filesystem.sync_file(self._fd)
            filesystem.sync_folder(self.path.parent)


def _file_lost(index: Index, key: bytes, place: Place) -> None:
    """File a record whose body is damaged, so that its note can be had."""
    index.put(key, place)
    index.drop(key)


def _scratch(path: Path) -> Path:
    """Where `compact` writes before it replaces the ledger; what a crash left there is worth nothing."""
    return path.with_name(path.name + ".compact")


def _io_error(path: Path, error: Exception) -> StoreError:
    return StoreError(
        f"the ledger cannot be used: {getattr(error, 'strerror', None) or error}",
        "a readable and writable disk with room on it",
        "free some space or mend the permissions, then run again: every reply written before is kept",
        where=str(path),
    )
