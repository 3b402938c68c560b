"""Which ways of training would fit into a memory, when the one at hand does not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from lakon.core.model_shape import ModelShape
from lakon.stages.train.memory import MemoryEstimate, TrainingSetup, estimate_memory

MOST_GPUS = 1024
RANK = 16
"""Of an adapter that is proposed."""
LEAST_TOKENS = 1024
"""A training on shorter examples is not proposed."""


Layout = tuple[TrainingSetup, MemoryEstimate]


def find_fitting(shape: ModelShape, setup: TrainingSetup, most_bytes: float) -> list[Layout]:
    """Ways to train examples as long as now that take at most `most_bytes` on a GPU, each with one thing changed as far
    as it must be: more GPUs, or an adapter on no more of them."""
    return _first_of_each([_over_more(setup), *([each] for each in list_adapters(setup))], shape, most_bytes)


def find_shorter(shape: ModelShape, setup: TrainingSetup, most_bytes: float) -> list[Layout]:
    """The same for shorter passes: the longest that fit, in full on 8 and 64 GPUs, and with adapters."""
    sharded = [replace(setup, gpus=gpus, activation_checkpointing=True) for gpus in (8, 64) if gpus > setup.gpus]
    if setup.adapter == "qlora":
        sharded = []
    return _first_of_each([_shortened(each) for each in (*sharded, *list_adapters(setup))], shape, most_bytes)


def list_adapters(setup: TrainingSetup) -> list[TrainingSetup]:
    """LoRA on as many GPUs and QLoRA on one, which shards no weights, where they are less than what is done now."""
    adapted = replace(setup, rank=setup.rank or RANK, activation_checkpointing=True)
    setups = [replace(adapted, adapter="lora")] if setup.adapter is None else []
    return [*setups, replace(adapted, adapter="qlora", gpus=1)] if setup.adapter != "qlora" else []


def _first_of_each(lines: Iterable[Iterable[TrainingSetup]], shape: ModelShape, most_bytes: float) -> list[Layout]:
    found: list[Layout] = []
    for line in lines:
        for setup in line:
            estimate = estimate_memory(shape, setup)
            if estimate.total <= most_bytes:
                found.append((setup, estimate))
                break
    return found


def _over_more(setup: TrainingSetup) -> Iterator[TrainingSetup]:
    """The same over more GPUs, by powers of two. Weights in 4 bits are not sharded."""
    gpus = 2
    while gpus <= MOST_GPUS and setup.adapter != "qlora":
        if gpus > setup.gpus:
            yield replace(setup, gpus=gpus, activation_checkpointing=True)
        gpus *= 2


def _shortened(setup: TrainingSetup) -> Iterator[TrainingSetup]:
    tokens = 1 << (setup.pass_tokens - 1).bit_length()
    while tokens > LEAST_TOKENS:
        tokens //= 2
        if tokens < setup.pass_tokens:
            yield replace(setup, pass_tokens=tokens, activation_checkpointing=True)
