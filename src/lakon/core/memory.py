"""What this process asks of the system's allocator, so that memory that a step has freed does not stay with it.

Steps read and write gigabytes through buffers of some megabytes. glibc keeps a heap for each thread, and Arrow's own
allocator keeps what it has freed: at 30,000 problems that was half of the peak. Elsewhere than on Linux with glibc
nothing is done.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys

_M_ARENA_MAX = -8
"""Of `mallopt`, from glibc's malloc.h."""
_ARENAS = 2


def limit_heaps() -> None:
    """Let all threads share two heaps, Arrow included, unless the environment says otherwise. Call it in a process of
    Lakon's own, before its first thread starts and before Arrow is loaded."""
    with contextlib.suppress(AttributeError, OSError):
        if sys.platform == "linux" and "MALLOC_ARENA_MAX" not in os.environ:
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)
            os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


def release_free() -> None:
    """Return free memory to the system; it takes milliseconds."""
    with contextlib.suppress(AttributeError, OSError):
        if sys.platform == "linux":
            ctypes.CDLL(None).malloc_trim(0)
