"""A trainer of one's own: given a folder, it leaves a model that is taken as it is, or the reason why not."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from own_trainers import (  # noqa: E402
    BARE_LOOP,
    FAILS,
    OTHER_END,
    OTHER_TEMPLATE,
    TORN_LOSSES,
    WRITES_NOTHING,
    command,
)

from lakon.backends.checkpoint.sampling import load, sample  # noqa: E402
from lakon.backends.training.job import StepLoss, TrainJob, TrainResult  # noqa: E402
from lakon.backends.training.own_command import run_own_trainer  # noqa: E402
from lakon.backends.training.worker import JobFile  # noqa: E402
from lakon.core.errors import InputError, LakonError, RunStopped  # noqa: E402
from lakon.core.messages import build_messages  # noqa: E402
from lakon.miniature.student import base_path  # noqa: E402

pytestmark = pytest.mark.slow


def job_in(folder: Path) -> TrainJob:
    return TrainJob(
        base=str(base_path()),
        out=str(folder / "model"),
        work=str(folder / "train" / "work"),
        epochs=1,
        batch_tokens=300,
        max_length=256,
        learning_rate=1e-3,
    )


def run_script(
    folder: Path, examples: str, script: str, stop: threading.Event | None = None, **options: Any
) -> TrainResult:
    file = JobFile(job=job_in(folder), examples=examples)
    return run_own_trainer(file, command(folder, script), devices=(), stop=stop or threading.Event(), **options)


def test_a_bare_loop_is_a_trainer(tmp_path: Path, examples_folder: str) -> None:
    told: list[int] = []
    result = run_script(tmp_path, examples_folder, BARE_LOOP, on_step=lambda loss, steps: told.append(loss.step))
    assert [loss.step for loss in result.losses] == [1, 2, 3]
    assert result.losses[-1].loss < result.losses[0].loss
    assert (result.n_steps, result.n_examples, result.n_tokens) == (3, 24, result.losses[-1].tokens_seen)
    assert result.settings == {"trainer": "bare-loop"}
    assert result.versions == {"bare-loop": "0.3"}
    assert told == [1, 2, 3]
    # What it says of itself is no part of the model; the tokenizer is its base's, with the base's template.
    out = tmp_path / "model"
    assert {path.name for path in out.iterdir()} == {
        *("config.json", "generation_config.json", "model.safetensors"),
        *("tokenizer.json", "tokenizer_config.json"),
    }
    (reply,) = sample(load(str(out)), [build_messages("Eli has 7.")], [0], temperature=0.0, top_p=1.0, max_tokens=8)
    assert reply.n_tokens > 0


WAITS_TO_BE_SEEN = (
    """
import json, pathlib, sys, time
out = pathlib.Path(sys.argv[2])
with (out / "losses.jsonl").open("w", buffering=1) as losses:
    losses.write('{"step": 1, "steps": 9, "tokens": 5, "loss": 2.5}\\n{"step": "torn"')
    for _ in range(300):
        if (out.parent / "seen").exists():
            break
        time.sleep(0.1)
    else:
        sys.exit(4)
"""
    + BARE_LOOP
)


def test_losses_are_told_while_it_trains(tmp_path: Path, examples_folder: str) -> None:
    told: list[tuple[int, float, int]] = []

    def on_step(loss: StepLoss, steps: int) -> None:
        told.append((loss.step, loss.loss, steps))
        (tmp_path / "seen").touch()

    run_script(tmp_path, examples_folder, WAITS_TO_BE_SEEN, on_step=on_step)
    assert told[0] == (1, 2.5, 9)


def test_it_is_given_the_examples_as_they_are_rendered_and_the_settings(tmp_path: Path, examples_folder: str) -> None:
    run_script(tmp_path, examples_folder, BARE_LOOP)
    folder = tmp_path / "train" / "work" / "job"
    job = json.loads((folder / "job.json").read_text())
    assert (job["base"], job["seed"], job["learning_rate"]) == (str(base_path()), 0, 1e-3)
    rows = [json.loads(line) for line in (folder / "examples.jsonl").read_text().splitlines()]
    assert len(rows) == 24
    assert rows[0] == {
        "messages": [
            {"role": "user", "content": "Eli has 10 pens. Eli finds 2. How many pens?"},
            {"role": "assistant", "content": "<think>\n10+2=12\n</think>\n\\boxed{12}"},
        ],
        "prompt": "Eli has 10 pens. Eli finds 2. How many pens?\n",
        "completion": "<think>\n10+2=12\n</think>\n\\boxed{12}<eos>",
        "phase": 0,
        "repeats": 1,
    }


def test_one_that_fails_is_told_with_its_exit_code_and_its_log(tmp_path: Path, examples_folder: str) -> None:
    with pytest.raises(LakonError, match="ended with exit code 3") as failed:
        run_script(tmp_path, examples_folder, FAILS)
    assert "training.log" in failed.value.fault.remedy
    assert "out of memory on all eight" in (tmp_path / "train" / "work" / "training.log").read_text()


@pytest.mark.parametrize(
    ("script", "found"),
    [
        (WRITES_NOTHING, "ended well and left notes.txt"),
        (OTHER_TEMPLATE, "others where the student is sampled"),
        (OTHER_END, "the student's end token is 3, and it was trained with 2"),
        (TORN_LOSSES, "cannot be read"),
    ],
    ids=["nothing", "template", "end", "losses"],
)
def test_one_that_leaves_no_model_that_can_be_asked_as_it_was_trained_is_refused(
    tmp_path: Path, examples_folder: str, script: str, found: str
) -> None:
    with pytest.raises(InputError, match=found) as refused:
        run_script(tmp_path, examples_folder, script)
    assert all(refused.value.fault[1:])


def test_a_command_that_is_not_there_is_told(tmp_path: Path, examples_folder: str) -> None:
    file = JobFile(job=job_in(tmp_path), examples=examples_folder)
    with pytest.raises(InputError, match="cannot be started"):
        run_own_trainer(file, ("no-such-trainer", "{job}"), devices=(), stop=threading.Event())


def test_one_that_runs_on_is_ended_when_the_run_is(tmp_path: Path, examples_folder: str) -> None:
    stop = threading.Event()
    timer = threading.Timer(1.0, stop.set)
    timer.start()
    with pytest.raises(RunStopped):
        run_script(tmp_path, examples_folder, "import time; time.sleep(100)", stop)
    timer.join()


def test_a_command_ends_when_the_run_that_started_it_is_killed(tmp_path: Path) -> None:
    started = tmp_path / "pid"
    sleeper = f"import os, pathlib, time; pathlib.Path({str(started)!r}).write_text(str(os.getpid())); time.sleep(100)"
    log = str(tmp_path / "log")
    owner = (
        "import sys, threading; from pathlib import Path; from lakon.backends.training.launch import run_command;"
        f"run_command([sys.executable, '-c', {sleeper!r}], Path({log!r}), {{}}, stop=threading.Event())"
    )
    run = subprocess.Popen([sys.executable, "-c", owner])
    deadline = time.monotonic() + 60
    while not (started.is_file() and started.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    command = int(started.read_text())
    run.kill()
    run.wait()
    while Path(f"/proc/{command}").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not Path(f"/proc/{command}").exists()
