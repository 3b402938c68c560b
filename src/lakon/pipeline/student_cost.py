"""What training each student takes: memory on each GPU and hours, as the study says and on other numbers of GPUs.

Every figure is an estimate from the student's shape; what is unknown is None and says why.
"""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lakon.backends.training.launch import Layout, torchrun_command
from lakon.pipeline.plan import Plan
from lakon.pipeline.step_cost import StepCost
from lakon.pipeline.training_setup import StudentShape, describe_setup, find_student_shape, make_setup
from lakon.stages.train.memory import GB, MemoryEstimate, estimate_memory
from lakon.study.schema import Study


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutCost:
    """A student's trainings on a number of GPUs."""

    gpus: int
    nodes: int
    is_own: bool
    """Whether it is the layout that the study states."""
    memory: MemoryEstimate
    """Bytes on each GPU."""
    total: int
    """The peak on each GPU, in bytes."""
    fits: bool | None
    """Into `run.compute.memory_gb`; None where that is not stated."""
    hours: dict[str, float | None]
    """Step name to the time that its training lasts, as if every GPU were used as well as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentCost:
    """What training one student takes."""

    student: str
    parameters: int | None
    source: str
    """Where the shape comes from; or, without parameters, what is missing."""
    is_assumed: bool
    """Whether only the count of parameters is known."""
    training: str
    """How it is trained, in words."""
    on_gpus: bool
    """Else a processor is taken to train it."""
    layouts: list[LayoutCost]
    starts_as: str
    """The command that starts the processes of a training: FSDP2 over all of them. Empty for a single one."""


def estimate_students(plan: Plan, works: Mapping[str, StepCost]) -> list[StudentCost]:
    """The cost of each student with trainings among `works`. A trainer of one's own takes what it takes."""
    study = plan.study
    if study.run.training.command:
        return []
    steps: dict[str, list[str]] = {}
    for model in plan.models:
        if model.checkpoint is not None and model.checkpoint.name in works:
            owed = steps.setdefault(model.id.student, [])
            if model.checkpoint.name not in owed:
                owed.append(model.checkpoint.name)
    costs: list[StudentCost] = []
    for student in study.students:
        if student.label in steps:
            trainings = {name: works[name] for name in steps[student.label]}
            costs.append(_student(study, find_student_shape(study, student), student.label, trainings))
    return costs


def _student(study: Study, found: StudentShape, label: str, trainings: Mapping[str, StepCost]) -> StudentCost:
    shape, source = found
    lengths = [work.longest for work in trainings.values()]
    longest = None if any(length is None for length in lengths) else max(n for n in lengths if n is not None)
    own = make_setup(study, longest=longest)
    layouts: list[LayoutCost] = []
    if shape is not None:
        for gpus in _numbers(study, own.gpus):
            setup = make_setup(study, longest=longest, gpus=gpus)
            memory = estimate_memory(shape, setup)
            layouts.append(_layout(study, gpus, memory, trainings, is_own=gpus == own.gpus))
    return StudentCost(
        student=label,
        parameters=None if shape is None else shape.parameters,
        source=source,
        is_assumed=shape is not None and shape.is_assumed,
        training=describe_setup(own),
        on_gpus=own.on_gpu,
        layouts=layouts,
        starts_as=_command(study),
    )


def _command(study: Study) -> str:
    """How the processes of one training are started; empty where one process of Lakon's own trains."""
    run = study.run.training
    if run.processes == run.nodes == 1 and not run.launcher:
        return ""
    layout = Layout(run.processes, run.nodes, run.launcher, run.rendezvous)
    return shlex.join(["python" if word == sys.executable else word for word in torchrun_command(layout, Path("JOB"))])


def _numbers(study: Study, own: int) -> list[int]:
    """The study's own number of GPUs, and those to compare where GPUs are stated. Weights in 4 bits are not sharded."""
    compute, adapter = study.run.compute, study.training.adapter
    compared = compute.gpus if compute is not None and (adapter is None or adapter.method != "qlora") else ()
    return sorted({own, *compared})


def _layout(
    study: Study, gpus: int, memory: MemoryEstimate, trainings: Mapping[str, StepCost], *, is_own: bool
) -> LayoutCost:
    compute, run = study.run.compute, study.run.training
    per_node = run.processes if is_own or compute is None else compute.gpus_per_node
    hours = {name: None if work.gpu_hours is None else work.gpu_hours / gpus for name, work in trainings.items()}
    return LayoutCost(
        gpus=gpus,
        nodes=math.ceil(gpus / per_node),
        is_own=is_own,
        memory=memory,
        total=memory.total,
        fits=None if compute is None or compute.memory_gb is None else memory.total <= compute.memory_gb * GB,
        hours=hours,
    )
