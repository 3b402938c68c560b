"""References before a study starts: what is warned of, what is a fault, and how much of a large file is looked at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lakon import api
from lakon.core.errors import Fault
from lakon.pipeline.preflight import references
from lakon.pipeline.preflight.references import reference_faults
from lakon.stages.problems.sources import JsonlProblems, SyntheticProblems
from lakon.study.schema import Study


def study(tmp_path: Path, answers: list[object], **more: Any) -> Study:
    rows = [{"problem": f"What is number {i} of the list?", "answer": answer} for i, answer in enumerate(answers)]
    (tmp_path / "p.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    source = JsonlProblems(path=str(tmp_path / "p.jsonl"))
    teachers = {"a": {"kind": "procedural", "procedure": "verbose"}}
    return Study.model_validate({"name": "s", "problems": source, "teachers": teachers, **more})


GOOD = [
    "18",
    18,
    0.5,
    "\\frac{1}{2}",
    "(1, 2]",
    "x^2+1",
    "Tuesday",
    "\\text{(A)}",
    "3 cm",
    "so it is \\boxed{5}",
    "#### 7",
]


def test_sound_references_are_silent(tmp_path: Path):
    assert reference_faults(study(tmp_path, GOOD)) == []


@pytest.mark.parametrize(
    ("reference", "says", "costs"),
    [
        ("", "is empty", "left out"),
        (None, "is empty", "left out"),
        ("???", "cannot be read", "ungraded otherwise"),
        ("\\frac{}{}", "cannot be read", "ungraded otherwise"),
        ("Then x is \\boxed{5", "is not found equal to itself", "no answer"),
        ("\\frac{1}{2", "is not found equal to itself", "no answer"),
        (r"\int_0^{100000000!} \sum_{k=1}^{n} \lim_{y \to 0} \frac{x^k}{y} \sin(x^{x^k}) dx", "longer than", "timeout"),
    ],
)
def test_a_reference_that_is_of_no_use_is_a_warning(reference: object, says: str, costs: str, tmp_path: Path):
    (fault,) = reference_faults(study(tmp_path, [*GOOD, reference], verify={"limit_s": 1.0}))
    assert fault.level == "warning"
    assert says in fault.found
    assert costs in fault.remedy
    assert "What is number 11 of the list?" in fault.where
    assert fault.where.startswith("problems: p.jsonl:12, problem ")
    if reference:
        assert repr(str(reference))[:40] in fault.found


def test_the_problem_is_named_by_its_id(tmp_path: Path):
    (fault,) = reference_faults(study(tmp_path, [*GOOD, "???"]))
    from lakon.core.records import Problem

    assert Problem.of("What is number 11 of the list?", "???").problem_id[:12] in fault.where


def test_most_of_a_file_is_a_fault_and_the_list_is_short(tmp_path: Path):
    faults = reference_faults(study(tmp_path, [*["???"] * 26, *["4"] * 24]))
    assert [fault.level for fault in faults] == ["fault", *["warning"] * 11]
    assert faults[0].where == "problems.reference_field"
    assert faults[0].found.startswith("26 of 50 references")
    assert faults[-1].found.startswith("16 more")
    half = reference_faults(study(tmp_path, [*["???"] * 2, *["4"] * 2]))
    assert [fault.level for fault in half] == ["warning", "warning"]


def test_a_large_file_is_sampled_the_same_way_each_time_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(references, "MOST", 20)
    asked = study(tmp_path, ["???" if i % 4 == 0 else str(i) for i in range(100)])
    faults = reference_faults(asked)
    assert faults == reference_faults(asked)
    assert faults[-1].level == "warning"
    assert faults[-1].found == "100 lines, of which a seeded sample of 20 problems was checked"
    assert 1 <= len(faults) - 1 <= 10
    assert faults[:-1] != reference_faults(asked.model_copy(update={"seed": 1}))[:-1]


def test_benchmarks_of_the_study_are_checked_too_and_nothing_else_is_read(tmp_path: Path):
    asked = study(tmp_path, ["???"])
    synthetic = SyntheticProblems(count=1, generator="no.such:generator")
    other = asked.model_copy(update={"problems": synthetic, "benchmarks": {"mine": asked.problems}})
    assert {fault.where.partition(":")[0] for fault in reference_faults(other)} == {
        "benchmarks.mine",
        "benchmarks.mine.reference_field",
    }


def test_a_file_that_is_not_what_it_says_is_a_fault(tmp_path: Path):
    asked = study(tmp_path, ["4"])
    path = tmp_path / "p.jsonl"
    for text, where, says in (
        ("{", f"{path}:1", "not JSON"),
        ('{"problem": "a", "anwser": "4"}', "problems.reference_field", "p.jsonl:1 has no field 'answer'"),
    ):
        path.write_text(text)
        (fault,) = api.check(asked)
        assert isinstance(fault, Fault)
        assert (fault.level, fault.where) == ("fault", where)
        assert says in fault.found


def test_every_field_that_a_row_lacks_is_told_of_at_once(tmp_path: Path):
    asked = study(tmp_path, ["4"])
    (tmp_path / "p.jsonl").write_text('{"question": "a", "gold": "4"}\n', encoding="utf-8")
    source = JsonlProblems(path=str(tmp_path / "p.jsonl"), tag_fields=("id",))
    faults = reference_faults(asked.model_copy(update={"problems": source}))
    assert [fault.where for fault in faults] == [
        "problems.prompt_field",
        "problems.reference_field",
        "problems.tag_fields",
    ]
    assert all("p.jsonl:1 has no field" in fault.found for fault in faults)
