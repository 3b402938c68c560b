"""Rows for the pool's tests: functions that workers import by name, each misbehaving in its own way."""

from __future__ import annotations

import os
import signal

import gmpy2


def prepare() -> dict[str, int]:
    """A state that rows can see and change."""
    return {"seen": 0}


def broken_prepare() -> dict[str, int]:
    """A set-up that fails."""
    raise RuntimeError("no such library")


def act(state: dict[str, int], row: str) -> str:
    """Echo, or hang in C, or allocate without end, or die."""
    state["seen"] += 1
    if row == "hang":
        return str(pow(7, 1 << 40).bit_length())  # one C call that holds the interpreter's lock
    if row == "deaf":
        signal.setitimer(signal.ITIMER_REAL, 0)  # a row that meddles with the worker's timer
        return act(state, "hang")
    if row == "gmpy2":
        return str(gmpy2.fac(1 << 28).bit_length())  # the same in a C library, which also aborts when out of memory
    if row == "memory":
        return str(len(bytearray(8 << 30)))
    if row == "exit":
        os._exit(3)
    if row == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if row == "raise":
        raise ValueError("this row is bad")
    if row == "seen":
        return str(state["seen"])
    return f"{row}!"


def unpicklable(state: dict[str, int], row: str) -> object:
    """A result that cannot travel."""
    return (lambda: row) if row == "bad" else row
