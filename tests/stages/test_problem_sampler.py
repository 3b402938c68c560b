"""The sampler against the plain way of doing it, on ids that lie close to one another and rows that come again."""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from lakon.core.digest import derive_seed
from lakon.core.records import Exclusion, Problem
from lakon.stages.problems.sample import ProblemSampler


def plainly(rows: Sequence[Problem], count: int | None, seed: int) -> tuple[list[Problem], list[tuple[str, str]]]:
    """Problems in a dictionary and a heap of their ids: what is kept, and who is left out by which rule."""
    kept: dict[str, tuple[int, Problem]] = {}
    heap: list[tuple[int, str]] = []
    left: list[tuple[str, str]] = []
    for n, row in enumerate(rows):
        if row.problem_id in kept:
            left.append((row.source, "duplicate_problem"))
            continue
        kept[row.problem_id] = n, row
        heapq.heappush(heap, (-derive_seed(seed, "sample", row.problem_id), row.problem_id))
        if count is not None and len(heap) > count:
            left.append((kept.pop(heapq.heappop(heap)[1])[1].source, "beyond_count"))
    return [problem for _, problem in sorted(kept.values(), key=lambda pair: pair[0])], left


# Bytes of two kinds: all ids begin alike, and one often stands across the border of two others.
KEYS = st.lists(st.sampled_from(["00", "01"]), min_size=14, max_size=14).map(lambda rest: "0000" + "".join(rest))


ACROSS = ["0000" + "00" * 13 + "01", "0000" + "01" + "00" * 13, "0000" + "0101" + "00" * 12]


@example(ACROSS, 0, None)
@given(st.lists(KEYS, min_size=1, max_size=60), st.integers(0, 5), st.one_of(st.none(), st.integers(1, 20)))
def test_what_is_kept_and_what_is_left_out_come_in_the_order_of_the_plain_way(
    keys: list[str], seed: int, count: int | None
):
    rows = [
        Problem(problem_id=key, prompt=f"p{key}", reference="1", domain="math", source=f"f:{i}", tags=(f"n={i}",))
        for i, key in enumerate([*keys, *keys[::3]])
    ]
    count = None if count is None else min(count, len(set(keys)))
    with tempfile.TemporaryFile() as waiting:
        sampler = ProblemSampler(rows, count=count, seed=seed, waiting=waiting)
        left = [(each.detail, each.rule) for each in sampler.exclusions()]
        assert (list(sampler.problems()), left) == plainly(rows, count, seed)


def test_rows_that_are_exclusions_already_pass_through():
    broken = Exclusion(subject="f:2", arm="", rule="broken_json", detail="f:2: x is no JSON")
    with tempfile.TemporaryFile() as waiting:
        sampler = ProblemSampler([Problem.of("1+1?", "2"), broken], count=None, seed=0, waiting=waiting)
        assert list(sampler.exclusions()) == [broken]
        assert [problem.prompt for problem in sampler.problems()] == ["1+1?"]
        assert sampler.n_rows == 2
