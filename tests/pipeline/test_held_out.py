"""Held-out problems, on which no arm trains, and what the familiarity step does where it has little to measure."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from lakon.core.records import Example, Exclusion, Paired
from lakon.pipeline.build import build_plan
from lakon.pipeline.plan import Plan
from lakon.pipeline.resources import RunResources
from lakon.progress.status import Extent, StatusFile
from lakon.progress.terminal import Watch
from lakon.store.artifacts import Artifact, Store
from lakon.store.facts import FamiliarityFacts
from lakon.store.runner import run_steps
from lakon.store.step import AnyStep, in_order
from lakon.study.load import parse_study
from lakon.study.schema import Run

RAW: dict[str, Any] = {
    "name": "h",
    "problems": {"kind": "synthetic", "count": 30, "max_steps": 2},
    "teachers": {
        "verbose": {"kind": "procedural", "procedure": "verbose", "error_rate": 0.2},
        "concise": {"kind": "procedural", "procedure": "concise"},
    },
    "curate": {"held_out": 5},
    "arms": {
        "verbose": {"teacher": "verbose"},
        "mixed": {"mix": {"verbose": 1, "concise": 1}},
        "any": {"unverified": "verbose"},
    },
    "students": [{"base": "miniature:base"}],
    "benchmarks": {"b": {"kind": "synthetic", "count": 2, "split": "held-out"}},
    "decontaminate": {"enabled": False},
    "evaluate": {"benchmarks": ["b"]},
}


def made_by(plan: Plan, targets: list[AnyStep], folder: Path) -> dict[str, Artifact]:
    """What the targets, and all that they need, made."""
    store = Store(folder / "store")
    resources = RunResources(Run(), plan.places, store, threading.Event())
    watch = Watch(StatusFile(folder / "status.json", "h", Extent(what="run", steps=(), beyond=())), quiet=True)
    try:
        done = run_steps(store, targets, watch, resources=resources)
    finally:
        resources.close()
    return {step.name: artifact for step, artifact in done.artifacts.items()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    plan = build_plan(parse_study(RAW))
    assert plan.held_out is not None
    targets = [plan.held_out, *plan.arms.values()]
    return made_by(plan, targets, tmp_path_factory.mktemp("held-out"))


def examples_of(artifact: Artifact) -> dict[str, Example]:
    return {example.problem_id: example for example in artifact.read("examples", Example)}


def test_no_arm_trains_on_a_held_out_problem(made: dict[str, Artifact]):
    held_out = {row.problem_id for row in made["curate/pool"].read("held_out_pool", Paired)}
    left = {e.subject for e in made["curate/pool"].read("exclusions", Exclusion) if e.rule == "held_out"}
    assert len(held_out) == 5
    assert held_out == left
    for arm in ("verbose", "mixed", "any"):
        trained = examples_of(made[f"curate/{arm}"])
        assert trained
        assert not held_out & trained.keys()
    right = {row.problem_id for row in made["curate/pool"].read("pool", Paired)}
    assert examples_of(made["curate/any"]).keys() - right, "an unverified arm looks beyond the pool"


def test_each_teachers_held_out_examples_are_rendered_as_an_arms_are(made: dict[str, Artifact], tmp_path: Path):
    plan = build_plan(parse_study({**RAW, "curate": {}}))
    whole = examples_of(made_by(plan, list(plan.arms.values()), tmp_path)["curate/verbose"])
    rows = list(made["held_out/examples"].read("examples", Example))
    verbose, concise = ({e.problem_id: e for e in rows if e.arm == name} for name in ("verbose", "concise"))
    assert list(verbose) == list(concise) == [row for row in whole if row in verbose]
    assert len(verbose) == 5
    assert verbose == {one: whole[one] for one in verbose}, "an arm that is called as its teacher has the same rows"
    assert {example.teacher for example in concise.values()} == {"concise"}


def test_without_held_out_problems_nothing_changes():
    plain = {**RAW, "curate": {}}
    assert build_plan(parse_study(plain)).held_out is None
    key = {step.name: step.key({}) for step in in_order([build_plan(parse_study(plain)).report])}
    held = {step.name: step.key({}) for step in in_order([build_plan(parse_study(RAW)).report])}
    assert key["curate/pool"] != held["curate/pool"]
    assert key["curate/verbose"] == held["curate/verbose"]


def test_a_study_without_students_measures_and_holds_out_for_nobody():
    names = {name: value for name, value in RAW.items() if name not in ("students", "evaluate")}
    plan = build_plan(parse_study(names))
    assert (plan.held_out, plan.familiarity) == (None, {})
    assert not [step.name for step in in_order([plan.report]) if step.stage in ("familiarity", "held_out")]


def test_where_no_problem_was_got_right_by_all_the_base_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    raw = {**RAW, "teachers": {**RAW["teachers"], "verbose": {**RAW["teachers"]["verbose"], "error_rate": 1.0}}}
    plan = build_plan(parse_study(raw))
    monkeypatch.setattr("lakon.engines.local.LocalEngine.call", lambda *_, **__: pytest.fail("a worker was asked"))
    measured = made_by(plan, list(plan.familiarity.values()), tmp_path)["familiarity/miniature-base"]
    assert measured.manifest.rows == {"familiarity": 0, "trace_losses": 0, "exclusions": 0}


def test_traces_that_do_not_fit_are_left_out_and_said_to_be(tmp_path: Path):
    evaluate = {"benchmarks": ["b"], "familiarity": 2}
    plan = build_plan(parse_study({**RAW, "prompt": "7" * 1000 + " {problem}", "evaluate": evaluate}))
    measured = made_by(plan, list(plan.familiarity.values()), tmp_path)["familiarity/miniature-base"]
    assert [e.rule for e in measured.read("exclusions", Exclusion)] == ["longer_than_context"] * 4
    assert FamiliarityFacts.of(measured.manifest).context == 1024
    assert measured.manifest.rows["familiarity"] == 0
