"""The GPUs that trainings are lent, and the turns that trainings over several machines take."""

from __future__ import annotations

import threading
import time

import pytest

from lakon.core.errors import RunStopped
from lakon.engines.devices import DevicePool


def test_a_gpu_is_lent_to_one_at_a_time():
    pool = DevicePool(("0", "1"))
    with pool.lend(1) as first, pool.lend(1) as second:
        assert {*first, *second} == {"0", "1"}
        stop = threading.Event()
        stop.set()
        with pytest.raises(RunStopped), pool.lend(1, stop):
            pass
    with pool.lend(2) as both:
        assert set(both) == {"0", "1"}
    with pytest.raises(ValueError, match="found 2 GPUs"), pool.lend(3):
        pass


def test_trainings_over_several_machines_take_turns():
    """Their GPUs are not counted here, and they meet at one address."""
    pool, at_once, most = DevicePool(()), [0], [0]

    def train() -> None:
        with pool.hold_nodes():
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
            time.sleep(0.05)
            at_once[0] -= 1

    threads = [threading.Thread(target=train) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert most == [1]


def test_who_is_told_to_stop_waits_no_longer_and_leaves_the_turn_to_its_holder():
    pool, stop = DevicePool(()), threading.Event()
    stop.set()
    with pool.hold_nodes():
        for _ in range(2):  # the second one would not wait, had the first one let go of the holder's turn
            with pytest.raises(RunStopped), pool.hold_nodes(stop):
                pass
