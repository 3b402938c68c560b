"""How many floating-point operations a training takes, and how long they last.

Operations are counted as they are carried out: what activation checkpointing computes twice counts twice, so a stated
utilisation is that of the hardware, not of the model.
"""

from __future__ import annotations

from dataclasses import dataclass

from lakon.core.model_shape import ModelShape
from lakon.stages.train.memory import TrainingSetup


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedLengths:
    """Tokens that a training passes, and over how long sequences."""

    tokens: float
    """Over all epochs."""
    squares: float
    """The sum of the squared lengths of all sequences: what attention takes grows with it."""

    @property
    def mean_square(self) -> float:
        """Tokens of the sequence in which the average token stands."""
        return self.squares / self.tokens if self.tokens else 0.0


def count_operations(shape: ModelShape, setup: TrainingSetup, lengths: TrainedLengths) -> float:
    """Floating-point operations of a whole training.

    A forward pass takes 2 a multiplied parameter and token (Kaplan et al. 2020, arXiv 2001.08361), the gradients of
    activations as many, those of trained weights as many again: 6 N D in full, 4 N D for LoRA, and 2 N D more where
    activations are computed again. Attention takes 4 a token, earlier token and channel of a query in a forward pass,
    half of them behind the causal mask and not computed, and twice as many in the backward pass: 6 L h s for sequences
    of s tokens, where Chowdhery et al. 2022 (PaLM, arXiv 2204.02311) count 12 L h s without the mask.
    """
    again = 1 if setup.activation_checkpointing else 0
    multiplied = 2 * shape.multiplied * lengths.tokens * ((3 if setup.adapter is None else 2) + again)
    channels = shape.heads * shape.head_dim
    whole = shape.attention_layers - shape.window_layers
    # A windowed layer looks back at most a window; a token of a sequence of s looks back s / 2 on average.
    seen = whole * lengths.squares / 2 + shape.window_layers * min(shape.window * lengths.tokens, lengths.squares / 2)
    return multiplied + 4 * channels * seen * (3 + again)


def estimate_hours(
    shape: ModelShape, setup: TrainingSetup, lengths: TrainedLengths, *, peak_tflops: float, utilisation: float
) -> float:
    """Hours of one GPU; on `setup.gpus` of them a training lasts that share of it, if they are used as well."""
    return count_operations(shape, setup, lengths) / (peak_tflops * 1e12 * utilisation) / 3600
