"""The body of the training step: an arm's examples to a worker process, its losses and exclusions back. Only `plan/`
uses it.

The worker reads the examples from the store itself: what crosses the processes are paths and numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lakon.core.errors import InputError
from lakon.core.protocols import Trained
from lakon.core.records import Example, Loss
from lakon.engines.local import LocalEngine
from lakon.pipeline.authors import model_path
from lakon.stages.train import train as train_stage
from lakon.store.artifacts import read_artifact
from lakon.store.step import StepContext
from lakon.study.schema import Study

Body = Callable[[StepContext], None]


def train(study: Study, engine: LocalEngine, base: str, seed: int) -> Body:
    """Fine-tune the base on the arm's examples."""
    spec = study.training

    def body(ctx: StepContext) -> None:
        source = ctx.inputs["examples"]
        examples = list(source.read("examples", Example, without=("prompt", "completion")))
        folder = ctx.out.folder / "model"

        def fit(rows: Sequence[Example], on_step: Callable[[int, int, float, int], None]) -> Trained:
            job = {
                **spec.model_dump(exclude={"seeds"}),
                "base": model_path(base),
                "out": str(folder),
                "seed": seed,
                "threads": engine.threads,
                "examples": str(source.folder),
            }
            result = engine.call(train_in_worker, job, on_event=lambda event: on_step(*event))  # type: ignore[misc]
            return trained_of(result, rows)

        trained, left = train_stage.train(examples, fit, progress=ctx.progress)
        ctx.out.write("losses", trained.losses)
        ctx.out.write("exclusions", left)
        ctx.out.facts.update(trained.facts)

    return body


def train_in_worker(job: dict[str, Any], emit: Callable[[object], None]) -> Any:
    """In a worker process: one training run; every tenth step is reported."""
    from lakon.backends.training.trl import TrainExample, TrainJob, train

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
        return train(TrainJob(**{**job, "examples": rows}), on_step)
    except (ValueError, OSError) as error:
        raise InputError(
            f"training cannot start: {str(error)[:300]}",
            "a base that can be loaded and examples that fit",
            "check students.base and training.max_length",
            where="train",
        ) from error


def trained_of(result: Any, rows: Sequence[Example]) -> Trained:
    """The trainer's result in the stages' terms."""
    losses = [
        Loss(step=s.step, n_tokens=s.tokens_seen, loss=s.loss, learning_rate=s.learning_rate) for s in result.losses
    ]
    facts = {
        "steps": result.n_steps,
        "tokens": result.n_tokens,
        "seconds": round(result.seconds, 2),
        "precision": result.precision,
        **{f"version.{k}": v for k, v in result.versions.items()},
    }
    return Trained(losses=losses, dropped=[rows[i] for i in result.dropped], facts=facts)
