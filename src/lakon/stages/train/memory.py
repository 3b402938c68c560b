"""What a training holds in the memory of one GPU, from the model's shape and the way it is trained.

Read next: `operations.py`, which reckons the time, and `layouts.py`, which finds what would fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lakon.core.model_shape import ModelShape

GB = 1_000_000_000
"""Bytes of a gigabyte here. A card of 80 GB offers 80 x 2^30 bytes less the driver's share: what is more is margin."""
QUANTISED_BYTES = 4.127 / 8
"""Of one parameter in NF4 with its doubly quantised constants (Dettmers et al. 2023)."""
LOGITS_TILE = 4096 * 32_768
"""Logits that TRL's chunked loss holds at a time: 4,096 tokens by 32,768 entries of the vocabulary."""
CPU_TILES = 7
"""Copies of the tile in float32 that the loss makes in its backward pass where there is no Triton."""
CONTEXT_BYTES = 1_500_000_000
"""Set aside for the CUDA context, cuBLAS and NCCL. Stated, not measured."""
FRAGMENTED = 0.05
"""Share of what comes and goes that the allocator loses to fragments. Stated, not measured."""

Precision = Literal["fp32", "bf16", "mixed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSetup:
    """How a model is trained, as far as its memory and time depend on it. FSDP2 shards everything over all GPUs."""

    precision: Precision
    """`fp32`; `bf16`: weights, gradients and moments; `mixed`: those in float32, computed with in bfloat16."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    adapter: Literal["lora", "qlora"] | None = None
    """Full-parameter training unless given."""
    rank: int = 0
    """Of the adapter."""
    targets: tuple[str, ...] | None = None
    """Names of the matrices that are adapted; all of the blocks unless given."""
    gpus: int = 1
    on_gpu: bool = True
    """Else on a CPU, which needs no context and has no fused kernel for the loss."""
    activation_checkpointing: bool = True
    """Whether the blocks' activations are computed again in the backward pass."""
    pass_tokens: int
    """Tokens of one forward and backward pass of one GPU, padding included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryEstimate:
    """Bytes on one GPU by what they are for. Not all is held at a time: `total` is the peak."""

    weights: int
    gradients: int
    optimizer: int
    """The optimizer's moments."""
    gathered: int
    """What FSDP gathers: embedding, head and two blocks, with the gradients of one. On one GPU what stands beside the
    weights in the precision of computing."""
    activations: int
    """What the forward pass keeps for the backward pass."""
    block: int
    """The backward pass through one block: its activations again where they are checkpointed, and their gradients."""
    logits: int
    """The loss: a tile of logits, and the gradients of the head and of the last hidden states in float32."""
    step: int
    """What the optimizer's step holds beside its moments."""
    reserve: int
    """Context of the GPU and fragments."""

    @property
    def passing(self) -> int:
        """The most that a pass holds beside weights, gradients and moments: the loss is over before a block's backward
        pass begins, and both before the optimizer's step."""
        return max(self.gathered + self.activations + max(self.block, self.logits), self.step)

    @property
    def total(self) -> int:
        """The peak."""
        return self.weights + self.gradients + self.optimizer + self.passing + self.reserve


@dataclass(frozen=True, slots=True)
class _Bytes:
    """Of one number of each kind."""

    weight: int
    gradient: int
    moment: int
    compute: int


_BYTES = {"fp32": _Bytes(4, 4, 4, 4), "bf16": _Bytes(2, 2, 2, 2), "mixed": _Bytes(4, 4, 4, 2)}


def estimate_memory(shape: ModelShape, setup: TrainingSetup) -> MemoryEstimate:
    """Bytes on one GPU while `shape` is trained as `setup` says.

    - Weights, gradients, moments: Rajbhandari et al. 2020 (ZeRO, arXiv 1910.02054), stage 3, each divided by the GPUs:
      16 bytes a parameter in float32 and in mixed precision, 8 in bfloat16, four or two less with Muon's one moment.
    - LoRA (Hu et al. 2021, arXiv 2106.09685): frozen weights, and r (rows + columns) trained ones a matrix, in float32
      as peft makes them. QLoRA (Dettmers et al. 2023, arXiv 2305.14314): 4.127 bits a frozen weight of a matrix.
    - Activations: the counting of Korthikanti et al. 2022 (arXiv 2205.05198), for blocks with RMSNorm, grouped-query
      attention and a gated MLP as transformers computes them, without a fused kernel but attention's: sdpa and
      FlashAttention (Dao 2023, arXiv 2307.08691) keep queries, keys, values and output, and nothing of the length
      squared. Checkpointed (Chen et al. 2016, arXiv 1604.06174), only the input of each block is kept.
    - State-space mixers (Dao and Gu 2024, arXiv 2405.21060): with the kernels of `mamba_ssm`, which keep the input
      projection and the output; without them it takes several times as much.
    """
    of = _BYTES[setup.precision]
    if setup.adapter is None:
        trained = shape.parameters
        weights, of_trained = of.weight * trained, of
        moments = _count_moments(shape, setup)
    else:
        trained = shape.count_adapter(setup.rank, setup.targets)
        quantised = shape.in_matrices if setup.adapter == "qlora" else 0
        weights = QUANTISED_BYTES * quantised + of.weight * (shape.parameters - quantised)
        of_trained = _BYTES["fp32"]
        weights += of_trained.weight * trained
        moments = trained if setup.optimizer == "muon" else 2 * trained
    activations, block = _passed(shape, setup, of)
    gathered = _gathered(shape, setup, of)
    logits = _logits(shape, setup, of)
    fragments = FRAGMENTED * (gathered + activations + max(block, logits))
    return MemoryEstimate(
        weights=round(weights / setup.gpus),
        gradients=round(of_trained.gradient * trained / setup.gpus),
        optimizer=round(of_trained.moment * moments / setup.gpus),
        gathered=round(gathered),
        activations=round(activations),
        block=round(block),
        logits=round(logits),
        step=round(_step(shape, setup, of)),
        reserve=round(CONTEXT_BYTES + fragments) if setup.on_gpu else 0,
    )


def _count_moments(shape: ModelShape, setup: TrainingSetup) -> int:
    """Moments of full training: two a parameter, and one of the matrices of the blocks with Muon."""
    return 2 * shape.parameters - (shape.in_matrices if setup.optimizer == "muon" else 0)


def _step(shape: ModelShape, setup: TrainingSetup, of: _Bytes) -> float:
    """PyTorch's AdamW updates all tensors at a time on GPUs, and holds the roots of all second moments. Weights in
    bfloat16 are updated one by one, with five copies in float32. Muon stacks the matrices of one size, whole on every
    GPU, and computes with three more copies of the stack."""
    if setup.adapter is not None:
        return 4 * shape.count_adapter(setup.rank, setup.targets) / setup.gpus
    if setup.optimizer == "muon":
        sizes: dict[tuple[int, int], int] = {}
        for kind in shape.matrices:
            size = (min(kind.rows, kind.columns), max(kind.rows, kind.columns))
            sizes[size] = sizes.get(size, 0) + kind.parameters
        return (of.moment + 3 * of.compute) * max(sizes.values(), default=0)
    if setup.precision == "bf16":
        largest = max((kind.rows * kind.columns for kind in shape.matrices), default=0)
        return 5 * 4 * max(shape.embedding, largest) / setup.gpus
    return of.moment * shape.parameters / setup.gpus


def _gathered(shape: ModelShape, setup: TrainingSetup, of: _Bytes) -> float:
    if setup.gpus == 1:
        if setup.adapter == "qlora":
            return of.compute * max((kind.rows * kind.columns for kind in shape.matrices), default=0)
        # Autocast keeps the copies of trained weights that it has made until the pass is over.
        casts = setup.precision == "mixed" and setup.adapter is None
        return of.compute * (shape.in_matrices + shape.experts) if casts else 0
    units = of.compute * (shape.embedding + shape.head + 2 * shape.largest_block)
    if setup.adapter is not None:
        return units
    # Gradients of one block as they were computed, and in the precision in which they are summed over the GPUs.
    summed = of.gradient if of.gradient != of.compute else 0
    return units + (of.compute + summed) * shape.largest_block


# -- activations -----------------------------------------------------------------------------------------------


def _passed(shape: ModelShape, setup: TrainingSetup, of: _Bytes) -> tuple[float, float]:
    """Bytes that the forward pass keeps, and that the backward pass through one block takes."""
    tokens = setup.pass_tokens
    stream = _stream(setup, of)
    kept = _kept_in_blocks(shape, of.compute, stream)
    final_norm = _norm(shape, of.compute, stream)
    # On the way back the gradients of a mixer's widest activations stand beside them.
    widest = max(3 * shape.intermediate if shape.gated else 2 * shape.intermediate, shape.mamba_projection)
    gradients = of.compute * widest + 2 * stream * shape.hidden
    adapted = _kept_by_adapters(shape, setup, of)
    if not setup.activation_checkpointing:
        return tokens * (kept.all + adapted * shape.layers + final_norm), tokens * gradients
    inputs = stream * shape.hidden * shape.layers
    return tokens * (inputs + final_norm), tokens * (kept.largest + adapted + gradients)


def _stream(setup: TrainingSetup, of: _Bytes) -> int:
    """Bytes of one number in the residual stream: autocast alone leaves it in float32, FSDP casts it."""
    return 4 if setup.precision == "mixed" and setup.gpus == 1 else of.compute


@dataclass(frozen=True, slots=True)
class _Kept:
    """Bytes a token that blocks keep."""

    all: float
    largest: float


def _kept_in_blocks(shape: ModelShape, compute: int, stream: int) -> _Kept:
    attention = _attention(shape, compute)
    mlp = compute * (4 if shape.gated else 2) * shape.intermediate
    experts = compute * shape.active_experts * (2 * shape.hidden + 8 * shape.intermediate)
    mamba = compute * (shape.mamba_projection + shape.mamba_inner)
    norm = _norm(shape, compute, stream)
    mixers = shape.attention_layers + shape.mlp_layers + shape.expert_layers + shape.mamba_layers
    everything = (
        attention * shape.attention_layers
        + mlp * shape.mlp_layers
        + experts * shape.expert_layers
        + mamba * shape.mamba_layers
        + norm * shape.norms
    )
    present = {
        "mixing": max(attention * bool(shape.attention_layers), mamba * bool(shape.mamba_layers)),
        "wide": max(mlp * bool(shape.mlp_layers), experts * bool(shape.expert_layers)),
    }
    norms_each = norm * shape.norms / shape.layers
    # Nemotron-H has one mixer a block, others have attention and an MLP.
    largest = max(present.values()) if mixers <= shape.layers else sum(present.values())
    return _Kept(everything, largest + norms_each)


def _attention(shape: ModelShape, compute: int) -> float:
    """Queries, keys, values, output and the logarithms of the sums. With norms of queries and keys also what those
    keep."""
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    kept = compute * (2 * queries + 2 * keys) + 4 * shape.heads
    if shape.has_query_key_norm:
        kept += (4 + compute) * (queries + keys) + 4 * (shape.heads + shape.kv_heads)
    return kept


def _norm(shape: ModelShape, compute: int, stream: int) -> float:
    """Its input in float32 and its spread, the normalised input, and its output, which linear layers take."""
    return (4 + stream + compute) * shape.hidden + 4


def _kept_by_adapters(shape: ModelShape, setup: TrainingSetup, of: _Bytes) -> float:
    """Bytes a token and block: what LoRA's first factor gives, and its input, which peft casts to float32 for each
    matrix apart unless autocast or the precision makes that needless."""
    if setup.adapter is None:
        return 0
    adapted = [kind for kind in shape.matrices if setup.targets is None or kind.name in setup.targets]
    casts = 4 if setup.precision == "bf16" else 0
    return sum(kind.copies * (4 * setup.rank + casts * kind.columns) for kind in adapted) / shape.layers


def _logits(shape: ModelShape, setup: TrainingSetup, of: _Bytes) -> float:
    tokens = setup.pass_tokens
    tile = min(LOGITS_TILE, tokens * shape.vocabulary) * (of.compute + (0 if setup.on_gpu else 4 * CPU_TILES))
    hidden = (4 + of.compute) * tokens * shape.hidden
    head = 0 if setup.adapter is not None else (4 + of.weight) * (shape.head or shape.embedding)
    return tile + hidden + head
