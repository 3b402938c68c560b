"""Problems: five rows by hand, and files that are not what they say."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from lakon.core.errors import InputError
from lakon.core.records import Exclusion, Problem
from lakon.stages.problems.rows import read_jsonl, read_path
from lakon.stages.problems.sample import ProblemSampler
from lakon.stages.problems.sources import HuggingFaceProblems, JsonlProblems, ParquetProblems, problems_of_rows

ROWS = [
    {"problem": "1+1?", "answer": "2", "level": 1},
    {"problem": "2+2?", "answer": "4", "level": 2},
    {"problem": "1+1?", "answer": "2", "level": 1},
    {"problem": "  ", "answer": "4", "level": 2},
    {"problem": "3+3?", "answer": "", "level": 2},
]


def problems(
    rows: Iterable[Problem | Exclusion], *, count: int | None, seed: int
) -> tuple[list[Problem], list[Exclusion]]:
    with tempfile.TemporaryFile() as waiting:
        sampler = ProblemSampler(rows, count=count, seed=seed, waiting=waiting)
        left = list(sampler.exclusions())
        kept = list(sampler.problems())
        assert list(sampler.problems()) == kept
    return kept, left


def read(rows: list[dict[str, object]]) -> list[Problem | Exclusion]:
    return list(
        problems_of_rows(
            ((f"f:{i}", row) for i, row in enumerate(rows, 1)), JsonlProblems(path="f", tag_fields=("level",))
        )
    )


def test_five_rows_give_two_problems_and_three_exclusions():
    kept, left = problems(read(ROWS), count=None, seed=0)
    assert [(p.prompt, p.reference, p.tags, p.source) for p in kept] == [
        ("1+1?", "2", ("level=1",), "f:1"),
        ("2+2?", "4", ("level=2",), "f:2"),
    ]
    assert [(e.rule, e.detail) for e in left] == [
        ("duplicate_problem", "f:3"),
        ("empty_prompt", "f:4"),
        ("no_reference", "f:5"),
    ]


def test_a_problem_is_keyed_by_content_not_by_where_it_stood():
    a, b = Problem.of("1+1?", "2", source="here"), Problem.of("1+1?", "2", source="there")
    assert a.problem_id == b.problem_id
    assert a.problem_id != Problem.of("1+1?", "3").problem_id


def test_a_sample_is_seeded_and_keeps_the_order_of_the_source():
    rows = [Problem.of(f"p{i}", str(i)) for i in range(50)]
    first, _ = problems(rows, count=10, seed=1)
    again, _ = problems(rows, count=10, seed=1)
    other, _ = problems(rows, count=10, seed=2)
    assert first == again != other
    assert [int(p.reference) for p in first] == sorted(int(p.reference) for p in first)


def test_a_sample_depends_on_what_there_is_and_not_on_its_order_and_grows_by_addition():
    rows = [Problem.of(f"p{i}", str(i)) for i in range(200)]
    ten, left = problems(rows, count=10, seed=3)
    turned, _ = problems(rows[::-1], count=10, seed=3)
    twenty, _ = problems(rows, count=20, seed=3)
    assert set(ten) == set(turned) < set(twenty)
    assert Counter(e.rule for e in left) == {"beyond_count": 190}


def test_duplicates_in_a_sample_are_no_second_chance():
    rows = [Problem.of(f"p{i % 50}", str(i % 50), source=str(i)) for i in range(150)]
    kept, left = problems(rows, count=10, seed=0)
    assert kept == problems(rows[:50], count=10, seed=0)[0]
    rules = Counter(e.rule for e in left)
    assert rules.total() == 140
    assert rules["duplicate_problem"] >= 20


def test_a_source_that_has_become_smaller_than_count_is_an_input_error():
    with pytest.raises(InputError, match=r"7 problems in 9 rows \(left out: duplicate_problem: 2\)") as caught:
        problems([Problem.of(f"p{i % 7}", "1") for i in range(9)], count=8, seed=0)
    assert "at least the 8" in str(caught.value)
    assert "lower `count`" in str(caught.value)


def test_metadata_that_is_no_json_costs_its_row_and_says_so():
    spec = ParquetProblems(path="x", prompt_field="q", reference_field="metadata.expected_answer")
    rows = [{"q": "1+1?", "metadata": text} for text in ('{"expected_answer": "2"}', "{oops", "", "{}")]
    kept, left = problems(problems_of_rows(((f"x:{i}", row) for i, row in enumerate(rows)), spec), count=None, seed=0)
    assert [p.reference for p in kept] == ["2"]
    assert [(e.rule, e.detail) for e in left] == [
        ("broken_json", "x:1: metadata is no JSON"),
        ("no_reference", "x:2"),
        ("no_reference", "x:3"),
    ]


def test_where_names_rows_and_a_value_that_none_has_is_an_input_error():
    rows = [("f:1", ROWS[0]), ("f:2", ROWS[1])]
    (kept,) = problems_of_rows(rows, JsonlProblems(path="f", where={"level": "2"}))
    assert isinstance(kept, Problem)
    assert kept.prompt == "2+2?"
    with pytest.raises(InputError, match="no row with level = '9'"):
        list(problems_of_rows(rows, JsonlProblems(path="f", where={"level": "9"})))


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        (r"first \boxed{1}, so \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"a set: \boxed{\{1, 2\}}", r"\{1, 2\}"),
        ("42", "42"),
        (r"never closed \boxed{3", r"never closed \boxed{3"),
    ],
)
def test_a_reference_may_stand_in_the_last_box_of_a_solution(solution: str, answer: str):
    spec = JsonlProblems(path="x", reference_boxed=True)
    (problem,) = problems_of_rows([("x:1", {"problem": "q", "answer": solution})], spec)
    assert isinstance(problem, Problem)
    assert problem.reference == answer


def test_an_empty_problem_set_is_an_input_error():
    with pytest.raises(InputError, match="an empty problem set"):
        problems([], count=None, seed=0)


@pytest.mark.parametrize(("line", "found"), [("{oops", "not JSON"), ("[1]", "a JSON list"), ('"x"', "a JSON str")])
def test_a_row_that_is_not_an_object_is_named_by_file_and_line(tmp_path: Path, line: str, found: str):
    path = tmp_path / "p.jsonl"
    path.write_text(f"{json.dumps(ROWS[0])}\n\n{line}\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        list(read_jsonl(path))
    assert caught.value.where == f"{path}:3"
    assert found in str(caught.value)


def test_a_missing_field_proposes_the_nearest_one():
    with pytest.raises(InputError, match="did you mean 'answer'"):
        list(problems_of_rows([("f:1", ROWS[0])], JsonlProblems(path="f", reference_field="anwser")))


def test_bytes_that_are_not_text_and_missing_files_are_input_errors(tmp_path: Path):
    (tmp_path / "b.jsonl").write_bytes(b'{"a": "\xff"}')
    with pytest.raises(InputError, match="UTF-8"):
        list(read_jsonl(tmp_path / "b.jsonl"))
    with pytest.raises(InputError, match="check the path"):
        list(read_jsonl(tmp_path / "none.jsonl"))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("messages.0.content", "q"),
        ("metadata.expected_answer", "42"),
        ("a.b", "literal key"),
        ("messages.-1.content", "a"),
        ("messages.7.content", None),
        ("nothing.at.all", None),
    ],
)
def test_dotted_paths_reach_into_lists_and_json_text(path: str, value: object):
    row = {
        "messages": [{"content": "q"}, {"content": "a"}],
        "metadata": '{"expected_answer": "42"}',
        "a.b": "literal key",
    }
    assert read_path(row, path) == value


def test_a_reference_may_follow_a_mark_as_in_gsm8k():
    spec = HuggingFaceProblems(path="x", prompt_field="q", reference_field="a", reference_after="####")
    (problem,) = problems_of_rows([("x:0", {"q": "how many?", "a": "3 and 4\n#### 7"})], spec)
    assert isinstance(problem, Problem)
    assert problem.reference == "7"
