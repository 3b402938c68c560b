"""What a language model is made of, as far as the memory and time of its training depend on it.

It lies in the core because backends read shapes from models and stages reckon with them, and neither may import the
other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

ASPECT = 128
"""Width over number of blocks where only a bare count is known: 5120 over 40 as in Mistral-Nemo, 4096 over 32."""
ASSUMED_VOCABULARY = 262_144
"""Tokens of the vocabulary where only a bare count is known: that of Gemma, the largest of the usual ones."""


class MatrixKind(NamedTuple):
    """Matrices of the blocks that have one name and one size, such as all of `q_proj`."""

    name: str
    rows: int
    """Outputs."""
    columns: int
    """Inputs."""
    copies: int

    @property
    def parameters(self) -> int:
        """Of all of them."""
        return self.rows * self.columns * self.copies


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """A model's parameters by kind, and its widths. All parameter counts are of the whole model."""

    model_class: str
    """The class in transformers; empty for an assumed shape."""
    layers: int
    """Blocks, which are also the units that FSDP gathers and that activation checkpointing recomputes."""
    hidden: int
    intermediate: int
    """Of the MLP, or of one expert."""
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    attention_layers: int
    """Blocks with attention."""
    window: int = 0
    """Tokens that a layer with sliding-window attention looks back."""
    window_layers: int = 0
    """How many of the attention layers have such a window."""
    mlp_layers: int
    """Blocks with an MLP that every token passes."""
    expert_layers: int = 0
    """Blocks with a mixture of experts."""
    active_experts: int = 0
    """Experts that one token passes in such a block."""
    mamba_layers: int = 0
    """Blocks with a state-space mixer."""
    mamba_projection: int = 0
    """Outputs of the input projection of one state-space mixer."""
    mamba_inner: int = 0
    """Channels of one state-space mixer."""
    norms: int
    """Normalisations over the hidden width inside the blocks."""
    gated: bool
    """Whether the MLP has a gate beside its up-projection."""
    has_query_key_norm: bool = False
    """Whether queries and keys are normalised."""
    embedding: int
    """Parameters of the input embedding."""
    head: int
    """Parameters of the output head; 0 when it is tied to the embedding."""
    matrices: tuple[MatrixKind, ...]
    """Linear layers of the blocks: what LoRA can adapt. Experts are no linear layers."""
    experts: int = 0
    """Parameters of all experts."""
    used_experts: int = 0
    """Parameters of the experts that one token passes."""
    rest: int
    """Norms, biases, convolutions, routers."""
    largest_block: int
    """Parameters of the largest block."""
    is_assumed: bool = False
    """Whether only the count of parameters is known, and the widths follow from a rule."""

    @property
    def in_matrices(self) -> int:
        """Parameters of the linear layers of the blocks."""
        return sum(kind.parameters for kind in self.matrices)

    @property
    def parameters(self) -> int:
        """Of the whole model, tied ones once."""
        return self.embedding + self.head + self.in_matrices + self.experts + self.rest

    @property
    def multiplied(self) -> int:
        """Parameters that one token is multiplied with: not those of the embedding, which is a look-up, nor experts
        that it does not pass; the head also when it is tied."""
        return (self.head or self.embedding) + self.in_matrices + self.used_experts + self.rest

    def count_adapter(self, rank: int, targets: tuple[str, ...] | None = None) -> int:
        """Parameters of LoRA's two factors on the matrices of these names; on all of them unless given."""
        adapted = [kind for kind in self.matrices if targets is None or kind.name in targets]
        return sum(rank * (kind.rows + kind.columns) * kind.copies for kind in adapted)

    def as_row(self) -> dict[str, Any]:
        """The shape as plain values, for TOML and JSON."""
        return {**asdict(self), "matrices": [list(kind) for kind in self.matrices]}


def shape_of_row(row: Mapping[str, Any]) -> ModelShape:
    """The shape that `as_row` wrote. Raises `KeyError`, `TypeError` or `ValueError` for another row."""
    values = {field.name: row[field.name] for field in fields(ModelShape) if field.name in row}
    values["matrices"] = tuple(MatrixKind(*kind) for kind in row["matrices"])
    return ModelShape(**values)


def assume_shape(parameters: float) -> ModelShape:
    """A shape where only the count of parameters is known, by a rule: a Llama-like model whose blocks have 12 h²
    parameters each (4 h² of attention with as many key heads as query heads, 8 h² of a gated MLP), whose width h is
    `ASPECT` times its number of blocks, and whose vocabulary has `ASSUMED_VOCABULARY` tokens, embedding and head apart.

    The count stays exact, and with it weights, gradients and optimizer; activations are those of such a model.
    """
    hidden = _width(parameters)
    layers = max(1, round(hidden / ASPECT))
    embedding = min(ASSUMED_VOCABULARY * hidden, round(parameters / 4))
    in_blocks = round(parameters) - 2 * embedding
    intermediate = round(8 / 3 * hidden)
    matrices = [MatrixKind(name, hidden, hidden, layers) for name in ("q_proj", "k_proj", "v_proj", "o_proj")]
    matrices += [MatrixKind(name, intermediate, hidden, layers) for name in ("gate_proj", "up_proj")]
    matrices.append(MatrixKind("down_proj", hidden, intermediate, layers))
    return ModelShape(
        model_class="",
        layers=layers,
        hidden=hidden,
        intermediate=intermediate,
        heads=hidden // 128,
        kv_heads=hidden // 128,
        head_dim=128,
        vocabulary=ASSUMED_VOCABULARY,
        attention_layers=layers,
        mlp_layers=layers,
        norms=2 * layers,
        gated=True,
        embedding=embedding,
        head=embedding,
        matrices=tuple(matrices),
        # Widths are whole multiples of 128: what the blocks then have too few of, or too many, evens out here.
        rest=in_blocks - sum(kind.parameters for kind in matrices),
        largest_block=round(in_blocks / layers),
        is_assumed=True,
    )


def _width(parameters: float) -> int:
    """The greatest multiple of 128 whose model has no more parameters."""
    width = 128
    while 12 * (width + 128) ** 3 / ASPECT + 2 * ASSUMED_VOCABULARY * (width + 128) <= parameters:
        width += 128
    return width
