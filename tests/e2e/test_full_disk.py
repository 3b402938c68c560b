"""A disk that is really full: a run fills a small file system of its own in memory, and goes on where there is room."""

from __future__ import annotations

import collections
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from e2e_study import ONE, asked_study, clean_environment, cli_in, questions
from faults import FaultServer

N = 120
ON_A_SMALL_DISK = """
mount -t tmpfs -o size=256k none small || exit 77
"$@"
code=$?
cp -r small kept
exit $code
"""
CONCURRENCY = 4


def test_a_run_on_a_full_disk_says_so_and_goes_on_where_there_is_room(tmp_path: Path):
    if not shutil.which("unshare"):
        pytest.skip("no unshare, so no file system of our own")
    (tmp_path / "small").mkdir()
    noise = [f"{i * 7919 % 10007} " * 2 for i in range(1500)]  # some 6 KB each on the disk, deflated

    text = "".join(noise)
    with FaultServer(answers=lambda body, n: (text, 30), delay_s=0.02) as server:
        endpoint = f'endpoints.one = {{ url = "{server.url}", concurrency = {CONCURRENCY} }}'
        asked_study(tmp_path, ONE.format(extra="", cap=99), endpoint, questions(N))
        command = [sys.executable, "-m", "lakon", "run", "s.toml", "--store", "small", "-q"]
        full = subprocess.run(
            ["unshare", "--map-root-user", "--mount", "sh", "-c", ON_A_SMALL_DISK, "sh", *command],
            cwd=tmp_path,
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if full.returncode == 77 or "unshare" in full.stderr:
            pytest.skip(f"no file system of our own here: {full.stderr.strip()}")
        assert full.returncode == 1, full.stderr
        assert "No space left on device" in full.stderr
        assert "every reply written before is kept" in full.stderr
        assert "Traceback" not in full.stderr
        first = len(server.seen)
        assert 2 * CONCURRENCY < first < N
        cli_in(tmp_path)("run", "s.toml", "--store", "kept", "-q")
        asked = collections.Counter(body["messages"][-1]["content"] for body in server.seen)
    assert len(asked) == N, "every problem has its reply"
    again = sum(asked.values()) - N
    assert again <= 6 * CONCURRENCY < first, "asked again: what was in flight, and the window that did not fit"
