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


def count_steps(lengths: Sequence[int], phases: Sequence[int], batch_tokens: int) -> int:
    """Optimizer steps of one pass over examples so long (prompt, completion and end token), phase by phase."""
    steps = 0
    for phase in set(phases):
        rows = 0
        for length in sorted(n for n, p in zip(lengths, phases, strict=True) if p == phase):
            if rows and (rows + 1) * length > batch_tokens:
                steps, rows = steps + 1, 0
            rows += 1
        steps += rows > 0
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
