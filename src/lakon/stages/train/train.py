"""One student for each arm: the base, fine-tuned on the arm's examples by the trainer that comes in as an argument.

Invariant: what is trained on is exactly the examples table; an example too long for the student is an exclusion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from pydantic import Field

from lakon.core.protocols import Progress, Trained
from lakon.core.records import ExampleLengths, Exclusion
from lakon.core.spec import Name, Spec

MINIATURE_BASE = "miniature:base"


class Student(Spec):
    """A base model to fine-tune."""

    base: str
    """A local folder (relative to the study), a hub id, or `miniature:base`."""
    name: Name | None = None
    """Stands in labels when a study has several students; the base's last part unless given."""

    @property
    def label(self) -> str:
        """The student's short name."""
        return self.name or "".join(c if c.isalnum() or c in "._-" else "-" for c in self.base.split("/")[-1].lower())


class Training(Spec):
    """How students are fine-tuned: full-parameter, loss on the completion only."""

    epochs: Annotated[int, Field(ge=1)] = 3
    """How often each example is shown."""
    batch_tokens: Annotated[int, Field(ge=64)] = 262_144
    """Tokens of one optimizer step, prompts and padding included: styles of different length get steps of one size."""
    max_length: Annotated[int, Field(ge=16)] = 32_768
    """Longest prompt and completion, in the student's tokens; longer examples are left out, and said so."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """AdamW, or Muon on the matrices."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-5
    """The highest one."""
    warmup_steps: Annotated[int, Field(ge=0)] = 10
    """Steps until the learning rate is reached."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the learning rate falls after that."""
    min_lr_ratio: Annotated[float, Field(ge=0, le=1)] = 0.05
    """The schedule ends at this share of the learning rate."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled from the gradient."""
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    """Gradients are clipped to it."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Of weights and gradients. `auto` is what the hardware does well, fp32 on processors: state one where the same
    study is trained on different machines."""
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0,)
    """One training run a seed; with one, the spread between training runs stays unknown, and the report says so."""


Fit = Callable[[Sequence[ExampleLengths], Callable[[int, int, float, int], None]], Trained]
"""Trains on the examples and calls back with (step, steps, loss, tokens so far)."""


def train(examples: Sequence[ExampleLengths], fit: Fit, *, progress: Progress) -> tuple[Trained, list[Exclusion]]:
    """Fine-tune; returns the losses and facts, and the examples that were too long as exclusions."""
    shown = [0, 0]

    def on_step(step: int, steps: int, loss: float, n_tokens: int) -> None:
        if step <= 1:
            progress.start(steps, unit="steps")
            shown[:] = [0, 0]
        progress.advance(step - shown[0], tokens=n_tokens - shown[1], loss=loss)
        shown[:] = [step, n_tokens]

    trained = fit(examples, on_step)
    left = [
        Exclusion(subject=e.trace_id, arm=e.arm, rule="too_long", detail=f"{e.n_tokens} tokens in the completion")
        for e in trained.dropped
    ]
    return trained, left
