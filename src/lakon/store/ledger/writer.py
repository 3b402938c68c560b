"""The ledger's writing side: what was put is packed and written by one thread and synced by another.

Invariant: a record that has waited for a commit window is in the file, where the death of the process cannot take it,
however long the disk takes to sync; and `drain` returns when the disk has what was put before it was called, however
much is put meanwhile. Bodies are let go once they are written, so a slow sync costs no memory.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from lakon.store.filesystem import cut_file, sync_file, write_at
from lakon.store.ledger.frames import CHUNK, HEADER_BYTES, Place, deflate_body, frame_record

COMMIT_WINDOW_S = 0.02
"""How long the oldest record waits before one write takes all that have gathered."""
PENDING_MAX = 2 << 20
"""Bytes that may wait to be written; beyond them `put` waits too, so memory stays flat. As many again may be in
writing: with four times these, long replies that come as fast as they can left a heap of twice the size."""
UNSYNCED_MAX = 32 << 20
"""Bytes in the file that the disk need not have yet; beyond them `put` waits for a sync. With what waits and what is
being written they stay below what the next opening checks, so a power cut tears nothing that would go unnoticed."""


class Waiting(NamedTuple):
    """A record that is not in the file yet."""

    body: bytes
    note: int


class Writer:
    """Appends to one file. All attributes are guarded by `changed`."""

    def __init__(self, fd: int, *, durable: bool, filed: Callable[[bytes, Place], None]) -> None:
        self.fd = fd
        self.end = 0
        """Where the next record goes: everything before is written."""
        self.changed = threading.Condition()
        self.failure: Exception | None = None
        self.closed = False
        self._durable = durable
        self._filed = filed
        """Told where a record lies, with `changed` held."""
        self._synced = 0
        """Everything before is on the disk."""
        self._n_put = self._n_written = self._n_synced = 0
        """Records so far that were taken, are in the file, are on the disk."""
        self._waiting: dict[bytes, Waiting] = {}
        self._writing: dict[bytes, Waiting] = {}
        self._waiting_bytes = 0
        self._waiting_since = 0.0
        self._behind = False
        """Whether records come faster than they can be deflated: then they are written as they are, at the disk's
        speed, and compacting deflates them."""
        self._drainers = 0
        self._all_written = False
        """Whether the writing thread is over."""
        self._threads: list[threading.Thread] = []

    def start(self, end: int) -> None:
        """Begin to write behind `end`, which is on the disk."""
        self.end = self._synced = end
        bodies = [("ledger", self._write_all), *([("ledger-sync", self._sync_all)] if self._durable else [])]
        self._threads = [threading.Thread(target=body, name=name, daemon=True) for name, body in bodies]
        for thread in self._threads:
            thread.start()

    @property
    def started(self) -> bool:
        """Whether anything can be put."""
        return bool(self._threads)

    def get(self, key: bytes) -> Waiting | None:
        """The newest record under `key` that is not in the file yet."""
        return self._waiting.get(key) or self._writing.get(key)

    def unwritten(self) -> Iterable[bytes]:
        """The keys of all records that are not in the file yet."""
        return dict.fromkeys((*self._writing, *self._waiting))

    def wait_for_room(self) -> None:
        """Return when a record may be put, or never will."""
        self.changed.wait_for(lambda: self._has_room or self.failure or self.closed)

    @property
    def _has_room(self) -> bool:
        return self._waiting_bytes < PENDING_MAX and self.end - self._synced < UNSYNCED_MAX

    def put(self, key: bytes, body: bytes, note: int) -> None:
        """Take a record."""
        idle = not self._waiting
        if idle:
            self._waiting_since = time.monotonic()
        before = self._waiting.get(key)
        self._waiting_bytes += len(body) - (len(before.body) if before else 0)
        self._waiting[key] = Waiting(body, note)
        self._n_put += 1
        if idle or self._waiting_bytes >= PENDING_MAX:
            self.changed.notify_all()

    def drain(self) -> None:
        """Return when everything put so far is on the disk, or something has failed."""
        n_put = self._n_put
        self._hurry_until(lambda: self._n_synced >= n_put)

    def come_to_rest(self) -> None:
        """Return when nothing waits and no thread touches the file, or something has failed."""
        self._hurry_until(lambda: self._n_synced == self._n_put)

    def _hurry_until(self, reached: Callable[[], bool]) -> None:
        self._drainers += 1
        self.changed.notify_all()
        self.changed.wait_for(lambda: self.failure or reached())
        self._drainers -= 1

    def continue_in(self, fd: int, end: int, filed: Callable[[bytes, Place], None]) -> None:
        """Go on in another file, everything before `end` being on the disk."""
        self.fd, self.end, self._synced, self._filed = fd, end, end, filed

    def stop(self) -> None:
        """Take no more, end the threads once they have written and synced everything, and after a failure cut off what
        is not whole or not known to be on the disk."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        for thread in self._threads:
            thread.join()
        if self.failure:
            # Cutting a file shorter works on a full disk; should it not, the next opening cuts it.
            with contextlib.suppress(OSError):
                cut_file(self.fd, self.end)
                sync_file(self.fd)

    # -- the threads -----------------------------------------------------------------------------------------

    def _write_all(self) -> None:
        while n_put := self._gather():
            try:
                places, end = self._write(self._writing)
            except Exception as error:  # whatever it is, whoever waits in `drain` must hear of it
                self.fail(error)
                return
            with self.changed:
                if self.failure:
                    return
                for key, place in places.items():
                    self._filed(key, place)
                self._writing, self.end, self._n_written = {}, end, n_put
                if not self._durable:
                    self._synced, self._n_synced = end, n_put
                self.changed.notify_all()
        with self.changed:
            self._all_written = True
            self.changed.notify_all()

    def _gather(self) -> int:
        """Wait for one window's records and take them; how many were put up to then, 0 when there are no more."""
        with self.changed:
            self.changed.wait_for(lambda: self._waiting or self.closed or self.failure)
            deadline = self._waiting_since + COMMIT_WINDOW_S
            while not (self._drainers or self.closed or self.failure or self._waiting_bytes >= PENDING_MAX):
                wait_s = deadline - time.monotonic()
                if wait_s <= 0:
                    break
                self.changed.wait(wait_s)
            if self.failure or not self._waiting:
                return 0
            self._behind = self._waiting_bytes >= PENDING_MAX
            self._writing, self._waiting, self._waiting_bytes = self._waiting, {}, 0
            self.changed.notify_all()
            return self._n_put

    def _write(self, records: Mapping[bytes, Waiting]) -> tuple[dict[bytes, Place], int]:
        """Write the records in a few large writes; where they lie, and where they end."""
        places: dict[bytes, Place] = {}
        chunk = bytearray()
        end = self.end
        for key, waiting in records.items():
            body = deflate_body(waiting.body) if self._durable and not self._behind else waiting.body
            places[key] = Place(end + len(chunk) + HEADER_BYTES, len(body), waiting.note)
            chunk += frame_record(key, waiting.note, body)
            if len(chunk) >= CHUNK:
                end = write_at(self.fd, chunk, end)
                chunk = bytearray()
        return places, write_at(self.fd, chunk, end)

    def _sync_all(self) -> None:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self._synced < self.end or self._all_written or self.failure)
                if self.failure or self._synced == self.end:
                    return
                fd, end, n_written = self.fd, self.end, self._n_written
            try:
                sync_file(fd)
            except Exception as error:
                with self.changed:
                    self.end = self._synced  # what the disk refused once may be gone, whatever it says next time
                self.fail(error)
                return
            with self.changed:
                self._synced, self._n_synced = end, n_written
                self.changed.notify_all()

    def fail(self, error: Exception) -> None:
        """Take no more: what was put from now on could be gone after a power cut."""
        with self.changed:
            self.failure = self.failure or error
            self._waiting, self._writing = {}, {}
            self.changed.notify_all()
