"""One server process: started on a free port of the loopback, awaited, watched, started once more if it dies, ended.

Invariant: whatever ends the run ends the server with all that it started: it has a group of its own, and a guard that
ends the group when this process is gone.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from lakon.core.errors import AuthorError, InputError, RunStopped

_LOOK_S = 0.5
_ASK_S = 10.0
_GRACE_S = 20.0
_TAIL = 500_000
_ERRORS = 3
_ERROR = re.compile(r"\b([A-Z]\w*(?:Error|Exception): [^\n]*)")
_MOST_BYTES = 4_000_000
RESTARTS = 1
"""How often a server that dies is started again."""


class ServerProcess:
    """A server that answers at `url` once `wait` has returned."""

    def __init__(
        self,
        make_command: Callable[[int], Sequence[str]],
        *,
        log: Path,
        environment: Mapping[str, str],
        start_s: float,
    ) -> None:
        self.port = _free_port()
        self.command = list(make_command(self.port))
        self.log = log
        self._environment, self._start_s = dict(environment), start_s
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None
        self._ending = threading.Event()
        self.has_failed = threading.Event()
        """Set when it has died more often than it is started again."""
        self.restarts = 0

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        """Start it, without waiting. Raises `InputError` for a command that is not there."""
        if shutil.which(self.command[0]) is None:
            raise InputError(
                f"{self.command[0]!r} cannot be started: it is not there, or no program",
                "a server that this machine has",
                "install it, or correct run.serving (python, command)",
                where="run.serving",
            )
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab" if self.restarts else "wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "lakon.backends.guard", str(os.getpid()), *self.command],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **self._environment},
                start_new_session=True,
            )

    def wait(self, stop: threading.Event, tell: Callable[[float], None]) -> list[dict[str, Any]]:
        """Wait until it lists its models, and watch it from then on; `tell` gets the seconds so far.

        Raises `RunStopped` when `stop` is set, and `AuthorError` when it dies or does not answer in time.
        """
        began = time.monotonic()
        while True:
            if stop.is_set():
                raise RunStopped(
                    "interrupted while a server was starting", "nothing of it had begun", "run the same command again"
                )
            if self._has_died():
                raise self._fault(f"the server ended with exit code {self._code()} before it answered")
            if self._is_up():
                break
            waited = time.monotonic() - began
            if waited > self._start_s:
                raise self._fault(f"the server did not answer within {self._start_s:.0f} s")
            tell(waited)
            stop.wait(_LOOK_S)
        self._watcher = threading.Thread(target=self._watch, name="server-watch", daemon=True)
        self._watcher.start()
        return self._list_models() or []

    def _is_up(self) -> bool:
        """Whether it says that it is well, or lists its models: not every server does both."""
        try:
            with urllib.request.urlopen(f"{self.url.removesuffix('/v1')}/health", timeout=_ASK_S) as reply:
                return reply.status == 200
        except urllib.error.HTTPError:
            return self._list_models() is not None
        except (OSError, ValueError):
            return False

    def _list_models(self) -> list[dict[str, Any]] | None:
        body = self.get("/models")
        rows = body.get("data") if isinstance(body, dict) else None
        return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else None

    def get(self, path: str, *, base: str | None = None) -> Any:
        """What a GET of a path below the base URL returns, as JSON; None for anything else."""
        try:
            with urllib.request.urlopen(f"{base or self.url}{path}", timeout=_ASK_S) as reply:
                return orjson.loads(reply.read(_MOST_BYTES))
        except (OSError, ValueError, urllib.error.URLError):
            return None

    def stop(self) -> None:
        """End it and all that it started."""
        self._ending.set()
        self._end_group()
        if self._watcher is not None:
            self._watcher.join(_GRACE_S)

    def failure(self) -> AuthorError:
        """Why it is given up."""
        return self._fault(f"the server died {self.restarts + 1} times, the last time with exit code {self._code()}")

    # -- watching ------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._ending.wait(_LOOK_S):
            if not self._has_died():
                continue
            self._end_group()  # workers of a server outlive the process that answers
            if self.restarts >= RESTARTS or self._ending.is_set():
                self.has_failed.set()
                return
            self.restarts += 1
            self.start()

    def _has_died(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def _code(self) -> int | None:
        return self._process.returncode if self._process is not None else None

    def _end_group(self) -> None:
        process = self._process
        if process is None:
            return
        for sign in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, sign)
            except (ProcessLookupError, PermissionError):
                break
            until = time.monotonic() + _GRACE_S
            while time.monotonic() < until and _group_lives(process):
                time.sleep(0.1)
        process.poll()

    def _fault(self, found: str) -> AuthorError:
        return AuthorError(
            f"{found}; its log says: {read_end_of_log(self.log)}",
            "a server that answers as long as it is asked",
            f"look at {self.log}; correct run.serving, then run again: every reply so far is kept",
            where="run.serving",
        )


def read_end_of_log(log: Path) -> str:
    """The last different errors of a log, or how it ends where it names none. What a server prints after its fault, on
    its way out, is no reason."""
    text = ""
    if log.is_file():
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL))
            text = file.read(_TAIL).decode(errors="replace")
    errors = list(dict.fromkeys(_ERROR.findall(text)))[-_ERRORS:]
    if errors:
        return "; ".join(error[:200] for error in errors)
    return " ".join(text.split())[-500:] or "nothing"


def _group_lives(process: subprocess.Popen[bytes]) -> bool:
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
