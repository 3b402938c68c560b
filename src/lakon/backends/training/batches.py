"""Which examples make which step: planned over all of them before the first one is trained.

Invariant: the plan is a function of the examples' lengths, phases and repeats, the layout, the budget and the seed. How
many processes share a step, and how much of it one of them computes at a time, changes no step.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

LEAST_BLOCK = 8_192
"""Tokens that are computed together at the least, where the budget of a step allows for it."""

Layout = Literal["packed", "padded"]
Block = list[int]
"""Indexes of examples that are computed together."""


class Row(NamedTuple):
    """One example as numbers: where its tokens begin among all tokens, and how many there are."""

    start: int
    n_tokens: int
    """Prompt and completion."""
    n_prompt: int
    phase: int
    repeats: int
    index: int = 0
    """Among the examples that the job was given."""


class PlannedStep(NamedTuple):
    """One optimizer step: its blocks, and where it stands in the schedule of its phase."""

    blocks: list[Block]
    place: int
    """Steps of its phase before it."""
    of: int
    """Steps of its phase."""


def block_size(rows: Sequence[Row], batch_tokens: int) -> int:
    """Tokens of one block: the longest example fits, and the budget of a step is not exceeded without need."""
    longest = max(row.n_tokens for row in rows)
    return max(longest, min(batch_tokens, LEAST_BLOCK))


def plan_steps(
    rows: Sequence[Row], *, epochs: int, batch_tokens: int, seed: int, layout: Layout = "padded"
) -> list[PlannedStep]:
    """Every step of a run: phase by phase, epoch by epoch, shuffled.

    A row with `repeats` k occurs in k passes of each epoch, so its occurrences never share a pass. Padded blocks hold
    rows of like length; packed ones are filled as full as they go.
    """
    rng = random.Random(f"batches/{seed}")
    plan: list[PlannedStep] = []
    for phase in sorted({row.phase for row in rows}):
        members = [index for index, row in enumerate(rows) if row.phase == phase]
        steps: list[list[Block]] = []
        for _ in range(epochs):
            for occurrence in range(max(rows[index].repeats for index in members)):
                present = [index for index in members if rows[index].repeats > occurrence]
                if layout == "packed":
                    steps += _packed_pass(rows, present, batch_tokens, block_size(rows, batch_tokens), rng)
                else:
                    steps += _padded_pass(rows, present, batch_tokens, block_size(rows, batch_tokens), rng)
        plan += [PlannedStep(blocks, place, len(steps)) for place, blocks in enumerate(steps)]
    return plan


def split_block(rows: Sequence[Row], block: Block, limit: int, layout: Layout) -> Iterator[Block]:
    """The block in parts that are computed one after the other, each within `limit` tokens or a single row."""
    part: Block = []
    longest = total = 0
    for index in block:
        n_tokens = rows[index].n_tokens
        size = total + n_tokens if layout == "packed" else (len(part) + 1) * max(longest, n_tokens)
        if part and size > limit:
            yield part
            part, longest, total = [], 0, 0
        part.append(index)
        longest, total = max(longest, n_tokens), total + n_tokens
    if part:
        yield part


def fullness(rows: Sequence[Row], plan: Sequence[PlannedStep]) -> float:
    """The share of a packed plan's places that hold a token."""
    held = [count_tokens(rows, block) for step in plan for block in step.blocks]
    return sum(held) / (len(held) * max(held))


def count_tokens(rows: Sequence[Row], block: Block) -> int:
    """Tokens of a block without padding."""
    return sum(rows[index].n_tokens for index in block)


def count_padded(rows: Sequence[Row], block: Block) -> int:
    """Tokens of a block with padding."""
    return len(block) * max(rows[index].n_tokens for index in block)


def _padded_pass(
    rows: Sequence[Row], present: list[int], batch_tokens: int, size: int, rng: random.Random
) -> list[list[Block]]:
    blocks = list(_group_by_length(rows, present, min(size, batch_tokens), rng))
    rng.shuffle(blocks)
    if batch_tokens <= size:
        return [[block] for block in blocks]
    return _join(blocks, [count_padded(rows, block) for block in blocks], batch_tokens)


def _group_by_length(rows: Sequence[Row], present: list[int], budget: int, rng: random.Random) -> Iterator[Block]:
    order = sorted(present, key=lambda index: (rows[index].n_tokens, rng.random()))
    block: Block = []
    for index in order:
        # Ascending, so the row at hand is the longest so far and decides the padded width.
        if block and (len(block) + 1) * rows[index].n_tokens > budget:
            yield block
            block = []
        block.append(index)
    if block:
        yield block


def _packed_pass(
    rows: Sequence[Row], present: list[int], batch_tokens: int, size: int, rng: random.Random
) -> list[list[Block]]:
    blocks: list[Block] = []
    for places in pack_blocks([rows[index].n_tokens for index in present], size, rng):
        blocks.append([present[place] for place in places])
    rng.shuffle(blocks)
    return _join(blocks, [count_tokens(rows, block) for block in blocks], max(batch_tokens, size))


def pack_blocks(lengths: Sequence[int], size: int, rng: random.Random) -> list[Block]:
    """Places of `lengths` in blocks of at most `size` tokens: the longest first, each into the fullest block that takes
    it (best fit decreasing; Johnson 1973). Lengths that differ little come in random order, so that passes differ.
    """
    grain = max(1, size // 512)
    order = sorted(range(len(lengths)), key=lambda place: (-(lengths[place] // grain), rng.random()))
    blocks: list[Block] = []
    by_room: dict[int, list[int]] = {}
    rooms = 0
    """The rooms that some block has, as the bits of a whole number: the lowest bit from a length on is the best fit."""
    for place in order:
        length = lengths[place]
        fitting = rooms >> length
        if fitting:
            room = length + (fitting & -fitting).bit_length() - 1
            number = by_room[room].pop()
            if not by_room[room]:
                rooms &= ~(1 << room)
            blocks[number].append(place)
        else:
            room, number = max(size, length), len(blocks)
            blocks.append([place])
        left_over = room - length
        if left_over:
            by_room.setdefault(left_over, []).append(number)
            rooms |= 1 << left_over
    return blocks


def _join(blocks: list[Block], sizes: list[int], batch_tokens: int) -> list[list[Block]]:
    """Blocks one after the other into steps within the budget."""
    steps: list[list[Block]] = []
    held = math.inf
    for block, size in zip(blocks, sizes, strict=True):
        if held + size > batch_tokens:
            steps.append([])
            held = 0
        steps[-1].append(block)
        held += size
    return steps
