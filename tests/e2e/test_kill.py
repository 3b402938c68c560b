"""kill -9 at random moments, then run again: the same artifacts as an undisturbed run, byte for byte."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from e2e_study import SMALL, clean_environment, cli_in

from lakon import api
from lakon.study.load import load_study


def contents(folder: Path) -> dict[str, str]:
    """Step to the digest of what it made."""
    states = api.plan(load_study(folder / "small.toml"), store=folder / ".lakon")
    return {state.step.name: state.artifact.content if state.artifact else "missing" for state in states}


def kill_at(folder: Path, steps: int, wait_s: float) -> None:
    """Start a run and kill it, workers and all, a moment after the store has so many finished steps."""
    run = subprocess.Popen(
        [sys.executable, "-m", "lakon", "run", "small.toml", "-q"],
        cwd=folder,
        env=clean_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while len(list((folder / ".lakon").glob("*/*/manifest.json"))) < steps:
        assert run.poll() is None, "the run was over before it could be killed"
        time.sleep(0.01)
    time.sleep(wait_s)
    run.kill()
    run.wait()


def workers_of(folder: Path) -> list[int]:
    """Live processes whose working folder is `folder`."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if link.resolve() == folder.resolve():
                found.append(int(link.parent.name))
        except OSError:
            continue
    return found


def test_killed_runs_end_as_an_undisturbed_one(tmp_path: Path):
    calm, rough = tmp_path / "calm", tmp_path / "rough"
    for folder in (calm, rough):
        folder.mkdir()
        (folder / "small.toml").write_text(SMALL, encoding="utf-8")
    cli_in(calm)("run", "small.toml", "-q")
    rng = random.Random(0)
    for steps in sorted(rng.sample(range(1, 16), 3)):
        kill_at(rough, steps, rng.uniform(0, 0.5))
    executed = json.loads(cli_in(rough)("run", "small.toml", "--json").stdout)["executed"]
    assert contents(rough) == contents(calm)
    assert len(executed) < len(contents(calm))


def test_nothing_computes_on_after_its_run_was_killed(tmp_path: Path):
    (tmp_path / "small.toml").write_text(SMALL, encoding="utf-8")
    run = subprocess.Popen(
        [sys.executable, "-m", "lakon", "run", "small.toml", "-q"],
        cwd=tmp_path,
        env=clean_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 60
    while len(workers_of(tmp_path)) < 3 and time.monotonic() < until:
        time.sleep(0.1)
    assert len(workers_of(tmp_path)) >= 3
    run.kill()
    run.wait()
    until = time.monotonic() + 30
    while workers_of(tmp_path) and time.monotonic() < until:
        time.sleep(0.2)
    assert workers_of(tmp_path) == []


def under_way(folder: Path) -> subprocess.Popen[str]:
    """A run that has come as far as its first verdicts."""
    (folder / "small.toml").write_text(SMALL, encoding="utf-8")
    run = subprocess.Popen(
        [sys.executable, "-m", "lakon", "run", "small.toml"],
        cwd=folder,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 60
    while not list((folder / ".lakon").glob("verify/*/manifest.json")) and time.monotonic() < until:
        time.sleep(0.1)
    return run


def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(tmp_path: Path):
    run = under_way(tmp_path)
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=120)
    assert run.returncode == 130, said
    assert "run the same command again to go on" in said
    assert "Traceback" not in said
    facts = json.loads(cli_in(tmp_path)("status", "small.toml", "--json").stdout)
    assert facts["state"] == "stopped"
    left = facts["steps"] - len(facts["finished"])
    assert f"interrupted with {left} of {facts['steps']} steps to go" in facts["why"]


def test_a_second_ctrl_c_drops_what_is_in_flight(tmp_path: Path):
    run = under_way(tmp_path)
    run.send_signal(signal.SIGINT)
    time.sleep(0.5)
    run.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130, said
    assert time.monotonic() - began < 15
    assert "run the same command again to go on" in said
    assert "Traceback" not in said
    assert json.loads(cli_in(tmp_path)("status", "small.toml", "--json").stdout)["state"] == "stopped"
    assert json.loads(cli_in(tmp_path)("run", "small.toml", "--json").stdout)["executed"]
