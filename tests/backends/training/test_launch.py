"""Several processes train one student: as one process would, killed or not, and on several nodes."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from lakon.backends.training.job import AdapterSettings, StepLoss, TrainJob, TrainResult  # noqa: E402
from lakon.backends.training.launch import Layout, launch_training, torchrun_command  # noqa: E402
from lakon.backends.training.run import train  # noqa: E402
from lakon.backends.training.worker import JobFile, read_examples, read_held_out  # noqa: E402
from lakon.core.errors import InputError, LakonError, RunStopped  # noqa: E402
from lakon.miniature.student import base_path  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.big]


def job_for(folder: Path, base: Path, **changes: object) -> TrainJob:
    settings: dict[str, object] = {
        "base": str(base),
        "out": str(folder / "model"),
        "work": str(folder / "work"),
        "epochs": 2,
        "batch_tokens": 300,
        "max_length": 256,
        "warmup_steps": 2,
        "micro_batch_tokens": 150,
    }
    return TrainJob(**{**settings, **changes})  # type: ignore[arg-type]


def launch(job: TrainJob, examples: str, layout: Layout, held_out: str | None = None) -> TrainResult:
    return launch_training(JobFile(job=job, examples=examples, held_out=held_out), layout, stop=threading.Event())


def losses_of(result: TrainResult) -> list[float]:
    return [loss.loss for loss in result.losses]


def weights(folder: Path) -> dict[str, "torch.Tensor"]:
    from safetensors.torch import load_file

    return load_file(folder / "model" / "model.safetensors")


@pytest.mark.parametrize(
    ("tied", "changes"),
    [
        (True, {}),
        (True, {"optimizer": "adamw", "layout": "packed"}),
        (False, {"optimizer": "adamw"}),
        (False, {"optimizer": "adamw", "adapter": AdapterSettings(rank=4), "learning_rate": 5e-3}),
    ],
    ids=["muon", "packed", "untied", "adapters"],
)
def test_two_processes_train_as_one(
    tmp_path: Path, examples_folder: str, untied_base: Path, tied: bool, changes: dict[str, object]
) -> None:
    base = base_path() if tied else untied_base
    examples, held_out = list(read_examples(examples_folder)), read_held_out(examples_folder)
    alone = train(job_for(tmp_path / "one", base, **changes), examples, held_out=held_out)
    together = launch(job_for(tmp_path / "two", base, **changes), examples_folder, Layout(processes=2), examples_folder)
    assert together.settings["processes"] == 2
    assert losses_of(together) == pytest.approx(losses_of(alone), abs=1e-4)
    assert together.n_tokens == alone.n_tokens
    assert [row.loss for row in together.held_out] == pytest.approx([row.loss for row in alone.held_out], abs=1e-4)
    assert len(together.held_out) == together.n_steps + 1
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert one.keys() == two.keys()
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-4


@pytest.mark.parametrize("victim", [0, 1])
def test_a_run_whose_process_is_killed_goes_on_to_the_same_losses(
    tmp_path: Path, examples_folder: str, victim: int
) -> None:
    job = job_for(tmp_path / "two", Path(base_path()), checkpoint_minutes=0.0, epochs=12, optimizer="adamw")
    file, killed = JobFile(job=job, examples=examples_folder), threading.Event()

    def kill_one(loss: StepLoss, _: int) -> None:
        if loss.step >= 3 and not killed.is_set():
            killed.set()
            os.kill(worker_pids(job)[victim], signal.SIGKILL)

    with pytest.raises(LakonError, match="one of its processes was ended by SIGKILL, which"):
        launch_training(file, Layout(processes=2), stop=threading.Event(), on_step=kill_one)
    assert not worker_pids(job)
    result = launch(job, examples_folder, Layout(processes=2))
    assert int(result.settings["went_on_from"]) >= 2
    alone = train(
        job_for(tmp_path / "one", Path(base_path()), epochs=12, optimizer="adamw"), list(read_examples(examples_folder))
    )
    assert losses_of(result) == pytest.approx(losses_of(alone), abs=1e-3)


def test_a_run_that_is_told_to_stop_leaves_no_process(tmp_path: Path, examples_folder: str) -> None:
    job = job_for(tmp_path / "two", Path(base_path()), epochs=500)
    stop = threading.Event()
    file = JobFile(job=job, examples=examples_folder)
    with pytest.raises(RunStopped):
        launch_training(file, Layout(processes=1), stop=stop, on_step=lambda *_: stop.set())
    assert not worker_pids(job)


def test_two_nodes_meet_at_an_address(tmp_path: Path, examples_folder: str, unused_port: int) -> None:
    """A launcher that starts its command on two "nodes" of this machine, as srun would on two machines."""
    launcher = tmp_path / "on-each-node"
    launcher.write_text('#!/bin/sh\n"$@" & one=$!\n"$@" & two=$!\nwait $one || exit 1\nwait $two\n')
    launcher.chmod(0o755)
    layout = Layout(1, 2, (str(launcher),), f"127.0.0.1:{unused_port}")
    job = job_for(tmp_path / "nodes", Path(base_path()))
    result = launch(job, examples_folder, layout)
    assert result.settings["processes"] == 2
    alone = train(job_for(tmp_path / "one", Path(base_path())), list(read_examples(examples_folder)))
    assert losses_of(result) == pytest.approx(losses_of(alone), abs=1e-4)


def test_what_a_worker_finds_wrong_is_told_as_it_is(tmp_path: Path, examples_folder: str) -> None:
    job = job_for(tmp_path / "out", Path(base_path()), max_length=16, too_long="refuse")
    with pytest.raises(InputError, match="longer than 16 tokens"):
        launch(job, examples_folder, Layout())


def test_a_launcher_that_is_not_there_is_told(tmp_path: Path, examples_folder: str) -> None:
    with pytest.raises(InputError, match="cannot be started"):
        launch(job_for(tmp_path, Path(base_path())), examples_folder, Layout(launcher=("no-such-launcher",)))


def test_the_command_names_nodes_and_where_they_meet(tmp_path: Path) -> None:
    layout = Layout(8, 4, ("srun", "--nodes={nodes}", "--ntasks-per-node=1"), "head:29500")
    command = torchrun_command(layout, tmp_path / "job.json")
    assert command[:3] == ["srun", "--nodes=4", "--ntasks-per-node=1"]
    assert {"--nproc-per-node=8", "--nnodes=4", "--rdzv-endpoint=head:29500"} <= set(command)


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def worker_pids(job: TrainJob) -> list[int]:
    """Processes that train this job, by rank."""
    found: list[tuple[str, int]] = []
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().decode().split("\0")
                environment = (entry / "environ").read_bytes().decode(errors="replace").split("\0")
            except (OSError, UnicodeDecodeError):
                continue
            if f"{job.work}/job.json" in words and "torch.distributed.run" not in words:
                rank = next((word for word in environment if word.startswith("RANK=")), "RANK=")
                found.append((rank, int(entry.name)))
        if len(found) != 1:
            break
        time.sleep(0.2)
    return [pid for _, pid in sorted(found)]
