"""The table of benchmarks: its rows read what their data sets have, and nothing is made up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lakon import api
from lakon.cli import app
from lakon.core.errors import InputError
from lakon.core.records import Problem
from lakon.stages.problems.rows import read_jsonl
from lakon.stages.problems.sources import problems_of_rows
from lakon.study.benchmarks import KNOWN

ROWS = {
    "gsm8k": {"question": "How many?", "answer": "3 + 4 = <<3+4=7>>7\n#### 7"},
    "gsm8k-platinum": {"question": "How many?", "answer": "So\n#### 7", "cleaning_status": "consensus"},
    "math-500": {"problem": "How many?", "answer": "7", "solution": "...", "level": 3, "subject": "Algebra"},
    "aime-2024": {"problem": "How many?", "answer": "7", "id": 60},
    "aime-2025": {"problem": "How many?", "answer": "7", "id": "0"},
    "aime-2026": {"problem_idx": 1, "problem": "How many?", "answer": 7},
    "amc-2023": {"id": 0, "question": "How many?", "answer": 7.0, "url": "..."},
    "hmmt-feb-2025": {"problem_idx": 1, "problem": "How many?", "answer": "7", "problem_type": ["Algebra"]},
    "minerva": {"question": "How many?", "answer": "7"},
    "olympiadbench": {"question": "How many?", "final_answer": ["7"], "modality": "Text-only"},
}
"""A row of each as its data set has them."""


@pytest.mark.parametrize("name", KNOWN)
def test_each_row_reads_its_data_set(name: str, tmp_path: Path):
    (tmp_path / "rows.jsonl").write_text(json.dumps(ROWS[name]) + "\n", encoding="utf-8")
    (problem,) = problems_of_rows(read_jsonl(tmp_path / "rows.jsonl"), KNOWN[name].source)
    assert isinstance(problem, Problem)
    assert (problem.prompt, float(problem.reference)) == ("How many?", 7.0)


def test_they_are_listed_and_a_wrong_name_is_told():
    run = CliRunner().invoke(app, ["benchmarks"])
    assert run.exit_code == 0
    assert all(name in run.output for name in KNOWN)
    (one,) = api.benchmarks("minerva")
    assert (one["problems"], one["licence"], one["revision"]) == (272, None, None)
    assert "licence: not known" in CliRunner().invoke(app, ["benchmarks", "minerva"]).output
    with pytest.raises(InputError, match="amc-2032"):
        api.benchmarks("amc-2032")
