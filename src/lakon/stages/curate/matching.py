"""Matching: how often each example of an arm is trained, so that arms of different lengths can be compared.

Pure functions from lengths to repeats: every example gets the same number of whole passes, and the rest of the budget
goes to examples in seeded order. Steps are what `adapters/trl.py` makes of an epoch: rows of like length together,
rows times the longest of them at most `batch_tokens`; here with lengths in the study's common tokenizer.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Sequence

from lakon.core.digest import derive_seed


def match_tokens(tokens: Sequence[int], budget: int, seed: int) -> list[int]:
    """Repeats with which the trained tokens come as near to `budget` as whole examples allow; 0 leaves one out."""
    total = sum(tokens)
    if total == 0:
        return [1] * len(tokens)
    passes = budget // total
    return [passes + extra for extra in _extra(tokens, budget - passes * total, seed)]


def _extra(tokens: Sequence[int], rest: int, seed: int) -> bytearray:
    """1 for each example that is taken once more."""
    repeated = bytearray(len(tokens))
    for index in _order(len(tokens), seed):
        if tokens[index] <= 2 * rest:
            repeated[index] = 1
            rest -= tokens[index]
        if rest <= 0:
            break
    return repeated


def _order(n: int, seed: int) -> array[int]:
    """Seeded, so that what is taken once more is spread over lengths and phases in proportion."""
    order = array("I", range(n))
    random.Random(derive_seed(seed, "match")).shuffle(order)
    return order


BLOCK_TOKENS = 8_192
"""The trainer makes larger steps of blocks of examples of like length, each about so large."""


def count_steps(lengths: Sequence[int], phases: Sequence[int], batch_tokens: int) -> int:
    """Optimizer steps of one pass over padded examples so long (prompt, completion and end token), phase by phase.

    Exact up to `BLOCK_TOKENS`; above it the trainer shuffles blocks before it joins them to steps, and a pass may take
    a step more or less.
    """
    steps = 0
    for phase in set(phases):
        members = sorted(n for n, p in zip(lengths, phases, strict=True) if p == phase)
        block = min(batch_tokens, max(members[-1], BLOCK_TOKENS))
        steps += _count_joined(_padded_blocks(members, block), batch_tokens)
    return steps


def _padded_blocks(lengths: Sequence[int], size: int) -> list[int]:
    """Padded tokens of each block of ascending lengths."""
    blocks: list[int] = []
    rows = longest = 0
    for length in lengths:
        if rows and (rows + 1) * length > size:
            blocks.append(rows * longest)
            rows = 0
        rows, longest = rows + 1, length
    return [*blocks, rows * longest] if rows else blocks


def _count_joined(blocks: Sequence[int], batch_tokens: int) -> int:
    if batch_tokens <= BLOCK_TOKENS:
        return len(blocks)
    steps, held = 0, batch_tokens
    for block in blocks:
        if held + block > batch_tokens:
            steps, held = steps + 1, 0
        held += block
    return steps


def match_steps(
    lengths: Sequence[int], phases: Sequence[int], budget: int, *, batch_tokens: int, seed: int
) -> list[int]:
    """Repeats with which an epoch takes `budget` steps, or the nearest number below that whole examples allow."""
    whole = count_steps(lengths, phases, batch_tokens)
    if whole == 0:
        return [1] * len(lengths)
    passes, rest = divmod(budget, whole)
    order = _order(len(lengths), seed)

    def steps(n: int) -> int:
        part = order[:n]
        return count_steps([lengths[i] for i in part], [phases[i] for i in part], batch_tokens)

    low, high = 0, len(order)  # the most examples that take no more than `rest` steps
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if steps(middle) <= rest else (low, middle - 1)
    extra = set(order[:low])
    return [passes + int(i in extra) for i in range(len(lengths))]
