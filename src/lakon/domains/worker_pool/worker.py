"""The other side of `pool.py`: the template process and the workers it forks.

Invariant: a worker outlives neither its row's time limit (a kernel timer whose default action is death, so C code
that holds the GIL dies too) nor its template, and the template does not outlive the process that started it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

_RECURSION = 12_000
_PR_SET_PDEATHSIG = 1
_POLL_S = 1.0
Row = Callable[[object, object], object]


def serve(fd: int, caller: int, limit_s: float, memory_mb: int) -> None:
    """Import what the rows need, then fork a worker for each request until the caller is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError, EOFError):  # the caller is gone
        _serve(fd, caller, limit_s, memory_mb)


def _serve(fd: int, caller: int, limit_s: float, memory_mb: int) -> None:
    control = socket.socket(fileno=fd)
    connection = Connection(os.dup(fd))
    try:
        function, setup = pickle.loads(connection.recv_bytes())
        sys.setrecursionlimit(_RECURSION)
        state = setup()
    except Exception as error:
        connection.send(("fault", f"{type(error).__name__}: {error}"))
        return
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the workers
    connection.send(("ready", ""))
    while os.getppid() == caller:
        if not select.select([control], [], [], _POLL_S)[0]:
            continue
        message, fds, _, _ = socket.recv_fds(control, 1, 1)
        if not message:
            return
        pid = os.fork()
        if pid == 0:
            control.close()
            connection.close()
            _work(Connection(fds[0]), function, state, limit_s=limit_s, memory_mb=memory_mb)
        os.close(fds[0])
        connection.send(("pid", str(pid)))


def _work(connection: Connection, function: Row, state: object, *, limit_s: float, memory_mb: int) -> None:
    """The life of a worker: batches in, one message a row out; ends when the caller hangs up."""
    try:
        _bind(memory_mb)
        while True:
            for row in connection.recv():
                value, fault = _one(function, state, row, limit_s)
                try:
                    connection.send((time.monotonic(), value, fault))
                except (pickle.PicklingError, TypeError, AttributeError) as error:
                    connection.send((time.monotonic(), None, f"the result cannot be sent: {error}"))
    except BaseException:
        os._exit(1)


def _bind(memory_mb: int) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    with contextlib.suppress(ValueError, OSError):  # macOS has no usable address-space limit
        resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _one(function: Row, state: object, row: object, limit_s: float) -> tuple[object, str]:
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        return function(state, row), ""
    except MemoryError:
        return None, "out of memory"
    except Exception as error:
        return None, f"{type(error).__name__}: {str(error)[:500]}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
