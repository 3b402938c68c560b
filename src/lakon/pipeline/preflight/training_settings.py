"""Settings of trainings that would end a run after its traces were paid for: found by asking the packages that train.

What depends on the machine is a warning, since a study may be checked on another one than it runs on.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence

from lakon.backends.training.checks import check_report_to
from lakon.backends.training.trainer import check_extra
from lakon.core.errors import Fault, InputError
from lakon.core.score_text import pluralise
from lakon.engines.devices import find_devices
from lakon.study.pydantic_errors import is_broken
from lakon.study.schema import Study


def training_faults(study: Study, known: Sequence[Fault] = ()) -> list[Fault]:
    """What of `training` and `run.training` no trainer here can do. A command of one's own is asked nothing."""
    if not (study.students and study.arms) or study.run.training.command:
        return []
    if any(is_broken(where, known) for where in ("training", "run")):
        return []
    return [*_extra_faults(study), *_reporting_faults(study), *_device_faults(study)]


def _extra_faults(study: Study) -> list[Fault]:
    """TRL is imported only where there is something to ask it: that takes seconds."""
    extra = study.training.extra
    if not extra or importlib.util.find_spec("trl") is None:
        return []
    return [
        fault
        for name, value in extra.items()
        for fault in _fault_of(f"training.extra.{name}", lambda one={name: value}: check_extra(one))
    ]


def _reporting_faults(study: Study) -> list[Fault]:
    names = study.run.training.report_to
    return [
        fault
        for name in names
        for fault in _fault_of("run.training.report_to", lambda one=name: check_report_to([one]))
    ]


def _fault_of(where: str, check: Callable[[], None]) -> list[Fault]:
    try:
        check()
    except InputError as error:
        return [error.fault._replace(where=where)]
    return []


def _device_faults(study: Study) -> list[Fault]:
    """GPUs that a training wants and this machine lacks."""
    run, adapter = study.run.training, study.training.adapter
    quantised = adapter is not None and adapter.method == "qlora"
    if run.nodes > 1 or not (quantised or run.processes > 1):
        return []
    n_devices = len(find_devices())
    faults: list[Fault] = []
    if quantised and run.processes > 1:
        found = f"QLoRA with {run.processes} processes"
        todo = 'set it to 1, or take training.adapter.method = "lora"'
        faults.append(Fault("run.training.processes", found, "one process: 4-bit weights are not sharded", todo))
    if quantised and not n_devices:
        found = "QLoRA, and this machine has no GPU"
        todo = 'run it where there is one, or take training.adapter.method = "lora"'
        faults.append(Fault("training.adapter.method", found, "a GPU, which 4-bit weights need", todo, "warning"))
    if quantised and importlib.util.find_spec("bitsandbytes") is None:
        found = "QLoRA, and the package bitsandbytes is not installed here"
        faults.append(
            Fault(
                "training.adapter.method",
                found,
                "bitsandbytes, which holds weights in 4 bits",
                "pip install bitsandbytes",
                "warning",
            )
        )
    if n_devices and run.processes > n_devices:
        found = f"{run.processes} processes, and this machine has {pluralise(n_devices, 'GPU')}"
        todo = f"lower it to {n_devices}, state nodes and a launcher, or run it where there are as many"
        faults.append(Fault("run.training.processes", found, "one GPU for each process", todo, "warning"))
    return faults
