"""A step's key is its arguments: every body does its work with what was hashed, and with nothing else."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from e2e_study import SMALL

from lakon import api
from lakon.core.digest import canonical_json
from lakon.core.records import Score
from lakon.pipeline.build import build_plan
from lakon.pipeline.resources import RunResources
from lakon.progress.status import Extent, StatusFile
from lakon.progress.terminal import Watch
from lakon.store.artifacts import Artifact, Store
from lakon.store.runner import run_steps
from lakon.store.step import AnyStep, Step, in_order
from lakon.study.load import load_study, parse_study
from lakon.study.schema import Run, Study

EVERY_STAGE = (
    SMALL.replace("enabled = false", "enabled = true")
    .replace("[curate]", "[curate]\nfilters = { empty_reasoning = true, max_tokens = 600 }\ncount = 20")
    .replace(
        "[[students]]",
        "[arms.mixed]\nmix = { verbose = 1.0, concise = 2.0 }\n"
        '[arms.routed]\nroute = { easy = "concise", hard = "verbose", by = "length", quantile = 0.5 }\n'
        '[arms.answers]\nteacher = "concise"\nstyle = "answer_only"\nmatch = ["problems"]\n'
        "[[students]]",
    )
    .replace('match = ["problems", "tokens"]', 'match = ["problems", "steps"]')
    .replace('procedure = "concise"', 'procedure = "concise"\nif_correct = "verbose"\nsamples = 2\nuntil = "correct"')
)


def backwards(inputs: Any, known: Mapping[AnyStep, AnyStep]) -> Any:
    """The same inputs, with every mapping in the opposite order: no key knows their order."""
    if isinstance(inputs, Step):
        return known[inputs]
    if isinstance(inputs, Mapping):
        return {name: backwards(value, known) for name, value in reversed(list(inputs.items()))}
    if is_dataclass(inputs):
        return replace(inputs, **{f.name: backwards(getattr(inputs, f.name), known) for f in fields(inputs)})  # type: ignore[type-var]
    return inputs


def from_hashed_values(step: AnyStep, known: Mapping[AnyStep, AnyStep]) -> AnyStep:
    """The step as another machine would have it: the body by its name, the arguments from what was hashed."""
    args = type(step.args).model_validate(json.loads(canonical_json(step.payload)))
    assert args == step.args, step.name
    body = pickle.loads(pickle.dumps(step.body))
    assert body is step.body
    assert body.__closure__ is None
    return replace(step, args=args, body=body, inputs=backwards(step.inputs, known))


def test_every_body_works_with_its_arguments_alone(tmp_path: Path):
    (tmp_path / "s.toml").write_text(EVERY_STAGE, encoding="utf-8")
    api.run(tmp_path / "s.toml", store=tmp_path / "whole", reports=tmp_path / "reports")
    whole = {state.step.name: state.artifact for state in api.plan(tmp_path / "s.toml", store=tmp_path / "whole")}

    plan = build_plan(load_study(tmp_path / "s.toml"))
    copies: dict[AnyStep, AnyStep] = {}
    for step in in_order([plan.report]):
        copies[step] = from_hashed_values(step, copies)
    store = Store(tmp_path / "alone")
    resources = RunResources(Run(), plan.places, store)  # nothing of the study but where its files lie
    watch = Watch(StatusFile(tmp_path / "status.json", "s", Extent(what="run", steps=(), beyond=())), quiet=True)
    try:
        done = run_steps(store, [copies[plan.report]], watch, resources=resources)
    finally:
        resources.close()

    assert {step.stage for step in copies.values()} == {
        "problems",
        "decontaminate",
        "generate",
        "verify",
        "screen",
        "curate",
        "familiarity",
        "train",
        "evaluate",
        "report",
    }
    for step, artifact in done.artifacts.items():
        expected = whole[step.name]
        assert expected is not None
        assert (step.name, artifact.manifest.key) == (step.name, expected.manifest.key)
        assert (step.name, artifact.content) == (step.name, expected.content)


# -- results that were stale -----------------------------------------------------------------------------------

TAUGHT: dict[str, Any] = {
    "name": "t",
    "problems": {"kind": "synthetic", "count": 12, "max_steps": 2},
    "teachers": {
        "deep": {"kind": "procedural", "procedure": "verbose"},
        "brief": {"kind": "procedural", "procedure": "concise"},
    },
    "arms": {"deep": {"teacher": "deep"}, "brief": {"teacher": "brief"}},
}


def scores_of(study: Study, store: Path) -> list[Score]:
    api.run(study, store=store, reports=store / "reports")
    states = {state.step.name: state.artifact for state in api.plan(study, store=store)}
    scores = states["evaluate/scores"]
    assert isinstance(scores, Artifact)
    return list(scores.read("scores", Score))


@pytest.mark.parametrize(
    "change",
    [
        {"arms": {"long": {"teacher": "deep"}, "short": {"teacher": "brief"}}},
        {"teachers": {**TAUGHT["teachers"], "brief": {**TAUGHT["teachers"]["brief"], "if_correct": "deep"}}},
        {"teachers": dict(reversed(TAUGHT["teachers"].items()))},
    ],
    ids=["arms that were called like teachers", "a teacher asked after another", "teachers in another order"],
)
def test_scores_after_a_change_are_those_of_a_clean_store(tmp_path: Path, change: dict[str, Any]):
    before, after = parse_study(TAUGHT), parse_study({**TAUGHT, **change})
    first = scores_of(before, tmp_path / "used")
    again, clean = scores_of(after, tmp_path / "used"), scores_of(after, tmp_path / "clean")
    assert again == clean
    assert again != first


def test_the_precision_of_training_is_in_the_keys_of_students():
    raw = {
        **TAUGHT,
        "students": [{"base": "miniature:base"}],
        "benchmarks": {"b": {"kind": "synthetic", "count": 2, "split": "held-out"}},
        "evaluate": {"benchmarks": ["b"]},
    }
    keys = []
    for precision in ("fp32", "bf16"):
        steps = in_order([build_plan(parse_study({**raw, "training": {"precision": precision}})).report])
        keys.append({step.name: step.key({}) for step in steps})
    changed = {name for name, key in keys[0].items() if keys[1][name] != key}
    assert changed == {"train/deep", "train/brief", "report/t"}
