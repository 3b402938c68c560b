"""Starts a training run in processes of its own: one a GPU, on one machine or many, by PyTorch's own launcher.

Invariant: whatever ends the run ends its processes. What is called is an argument list, never a shell's text.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from lakon.backends.training.job import HeldOutLoss, OnStep, ShownExample, StepLoss, TrainResult
from lakon.backends.training.loss_file import STEPS
from lakon.backends.training.worker import ERROR, JOB, RESULT, JobFile
from lakon.core.errors import InputError, LakonError, RunStopped

LOG = "training.log"
_TAIL = 2_000
_LAUNCHER_TAIL = 20_000
_LOOK_S = 0.5
_GRACE_S = 10.0


class Layout(NamedTuple):
    """On how many processes and machines, and how these are reached."""

    processes: int = 1
    nodes: int = 1
    launcher: tuple[str, ...] = ()
    rendezvous: str = "127.0.0.1:0"


def torchrun_command(layout: Layout, job: Path) -> list[str]:
    """The command that starts all processes of a run, as it is called."""
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={layout.processes}"]
    if layout.nodes == 1:
        command += ["--standalone"]
    else:
        command += [
            f"--nnodes={layout.nodes}",
            "--rdzv-backend=c10d",
            f"--rdzv-endpoint={layout.rendezvous}",
            f"--rdzv-id={job.parent.name}",
        ]
    command += ["-m", "lakon.backends.training.worker", str(job)]
    return [word.format(nodes=layout.nodes, processes=layout.processes) for word in layout.launcher] + command


def launch_training(
    file: JobFile,
    layout: Layout,
    *,
    devices: Sequence[str] = (),
    stop: threading.Event,
    on_step: OnStep | None = None,
) -> TrainResult:
    """Train in processes of their own and wait for them. `devices` are the GPUs that they may see.

    Raises `InputError` for what the run itself found wrong, `RunStopped` when it was told to stop, and `LakonError`
    when it died.
    """
    work = Path(file.job.work)
    job = work / JOB
    for old in (RESULT, ERROR):
        (work / old).unlink(missing_ok=True)
    replace(file, owner=(socket.gethostname(), os.getpid())).write(job)
    environment = {"OMP_NUM_THREADS": str(file.job.threads), "TOKENIZERS_PARALLELISM": "false"}
    if devices:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
    follow = LossFollower(work / STEPS, _read_loss, on_step)
    code = run_command(torchrun_command(layout, job), work / LOG, environment, stop=stop, look=follow.look)
    if code == 0 and (work / RESULT).is_file():
        return read_result(work / RESULT)
    told = orjson.loads((work / ERROR).read_bytes()) if (work / ERROR).is_file() else {}
    if "found" in told:
        raise InputError(told["found"], told["expected"], told["remedy"], where=told["where"])
    cause = _find_signal(work / LOG) or told.get("crash") or _end_of(work / LOG)
    raise LakonError(
        f"training ended with exit code {code}: {cause}",
        "processes that live as long as the run",
        f"look at {work.parent.name}/{work.name}/{LOG} in the store; run again to go on from the last checkpoint",
        where="train",
    )


def run_command(
    command: Sequence[str],
    log: Path,
    environment: Mapping[str, str],
    *,
    stop: threading.Event,
    look: Callable[[], None] = lambda: None,
    cwd: Path | None = None,
) -> int:
    """Run a command in a session of its own, its output into `log`, until it ends or `stop` is set; its exit code.

    Raises `RunStopped` after `stop`, and `InputError` for a command that is not there.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if shutil.which(command[0]) is None:
        raise InputError(
            f"{command[0]!r} cannot be started: it is not there, or no program",
            "a command that this machine has",
            "correct run.training.launcher or run.training.command",
            where="run.training",
        )
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "lakon.backends.guard", str(os.getpid()), *command],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **environment},
            start_new_session=True,
            cwd=cwd,
        )
        try:
            while process.poll() is None:
                if stop.is_set():
                    raise RunStopped(
                        "interrupted in training",
                        "the last checkpoint of the run is kept",
                        "run the same command again to go on from it",
                    )
                look()
                try:
                    process.wait(_LOOK_S)
                except subprocess.TimeoutExpired:
                    continue
            look()
            return process.returncode
        finally:
            _end_group(process)


def read_result(path: Path) -> TrainResult:
    """What a worker left as its result."""
    raw: dict[str, Any] = orjson.loads(path.read_bytes())
    for name, kind in (("losses", StepLoss), ("held_out", HeldOutLoss), ("shown", ShownExample)):
        raw[name] = [kind(*row) for row in raw[name]]
    return TrainResult(**raw)


class LossFollower:
    """Tells the steps that another process has written since the last look, a line each."""

    def __init__(self, path: Path, read: Callable[[bytes], tuple[StepLoss, int]], on_step: OnStep | None) -> None:
        self._path, self._read, self._on_step, self._at = path, read, on_step, 0

    def look(self) -> None:
        """Read the lines that are new and whole. What `read` raises for a line is raised."""
        if self._on_step is None or not self._path.is_file():
            return
        if self._path.stat().st_size < self._at:  # the run went on from an earlier step
            self._at = 0
        with self._path.open("rb") as file:
            file.seek(self._at)
            data = file.read()
        whole = data.rpartition(b"\n")[0]
        self._at += len(whole) + bool(whole)
        for line in filter(None, whole.split(b"\n")):
            self._on_step(*self._read(line))


def _read_loss(line: bytes) -> tuple[StepLoss, int]:
    *loss, n_steps = orjson.loads(line)
    return StepLoss(*loss), n_steps


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a command and all that it started."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except (ProcessLookupError, PermissionError):
            break
        try:
            process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            continue
    process.poll()


def _find_signal(log: Path) -> str:
    """What the launcher's log says of a process that a signal ended: the others then fail because of it, and what they
    say is no cause. Empty where there was none."""
    text = log.read_bytes()[-_LAUNCHER_TAIL:].decode(errors="replace") if log.is_file() else ""
    ended = re.findall(r"exitcode\s*:\s*-(\d+)", text)
    if not ended:
        return ""
    number = int(ended[-1])
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    of_memory = ", which is what a machine sends that runs out of memory" if number == signal.SIGKILL else ""
    return f"one of its processes was ended by {name}{of_memory}"


def _end_of(log: Path) -> str:
    text = log.read_bytes()[-_TAIL:].decode(errors="replace") if log.is_file() else ""
    return " ".join(text.split())[-600:] or "empty"
