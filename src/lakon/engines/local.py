"""The local engine: a pool of worker processes that live as long as the run, so that heavy imports are paid once.

Invariant: workers hold no state that matters. They ignore Ctrl-C (the parent decides) and end when the parent does,
however it ends, so a killed run leaves nothing behind that still computes.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from enum import Enum
from multiprocessing.context import SpawnContext
from multiprocessing.queues import Queue
from typing import Any, TypeVar

from lakon.core.errors import LakonError, RunStopped
from lakon.engines.devices import DevicePool, find_devices

S = TypeVar("S")
T = TypeVar("T")

_WATCH_S = 1.0


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class LocalEngine:
    """`slots` worker processes, started when first needed."""

    def __init__(self, slots: int | None = None, *, threads: int = 1) -> None:
        self.slots = slots or cores()
        self.threads = threads
        self.devices = DevicePool(find_devices())
        self._context: SpawnContext = multiprocessing.get_context("spawn")
        self._pool: ProcessPoolExecutor | None = None
        self._events: Queue[Any] | None = None
        self._listener: threading.Thread | None = None
        self._listeners: dict[int, tuple[Callable[[object], None] | None, threading.Event]] = {}
        self._calls = itertools.count()
        self._lock = threading.Lock()
        self._stopped = False

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def map(self, function: Callable[[S], T], batches: Iterable[S]) -> Iterator[T]:
        """Results in the order in which they finish; at most two batches a slot are handed out ahead."""
        waiting: set[Future[T]] = set()
        source = iter(batches)
        while True:
            for batch in itertools.islice(source, 2 * self.slots - len(waiting)):
                waiting.add(self._submit(_plain, function, batch))
            if not waiting:
                return
            finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in finished:
                yield self._result(future)

    def call(self, function: Callable[..., T], *args: object, on_event: Callable[[object], None] | None = None) -> T:
        """`function(*args, emit)` in a worker; what it emits arrives at `on_event` in this process."""
        number, heard = next(self._calls), threading.Event()
        self._listeners[number] = (on_event, heard)
        try:
            result = self._result(self._submit(_emitting, function, args, number))
            heard.wait(_WATCH_S)  # events travel apart from the result, and may come after it
            return result
        finally:
            self._listeners.pop(number, None)

    def stop(self) -> None:
        """End all workers now; calls under way raise `RunStopped`."""
        self._stopped = True
        pool = self._pool
        if pool is not None:
            # ProcessPoolExecutor.kill_workers exists from Python 3.14 on; this is what it does.
            for process in list((pool._processes or {}).values()):  # pyright: ignore[reportPrivateUsage]
                with contextlib.suppress(ProcessLookupError, ValueError):
                    process.kill()

    def close(self) -> None:
        """End the workers when they are idle."""
        if self._pool is not None:
            self._pool.shutdown(wait=not self._stopped, cancel_futures=True)
            self._pool = None
        if self._events is not None:
            self._events.put(None)
            if self._listener is not None:
                self._listener.join(_WATCH_S)
            self._events = None

    def _submit(self, wrapper: Callable[..., T], *args: object) -> Future[T]:
        with self._lock:
            if self._stopped:
                raise _stopped()
            if self._pool is None:
                self._start()
            assert self._pool is not None
            return self._pool.submit(wrapper, *args)

    def _start(self) -> None:
        self._events = self._context.Queue()
        self._listener = threading.Thread(target=self._listen, args=(self._events,), daemon=True, name="engine-events")
        self._listener.start()
        self._pool = ProcessPoolExecutor(
            self.slots,
            mp_context=self._context,
            initializer=_initialise,
            initargs=(self._events, os.getpid(), self.threads),
        )

    def _listen(self, events: Queue[Any]) -> None:
        # A worker that is killed while it writes leaves half an event: no more of them are heard, and nothing is lost.
        with contextlib.suppress(EOFError, OSError, pickle.UnpicklingError):
            while (item := events.get()) is not None:
                number, event = item
                on_event, heard = self._listeners.get(number, (None, None))
                if event is _Ended.ENDED and heard is not None:
                    heard.set()
                elif on_event is not None:
                    on_event(event)

    def _result(self, future: Future[T]) -> T:
        try:
            return future.result()
        except BrokenProcessPool as error:
            if self._stopped:
                raise _stopped() from error
            raise LakonError(
                "a worker process ended unexpectedly",
                "workers that live as long as the run",
                "it was killed or ran out of memory: free some, or lower run.workers; run again to go on",
                where="engine",
            ) from error


def _stopped() -> RunStopped:
    return RunStopped("interrupted", "everything that had finished is kept", "run the same command again to go on")


class _Ended(Enum):
    """The last event of a call."""

    ENDED = "ended"


_events: Queue[Any] | None = None


def _initialise(events: Queue[Any], parent: int, threads: int) -> None:
    """In a worker: leave Ctrl-C to the parent, end with it, and keep to the given number of threads."""
    global _events
    _events = events
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    threading.Thread(target=_end_with, args=(parent,), daemon=True, name="parent-watch").start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_WATCH_S)
    os._exit(1)


def _plain(function: Callable[[S], T], batch: S) -> T:
    return function(batch)


def _emitting(function: Callable[..., T], args: tuple[object, ...], number: int) -> T:
    def emit(event: object) -> None:
        if _events is not None:
            _events.put((number, event))

    try:
        return function(*args, emit)
    finally:
        emit(_Ended.ENDED)
