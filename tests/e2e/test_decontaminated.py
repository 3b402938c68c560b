"""A study whose problems hold copies of its benchmark: they leave before teachers are asked, as the report says."""

from __future__ import annotations

import json
from pathlib import Path

from e2e_study import cli_in

from lakon import api
from lakon.core.records import Exclusion, Problem
from lakon.store.artifacts import Artifact
from lakon.study.load import load_study

STUDY = """
name = "mine"
[problems]
kind = "jsonl"
path = "problems.jsonl"
[teachers.r]
kind = "recorded"
path = "traces.jsonl"
text_field = "text"
[benchmarks.own]
kind = "jsonl"
path = "bench.jsonl"
[evaluate]
benchmarks = ["own"]
[arms.r]
teacher = "r"
"""


def write(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_copies_leave_before_the_teacher_is_asked_and_the_funnel_counts_them(tmp_path: Path):
    texts = ["What is 3 + 4?", "Name the largest prime below 10.", "Give the number of sides of a square."]
    write(tmp_path / "problems.jsonl", [{"problem": text, "answer": "7"} for text in texts])
    write(tmp_path / "traces.jsonl", [{"problem": text, "text": "It is \\boxed{7}."} for text in texts])
    write(tmp_path / "bench.jsonl", [{"problem": "What is 5 + 2?", "answer": "7"}])
    study = tmp_path / "mine.toml"
    study.write_text(STUDY, encoding="utf-8")
    cli_in(tmp_path)("run", "mine.toml", "-q")
    made: dict[str, Artifact] = {
        state.step.name: state.artifact
        for state in api.plan(load_study(study), store=tmp_path / ".lakon")
        if state.artifact is not None
    }
    clean = made["decontaminate/problems"]
    assert [p.prompt for p in clean.read("problems", Problem)] == texts[1:]
    (left,) = clean.read("exclusions", Exclusion)
    assert (left.rule, left.detail.split(":")[0]) == ("contaminated", "own")
    assert made["generate/r"].manifest.rows["traces"] == 2
    page = (tmp_path / "reports" / "mine" / "report.md").read_text(encoding="utf-8")
    assert "problems that copy no benchmark" in page
    assert "were not compared" not in page

    study.write_text(f"{STUDY}[decontaminate]\nenabled = false\n", encoding="utf-8")
    cli_in(tmp_path)("run", "mine.toml", "-q")
    page = (tmp_path / "reports" / "mine" / "report.md").read_text(encoding="utf-8")
    assert "were not compared" in page
    assert "problems that copy no benchmark" not in page
