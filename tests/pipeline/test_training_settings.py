"""Settings of trainings that no trainer here can do are told by `check`, before anything is paid for."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("trl")

from lakon import api
from lakon.core.errors import Fault
from lakon.study.load import parse_study
from lakon.study.schema import Study

SETTINGS = "lakon.pipeline.preflight.training_settings"


def study(training: dict[str, Any] | None = None, **run: Any) -> Study:
    return parse_study(
        {
            "name": "t",
            "problems": {"kind": "synthetic", "count": 10},
            "teachers": {"v": {"kind": "procedural", "procedure": "verbose"}},
            "arms": {"a": {"teacher": "v"}},
            "students": [{"base": "miniature:base"}],
            "decontaminate": {"enabled": False},
            "training": training or {},
            "run": {"training": run},
        }
    )


def faults_of(*args: Any, **run: Any) -> list[Fault]:
    return [fault for fault in api.check(study(*args, **run)) if "training" in fault.where]


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"neftune_noise_alfa": 5}, "is unknown"),
        ({"learning_rate": 1e-3}, "is decided by a field"),
        ({"neftune_noise_alpha": "much"}, "valid number"),
    ],
)
def test_settings_that_trl_does_not_take_are_faults(extra: dict[str, Any], words: str):
    (fault,) = faults_of({"extra": extra})
    assert fault.where == f"training.extra.{next(iter(extra))}"
    assert words in fault.found
    assert fault.level == "fault"
    assert faults_of({"extra": {"neftune_noise_alpha": 5, "loss_type": "dft"}}) == []
    assert faults_of({"extra": extra}, command=["mine", "{job}", "{out}"]) == []


def test_all_faults_of_the_extra_settings_are_told_at_once():
    assert len(faults_of({"extra": {"a_setting": 1, "another": 2}})) == 2


def test_a_package_that_is_to_take_losses_must_be_there(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("lakon.backends.training.checks.importlib.util.find_spec", lambda name: None)
    (fault,) = [fault for fault in faults_of(report_to=["wandb"]) if fault.where == "run.training.report_to"]
    assert "wandb is not installed" in fault.found


def test_what_this_machine_lacks_is_a_warning(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(f"{SETTINGS}.find_devices", lambda: ("0", "1"))
    (fault,) = faults_of(processes=8)
    assert (fault.where, fault.level) == ("run.training.processes", "warning")
    assert "this machine has 2 GPUs" in fault.found
    assert faults_of(processes=2) == []
    assert faults_of(processes=8, nodes=2) == []


def test_weights_in_four_bits_want_a_gpu_and_one_process(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(f"{SETTINGS}.find_devices", lambda: ())
    found = faults_of({"adapter": {"method": "qlora"}}, processes=2)
    assert ("QLoRA, and this machine has no GPU", "warning") in [(fault.found, fault.level) for fault in found]
    assert ("QLoRA with 2 processes", "fault") in [(fault.found, fault.level) for fault in found]
    assert faults_of({"adapter": {"method": "lora"}}) == []
