"""Losses as they come: a line a step, so that a running training can be looked at, and a killed one goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from lakon.backends.training.job import HeldOutLoss, StepLoss

STEPS, HELD_OUT = "losses.jsonl", "held-out.jsonl"


class LossFile:
    """The losses of one run. Only the first process of a run writes."""

    def __init__(self, folder: Path, *, writes: bool = True) -> None:
        self._steps, self._held_out, self._writes = folder / STEPS, folder / HELD_OUT, writes

    def add(self, loss: StepLoss, n_steps: int) -> None:
        """Append one step of so many."""
        self._append(self._steps, (*loss, n_steps))

    def add_held_out(self, loss: HeldOutLoss) -> None:
        """Append one measurement of the held-out loss."""
        self._append(self._held_out, loss)

    def steps(self) -> list[StepLoss]:
        """All steps so far."""
        return [StepLoss(*row[:4]) for row in _read(self._steps)]

    def held_out(self) -> list[HeldOutLoss]:
        """All measurements so far."""
        return [HeldOutLoss(*row) for row in _read(self._held_out)]

    def cut(self, step: int) -> None:
        """Forget what came after a step: the run goes on from there."""
        if not self._writes:
            return
        for path in (self._steps, self._held_out):
            lines = [orjson.dumps(row) + b"\n" for row in _read(path) if step > 0 and row[0] <= step]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"".join(lines))

    def _append(self, path: Path, row: tuple[Any, ...]) -> None:
        if self._writes:
            with path.open("ab") as file:
                file.write(orjson.dumps(list(row)) + b"\n")


def _read(path: Path) -> list[list[Any]]:
    """The whole lines of a file; a last one that was cut off by a kill is left out."""
    if not path.is_file():
        return []
    rows: list[list[Any]] = []
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            rows.append(orjson.loads(line))
        except orjson.JSONDecodeError:
            break
    return rows
