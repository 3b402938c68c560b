"""Training: an arm's examples to a trainer, its student, losses and exclusions back.

The trainer reads the examples from the store itself: what crosses the processes are paths and numbers. On processors it
runs in one of the engine's workers; with GPUs, or several processes, in processes of its own; or it is a command that
the study states.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Generic, TypeVar

from lakon.backends.training.job import AdapterSettings, StepLoss, TrainJob, TrainResult
from lakon.backends.training.launch import Layout, launch_training
from lakon.backends.training.own_command import run_own_trainer
from lakon.backends.training.worker import JobFile, train_from_file
from lakon.core.errors import InputError
from lakon.core.protocols import Trained
from lakon.core.records import ExampleLengths, HeldOutLoss, Loss, TrainedText
from lakon.core.spec import Spec
from lakon.pipeline.steps.context import Context
from lakon.stages.train.train import Training, train
from lakon.store.artifacts import Artifact
from lakon.store.facts import TrainedFacts
from lakon.store.step import AnyStep, Step

T = TypeVar("T")

VERSION = 4
_TELL_S = 1.0


class TrainArgs(Spec):
    """Which base is fine-tuned, and how."""

    base: str
    """The model, by a reference."""
    training: Training
    seed: int
    """Of this run; `training.seeds` stays as it is unless given."""


@dataclass(frozen=True)
class TrainInputs(Generic[T]):
    """What is trained on, and what is looked at on the way."""

    examples: T
    held_out: T | None = None
    """Examples of every style that no arm trains on."""


def train_args(training: Training, *, base: str, seed: int) -> TrainArgs:
    """The arguments of one training run of several that differ in their seed."""
    alone = training.model_copy(update={"seeds": Training.model_fields["seeds"].default})
    return TrainArgs(base=base, training=alone, seed=seed)


def train_step(label: str, args: TrainArgs, examples: AnyStep, held_out: AnyStep | None = None) -> Step[TrainArgs]:
    """A student: the base, fine-tuned on an arm's examples."""
    inputs = TrainInputs(examples, held_out)
    return Step(stage="train", label=label, version=VERSION, args=args, inputs=inputs, body=train_student)


def train_student(ctx: Context[TrainInputs[Artifact]], args: TrainArgs) -> None:
    """Fine-tune the base on the examples."""
    examples = list(ctx.inputs.examples.read("examples", ExampleLengths))
    facts: list[TrainedFacts] = []

    def fit(rows: Sequence[ExampleLengths], on_step: Callable[[int, int, float, int], None]) -> Trained:
        result = _train_somewhere(ctx, args, on_step)
        facts.append(_facts(result))
        return _trained(result, rows)

    trained, left_out = train(examples, fit, progress=ctx.progress)
    ctx.out.write("losses", trained.losses)
    ctx.out.write("held_out", trained.held_out)
    ctx.out.write("trained_texts", trained.texts)
    ctx.out.write("exclusions", left_out)
    facts[0].write(ctx.out)


def _train_somewhere(
    ctx: Context[TrainInputs[Artifact]], args: TrainArgs, on_step: Callable[[int, int, float, int], None]
) -> TrainResult:
    resources, run = ctx.resources, ctx.resources.training
    file = JobFile(
        job=_job(ctx, args),
        examples=str(ctx.inputs.examples.folder),
        held_out=str(ctx.inputs.held_out.folder) if ctx.inputs.held_out is not None else None,
    )

    def told(loss: StepLoss, n_steps: int) -> None:
        on_step(loss.step, n_steps, loss.loss, loss.tokens_seen)

    n_devices = len(resources.engine.devices)
    if not run.command and not n_devices and run.processes == run.nodes == 1:
        return resources.engine.call(  # type: ignore[no-any-return]
            train_in_worker,
            file,
            on_event=lambda event: told(*event),  # type: ignore[misc]
        )
    if n_devices and run.processes > n_devices and run.nodes == 1:
        raise InputError(
            f"run.training.processes = {run.processes}, and this machine has {n_devices} GPUs",
            "one GPU for each process",
            f"lower it to {n_devices}, or state nodes and a launcher",
            where="run.training",
        )
    pool, several = resources.engine.devices, run.nodes > 1
    with (
        pool.hold_nodes(ctx.stop) if several else nullcontext(),
        pool.lend(0 if several else run.processes, ctx.stop) as devices,
    ):
        if run.command:
            return run_own_trainer(file, run.command, devices=devices, stop=ctx.stop, on_step=told)
        layout = Layout(run.processes, run.nodes, run.launcher, run.rendezvous)
        return launch_training(file, layout, devices=devices, stop=ctx.stop, on_step=told)


def _job(ctx: Context[TrainInputs[Artifact]], args: TrainArgs) -> TrainJob:
    resources, run = ctx.resources, ctx.resources.training
    adapter = args.training.adapter
    decisive = args.training.model_dump(exclude={"seeds", "adapter"})
    return TrainJob(
        **decisive,
        adapter=AdapterSettings(**adapter.model_dump()) if adapter is not None else None,
        base=resources.places.path(args.base),
        seed=args.seed,
        out=str(ctx.out.folder / "model"),
        work=str(ctx.work),
        threads=resources.engine.threads,
        attention=run.attention,
        micro_batch_tokens=run.micro_batch_tokens,
        activation_checkpointing=run.activation_checkpointing,
        checkpoint_minutes=run.checkpoint_minutes,
        keep_checkpoints=run.keep_checkpoints,
        report_to=run.report_to,
    )


def train_in_worker(file: JobFile, emit: Callable[[object], None]) -> TrainResult:
    """In a worker of the engine: one training run; about a step a second is reported. Raises `InputError` for a
    base or examples that cannot be trained."""
    told_at = 0.0

    def on_step(loss: StepLoss, n_steps: int) -> None:
        nonlocal told_at
        if loss.step == n_steps or time.monotonic() - told_at >= _TELL_S:
            told_at = time.monotonic()
            emit((loss, n_steps))

    return train_from_file(file, on_step)


def _trained(result: TrainResult, rows: Sequence[ExampleLengths]) -> Trained:
    """The trainer's result in the stages' terms."""
    losses = [
        Loss(step=s.step, n_tokens=s.tokens_seen, loss=s.loss, learning_rate=s.learning_rate) for s in result.losses
    ]
    held_out = [
        HeldOutLoss(step=h.step, trained_tokens=h.tokens_seen, style=h.style, loss=h.loss, n_tokens=h.n_tokens)
        for h in result.held_out
    ]
    texts = [
        TrainedText(
            trace_id=rows[text.index].trace_id,
            masked=text.masked,
            trained=text.trained,
            n_masked=text.n_masked,
            n_trained=text.n_trained,
        )
        for text in result.shown
    ]
    return Trained(losses=losses, dropped=[rows[i] for i in result.dropped], texts=texts, held_out=held_out)


def _facts(result: TrainResult) -> TrainedFacts:
    return TrainedFacts(
        steps=result.n_steps,
        tokens=result.n_tokens,
        seconds=round(result.seconds, 2),
        settings=dict(result.settings),
        versions=dict(result.versions),
    )
