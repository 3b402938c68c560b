"""The local engine: results, events, a worker that dies, a stop."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

import pytest

from lakon.core.errors import LakonError, RunStopped
from lakon.engines.local import LocalEngine


def square(n: int) -> int:
    return n * n


def counting(n: int, emit: Callable[[object], None]) -> str:
    for i in range(n):
        emit(("step", i))
    return "counted"


def whose(_: object) -> int:
    return os.getpid()


def die(_: object) -> None:
    os._exit(3)


def wait_long(_: object) -> None:
    time.sleep(60)


def fail(n: int) -> int:
    raise ValueError(f"no {n}")


def test_batches_are_mapped_in_workers_that_live_on():
    with LocalEngine(2) as engine:
        assert sorted(engine.map(square, range(20))) == [n * n for n in range(20)]
        workers = set(engine.map(whose, range(20)))
        assert os.getpid() not in workers
        assert len(workers) <= 2
        assert list(engine.map(square, [])) == []


def test_events_of_a_call_arrive_in_order():
    heard: list[object] = []
    with LocalEngine(1) as engine:
        assert engine.call(counting, 3, on_event=heard.append) == "counted"
        until = time.monotonic() + 10
        while len(heard) < 3 and time.monotonic() < until:
            time.sleep(0.01)
    assert heard == [("step", 0), ("step", 1), ("step", 2)]


def test_an_error_in_a_worker_is_raised_here():
    with LocalEngine(1) as engine, pytest.raises(ValueError, match="no 3"):
        list(engine.map(fail, [3]))


def test_a_worker_that_dies_is_an_error_that_says_what_to_do():
    with LocalEngine(1) as engine, pytest.raises(LakonError, match="ran out of memory"):
        list(engine.map(die, [None]))


def test_a_stop_ends_calls_under_way_and_refuses_new_ones():
    engine = LocalEngine(1)
    threading.Timer(2.0, engine.stop).start()
    began = time.monotonic()
    with pytest.raises(RunStopped):
        list(engine.map(wait_long, [None]))
    assert time.monotonic() - began < 30
    with pytest.raises(RunStopped):
        list(engine.map(square, [1]))
    engine.close()
