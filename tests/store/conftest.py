"""A store in a temporary folder and a watcher that only remembers."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakon.store.artifacts import Artifact, Store
from lakon.store.step import Step


class Silence:
    """A progress that nobody reads."""

    def start(self, total: int, *, done: int = 0, unit: str = "rows") -> None: ...

    def advance(self, n: int = 1, **figures: float) -> None: ...

    def show(self, **figures: float) -> None: ...


class Diary:
    """Remembers what a run told it."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def progress(self, step: Step) -> Silence:
        return Silence()

    def started(self, step: Step) -> None:
        self.events.append(("started", step.name))

    def finished(self, step: Step, artifact: Artifact, *, cached: bool, seconds: float) -> None:
        self.events.append(("cached" if cached else "done", step.name))

    def failed(self, step: Step, error: BaseException) -> None:
        self.events.append(("failed", step.name))

    def retry_skipped(self, step: str, why: str) -> None:
        self.events.append(("left", step))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def diary() -> Diary:
    return Diary()
