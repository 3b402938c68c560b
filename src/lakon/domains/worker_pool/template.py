"""The caller's hold on the template process: a fresh interpreter that has done the imports and forks workers on demand.

Read next: `worker.py`, which runs in that process.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from multiprocessing.connection import Connection

START_S = 120.0
"""How long the template may take to import everything: a minute only on a cold or overloaded disk."""


class Template:
    """The process that has done the imports and forks workers on demand."""

    def __init__(self, payload: bytes, limit_s: float, memory_mb: int) -> None:
        ours, theirs = socket.socketpair()
        path = [entry or os.getcwd() for entry in sys.path]
        code = (
            f"import sys; sys.path[:] = {path!r}; from lakon.domains.worker_pool.worker import serve; "
            f"serve({theirs.fileno()}, {os.getpid()}, {limit_s!r}, {memory_mb!r})"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", code], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, start_new_session=True
        )
        theirs.close()
        self._control = ours
        self._connection = Connection(os.dup(ours.fileno()))
        try:
            self._connection.send_bytes(payload)
            self._expect(START_S, "the worker template did not start")
        except OSError:
            self.close(kill=True)
            raise

    def fork(self) -> tuple[Connection, int]:
        """A new worker: its connection and process id."""
        ours, theirs = socket.socketpair()
        try:
            socket.send_fds(self._control, [b"f"], [theirs.fileno()])
            pid = int(self._expect(30.0, "the worker template does not answer"))
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        return Connection(ours.detach()), pid

    def close(self, *, kill: bool) -> None:
        """Hang up; the template and its workers end when they see it, and are killed if `kill`."""
        self._connection.close()
        self._control.close()
        if kill:
            self._process.kill()
            self._process.wait()
        else:
            self._process.returncode = 0  # another process's child: not ours to wait for

    def _expect(self, timeout_s: float, complaint: str) -> str:
        try:
            if not self._connection.poll(timeout_s):
                raise OSError(complaint)
            kind, text = self._connection.recv()
        except EOFError as error:
            raise OSError(complaint) from error
        if kind == "fault":
            raise OSError(text)
        return text
