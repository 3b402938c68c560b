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
    trained: dict[Name, str] = {}
    """Arms that were trained elsewhere, on what `lakon export` wrote: arm to a folder or hub id. They are evaluated
    here like any other student."""

    @property
    def label(self) -> str:
        """The student's short name."""
        return self.name or "".join(c if c.isalnum() or c in "._-" else "-" for c in self.base.split("/")[-1].lower())


class Adapter(Spec):
    """Low-rank adapters instead of all weights (LoRA: Hu et al. 2021, arXiv 2106.09685)."""

    method: Literal["lora", "qlora"] = "lora"
    """`qlora` holds the frozen base in 4 bits (Dettmers et al. 2023, arXiv 2305.14314): one GPU, and bitsandbytes."""
    rank: Annotated[int, Field(ge=1, le=1024)] = 16
    """Of each adapter."""
    alpha: Annotated[int, Field(ge=1)] = 32
    """Adapters are scaled by `alpha / rank`."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """On the adapters' input."""
    targets: tuple[str, ...] = ()
    """Names of the linear layers that get an adapter, as `q_proj`. Unless given, all but the head and routers: those of
    experts too, which take no dropout, and no `out_proj` of a state-space layer, whose kernel passes adapters by."""
    merge: bool = True
    """Write a whole model with the adapters merged in; false keeps them beside the base's weights as an adapter."""


class Training(Spec):
    """How students are fine-tuned; the loss is on the completion only."""

    epochs: Annotated[int, Field(ge=1)] = 3
    """How often each example is shown."""
    batch_tokens: Annotated[int, Field(ge=64)] = 262_144
    """Tokens of one optimizer step, prompts and padding included: styles of different length get steps of one size."""
    max_length: Annotated[int, Field(ge=16)] = 32_768
    """Longest prompt and completion, in the student's tokens."""
    too_long: Literal["leave_out", "refuse"] = "leave_out"
    """What becomes of longer examples: left out and told as exclusions, or the training does not start."""
    layout: Literal["auto", "packed", "padded"] = "auto"
    """Several examples in one row, told apart by their positions, or one a row with padding, like lengths together.
    `auto` packs on GPUs where a measurement on this student shows that packed examples do not see each other."""
    adapter: Adapter | None = None
    """Train low-rank adapters; all weights unless given."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """AdamW, or Muon on the matrices."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-5
    """The highest one."""
    warmup_steps: Annotated[int, Field(ge=0)] = 10
    """Steps until the learning rate is reached, in each phase of a curriculum."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the learning rate falls after that; it starts again with each phase of a curriculum."""
    min_lr_ratio: Annotated[float, Field(ge=0, le=1)] = 0.05
    """The schedule ends at this share of the learning rate."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled from the gradient."""
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    """Gradients are clipped to it."""
    precision: Literal["auto", "fp32", "mixed", "bf16"] = "auto"
    """`bf16`: weights, gradients and moments in bfloat16, each update rounded at random so that none is lost (8 bytes a
    parameter with AdamW); `mixed`: float32 weights, arithmetic in bfloat16 (16 bytes); `fp32`. `auto` is bf16 on GPUs
    that multiply it natively, fp32 on processors: state one where the same study is trained on different machines."""
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0,)
    """One training run a seed; with one, the spread between training runs stays unknown, and the report says so."""
    extra: dict[str, bool | int | float | str] = {}
    """Further settings of TRL's `SFTConfig`, by its own names, as `neftune_noise_alpha` or `loss_type`. What a field
    here or `run.training` decides is refused."""


class TrainingRun(Spec):
    """Where and how students are trained. Never part of any key."""

    processes: Annotated[int, Field(ge=1, le=64)] = 1
    """GPUs of one machine that train one student together, its weights, gradients and moments sharded over them
    (FSDP2)."""
    nodes: Annotated[int, Field(ge=1, le=1024)] = 1
    """Machines, with so many processes each; the store must lie where all of them see it."""
    launcher: tuple[str, ...] = ()
    """What starts a command on every node, put before it, as `["srun", "--nodes={nodes}", "--ntasks-per-node=1"]`."""
    rendezvous: str = "127.0.0.1:0"
    """Where the nodes meet: `host:port` of the first one."""
    micro_batch_tokens: Annotated[int, Field(ge=16)] | None = None
    """Tokens of one forward and backward pass of one process; a step adds up the gradients of as many as it takes. At
    least 8,192, or the longest example, unless given."""
    activation_checkpointing: bool | None = None
    """Compute activations again in the backward pass instead of keeping them; on GPUs unless given."""
    attention: Literal["auto", "sdpa", "flash_attention_2", "eager"] = "auto"
    """`auto` is FlashAttention where it is installed and sdpa elsewhere; on processors eager for short examples."""
    checkpoint_minutes: Annotated[float, Field(ge=0)] = 10
    """A run that is killed goes on from a checkpoint at most so old; 0 writes one after every step."""
    keep_checkpoints: Annotated[int, Field(ge=1)] = 2
    """The newest so many stay; all go when the student is trained."""
    report_to: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ()
    """Where loss curves are sent while they come, beside the store."""
    command: tuple[str, ...] = ()
    """A trainer of one's own: it finds examples and settings in the folder `{job}` and leaves a model in `{out}`."""


Fit = Callable[[Sequence[ExampleLengths], Callable[[int, int, float, int], None]], Trained]
"""Trains on the examples and calls back with (step, steps, loss, tokens so far)."""


def train(examples: Sequence[ExampleLengths], fit: Fit, *, progress: Progress) -> tuple[Trained, list[Exclusion]]:
    """Fine-tune; returns the losses and facts, and the examples that were too long as exclusions."""
    shown: list[int] = []

    def on_step(step: int, steps: int, loss: float, n_tokens: int) -> None:
        if not shown or step <= shown[0]:  # the beginning, or a checkpoint that a killed run goes on from
            progress.start(steps, done=step - 1, unit="steps")
            shown[:] = [step - 1, 0 if step == 1 else n_tokens]
        progress.advance(step - shown[0], tokens=n_tokens - shown[1], loss=loss)
        shown[:] = [step, n_tokens]

    trained = fit(examples, on_step)
    left = [
        Exclusion(subject=e.trace_id, arm=e.arm, rule="too_long", detail=f"{e.n_tokens} tokens in the completion")
        for e in trained.dropped
    ]
    return trained, left
