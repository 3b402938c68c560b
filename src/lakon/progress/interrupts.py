"""Ctrl-C and a polite kill: once, what is in flight is finished; twice, it is dropped."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from typing import Protocol

from lakon.progress.terminal import Watch


class Stoppable(Protocol):
    """A run that can be told to end."""

    @property
    def stop(self) -> threading.Event: ...

    def halt(self) -> None:
        """Drop what is in flight; every reply that has arrived is made durable."""
        ...


@contextlib.contextmanager
def handle_interrupts(run: Stoppable, watch: Watch) -> Iterator[None]:
    """Ctrl-C (and a polite kill) once: finish what is in flight; twice: drop it. Both keep every finished row."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, frame: object) -> None:
        del frame
        # Written past every lock and buffer: the handler may have interrupted the very line that holds them.
        if run.stop.is_set():
            last = threading.Thread(target=_drop, args=(run, watch), daemon=True)
            last.start()
            last.join(5)
            os.write(2, b"dropped what was in flight; run the same command again to go on from here\n")
            os._exit(130)  # a request may hang for an hour: nothing is waited for, and nothing that came is lost
        run.stop.set()
        os.write(2, f"{signal.Signals(number).name}: finishing what is in flight; press again to drop it\n".encode())

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _drop(run: Stoppable, watch: Watch) -> None:
    run.halt()
    watch.abandon()
