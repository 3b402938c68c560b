"""One writer at a time, to a ledger or a store: an advisory lock on a side file that names its holder.

Invariant: the lock lives as long as the process that took it, so a killed run never leaves one behind.
"""

from __future__ import annotations

import os
import socket
import time
import weakref
from pathlib import Path
from typing import cast

import orjson

from lakon.core.errors import StoreError
from lakon.core.storage import WriterLock
from lakon.store import filesystem


class FileLock:
    """Implements `core.storage.WriterLock`: a locked file, in which the holder's process, host and start stand."""

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd

    def release(self) -> None:
        """Give the lock back; the side file stays, since removing it could split the lock in two."""
        if self._fd is not None:
            filesystem.cut_file(self._fd, 0)
            filesystem.unlock_file(self._fd)
            self.forget()

    def forget(self) -> None:
        """Close this process's handle and leave the lock to whoever else holds it."""
        if self._fd is not None:
            filesystem.close_file(self._fd)
            self._fd = None


def take_lock(path: Path, what: str) -> WriterLock:
    """The lock on `what`, or a `StoreError` that names who has it."""
    try:
        filesystem.make_folder(path.parent)
        fd = filesystem.open_file(path, "write")
    except OSError as error:
        raise _unusable(path, what, error) from error
    try:
        filesystem.lock_file(fd)
        _sign(fd)
    except OSError as error:
        holder = _holder(fd)
        filesystem.close_file(fd)
        if isinstance(error, BlockingIOError | PermissionError):  # EAGAIN, or EACCES on some systems
            raise _held(path, what, holder) from error
        raise _unusable(path, what, error) from error
    lock = FileLock(fd)
    _forget_in_forks(lock)
    return lock


def _forget_in_forks(lock: FileLock) -> None:
    # A forked worker shares the open file; left open there, the lock would outlive a killed parent.
    alive = weakref.ref(lock)

    def forget() -> None:
        if (lock := alive()) is not None:
            lock.forget()

    if hasattr(os, "register_at_fork"):  # where processes fork at all
        os.register_at_fork(after_in_child=forget)


def _sign(fd: int) -> None:
    holder = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    filesystem.cut_file(fd, 0)
    filesystem.write_at(fd, orjson.dumps(holder), 0)


def _holder(fd: int) -> dict[str, object]:
    try:
        return cast("dict[str, object]", orjson.loads(filesystem.read_at(fd, 4096, 0)))
    except (OSError, orjson.JSONDecodeError):
        return {}


def _held(path: Path, what: str, holder: dict[str, object]) -> StoreError:
    who = "another process"
    if holder:
        who = f"process {holder.get('pid')} on {holder.get('host')} since {holder.get('since')}"
    return StoreError(
        f"{what} is being written by {who}",
        "one run at a time for a store",
        "wait for that run, stop it, or use another store (`--store DIR`); nothing is lost either way",
        where=str(path),
    )


def _unusable(path: Path, what: str, error: OSError) -> StoreError:
    return StoreError(
        f"{what} cannot be locked: {error.strerror or error}",
        "a local folder that this user may write, on a file system with locks",
        "mend the permissions, or choose such a folder with `--store DIR` or `LAKON_STORE`",
        where=str(path),
    )
