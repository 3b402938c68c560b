"""Trainings that cannot fit into the memory of the stated GPUs, found before the traces are paid for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lakon.core.errors import Fault
from lakon.core.model_shape import ModelShape
from lakon.core.score_text import pluralise
from lakon.pipeline.training_setup import describe_setup, find_student_shape, make_setup
from lakon.stages.train.layouts import Layout, find_fitting, find_shorter, list_adapters
from lakon.stages.train.memory import GB, MemoryEstimate, TrainingSetup, estimate_memory
from lakon.study.pydantic_errors import is_broken
from lakon.study.schema import Study

_ADAPTERS = {None: "full", "lora": "LoRA", "qlora": "QLoRA"}


def memory_faults(study: Study, known: Sequence[Fault] = ()) -> list[Fault]:
    """A fault for each student whose training takes more than `run.compute.memory_gb` on a GPU; none where that is not
    stated, where a student's size is not known, or where a command of one's own trains."""
    compute = study.run.compute
    if compute is None or compute.memory_gb is None or study.run.training.command:
        return []
    if any(is_broken(where, known) for where in ("students", "training", "run")):
        return []
    setup = make_setup(study)
    faults: list[Fault] = []
    for student in study.students if study.arms else ():
        shape = find_student_shape(study, student).shape
        if shape is not None and estimate_memory(shape, setup).total > compute.memory_gb * GB:
            faults.append(_fault(student.label, shape, setup, compute.memory_gb))
    return faults


def _fault(label: str, shape: ModelShape, setup: TrainingSetup, memory_gb: float) -> Fault:
    estimate = estimate_memory(shape, setup)
    states = estimate.weights + estimate.gradients + estimate.optimizer
    size = f"{'about ' if shape.is_assumed else ''}{shape.parameters / 1e9:.3g}B parameters"
    gpus = "one GPU" if setup.gpus == 1 else f"each of {setup.gpus} GPUs"
    found = (
        f"{label} ({size}), {describe_setup(setup)}, takes about {_gb(estimate)} on {gpus},"
        f" {states / GB:,.0f} GB of it weights, gradients and moments"
    )
    expected = f"at most {memory_gb:g} GB (run.compute.memory_gb)"
    return Fault(f"students.{label}", found, expected, _remedy(shape, setup, memory_gb * GB))


def _remedy(shape: ModelShape, setup: TrainingSetup, most_bytes: float) -> str:
    """What fits as it is; where nothing does, what fits shorter examples and what usual ways take of larger GPUs."""
    if fitting := find_fitting(shape, setup, most_bytes):
        return f"what would fit: {_ways(fitting, setup)}"
    sharded = [replace(setup, gpus=8)] if setup.gpus < 8 and setup.adapter != "qlora" else []
    usual = [(each, estimate_memory(shape, each)) for each in (*sharded, *list_adapters(setup))]
    larger = f"larger GPUs: {_ways(usual, setup)}" if usual else "larger GPUs"
    if shorter := find_shorter(shape, setup, most_bytes):
        return f"train on shorter examples: {_ways(shorter, setup)}; or take {larger}"
    return f"take {larger}"


def _ways(layouts: Sequence[Layout], before: TrainingSetup) -> str:
    said: list[str] = []
    for setup, memory in layouts:
        said.append(f"{_way(setup, before)} takes {_gb(memory)}{' on each' if setup.gpus > 1 else ''}")
    return ", ".join(said)


def _way(setup: TrainingSetup, before: TrainingSetup) -> str:
    """`LoRA on 1 GPU`, with what else is changed."""
    way = f"{_ADAPTERS[setup.adapter]} on {pluralise(setup.gpus, 'GPU')}"
    if setup.pass_tokens != before.pass_tokens:
        way += f" and {setup.pass_tokens:,} tokens a pass (training.max_length, run.training.micro_batch_tokens)"
    if setup.activation_checkpointing != before.activation_checkpointing:
        way += " with activation checkpointing"
    return way


def _gb(memory: MemoryEstimate) -> str:
    return f"{memory.total / GB:,.0f} GB"
