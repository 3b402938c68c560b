"""A study's own server, as `check` and `plan` see it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from lakon import api
from lakon.core.errors import Fault, StudyError
from lakon.study.load import parse_study
from lakon.study.schema import Study


def study(**serving: Any) -> Study:
    return parse_study(
        {
            "name": "t",
            "evaluate": {"benchmarks": ["b"], "authors": {"m": {"kind": "checkpoint", "path": "miniature:base"}}},
            "benchmarks": {"b": {"kind": "synthetic", "count": 5}},
            "run": {"serving": serving},
        }
    )


def faults_of(**serving: Any) -> list[Fault]:
    return [fault for fault in api.check(study(**serving)) if fault.where.startswith("run.serving")]


def test_a_server_that_is_not_installed_is_told():
    (fault,) = faults_of(server="sglang")
    assert "sglang is not installed" in fault.found
    (fault,) = faults_of(server="vllm", python="/nowhere/python")
    assert fault.where == "run.serving.python"
    (fault,) = faults_of(server="command", command=["no-such-server", "{port}"])
    assert fault.where == "run.serving.command"
    assert faults_of(server="command", command=[sys.executable, "{port}"]) == []


def test_more_gpus_than_there_are_is_a_warning(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("lakon.pipeline.preflight.serving.find_devices", lambda: ("0", "1"))
    own: dict[str, Any] = {"server": "command", "command": [sys.executable, "{port}"]}
    (fault,) = faults_of(**own, tensor_parallel=2, replicas=2)
    assert fault.level == "warning"
    assert "this machine has 2 GPUs" in fault.found
    assert faults_of(**own, tensor_parallel=2) == []


@pytest.mark.parametrize(
    ("serving", "words"),
    [
        ({"server": "command"}, "without a command"),
        ({"server": "vllm", "command": ["x", "{port}"]}, "and a command"),
        ({"server": "command", "command": ["x"]}, "without {port}"),
        ({"server": "ollama"}, "vllm"),
    ],
)
def test_what_is_wrong_with_a_server_is_told(serving: dict[str, Any], words: str):
    with pytest.raises(StudyError) as told:
        study(**serving)
    assert words in str(told.value)


def test_a_plan_shows_the_command_and_who_serves_moves_no_key(tmp_path: Path):
    served = study(server="vllm", tensor_parallel=4, max_length=32_768)
    bill = api.bill(served, store=tmp_path)
    assert "vllm.entrypoints.openai.api_server --model MODEL" in bill.serves_as
    assert "--port PORT" in bill.serves_as
    assert "--tensor-parallel-size 4" in bill.serves_as
    without = served.model_copy(update={"run": served.run.model_copy(update={"serving": None})})
    assert [state.key for state in api.plan(without, store=tmp_path)] == [state.key for state in bill.states]
    assert api.bill(without, store=tmp_path).serves_as == ""
