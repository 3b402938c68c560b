"""The bill of a plan, offline: the paper's counts and stated rates, and what stays unknown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lakon import api
from lakon.core.records import Problem
from lakon.pipeline.step_cost import StepCost, sum_costs
from lakon.study.load import parse_study


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> dict[str, StepCost]:
    return api.bill("paper", store=tmp_path_factory.mktemp("store"))[1]


def test_the_papers_bill_is_what_the_paper_says(paper: dict[str, StepCost]):
    assert paper["generate/deepseek-r1"] == StepCost(kind="read", rows=300_000, tokens=4_650_000_000)
    assert (paper["generate/gpt-oss"].rows, paper["generate/gpt-oss"].tokens) == (300_000, 1_050_000_000)
    assert paper["train/nemotron-nano.r1"].tokens == 4_650_000_000
    asked = paper["generate/nemotron-nano.gpt-oss.gsm8k"]
    assert (asked.kind, asked.rows, asked.tokens) == ("sample", 8 * 1319, 8 * 1319 * 3_500)
    assert paper["generate/mistral-nemo.base.aime-2025"] == StepCost(kind="sample", rows=240, tokens=None)


def test_the_papers_compute_follows_from_the_students_shapes(paper: dict[str, StepCost]):
    """Eight operations a multiplied parameter and token, and attention in six blocks of Nemotron-H, in forty of
    Mistral-Nemo."""
    for student, multiplied, attention in (
        ("nemotron-nano", 12_310_001_152 - 131_072 * 5120, 6 * 40 * 128),
        ("mistral-nemo", 12_247_782_400 - 131_072 * 5120, 40 * 32 * 128),
    ):
        operations = (8 * multiplied + 8 * attention * 15_500) * 4.65e9
        assert paper[f"train/{student}.r1"].gpu_hours == pytest.approx(operations / (989e12 * 0.4) / 3600)
    assert paper["generate/nemotron-nano.gpt-oss.gsm8k"].gpu_hours == pytest.approx(8 * 1319 * 3_500 / 5_000 / 3600)
    assert paper["train/nemotron-nano.r1"].at_most, "verification will leave fewer examples"


def test_the_judge_is_in_the_bill_as_the_most_that_it_can_be_asked(paper: dict[str, StepCost]):
    assert paper["verify/gpt-oss"] == StepCost(kind="judge", rows=300_000, tokens=None, at_most=True)
    assert sum_costs(list(paper.values()), "judge").at_most


def test_sums_count_what_is_known(paper: dict[str, StepCost]):
    works = list(paper.values())
    assert [sum_costs(works, kind).rows for kind in ("read", "ask")] == [300_000, 300_000]
    assert sum_costs(works, "sample").rows == 6 * 8 * (1319 + 500 + 30)
    assert sum_costs(list(paper.values()), "train").tokens == 2 * (4_650_000_000 + 1_050_000_000)


def test_endpoints_cost_their_stated_price_and_files_are_counted(tmp_path: Path):
    (tmp_path / "p.jsonl").write_text("".join(json.dumps({"problem": f"{i}?", "answer": "1"}) + "\n" for i in range(7)))
    study = parse_study(
        {
            "name": "t",
            "problems": {"kind": "jsonl", "path": str(tmp_path / "p.jsonl")},
            "teachers": {"e": {"kind": "endpoint", "model": "m", "samples": 2}},
            "run": {"prices": {"e": {"tokens_per_trace": 1000, "output_per_million": 3.0}}},
        }
    )
    works = api.bill(study, store=tmp_path / "store")[1]
    assert works["generate/e"] == StepCost(
        kind="ask", endpoint="e", rows=14, tokens=14_000, at_most=True, money=pytest.approx(0.042)
    )


def test_what_is_in_the_store_costs_nothing_more(tmp_path: Path):
    raw = {
        "name": "t",
        "problems": {"kind": "synthetic", "count": 3},
        "teachers": {"v": {"kind": "procedural", "procedure": "verbose"}},
    }
    study = parse_study(raw)
    assert api.bill(study, store=tmp_path / "s")[1]["generate/v"].rows == 3
    api.run(study, store=tmp_path / "s", reports=tmp_path / "r")
    states, works, *_ = api.bill(study, store=tmp_path / "s")
    assert works == {}
    assert sum(1 for s in states if s.artifact is not None and list(s.artifact.read("problems", Problem))) == 1
