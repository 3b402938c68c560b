"""Killable workers: run untrusted-in-time row work so that no row can hang, exhaust or crash the caller.

Invariant: every submitted row gets exactly one `RowResult`, at most `limit_s` (plus a grace) after a worker began
it, whatever it does: loops in C with the GIL held, allocates without end, kills its own process. A lost worker
costs the row it was on; the other rows of its batch are done again. Read next: `worker.py`, the other side.

Workers are forked from a template process which is started as a fresh interpreter (never forked from the caller,
never through `multiprocessing`), so the pool is safe from threads, notebooks, daemonic workers and scripts without
a main guard; a killed worker is replaced in milliseconds because the template has done the imports. Linux and macOS.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Generic, Literal, TypeVar

from lakon.domains.worker_pool.template import Template

S = TypeVar("S")
R = TypeVar("R")
V = TypeVar("V")

GRACE_S = 0.25
"""How long after its limit a row may live before the caller kills the worker; its own timer comes first."""
ATTEMPTS = 2
"""How often a row is begun when its worker died of something other than the row's time."""


@dataclass(frozen=True, slots=True)
class RowResult(Generic[V]):
    """What became of one row; `value` is set when it is done, `detail` says why it is not."""

    status: Literal["done", "timeout", "error"]
    value: V | None = None
    detail: str = ""


@dataclass(eq=False, slots=True)
class Ticket(Generic[R, V]):
    """A row on its way: its result, once it has one."""

    row: R
    result: RowResult[V] | None = None
    attempts: int = 0


@dataclass(eq=False, slots=True)
class _Worker(Generic[R, V]):
    connection: Connection
    pid: int = 0
    batch: deque[Ticket[R, V]] = field(default_factory=deque[Ticket[R, V]])
    since: float = 0.0
    """When the row at the head of the batch began, by the worker's clock (monotonic clocks are system-wide)."""
    n_done: int = 0


class KillablePool(Generic[S, R, V]):
    """Runs `function(setup(), row)` in worker processes under limits of time and memory.

    `function` and `setup` must be importable by name. Nothing is started before the first `submit`; any thread may
    submit and collect. Rows are sent in batches, results come back one by one.
    """

    def __init__(
        self,
        function: Callable[[S, R], V],
        *,
        setup: Callable[[], S],
        workers: int = 1,
        limit_s: float = 5.0,
        memory_mb: int = 1024,
        batch: int = 64,
        recycle: int = 20_000,
    ) -> None:
        self.workers, self.limit_s, self.batch, self.recycle = max(1, workers), limit_s, batch, recycle
        self._memory_mb = memory_mb
        self._payload = pickle.dumps((function, setup))
        self._lock = threading.RLock()
        self._template: Template | None = None
        self._pid = os.getpid()
        self._idle_or_busy: list[_Worker[R, V]] = []
        self._waiting: deque[Ticket[R, V]] = deque()

    def __enter__(self) -> KillablePool[S, R, V]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    @property
    def started(self) -> bool:
        """Whether any process has been started."""
        return self._template is not None

    @property
    def worker_pids(self) -> list[int]:
        """The worker processes that are alive now, as far as this side knows."""
        return [worker.pid for worker in self._idle_or_busy if worker.pid]

    def submit(self, row: R) -> Ticket[R, V]:
        """Queue `row`; a full batch goes to an idle worker at once."""
        ticket: Ticket[R, V] = Ticket(row)
        with self._lock:
            self._waiting.append(ticket)
            if len(self._waiting) % self.batch == 0:
                self._pump(0.0)
        return ticket

    def collect(self, ticket: Ticket[R, V]) -> RowResult[V]:
        """The result of `ticket`, waiting for it; never raises for a row."""
        while ticket.result is None:
            with self._lock:
                if ticket.result is None:
                    self._pump(0.05)
        return ticket.result

    def map(self, rows: Iterable[R], *, window: int | None = None) -> Iterator[RowResult[V]]:
        """One result a row, in order, with at most `window` rows in memory."""
        bound = window or 4 * self.batch * self.workers
        pending: deque[Ticket[R, V]] = deque()
        for row in rows:
            pending.append(self.submit(row))
            while len(pending) >= bound or (pending and pending[0].result is not None):
                yield self.collect(pending.popleft())
        while pending:
            yield self.collect(pending.popleft())

    def close(self) -> None:
        """Kill the workers and the template; a later `submit` starts anew."""
        with self._lock:
            for worker in self._idle_or_busy:
                self._drop(worker, kill=self._pid == os.getpid())
            self._idle_or_busy = []
            if self._template is not None:
                self._template.close(kill=self._pid == os.getpid())
            self._template = None

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()

    def _pump(self, timeout_s: float) -> None:
        self._own_process()
        try:
            self._staff()
        except OSError as error:
            self._give_up(f"no worker could be started: {error}")
            return
        for worker in self._idle_or_busy:
            if not worker.batch:
                self._send(worker)
        busy = {worker.connection: worker for worker in self._idle_or_busy if worker.batch}
        for connection in wait(list(busy), timeout_s) if busy else []:
            self._receive(busy[connection])  # type: ignore[index]  # wait returns what it was given
        now = time.monotonic()
        for worker in [w for w in busy.values() if w.batch and now - w.since > self.limit_s + GRACE_S]:
            self._receive(worker)
            if worker.batch and now - worker.since > self.limit_s + GRACE_S:
                self._lost(worker)

    def _own_process(self) -> None:
        if self._pid == os.getpid():
            return
        # A fork of the caller shares the sockets with it: leave the processes to the original and start anew.
        self.close()
        self._pid = os.getpid()
        self._waiting = deque(ticket for ticket in self._waiting if ticket.result is None)

    def _staff(self) -> None:
        if self._template is None:
            self._template = Template(self._payload, self.limit_s, self._memory_mb)
        wanted = min(self.workers, sum(1 for w in self._idle_or_busy if w.batch) + len(self._waiting))
        while len(self._idle_or_busy) < wanted:
            connection, pid = self._template.fork()
            self._idle_or_busy.append(_Worker(connection, pid))

    def _send(self, worker: _Worker[R, V]) -> None:
        share = -(-len(self._waiting) // self.workers)
        batch = [self._waiting.popleft() for _ in range(min(self.batch, share))]
        if not batch:
            return
        worker.batch.extend(batch)
        worker.since = time.monotonic()
        try:
            worker.connection.send([ticket.row for ticket in batch])
        except OSError:
            self._lost(worker)
        except Exception as error:  # a row that cannot be pickled: find it by sending the others alone
            worker.batch.clear()
            self._refuse_unpicklable(batch, error)

    def _refuse_unpicklable(self, batch: list[Ticket[R, V]], error: Exception) -> None:
        for ticket in reversed(batch):
            try:
                pickle.dumps(ticket.row)
            except Exception:
                ticket.result = RowResult("error", detail=f"the row cannot be sent to a worker: {error}")
            else:
                self._waiting.appendleft(ticket)

    def _receive(self, worker: _Worker[R, V]) -> None:
        try:
            while worker.batch and worker.connection.poll(0):
                finished_at, value, fault = worker.connection.recv()
                ticket = worker.batch.popleft()
                ticket.result = RowResult("error", detail=fault) if fault else RowResult("done", value)
                worker.since, worker.n_done = finished_at, worker.n_done + 1
        except Exception:  # closed, reset, or a message cut short by a kill
            self._lost(worker)
            return
        if not worker.batch and worker.n_done >= self.recycle:
            self._idle_or_busy.remove(worker)
            self._drop(worker, kill=True)

    def _lost(self, worker: _Worker[R, V]) -> None:
        """The worker is gone or over its time: judge the row it was on, queue the rest of its batch again."""
        self._idle_or_busy.remove(worker)
        elapsed = time.monotonic() - worker.since
        self._drop(worker, kill=True)
        if not worker.batch:
            return
        ticket = worker.batch.popleft()
        ticket.attempts += 1
        if elapsed >= 0.95 * self.limit_s:
            ticket.result = RowResult("timeout", detail=f"longer than {self.limit_s:g} s")
        elif ticket.attempts >= ATTEMPTS:
            ticket.result = RowResult("error", detail="the worker process died on this row")
        else:
            worker.batch.appendleft(ticket)
        self._waiting.extendleft(reversed(worker.batch))

    def _drop(self, worker: _Worker[R, V], *, kill: bool) -> None:
        worker.connection.close()
        if kill and worker.pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(worker.pid, signal.SIGKILL)

    def _give_up(self, reason: str) -> None:
        self.close()
        for ticket in self._waiting:
            ticket.result = RowResult("error", detail=reason)
        self._waiting.clear()
