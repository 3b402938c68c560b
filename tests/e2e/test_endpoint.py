"""A real OpenAI-compatible server with the miniature's base behind it: ask, kill, resume, all through `lakon run`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_study import clean_environment, cli_in

from lakon import api
from lakon.core.records import Score, Trace, Verdict
from lakon.miniature.student import base_path
from lakon.study.load import load_study

GSM8K = [
    ("Tom has 12 marbles and buys 5 more. How many marbles has he now?", "17"),
    ("A pen costs $3. What do 4 pens cost?", "12"),
    ("Ann reads 20 pages a day for 7 days. How many pages is that?", "140"),
    ("Half of a class of 30 is absent. How many are there?", "15"),
]
"""In the manner of GSM8K; the tiny student cannot solve them, and the scores must say so."""

STUDY = """
name = "served"
tokenizer = "words"
[problems]
kind = "jsonl"
path = "problems.jsonl"
[teachers.base]
kind = "endpoint"
model = "{model}"
samples = 3
sampling = {{ temperature = 0.6, top_p = 0.95, max_tokens = 48 }}
[run]
endpoints.base = {{ url = "http://127.0.0.1:{port}/v1", concurrency = 4, timeout_s = 120 }}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """`transformers serve` with the miniature's base; yields the model's name and the port."""
    model = tmp_path_factory.mktemp("model") / "base"
    shutil.copytree(base_path(), model)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(model)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    # One thread: for a model of this size, threads that wait for each other take longer than the sums.
    offline = {**clean_environment(), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    log = (model.parent / "log").open("w+")
    process = subprocess.Popen(command, stdout=log, stderr=log, env=offline)
    try:
        _wait_for(port, process, model.parent / "log")
        yield str(model), port
    finally:
        process.terminate()
        process.wait(20)
        log.close()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise AssertionError(log.read_text())


def test_a_killed_run_goes_on_without_asking_again(server: tuple[str, int], tmp_path: Path):
    model, port = server
    rows = [{"problem": q, "answer": a} for q, a in GSM8K]
    (tmp_path / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "served.toml").write_text(STUDY.format(model=model, port=port))
    run = subprocess.Popen(
        [sys.executable, "-m", "lakon", "run", "served.toml", "-q"],
        cwd=tmp_path,
        env=clean_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    ledger = _ledger_with_rows(tmp_path, run)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    kept = ledger.stat().st_size
    done = json.loads(cli_in(tmp_path)("run", "served.toml", "--json").stdout)
    assert "generate/base" in done["executed"]
    assert ledger.stat().st_size > kept
    states = api.plan(load_study(tmp_path / "served.toml"), store=tmp_path / ".lakon")
    made = {state.step.name: state.artifact for state in states}
    traces = list(made["generate/base"].read("traces", Trace))  # type: ignore[union-attr]
    assert len(traces) == len({t.trace_id for t in traces}) == 12
    assert all(t.error is None and t.completion_tokens and t.latency_s for t in traces)
    assert all(t.completion_tokens is not None and t.completion_tokens <= 48 for t in traces)
    verdicts = list(made["verify/base"].read("verdicts", Verdict))  # type: ignore[union-attr]
    right = sum(v.outcome == "correct" for v in verdicts)
    scores = list(made["evaluate/scores"].read("scores", Score))  # type: ignore[union-attr]
    (accuracy,) = [s for s in scores if s.metric == "accuracy" and s.group is None]
    assert accuracy.estimate == pytest.approx(right / 12)
    assert accuracy.n_samples == 12


def _ledger_with_rows(folder: Path, run: subprocess.Popen[bytes]) -> Path:
    until = time.monotonic() + 120
    while time.monotonic() < until and run.poll() is None:
        for path in (folder / ".lakon" / "ledger").glob("*.ledger"):
            if path.stat().st_size > 200:
                return path
        time.sleep(0.02)
    raise AssertionError(f"the run ended ({run.poll()}) before its ledger held a row")


def test_a_server_that_is_not_there_is_said_before_anything_is_asked(tmp_path: Path):
    (tmp_path / "problems.jsonl").write_text(json.dumps({"problem": "1+1?", "answer": "2"}) + "\n")
    (tmp_path / "served.toml").write_text(STUDY.format(model="m", port=9))
    said = cli_in(tmp_path)("run", "served.toml", "-q", expect=1).stderr
    assert "http://127.0.0.1:9/v1" in said
    assert "to do:" in said
    assert "Traceback" not in said
    assert not list((tmp_path / ".lakon").glob("ledger/*.ledger"))
