"""Training: an arm's examples to a worker process, its losses and exclusions back.

The worker reads the examples from the store itself: what crosses the processes are paths and numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from lakon.core.errors import InputError
from lakon.core.protocols import Trained
from lakon.core.records import Example, ExampleLengths, Loss
from lakon.core.spec import Spec
from lakon.pipeline.steps.context import Context
from lakon.stages.train.train import Training, train
from lakon.store.artifacts import Artifact, read_artifact
from lakon.store.facts import TrainedFacts
from lakon.store.step import Step

T = TypeVar("T")

VERSION = 2


class TrainArgs(Spec):
    """Which base is fine-tuned, and how."""

    base: str
    """The model, by a reference."""
    training: Training
    seed: int
    """Of this run; `training.seeds` stays as it is unless given."""


@dataclass(frozen=True)
class TrainInputs(Generic[T]):
    """What is trained on."""

    examples: T


def train_args(training: Training, *, base: str, seed: int) -> TrainArgs:
    """The arguments of one training run of several that differ in their seed."""
    alone = training.model_copy(update={"seeds": Training.model_fields["seeds"].default})
    return TrainArgs(base=base, training=alone, seed=seed)


def train_step(label: str, args: TrainArgs, examples: Step[Any]) -> Step[TrainArgs]:
    """A student: the base, fine-tuned on an arm's examples."""
    inputs = TrainInputs(examples)
    return Step(stage="train", label=label, version=VERSION, args=args, inputs=inputs, body=train_student)


def train_student(ctx: Context[TrainInputs[Artifact]], args: TrainArgs) -> None:
    """Fine-tune the base on the examples."""
    source, resources = ctx.inputs.examples, ctx.resources
    examples = list(source.read("examples", ExampleLengths))
    facts: list[TrainedFacts] = []

    def fit(rows: Sequence[ExampleLengths], on_step: Callable[[int, int, float, int], None]) -> Trained:
        job = {
            **args.training.model_dump(exclude={"seeds"}),
            "base": resources.places.path(args.base),
            "out": str(ctx.out.folder / "model"),
            "seed": args.seed,
            "threads": resources.engine.threads,
            "examples": str(source.folder),
        }
        result = resources.engine.call(train_in_worker, job, on_event=lambda event: on_step(*event))  # type: ignore[misc]
        facts.append(_facts(result))
        return _trained(result, rows)

    trained, left_out = train(examples, fit, progress=ctx.progress)
    ctx.out.write("losses", trained.losses)
    ctx.out.write("exclusions", left_out)
    facts[0].write(ctx.out)


def train_in_worker(job: dict[str, Any], emit: Callable[[object], None]) -> Any:
    """In a worker process: one training run; every tenth step is reported. Raises `InputError` for a base or examples
    that cannot be trained."""
    from lakon.backends.training.trl import TrainExample, TrainJob
    from lakon.backends.training.trl import train as train_with_trl

    def on_step(step: int, total: int, loss: float, n_tokens: int, rate: float) -> None:
        del rate
        if step == 1 or step == total or step % 10 == 0:
            emit((step, total, loss, n_tokens))

    artifact = read_artifact(Path(job["examples"]))
    assert artifact is not None
    rows = (
        TrainExample(e.prompt, e.completion, e.phase, e.repeats, e.system) for e in artifact.read("examples", Example)
    )
    try:
        return train_with_trl(TrainJob(**{**job, "examples": rows}), on_step)
    except (ValueError, OSError) as error:
        raise InputError(
            f"training cannot start: {str(error)[:300]}",
            "a base that can be loaded and examples that fit",
            "check students.base and training.max_length",
            where="train",
        ) from error


def _trained(result: Any, rows: Sequence[ExampleLengths]) -> Trained:
    """The trainer's result in the stages' terms."""
    losses = [
        Loss(step=s.step, n_tokens=s.tokens_seen, loss=s.loss, learning_rate=s.learning_rate) for s in result.losses
    ]
    return Trained(losses=losses, dropped=[rows[i] for i in result.dropped])


def _facts(result: Any) -> TrainedFacts:
    return TrainedFacts(
        steps=result.n_steps,
        tokens=result.n_tokens,
        seconds=round(result.seconds, 2),
        precision=result.precision,
        versions=dict(result.versions),
    )
