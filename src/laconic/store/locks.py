"""One writer at a time: an advisory lock on a side file that says who holds it.

The kernel drops the lock when its holder dies, however it dies, so there is no stale lock to clean up.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import IO

from laconic.core.errors import StoreError


class FileLock:
    """Hold `path` exclusively; a second holder gets a `StoreError` that names the first."""

    def __init__(self, path: Path, what: str) -> None:
        self._path, self._what = path, what
        self._file: IO[str] | None = None

    def __enter__(self) -> FileLock:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = self._path.open("a+", encoding="utf-8")
        except OSError as error:
            raise StoreError(
                f"{error.strerror or error}",
                "a folder that can be written",
                "choose another one with `--store DIR`, `LACONIC_STORE` or `store = ...` in the study",
                where=str(self._path.parent),
            ) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _holder(file)
            file.close()
            raise StoreError(
                f"{self._what} is in use by {holder}",
                "one run at a time",
                "wait for it to end, stop it, or use another store (`--store DIR`)",
                where=str(self._path.parent),
            ) from error
        file.seek(0)
        file.truncate()
        json.dump({"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%F %T")}, file)
        file.flush()
        self._file = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _holder(file: IO[str]) -> str:
    file.seek(0)
    try:
        facts = json.loads(file.read())
        return f"process {facts['pid']} on {facts['host']} since {facts['since']}"
    except (ValueError, KeyError):
        return "another process"
