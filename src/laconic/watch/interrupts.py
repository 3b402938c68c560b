"""Ctrl-C and a polite kill: once, what is in flight is finished; twice, it is dropped."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

from laconic.watch.terminal import Watch
from laconic.wiring import Wiring


@contextlib.contextmanager
def interruptible(wiring: Wiring, watch: Watch) -> Iterator[None]:
    """Ctrl-C (and a polite kill) once: finish what is in flight; twice: drop it. Both keep every finished row."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, frame: object) -> None:
        del frame
        # Written past every lock and buffer: the handler may have interrupted the very line that holds them.
        if wiring.stop.is_set():
            last = threading.Thread(target=_drop, args=(wiring, watch), daemon=True)
            last.start()
            last.join(5)
            os.write(2, b"dropped what was in flight; run the same command again to go on from here\n")
            os._exit(130)  # a request may hang for an hour: nothing is waited for, and nothing that came is lost
        wiring.stop.set()
        os.write(2, f"{signal.Signals(number).name}: finishing what is in flight; once more to drop it\n".encode())

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _drop(wiring: Wiring, watch: Watch) -> None:
    wiring.halt()
    watch.abandon()
