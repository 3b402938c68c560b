"""What would keep a study's own server from starting, found without starting it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence

from lakon.core.errors import Fault
from lakon.core.score_text import pluralise
from lakon.engines.devices import find_devices
from lakon.study.pydantic_errors import is_broken
from lakon.study.schema import Serving, Study

_MODULES = {"vllm": "vllm", "sglang": "sglang", "transformers": "transformers"}
_LOOK_S = 60.0


def serving_faults(study: Study, known: Sequence[Fault] = ()) -> list[Fault]:
    """A server that is not installed is a fault; GPUs that this machine lacks are a warning."""
    serving = study.run.serving
    if serving is None or is_broken("run", known):
        return []
    return [*_program_faults(serving), *_device_faults(serving)]


def _program_faults(serving: Serving) -> list[Fault]:
    if serving.server == "command":
        if shutil.which(serving.command[0]) is not None:
            return []
        found = f"{serving.command[0]!r} is not there, or no program"
        return [Fault("run.serving.command", found, "a server that this machine has", "correct the command")]
    python = serving.python or sys.executable
    if shutil.which(python) is None:
        found = f"no interpreter {python!r}"
        return [Fault("run.serving.python", found, "the Python that has the server", "correct the path")]
    module = _MODULES[serving.server]
    look = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    try:
        missing = subprocess.run([python, "-c", look], capture_output=True, timeout=_LOOK_S).returncode != 0
    except (OSError, subprocess.TimeoutExpired):
        missing = True
    if not missing:
        return []
    found = f"{module} is not installed for {python}"
    todo = "install it there, or name the interpreter that has it: serving.python"
    return [Fault("run.serving.server", found, f"an environment with {module}", todo)]


def _device_faults(serving: Serving) -> list[Fault]:
    wanted, there = serving.tensor_parallel * serving.replicas, len(find_devices())
    if not there or wanted <= there:
        return []
    found = f"tensor_parallel x replicas = {wanted}, and this machine has {pluralise(there, 'GPU')}"
    return [Fault("run.serving", found, "as many GPUs as are asked for", "lower one of them", "warning")]
