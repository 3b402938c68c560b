"""Recorded traces before a study starts: names of fields that no row has, and traces of other problems."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakon import api
from lakon.core.errors import Fault
from lakon.pipeline.preflight import recorded_traces as recordings
from lakon.study.schema import Study

ROWS: list[dict[str, Any]] = [
    {"problem": f"What  is\n{i} + 1?", "who": "deep", "said": {"text": f"\\boxed{{{i + 1}}}"}, "reason": "stop"}
    for i in range(5)
]


def check(tmp_path: Path, rows: list[dict[str, Any]] = ROWS, *, parquet: bool = False, **teacher: Any) -> list[Fault]:
    problems = [{"problem": f"What is {i} + 1?", "answer": str(i + 1)} for i in range(9)]
    for name, listed in (("p.jsonl", problems), ("t.jsonl", rows)):
        (tmp_path / name).write_text("".join(f"{json.dumps(row)}\n" for row in listed), encoding="utf-8")
    path = tmp_path / ("t.parquet" if parquet else "t.jsonl")
    if parquet:
        pq.write_table(pa.Table.from_pylist(rows), path)
    named = {"kind": "recorded", "path": str(path), "text_field": "said.text", **teacher}
    source = {"kind": "jsonl", "path": str(tmp_path / "p.jsonl")}
    return api.check(Study.model_validate({"name": "s", "problems": source, "teachers": {"deep": named}}))


@pytest.mark.parametrize("parquet", [False, True])
def test_sound_traces_are_silent(parquet: bool, tmp_path: Path):
    where = {"who": "deep"}
    assert check(tmp_path, parquet=parquet, where=where, finish_field="reason") == []


@pytest.mark.parametrize(
    ("teacher", "where", "found", "expected"),
    [
        ({"text_field": "sayd.text"}, "text_field", "t.jsonl:1 has no field 'sayd.text'", "did you mean 'said'"),
        ({"problem_field": "problm"}, "problem_field", "has no field 'problm'", "did you mean 'problem'"),
        ({"text_field": None, "messages_field": "chat"}, "messages_field", "has no field 'chat'", "one of"),
        ({"where": {"who": "dep"}}, "where", "who = 'dep' in none of 5 rows", "did you mean 'deep'"),
        ({"where": {"wo": "deep"}}, "where", "wo = 'deep' in none of 5 rows", "did you mean 'who'"),
    ],
)
def test_what_the_run_would_stop_at_is_a_fault_at_the_studys_field(
    teacher: dict[str, Any], where: str, found: str, expected: str, tmp_path: Path
):
    (fault,) = check(tmp_path, **teacher)
    assert (fault.level, fault.where) == ("fault", f"teachers.deep.{where}")
    assert found in fault.found
    assert expected in fault.expected


def test_every_column_that_parquet_lacks_is_named(tmp_path: Path):
    found = check(tmp_path, parquet=True, text_field="sayd.text", finish_field="reasn", where={"wo": "deep"})
    assert [(fault.where, fault.expected) for fault in found] == [
        ("teachers.deep.text_field", "did you mean 'said'?"),
        ("teachers.deep.finish_field", "did you mean 'reason'?"),
        ("teachers.deep.where", "did you mean 'who'?"),
    ]


def test_a_field_that_rows_may_lack_and_every_row_does_is_a_warning(tmp_path: Path):
    (fault,) = check(tmp_path, finish_field="reasn")
    assert (fault.level, fault.where) == ("warning", "teachers.deep.finish_field")
    assert fault.expected == "did you mean 'reason'?"
    assert check(tmp_path, [*ROWS, {**ROWS[0], "reasn": "stop"}], finish_field="reasn") == []


def test_traces_of_other_problems_are_a_warning_and_one_of_this_study_is_enough(tmp_path: Path):
    others = [{**row, "problem": f"Q: {row['problem']}"} for row in ROWS]
    (fault,) = check(tmp_path, others)
    assert (fault.level, fault.where) == ("warning", "teachers.deep.problem_field")
    assert fault.found.startswith("none of the first 5 traces is about a problem of the study")
    assert "'Q: What is 0 + 1?'" in fault.remedy
    assert check(tmp_path, [*others, ROWS[4]]) == []


def test_of_a_file_that_is_read_in_part_a_value_may_come_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recordings, "READ", 3)
    (fault,) = check(tmp_path, [*ROWS, {**ROWS[0], "who": "late"}], where={"who": "late"})
    assert (fault.level, fault.found) == ("warning", "who = 'late' in none of 3 rows")
