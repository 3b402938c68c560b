"""A step: a body with its arguments and its inputs, under a key made of exactly these.

The arguments are a frozen spec of plain values. They are hashed whole, and they are all that the body is given beside
its inputs, so a key cannot lag behind what its body reads. Whatever a step needs to be carried out (ledgers, authors,
worker processes) comes from the context's `resources`, which no key can see. Code is versioned by an integer a body.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from lakon.core.digest import digest
from lakon.core.protocols import Progress
from lakon.core.spec import Spec
from lakon.store.artifacts import Artifact, ArtifactWriter

A = TypeVar("A", bound=Spec)
"""The arguments of a body."""
I = TypeVar("I")  # noqa: E741
"""Its inputs: a dataclass whose leaves are steps in a plan and artifacts in a context."""
R = TypeVar("R")
"""What the steps of one run share."""
Leaf = TypeVar("Leaf")


@dataclass(frozen=True)
class NoInputs:
    """The inputs of a step that reads no other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContext(Generic[I, R]):
    """What a body gets beside its arguments: inputs, the folder to fill, where to report, when to stop."""

    inputs: I
    out: ArtifactWriter
    resources: R
    """Ledgers, authors, verifiers, tokenizers, engine: how the step is carried out, never what it computes."""
    progress: Progress
    stop: threading.Event
    earlier: Callable[[], Iterator[Artifact]]
    """Other artifacts of this step's stage and label, the newest first: to say what changed since."""
    work: Path
    """A folder for what the step needs to go on after a kill; not made yet, and removed once the artifact is there."""
    retry: bool = False
    """Whether errors that the ledger remembers are asked again whatever their retry budget says."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step(Generic[A]):
    """One step of a plan. Two steps with one key are one step, whatever their labels are."""

    stage: str
    label: str
    """What people call it; part of no key."""
    version: int
    """Of the body: raised when its meaning changes."""
    args: A
    inputs: Any
    """A dataclass of steps: fields, mappings from names and dataclasses of the same kind are looked into."""
    body: Callable[[StepContext[Any, Any], A], None]
    """A function of a module, so that it can travel to another process or machine."""
    in_process: bool = False
    """Its work is done on tables in this process, not by an endpoint or a worker: few of these run side by side."""

    @property
    def name(self) -> str:
        """`stage/label`."""
        return f"{self.stage}/{self.label}"

    @property
    def payload(self) -> dict[str, object]:
        """The arguments as plain values, defaults left out."""
        return self.args.payload()

    @property
    def sources(self) -> dict[str, Step[Any]]:
        """The steps that it reads, each by the name under which its content goes into the key."""
        return dict(named_leaves(self.inputs, cast("type[AnyStep]", Step)))

    def key(self, contents: Mapping[str, str]) -> str:
        """The step's key, given the content digest of every source by its name."""
        return digest([self.stage, self.version, self.payload, sorted(contents.items())])


AnyStep = Step[Any]
"""A step whose arguments do not matter here."""


def named_leaves(inputs: object, kind: type[Leaf], name: str = "") -> Iterator[tuple[str, Leaf]]:
    """Every leaf of some inputs with its name: `teachers.deep.traces` is the field `traces` of the dataclass that the
    mapping `teachers` has under `deep`. Raises `TypeError` for what can be no input."""
    if isinstance(inputs, kind):
        yield name, inputs
    elif isinstance(inputs, Mapping):
        for key, value in cast("Mapping[object, object]", inputs).items():
            yield from named_leaves(value, kind, f"{name}.{key}")
    elif is_dataclass(inputs) and not isinstance(inputs, type):
        for each in fields(inputs):
            yield from named_leaves(getattr(inputs, each.name), kind, f"{name}.{each.name}" if name else each.name)
    elif inputs is not None:
        raise TypeError(f"{name} is a {type(inputs).__name__}; inputs are steps, mappings of them, or dataclasses")


def replace_leaves(inputs: Any, leaves: Callable[[Any], Any], kind: type[Any]) -> Any:
    """The same inputs with every leaf of `kind` put through `leaves`: a plan's steps become a context's artifacts."""
    if isinstance(inputs, kind):
        return leaves(inputs)
    if isinstance(inputs, Mapping):
        pairs = cast("Mapping[object, object]", inputs).items()
        return {key: replace_leaves(value, leaves, kind) for key, value in pairs}
    if is_dataclass(inputs) and not isinstance(inputs, type):
        changed = {each.name: replace_leaves(getattr(inputs, each.name), leaves, kind) for each in fields(inputs)}
        return replace(inputs, **changed)
    return inputs


def in_order(targets: list[AnyStep]) -> list[AnyStep]:
    """All steps that `targets` need, inputs before users, each once, in a stable order."""
    ordered: dict[int, AnyStep] = {}

    def visit(step: AnyStep) -> None:
        if id(step) in ordered:
            return
        for source in step.sources.values():
            visit(source)
        ordered[id(step)] = step

    for target in targets:
        visit(target)
    return list(ordered.values())
