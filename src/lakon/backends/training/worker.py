"""One process of a training run that has several, or a GPU of its own: `python -m lakon.backends.training.worker JOB`.

Reads its job from a file, reads the examples from the store, and leaves the result, or what was wrong, beside the job.
It ends when the run that started it does, however that ends.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from lakon.backends.training.job import AdapterSettings, OnStep, TrainExample, TrainJob, TrainResult
from lakon.core.errors import InputError
from lakon.core.records import Example
from lakon.store.artifacts import read_artifact

JOB, RESULT, ERROR = "job.json", "result.json", "error.json"
_WATCH_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFile:
    """A job, and where the examples lie in the store."""

    job: TrainJob
    examples: str
    """Folder of the examples' artifact."""
    held_out: str | None = None
    """Folder of the held-out examples' artifact; their column `arm` is the style."""
    owner: tuple[str, int] | None = None
    """Host and process that started the run."""

    def write(self, path: Path) -> None:
        """Put it into a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        told = asdict(self)
        if self.job.adapter is not None:
            told["job"]["adapter"] = self.job.adapter._asdict()
        path.write_bytes(orjson.dumps(told))

    @classmethod
    def read(cls, path: Path) -> JobFile:
        """Take it out again."""
        raw = orjson.loads(path.read_bytes())
        job = raw.pop("job")
        adapter = job.pop("adapter")
        plain: dict[str, Any] = {**job, "report_to": tuple(job["report_to"])}
        settings = AdapterSettings(**{**adapter, "targets": tuple(adapter["targets"])}) if adapter else None
        owner = tuple(raw.pop("owner")) if raw.get("owner") else None
        return cls(**{**raw, "owner": owner}, job=TrainJob(**plain, adapter=settings))


def read_examples(folder: str) -> Iterator[TrainExample]:
    """The examples of an artifact, in order."""
    for example in _table(folder):
        yield TrainExample(example.prompt, example.completion, example.phase, example.repeats, example.system)


def read_held_out(folder: str | None) -> dict[str, Iterator[TrainExample]]:
    """Style to its held-out examples."""
    if folder is None:
        return {}
    styles = sorted({example.arm for example in _table(folder)})
    return {style: _of_style(folder, style) for style in styles}


def _of_style(folder: str, style: str) -> Iterator[TrainExample]:
    for example in _table(folder):
        if example.arm == style:
            yield TrainExample(example.prompt, example.completion, system=example.system)


def _table(folder: str) -> Iterator[Example]:
    artifact = read_artifact(Path(folder))
    if artifact is None:
        raise InputError(f"no examples in {folder!r}", "an artifact of the store", "run the study again", where="train")
    return artifact.read("examples", Example)


def train_from_file(file: JobFile, on_step: OnStep | None = None) -> TrainResult:
    """Train as the job file says. Raises `InputError` for a base or examples that cannot be trained."""
    from lakon.backends.training.run import train

    try:
        return train(file.job, read_examples(file.examples), held_out=read_held_out(file.held_out), on_step=on_step)
    except (ValueError, OSError) as error:
        raise InputError(
            f"training cannot start: {str(error)[:300]}",
            "a base that can be loaded and examples that fit",
            "check students.base and training.max_length",
            where="train",
        ) from error


def main(path: Path) -> int:
    """Train as the job file says; 0 when the student is written."""
    import torch.distributed as dist

    file = JobFile.read(path)
    _end_with(file.owner)
    rank = int(os.environ.get("RANK", "0"))
    _join_group()
    try:
        result = train_from_file(file)
    except InputError as error:
        _write_once(path.parent / ERROR, error.fault._asdict())
        return 1
    except Exception as error:
        _write_once(path.parent / ERROR, {"crash": f"{type(error).__name__}: {str(error)[:600]}"})
        raise
    if rank == 0:
        _write_whole(path.parent / RESULT, orjson.dumps(_plain(result)))
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()
    return 0


def _join_group() -> None:
    import torch
    import torch.distributed as dist

    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl")
    else:
        dist.init_process_group("gloo")


def _end_with(owner: tuple[str, int] | None) -> None:
    """End this process when the run's own process is gone; on another machine its launcher sees to that."""
    if owner is None or owner[0] != socket.gethostname():
        return

    def watch() -> None:
        while True:
            try:
                os.kill(owner[1], 0)
            except ProcessLookupError:
                os._exit(1)
            except PermissionError:
                return
            time.sleep(_WATCH_S)

    threading.Thread(target=watch, daemon=True, name="owner-watch").start()


def _plain(result: Any) -> dict[str, Any]:
    told = asdict(result)
    for name in ("losses", "held_out", "shown"):
        told[name] = [list(row) for row in getattr(result, name)]
    return told


def _write_once(path: Path, told: dict[str, Any]) -> None:
    """The first process that fails says why; the others fail because of it."""
    try:
        with path.open("xb") as file:
            file.write(orjson.dumps(told))
    except FileExistsError:
        pass


def _write_whole(path: Path, data: bytes) -> None:
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_bytes(data)
    unfinished.replace(path)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
