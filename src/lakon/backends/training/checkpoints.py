"""Checkpoints within a run: sharded, committed whole, the newest few kept. A killed run goes on from the
newest whole one.

Invariant: a folder called `step-N` was complete when it got that name, and a file of it that is missing or has another
size makes it count as torn: the one before it is taken. Weights, moments and random states are all that the next step
depends on, so on a processor the losses after it are the same to the bit.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import orjson

_STATE = "state.json"


class Progress(NamedTuple):
    """How far a run had come when a checkpoint was written."""

    step: int
    tokens_seen: int


class Checkpoints:
    """The checkpoints of one run, in a folder that all its processes see."""

    def __init__(self, folder: Path, *, keep: int, fingerprint: str) -> None:
        """`fingerprint` names what is trained on what: checkpoints of another one are not looked at."""
        self._folder, self._keep, self._fingerprint = folder, keep, fingerprint

    def save(self, model: Any, optimizer: Any, progress: Progress) -> None:
        """Write a checkpoint and drop those that are too many. Every process of the run takes part."""
        import torch
        import torch.distributed.checkpoint as dcp

        rank = _rank()
        unfinished = self._folder / f"unfinished-{progress.step:08d}"
        if rank == 0:
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
        _wait_for_all()
        with _quiet_dcp():
            dcp.save(_state(model, optimizer), checkpoint_id=unfinished)  # pyright: ignore[reportPrivateImportUsage]
        torch.save(_random_state(), unfinished / f"random-{rank}.pt")
        _wait_for_all()
        if rank == 0:
            sizes = {path.name: path.stat().st_size for path in unfinished.iterdir()}
            state = {**progress._asdict(), "fingerprint": self._fingerprint, "processes": _size(), "files": sizes}
            _write_durably(unfinished / _STATE, orjson.dumps(state))
            place = self._folder / f"step-{progress.step:08d}"
            shutil.rmtree(place, ignore_errors=True)  # a torn one, which this run did not go on from
            unfinished.rename(place)
            for old in self._steps()[self._keep :]:
                shutil.rmtree(old, ignore_errors=True)
        _wait_for_all()

    def load(self, model: Any, optimizer: Any) -> Progress | None:
        """Put the newest whole checkpoint into model and optimizer; None, and nothing changed, when there is none."""
        import torch
        import torch.distributed.checkpoint as dcp

        for folder in self._steps():
            state = self._read_whole(folder)
            if state is None:
                continue
            held = _state(model, optimizer)
            with _quiet_dcp():
                dcp.load(held, checkpoint_id=folder)  # pyright: ignore[reportPrivateImportUsage]
                _put_back(model, optimizer, held)
            random = folder / f"random-{_rank()}.pt"
            if state["processes"] == _size() and random.is_file():
                _set_random_state(torch.load(random, weights_only=True))
            return Progress(state["step"], state["tokens_seen"])
        return None

    def _steps(self) -> list[Path]:
        """The newest first."""
        return sorted(self._folder.glob("step-*"), reverse=True) if self._folder.is_dir() else []

    def _read_whole(self, folder: Path) -> dict[str, Any] | None:
        try:
            state = orjson.loads((folder / _STATE).read_bytes())
            sizes = {name: (folder / name).stat().st_size for name in state["files"]}
        except (OSError, ValueError, KeyError):
            return None
        return state if sizes == state["files"] and state["fingerprint"] == self._fingerprint else None


def _state(model: Any, optimizer: Any) -> dict[str, Any]:
    from torch.distributed.checkpoint.state_dict import get_model_state_dict, get_optimizer_state_dict

    weights = get_model_state_dict(model, options=_options())
    return {"model": weights, "optimizer": get_optimizer_state_dict(model, optimizer, options=_options())}


def _put_back(model: Any, optimizer: Any, state: dict[str, Any]) -> None:
    from torch.distributed.checkpoint.state_dict import set_model_state_dict, set_optimizer_state_dict

    set_model_state_dict(model, state["model"], options=_options(strict=False))
    set_optimizer_state_dict(model, optimizer, state["optimizer"], options=_options())


def _options(*, strict: bool = True) -> Any:
    from torch.distributed.checkpoint.state_dict import StateDictOptions

    # By names of weights, so that a run may go on with another number of processes; frozen weights are the base's.
    return StateDictOptions(flatten_optimizer_state_dict=True, ignore_frozen_params=True, strict=strict)


def _random_state() -> dict[str, Any]:
    import torch

    state: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _set_random_state(state: dict[str, Any]) -> None:
    import torch

    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def _quiet_dcp() -> Any:
    """Without the library's warning that a single process saves without a process group, which is meant."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="torch.distributed")
        yield


def _rank() -> int:
    import torch.distributed as dist

    return dist.get_rank() if dist.is_initialized() else 0


def _size() -> int:
    import torch.distributed as dist

    return dist.get_world_size() if dist.is_initialized() else 1


def _wait_for_all() -> None:
    import torch.distributed as dist

    if dist.is_initialized():
        dist.barrier()
