"""The GPUs of this machine, lent out so that no two trainings ever share one.

Which there are is asked of the driver's own tool, not of torch: importing torch takes seconds, and a process that has
looked at a GPU holds memory on it.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from lakon.core.errors import RunStopped

_LOOK_S = 0.5


class DevicePool:
    """So many GPUs by their ids; each is lent to one user at a time."""

    def __init__(self, ids: tuple[str, ...]) -> None:
        self._all = ids
        self._free = list(ids)
        self._changed = threading.Condition()
        self._nodes = threading.Lock()

    def __len__(self) -> int:
        return len(self._all)

    @contextmanager
    def lend(self, n: int, stop: threading.Event | None = None) -> Iterator[tuple[str, ...]]:
        """Wait until `n` are free and hold them; none, at once, on a machine without GPUs. Raises `RunStopped` when
        `stop` is set meanwhile, and ValueError for more than there are."""
        if not self._all:
            yield ()
            return
        if n > len(self._all):
            raise ValueError(f"found {len(self._all)} GPUs, expected at least {n}")
        with self._changed:
            while len(self._free) < n:
                if stop is not None and stop.is_set():
                    raise _stopped()
                self._changed.wait(_LOOK_S)
            lent = tuple(self._free[:n])
            del self._free[:n]
        try:
            yield lent
        finally:
            with self._changed:
                self._free.extend(lent)
                self._changed.notify_all()

    @contextmanager
    def hold_nodes(self, stop: threading.Event | None = None) -> Iterator[None]:
        """Wait until no other training runs over several machines, whose GPUs are not counted here, and keep others
        waiting. Raises `RunStopped` when `stop` is set meanwhile."""
        while not self._nodes.acquire(timeout=_LOOK_S):
            if stop is not None and stop.is_set():
                raise _stopped()
        try:
            yield
        finally:
            self._nodes.release()


def _stopped() -> RunStopped:
    return RunStopped(
        "interrupted while it waited for a GPU", "nothing of it had begun", "run the same command again to go on"
    )


def find_devices() -> tuple[str, ...]:
    """Ids of the GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` takes them."""
    stated = os.environ.get("CUDA_VISIBLE_DEVICES")
    if stated is not None:
        return tuple(word for word in stated.split(",") if word and word != "-1")
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(listed.stdout.split()) if listed.returncode == 0 else ()
