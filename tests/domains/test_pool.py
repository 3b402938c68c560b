"""The killable pool: whatever a row does, it costs that row only, in bounded time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pool_rows
import pytest

from lakon.domains.worker_pool.pool import KillablePool

OVERRUN_S = 0.5
"""What a row may take beyond its limit, at worst: the promise of the verifier."""
Pool = KillablePool[dict[str, int], str, str]


@pytest.fixture
def pool() -> Iterator[Pool]:
    with KillablePool(pool_rows.act, setup=pool_rows.prepare, limit_s=0.6, memory_mb=512, workers=2, batch=8) as made:
        yield made


def test_results_come_in_order_and_nothing_starts_before_the_first_row(pool: Pool) -> None:
    assert not pool.started
    assert [r.value for r in pool.map(str(i) for i in range(300))] == [f"{i}!" for i in range(300)]
    assert pool.started


@pytest.mark.parametrize(
    ("row", "status"),
    [("hang", "timeout"), ("memory", "error"), ("exit", "error"), ("kill", "error"), ("raise", "error")],
)
def test_a_bad_row_costs_itself_only(pool: Pool, row: str, status: str) -> None:
    results = list(pool.map(["a", "b", row, "c", "d", row, "e"]))
    assert [r.value for r in results if r.status == "done"] == ["a!", "b!", "c!", "d!", "e!"]
    assert [r.status for r in results][2] == status
    assert [r.status for r in results][5] == status
    assert results[2].detail


def test_a_row_that_hangs_in_c_is_bounded_and_the_next_one_is_served(pool: Pool) -> None:
    taken: list[float] = []
    for _ in range(4):  # a busy machine may not let this process run in time; that it can end in time is the design
        list(pool.map(["warm"]))
        start = time.monotonic()
        assert pool.collect(pool.submit("hang")).status == "timeout"
        taken.append(time.monotonic() - start)
        assert pool.collect(pool.submit("next")).value == "next!"
        if taken[-1] < pool.limit_s + OVERRUN_S:
            break
    assert min(taken) < pool.limit_s + OVERRUN_S, taken


def test_a_worker_whose_own_timer_is_off_is_killed_by_the_caller_in_time(pool: Pool) -> None:
    taken: list[float] = []
    for _ in range(4):
        list(pool.map(["warm"]))
        start = time.monotonic()
        result = pool.collect(pool.submit("deaf"))
        taken.append(time.monotonic() - start)
        assert result.status == "timeout"
        assert pool.collect(pool.submit("next")).value == "next!"
        if taken[-1] < pool.limit_s + OVERRUN_S:
            break
    assert min(taken) < pool.limit_s + OVERRUN_S, taken


def test_a_c_library_that_hangs_or_aborts_costs_its_row_only(pool: Pool) -> None:
    list(pool.map(["warm"]))
    start = time.monotonic()
    assert pool.collect(pool.submit("gmpy2")).status in ("timeout", "error")
    assert time.monotonic() - start < 2 * (pool.limit_s + OVERRUN_S)
    assert pool.collect(pool.submit("next")).value == "next!"


def test_a_worker_that_is_killed_from_outside_loses_no_row(pool: Pool) -> None:
    list(pool.map(["warm"]))
    os.kill(pool.worker_pids[0], signal.SIGKILL)
    assert [r.value for r in pool.map(str(i) for i in range(40))] == [f"{i}!" for i in range(40)]


def test_results_and_rows_that_cannot_travel_are_errors_of_their_own() -> None:
    with KillablePool(pool_rows.unpicklable, setup=pool_rows.prepare, limit_s=5) as pool:
        results = list(pool.map(["a", "bad", "b"]))
        assert [r.status for r in results] == ["done", "error", "done"]
        rows = list(pool.map(["a", lambda: 0, "b"]))  # type: ignore[list-item]  # a row that is no row
        assert [r.status for r in rows] == ["done", "error", "done"]


def test_a_set_up_that_fails_is_the_error_of_every_row() -> None:
    with KillablePool(pool_rows.act, setup=pool_rows.broken_prepare) as pool:
        results = list(pool.map(["a", "b"]))
    assert [r.status for r in results] == ["error", "error"]
    assert "no such library" in results[0].detail


def test_workers_are_recycled() -> None:
    with KillablePool(pool_rows.act, setup=pool_rows.prepare, batch=4, recycle=8) as pool:
        seen = [int(r.value or 0) for r in pool.map(["seen"] * 40)]
    assert max(seen) == 8
    assert seen.count(1) == 5


def test_memory_is_flat_because_rows_are_read_as_results_leave(pool: Pool) -> None:
    taken = 0

    def rows() -> Iterator[str]:
        nonlocal taken
        for _ in range(1_000):
            taken += 1
            yield "x"

    ahead = [taken - done for done, _ in enumerate(pool.map(rows(), window=64))]
    assert len(ahead) == 1_000
    assert max(ahead) <= 65


def test_threads_share_one_pool(pool: Pool) -> None:
    found: dict[int, list[str | None]] = {}

    def work(i: int) -> None:
        found[i] = [r.value for r in pool.map(f"{i}-{j}" for j in range(100))]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {i: [f"{i}-{j}!" for j in range(100)] for i in range(4)}


def test_closing_ends_the_workers_and_a_later_row_starts_new_ones(pool: Pool) -> None:
    list(pool.map(["a"] * 20))
    pids = pool.worker_pids
    pool.close()
    assert pids
    assert _all_gone(pids)
    assert pool.collect(pool.submit("again")).value == "again!"


def test_workers_die_with_a_caller_that_is_killed() -> None:
    here = str(Path(__file__).parent)
    script = (
        f"import sys; sys.path.insert(0, {here!r}); import pool_rows, time\n"
        "from lakon.domains.worker_pool.pool import KillablePool\n"
        "pool = KillablePool(pool_rows.act, setup=pool_rows.prepare, limit_s=60)\n"
        "list(pool.map(['a'])); pool.submit('hang'); pool._pump(0.1)\n"
        "print(*pool.worker_pids, pool._template._process.pid, flush=True); time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment) as caller:
        assert caller.stdout is not None
        pids = [int(pid) for pid in caller.stdout.readline().split()]
        caller.kill()
    assert len(pids) == 2
    assert _all_gone(pids)


def _all_gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not any(_alive(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in ("Z", "X")
