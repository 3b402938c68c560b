"""Which examples make which step: budgets, phases, repeats, packing, and that nothing but the plan decides them."""

import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakon.backends.training.batches import Row, block_size, fullness, pack_blocks, plan_steps, split_block
from lakon.backends.training.job import TrainJob
from lakon.backends.training.schedule import learning_rate_ratio

LAYOUTS = ["padded", "packed"]


def row(length: int, phase: int = 0, repeats: int = 1) -> Row:
    return Row(start=0, n_tokens=length, n_prompt=0, phase=phase, repeats=repeats)


def steps_of(rows: list[Row], **settings: object) -> list[list[int]]:
    """The examples of each step, whatever its blocks are."""
    return [[index for block in step.blocks for index in block] for step in plan_steps(rows, **settings)]  # type: ignore[arg-type]


def test_batches_hold_their_token_budget_padding_counted() -> None:
    rows = [row(length) for length in range(5, 80)] + [row(500)]
    plan = steps_of(rows, epochs=1, batch_tokens=200, seed=0)
    assert sorted(index for step in plan for index in step) == list(range(len(rows)))
    assert all(len(step) == 1 or len(step) * max(rows[index].n_tokens for index in step) <= 200 for step in plan)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_large_step_is_made_of_blocks_of_different_lengths(layout: str) -> None:
    rows = [row(length) for length in range(100, 4_100, 2)]
    plan = plan_steps(rows, epochs=1, batch_tokens=65_536, seed=0, layout=layout)  # type: ignore[arg-type]
    assert block_size(rows, 65_536) == 8_192
    sizes: list[int] = []
    spreads: list[float] = []
    for step in plan:
        longest = [max(rows[index].n_tokens for index in block) for block in step.blocks]
        held = [sum(rows[index].n_tokens for index in block) for block in step.blocks]
        padded = [width * len(block) for width, block in zip(longest, step.blocks, strict=True)]
        sizes.append(sum(held) if layout == "packed" else sum(padded))
        spreads.append(max(longest) / min(longest))
    assert max(sizes) <= 65_536
    assert sum(size > 57_344 for size in sizes) >= len(sizes) - 1
    if layout == "padded":
        assert sum(spread > 1.3 for spread in spreads) > 0.9 * len(spreads)


def test_phases_follow_one_another_with_all_their_epochs() -> None:
    rows = [row(10, phase=index % 2) for index in range(20)]
    plan = plan_steps(rows, epochs=3, batch_tokens=20, seed=0)
    assert [rows[step.blocks[0][0]].phase for step in plan] == [0] * 15 + [1] * 15
    assert [(step.place, step.of) for step in plan] == [(place, 15) for place in range(15)] * 2


@pytest.mark.parametrize("layout", LAYOUTS)
def test_repeats_are_counted_within_each_epoch_and_spread_over_passes(layout: str) -> None:
    rows = [row(10, repeats=3), row(10, repeats=1), row(10, repeats=2)]
    plan = steps_of(rows, epochs=2, batch_tokens=100, seed=0, layout=layout)
    assert Counter(index for step in plan for index in step) == {0: 6, 1: 2, 2: 4}
    assert [sorted(step) for step in plan] == [[0, 1, 2], [0, 2], [0]] * 2


@pytest.mark.parametrize("layout", LAYOUTS)
def test_plans_depend_on_the_seed_alone(layout: str) -> None:
    rows = [row(10 + index % 7) for index in range(60)]
    one, same, other = (steps_of(rows, epochs=1, batch_tokens=40, seed=seed, layout=layout) for seed in (0, 0, 1))
    assert one == same
    assert one != other


@settings(deadline=None, max_examples=200)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=200), st.integers(0, 3))
def test_packing_loses_nothing_and_overfills_nothing(lengths: list[int], seed: int) -> None:
    size = max(lengths) + 50
    blocks = pack_blocks(lengths, size, random.Random(seed))
    assert sorted(place for block in blocks for place in block) == list(range(len(lengths)))
    held = [sum(lengths[place] for place in block) for block in blocks]
    assert max(held) <= size
    # Best fit leaves at most one block half empty: two of them would have been one.
    assert sum(2 * each <= size for each in held) <= 1


def test_packed_blocks_are_nearly_full_for_lengths_like_those_of_the_paper() -> None:
    draw = random.Random(0)
    rows = [row(min(32_768, int(draw.lognormvariate(8.5, 0.9)) + 200)) for _ in range(4_000)]
    plan = plan_steps(rows, epochs=1, batch_tokens=262_144, seed=0, layout="packed")
    assert fullness(rows, plan[:-1]) > 0.98


@given(st.lists(st.integers(1, 90), min_size=1, max_size=30), st.integers(16, 200), st.sampled_from(LAYOUTS))
def test_a_block_is_computed_in_parts_that_hold_their_limit(lengths: list[int], limit: int, layout: str) -> None:
    rows = [row(length) for length in lengths]
    block = list(range(len(rows)))
    parts = list(split_block(rows, block, limit, layout))  # type: ignore[arg-type]
    assert [index for part in parts for index in part] == block
    for part in parts:
        longest, total = max(lengths[index] for index in part), sum(lengths[index] for index in part)
        assert len(part) == 1 or (total if layout == "packed" else longest * len(part)) <= limit


def job(**changes: object) -> TrainJob:
    settings: dict[str, object] = {"base": "", "out": "", "work": "", "epochs": 1, "batch_tokens": 64, "max_length": 64}
    return TrainJob(**{**settings, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("schedule", "middle", "last"), [("cosine", 0.525, 0.05), ("linear", 0.525, 0.05), ("constant", 1.0, 1.0)]
)
def test_learning_rates_by_hand(schedule: str, middle: float, last: float) -> None:
    each = job(schedule=schedule, warmup_steps=4)
    assert [learning_rate_ratio(each, step, 24) for step in (0, 3)] == [0.25, 1.0]
    assert learning_rate_ratio(each, 14, 24) == pytest.approx(middle)
    assert learning_rate_ratio(each, 24, 24) == pytest.approx(last)


def test_a_learning_rate_falls_within_a_phase() -> None:
    rates = [learning_rate_ratio(job(warmup_steps=2), place, 20) for place in range(20)]
    assert all(later < earlier for earlier, later in pairwise(rates[2:]))
