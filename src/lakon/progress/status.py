"""Where a run stands, in a file: its process writes it about once a second, and any shell reads it.

A study is known by its values, `[run]` apart, not by its name alone: two that share a name, or one before and after a
change, have a file each. Of the versions of a name that nobody runs any more the newest few stay.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from lakon.core.digest import KEY_CHARS, digest
from lakon.progress.meter import Meter
from lakon.store.artifacts import Artifact
from lakon.store.runner import StepState
from lakon.store.step import AnyStep, in_order
from lakon.study.schema import Study

_STATUS_EVERY_S = 1.0
VERSIONS_KEPT = 10
"""Files that stay of one name: enough for studies that share it and for sweeps with `--set`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much of a study a run is to do."""

    what: str
    """As one would ask for it: `run`, `run --until curate`, `pilot of 50`."""
    steps: tuple[str, ...]
    beyond: tuple[str, ...]
    """Other steps of the study that are not in the store."""


def measure_extent(what: str, targets: Sequence[AnyStep], whole: Sequence[StepState]) -> Extent:
    """The extent of a run that ends at `targets`; `whole` is where all steps of the study stand."""
    steps = in_order(list(targets))
    mine = set(steps)
    beyond = [state.step.name for state in whole if state.artifact is None and state.step not in mine]
    return Extent(what=what, steps=tuple(step.name for step in steps), beyond=tuple(beyond))


def status_path(store: Path, study: Study) -> Path:
    """The file of a study in a store."""
    values = study.model_dump(mode="json", exclude={"run"})
    return store / "runs" / f"{study.name}-{digest(values)[:KEY_CHARS]}.json"


def last_of_name(store: Path, name: str) -> dict[str, Any] | None:
    """The newest status of any study of that name; None when there is none."""
    statuses = (facts for _, facts in _of_name(store / "runs", name))
    return max(statuses, key=lambda facts: facts["began"], default=None)


def _of_name(folder: Path, name: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The status of every study of that name that can be read."""
    for path in folder.glob(f"{name}-{'[0-9a-f]' * KEY_CHARS}.json"):
        if (facts := read_status(path)) is not None:
            yield path, facts


_WRITTEN = frozenset({"study", "state", "pid", "now"})
"""What every status has; a file without it is something else's."""


def read_status(path: Path) -> dict[str, Any] | None:
    """What the last process wrote, `killed` when it is gone without a last state; None when nothing can be read."""
    try:
        raw: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(raw, dict) or not raw.keys() >= _WRITTEN:
        return None
    facts = cast("dict[str, Any]", raw)
    if facts["state"] == "running" and not _alive(facts["pid"]):
        facts |= {"state": "killed", "why": "its process ended without writing a last state"}
    return facts


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class StatusFile:
    """Writes where a run stands to the file of its study, about once a second."""

    def __init__(self, path: Path, study: str, extent: Extent) -> None:
        self._path, self._study, self._extent = path, study, extent
        self._meters: dict[str, Meter] = {}
        self._done: list[dict[str, Any]] = []
        self._began = time.time()
        self._quit = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._loop, daemon=True, name="status")

    def open(self) -> None:
        """Start writing, and let go of what older versions of the study left."""
        self._forget_older()
        self._thread.start()

    def close(self, state: str, why: str = "") -> None:
        """Write the last state: `finished` (`partial` while steps of the study are left), `failed` or `stopped`, and
        for the latter two why."""
        self._quit.set()
        self._thread.join()
        self._write(state, why)

    def start_meter(self, step: AnyStep) -> Meter:
        """The meter of a step that starts."""
        with self._lock:
            return self._meters.setdefault(step.name, Meter(step.name))

    def add_finished(self, step: AnyStep, artifact: Artifact, *, cached: bool, seconds: float) -> None:
        """File a finished step."""
        with self._lock:
            self._meters.pop(step.name, None)
            where = f"{artifact.manifest.stage}/{artifact.folder.name}"
            self._done.append({"step": step.name, "cached": cached, "seconds": round(seconds, 2), "artifact": where})

    @property
    def meters(self) -> list[Meter]:
        """What is under way."""
        with self._lock:
            return list(self._meters.values())

    def _forget_older(self) -> None:
        others = ((path, facts) for path, facts in _of_name(self._path.parent, self._study) if path != self._path)
        ended = [(facts["now"], path) for path, facts in others if facts["state"] != "running"]
        for _, path in sorted(ended, reverse=True)[VERSIONS_KEPT - 1 :]:
            with contextlib.suppress(OSError):
                path.unlink()

    def _loop(self) -> None:
        while not self._quit.wait(_STATUS_EVERY_S):
            self._write("running")

    def _write(self, state: str, why: str = "") -> None:
        with self._lock:
            running = [meter.facts() for meter in self._meters.values()]
            finished = list(self._done)
        names, extent = {row["step"] for row in finished}, self._extent
        left = [*(step for step in extent.steps if step not in names), *extent.beyond]
        facts = {
            "study": self._study,
            "state": "partial" if state == "finished" and left else state,
            "what": extent.what,
            "pid": os.getpid(),
            "began": self._began,
            "now": time.time(),
            "steps": len(extent.steps),
            "finished": finished,
            "running": running,
            "left": left,
            "why": why,
        }
        scratch = self._path.with_suffix(".tmp")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            scratch.write_text(json.dumps(facts, indent=1), encoding="utf-8")
            scratch.replace(self._path)
        except OSError:
            return  # a full disk is reported by the step that fills it, not by its onlooker
