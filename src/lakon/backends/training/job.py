"""What a training run is told and what it says: plain values, so that they can travel to another process.

Everything in `TrainJob` above the line decides the weights of the student; what is below says where and how fast.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple


class TrainExample(NamedTuple):
    """What to learn from: after `prompt`, write `completion`; `repeats` times an epoch, in phase `phase`."""

    prompt: str
    completion: str
    phase: int = 0
    repeats: int = 1
    system: str = ""


class StepLoss(NamedTuple):
    """One optimizer step as it was: trained tokens seen up to and with it, mean loss of its tokens,
    learning rate.
    """

    step: int
    tokens_seen: int
    loss: float
    learning_rate: float


class HeldOutLoss(NamedTuple):
    """Mean loss of the tokens of one style's held-out examples after so many steps."""

    step: int
    tokens_seen: int
    style: str
    loss: float
    n_tokens: int


class ShownExample(NamedTuple):
    """One example as the student is trained on it, written out from its token ids."""

    index: int
    """Among the examples that the job was given."""
    masked: str
    """What is read only: the rendered prompt, special tokens shown."""
    trained: str
    """What the loss is taken on, the end token shown."""
    n_masked: int
    n_trained: int


class AdapterSettings(NamedTuple):
    """Low-rank adapters; the fields are those of `training.adapter`."""

    method: Literal["lora", "qlora"] = "lora"
    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    targets: tuple[str, ...] = ()
    merge: bool = True


OnStep = Callable[[StepLoss, int], None]
"""Told each step, and how many there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainJob:
    """One student to train."""

    base: str
    """Path or hub name of the model to start from."""
    epochs: int
    """Passes over each phase; a later phase starts when all epochs of the earlier one are done."""
    batch_tokens: int
    """Upper bound of the tokens of a step, padding counted (a single longer row still makes a step)."""
    max_length: int
    """Longest prompt and completion in tokens; nothing is ever cut."""
    too_long: Literal["leave_out", "refuse"] = "leave_out"
    layout: Literal["auto", "packed", "padded"] = "auto"
    adapter: AdapterSettings | None = None
    optimizer: Literal["adamw", "muon"] = "muon"
    learning_rate: float = 1e-3
    warmup_steps: int = 10
    schedule: Literal["cosine", "constant", "linear"] = "cosine"
    min_lr_ratio: float = 0.05
    weight_decay: float = 0.05
    max_grad_norm: float = 1.0
    seed: int = 0
    precision: Literal["auto", "fp32", "mixed", "bf16"] = "auto"
    extra: dict[str, Any] = field(default_factory=dict[str, Any])
    """Further settings of `SFTConfig`, by its names."""

    # -- where and how fast ---------------------------------------------------------------------------------

    out: str
    """Folder to write the student to."""
    work: str
    """Folder of what the run keeps while it trains: tokens, losses as they come, checkpoints. It outlives a killed run,
    and the same job goes on from it."""
    threads: int = 1
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"] = "auto"
    micro_batch_tokens: int | None = None
    activation_checkpointing: bool | None = None
    checkpoint_minutes: float = 10.0
    keep_checkpoints: int = 2
    report_to: tuple[str, ...] = ()
    held_out_every: int = 0
    """Steps between measurements of the held-out loss; about twenty in all unless given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """What a finished job did."""

    losses: list[StepLoss]
    n_steps: int
    n_tokens: int
    """Trained tokens: those of completions and their end tokens, every time they were seen."""
    n_examples: int
    dropped: list[int]
    """Indexes of examples longer than `max_length`."""
    shown: list[ShownExample]
    held_out: list[HeldOutLoss]
    seconds: float
    """Of this run; those before a kill are not counted."""
    settings: dict[str, str | int | float]
    """What was chosen here and why: precision, attention, layout, micro-batch, leakage, processes, the step that the
    run went on from."""
    versions: dict[str, str]
