"""A base and a student asked in other ways: real models, from the study file to the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from e2e_study import SMALL, cli_in

from lakon import api
from lakon.core.records import Score, Trace
from lakon.store.artifacts import Artifact

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("prompting")
    text = SMALL.replace('match = ["problems", "tokens"]\ntoken_budget = "verbose"\n', "")
    text = text.replace('[arms.concise]\nteacher = "concise"\n', "").replace("samples = 2", "samples = 1")
    ways = """prompting = ["few-shot", "short", "plain"]
[evaluate.prompts.short]
thinking_tokens = 12
answer_tokens = 6
closing = "\\\\boxed{"
[evaluate.prompts.plain]
prompt = "{problem} So?"
[benchmarks.held-out]"""
    (place / "small.toml").write_text(text.replace("[benchmarks.held-out]", ways), encoding="utf-8")
    cli_in(place)("run", "small.toml", "-q")
    return place


def artifacts(folder: Path) -> dict[str, Artifact]:
    states = api.plan(folder / "small.toml", store=folder / ".lakon")
    return {state.step.name: state.artifact for state in states if state.artifact is not None}


def test_every_base_and_student_is_asked_in_every_way(folder: Path):
    scores = artifacts(folder)["evaluate/scores"].read("scores", Score)
    authors = {row.author for row in scores if row.metric == "accuracy" and row.benchmark == "held-out"}
    assert authors == {
        *("base", "base+few-shot", "base+short", "base+plain"),
        *("verbose", "verbose+few-shot", "verbose+short", "verbose+plain"),
    }
    report = (folder / "reports" / "small" / "report.md").read_text(encoding="utf-8")
    assert "Other ways of asking" in report
    assert "trained elsewhere" not in report


def test_forced_turns_begin_as_the_model_had_begun_and_end_with_an_answer(folder: Path):
    made = artifacts(folder)
    plain = {row.trace_id: row for row in made["generate/base.held-out"].read("traces", Trace)}
    forced = list(made["generate/base+short.held-out"].read("traces", Trace))
    assert len(forced) == len(plain)
    of_problem = {row.problem_id: row for row in plain.values()}
    n_cut = 0
    for row in forced:
        before = of_problem[row.problem_id]
        assert row.author == "base+short"
        assert row.n_reasoning <= 13
        if before.n_reasoning <= 12:
            assert (row.reasoning, row.answer) == (before.reasoning, before.answer)
            continue
        n_cut += 1
        assert before.reasoning.startswith(row.reasoning.strip())
        assert row.answer.startswith("\\boxed{")
    assert n_cut > 0, "the base thinks longer than twelve tokens"


def test_prompts_of_other_ways_are_what_the_study_says(folder: Path):
    steps = {state.step.name: state.step for state in api.plan(folder / "small.toml", store=folder / ".lakon")}
    assert steps["generate/verbose+plain.held-out"].args.prompt == "{problem} So?"
    assert steps["generate/verbose+few-shot.held-out"].args.examples == 4
    ids = {
        row.trace_id
        for name in ("base", "base+few-shot", "base+plain")
        for row in artifacts(folder)[f"generate/{name}.held-out"].read("traces", Trace)
    }
    assert len(ids) == 3 * 6, "each way has keys of its own"


def test_a_plan_counts_them(folder: Path, tmp_path: Path):
    lakon = cli_in(folder)
    plan = json.loads(lakon("plan", "small.toml", "--store", str(tmp_path / "empty"), "--json").stdout)
    asked = [row["step"] for row in plan["steps"] if row["work"] and row["work"]["kind"] == "sample"]
    assert "generate/verbose+short.held-out" in asked
    assert len(asked) == 8
