"""A run that is stopped while it asks an endpoint, politely, impatiently or by kill -9: what is asked again."""

from __future__ import annotations

import collections
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from e2e_study import ONE, asked_study, clean_environment, cli_in, questions
from faults import FaultServer

N = 150
AT_ONCE = 8


@contextmanager
def asking(folder: Path, server: FaultServer) -> Iterator[subprocess.Popen[str]]:
    """A run that has asked a quarter of its problems."""
    endpoint = f'endpoints.one = {{ url = "{server.url}", concurrency = {AT_ONCE} }}'
    asked_study(folder, ONE.format(extra="", cap=99), endpoint, questions(N))
    run = subprocess.Popen(
        [sys.executable, "-m", "lakon", "run", "s.toml", "-q"],
        cwd=folder,
        env=clean_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 60
    while len(server.seen) < N // 4 and time.monotonic() < until:
        assert run.poll() is None, run.communicate()
        time.sleep(0.005)
    try:
        yield run
    finally:
        run.kill()
        run.communicate()


@pytest.mark.parametrize(
    ("signals", "again"),
    [
        pytest.param([signal.SIGINT], 0, id="once: what is in flight comes home"),
        pytest.param([signal.SIGTERM], 0, id="a polite kill is the same"),
        pytest.param([signal.SIGINT, signal.SIGINT], AT_ONCE, id="twice: it is dropped"),
        # A window of 20 ms holds at most what came in it: with eight in flight at 100 ms each, not more than eight.
        pytest.param([signal.SIGKILL], 2 * AT_ONCE, id="kill -9: it and one commit window"),
    ],
)
def test_nothing_is_asked_twice_but_what_was_in_flight(tmp_path: Path, signals: list[int], again: int):
    with FaultServer(delay_s=0.1) as server:
        with asking(tmp_path, server) as run:
            for number in signals:
                run.send_signal(number)
                time.sleep(0.02)
            _, said = run.communicate(timeout=60)
        assert run.returncode == (-signal.SIGKILL if signal.SIGKILL in signals else 130), said
        assert "Traceback" not in said
        before = len(server.seen)
        assert before < N, "it was stopped in the middle"
        cli_in(tmp_path)("run", "s.toml", "-q")
    asked = collections.Counter(body["messages"][-1]["content"] for body in server.seen)
    assert len(asked) == N
    assert sum(asked.values()) - N <= again
