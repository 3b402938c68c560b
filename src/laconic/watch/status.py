"""Where a run stands, in a file: its process writes it about once a second, and any shell reads it."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

from laconic.store.artifacts import Artifact
from laconic.store.step import Step
from laconic.watch.meter import Meter

_STATUS_EVERY_S = 1.0


def status_path(store: Path, study: str) -> Path:
    """The file of a study in a store."""
    return store / "runs" / f"{study}.json"


def read_status(path: Path) -> dict[str, Any] | None:
    """What the last process wrote, `killed` when it is gone without a word; None when nothing can be read."""
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if facts["state"] == "running" and not _alive(facts["pid"]):
        facts |= {"state": "killed", "why": "its process is gone and left no word"}
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
    """Writes where a run stands to `runs/<study>.json` in the store, about once a second."""

    def __init__(self, path: Path, study: str, steps: int) -> None:
        self._path, self._study, self._steps = path, study, steps
        self._meters: dict[str, Meter] = {}
        self._done: list[dict[str, Any]] = []
        self._began = time.time()
        self._quit = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._loop, daemon=True, name="status")

    def open(self) -> None:
        """Start writing."""
        self._thread.start()

    def close(self, state: str, why: str = "") -> None:
        """Write the last state: `finished`, `failed` or `stopped`, and for the latter two why."""
        self._quit.set()
        self._thread.join()
        self._write(state, why)

    def meter(self, step: Step) -> Meter:
        """The meter of a step that starts."""
        with self._lock:
            return self._meters.setdefault(step.name, Meter(step.name))

    def done(self, step: Step, artifact: Artifact, *, cached: bool, seconds: float) -> None:
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

    def _loop(self) -> None:
        while not self._quit.wait(_STATUS_EVERY_S):
            self._write("running")

    def _write(self, state: str, why: str = "") -> None:
        with self._lock:
            running = [meter.facts() for meter in self._meters.values()]
            facts = {
                "study": self._study, "state": state, "pid": os.getpid(), "began": self._began, "now": time.time(),
                "steps": self._steps, "finished": list(self._done), "running": running,
                "why": why,
            }  # fmt: skip
        scratch = self._path.with_suffix(".tmp")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            scratch.write_text(json.dumps(facts, indent=1), encoding="utf-8")
            scratch.replace(self._path)
        except OSError:
            return  # a full disk is reported by the step that fills it, not by its onlooker
