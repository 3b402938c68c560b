"""Problems: five rows by hand, and files that are not what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from laconic.core.errors import InputError
from laconic.core.records import Problem
from laconic.stages.problems import HuggingFaceProblems, JsonlProblems, dig, problems, problems_of_rows, read_jsonl

ROWS = [
    {"problem": "1+1?", "answer": "2", "level": 1},
    {"problem": "2+2?", "answer": "4", "level": 2},
    {"problem": "1+1?", "answer": "2", "level": 1},
    {"problem": "  ", "answer": "4", "level": 2},
    {"problem": "3+3?", "answer": "", "level": 2},
]


def read(rows: list[dict[str, object]]) -> list[Problem]:
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
    assert dig(row, path) == value


def test_a_reference_may_follow_a_mark_as_in_gsm8k():
    spec = HuggingFaceProblems(path="x", prompt_field="q", reference_field="a", reference_after="####")
    (problem,) = problems_of_rows([("x:0", {"q": "how many?", "a": "3 and 4\n#### 7"})], spec)
    assert problem.reference == "7"
