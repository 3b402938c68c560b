"""A step: one call of a stage with its spec and its inputs, under a key made of their content.

The key depends on the stage's name and version, on the spec's payload (defaults left out), and on the *content* of
the inputs, so it is known only once the inputs are. Code is versioned by an integer, not hashed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lakon.core.digest import digest
from lakon.core.protocols import Progress
from lakon.store.artifacts import Artifact, ArtifactWriter, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContext:
    """What a step gets while it runs: its inputs, the folder to fill, where to report, when to stop."""

    inputs: Mapping[str, Artifact]
    out: ArtifactWriter
    store: Store
    progress: Progress
    stop: threading.Event
    retry: bool = False
    """Whether errors that the ledger remembers are asked again whatever their retry budget says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a plan. `inputs` name the steps whose artifacts it reads."""

    stage: str
    label: str
    version: int
    payload: dict[str, object]
    inputs: dict[str, Step]
    run: Callable[[StepContext], None] = field(compare=False)
    here: bool = field(default=False, compare=False)
    """Its work is done on tables in this process, not by an endpoint or a worker: few of these run side by side."""

    @property
    def name(self) -> str:
        return f"{self.stage}/{self.label}"

    def key(self, contents: Mapping[str, str]) -> str:
        """The step's key, given the content digest of every input."""
        return digest([self.stage, self.version, self.payload, sorted(contents.items())])

    def __hash__(self) -> int:
        return id(self)


def in_order(targets: list[Step]) -> list[Step]:
    """All steps that `targets` need, inputs before users, each once, in a stable order."""
    seen: dict[int, Step] = {}

    def visit(step: Step) -> None:
        if id(step) in seen:
            return
        for source in step.inputs.values():
            visit(source)
        seen[id(step)] = step

    for target in targets:
        visit(target)
    return list(seen.values())
