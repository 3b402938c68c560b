"""Traces beside their problems: in one pass for each sample, whatever is missing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lakon.core.records import Problem, Trace
from lakon.stages.verify.join import join_problems

PROBLEMS = [Problem.of(f"p{i}", str(i)) for i in range(6)]


def about(*numbers: int) -> list[Trace]:
    return [
        Trace(trace_id=str(at), problem_id=PROBLEMS[i].problem_id, author="a", sample_index=0)
        for at, i in enumerate(numbers)
    ]


@pytest.mark.parametrize(
    ("numbers", "passes"),
    [
        ((0, 1, 2, 3, 4, 5), 1),
        ((0, 2, 2, 5, 0, 1, 5), 2),
        ((3, 3, 3), 1),
        ((5, 4, 3), 3),
        ((), 1),
    ],
)
def test_each_trace_comes_with_its_problem_and_problems_are_read_once_a_sample(numbers: tuple[int, ...], passes: int):
    read = 0

    def problems() -> Iterator[Problem]:
        nonlocal read
        read += 1
        yield from PROBLEMS

    rows = about(*numbers)
    assert [(trace, problem.prompt) for trace, problem in join_problems(rows, problems)] == [
        (row, f"p{i}") for row, i in zip(rows, numbers, strict=True)
    ]
    assert read <= passes


def test_a_trace_of_no_problem_is_a_key_error():
    stranger = Trace(trace_id="t", problem_id="none", author="a", sample_index=0)
    with pytest.raises(KeyError):
        list(join_problems([*about(1), stranger], lambda: PROBLEMS))
