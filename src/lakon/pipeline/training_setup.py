"""A study's trainings as the formulas of memory and hours want them: each student's shape, and how it is trained.

Which machine trains is not known while a study is planned: it has GPUs where the study states `run.compute`, or more
than one process. What a study leaves to the machine is then taken as the trainer takes it on GPUs, else as on a CPU.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from lakon.backends.checkpoint.shape import find_shape
from lakon.backends.training.batches import LEAST_BLOCK
from lakon.core.model_shape import ModelShape, assume_shape
from lakon.core.records import ExampleLengths
from lakon.pipeline.places import model_path
from lakon.stages.train.memory import TrainingSetup
from lakon.stages.train.operations import TrainedLengths
from lakon.stages.train.train import Student
from lakon.study.schema import Study


class StudentShape(NamedTuple):
    """A student's shape, or None, and where it comes from or what is missing."""

    shape: ModelShape | None
    source: str


def find_student_shape(study: Study, student: Student) -> StudentShape:
    """The shape from the model's config, else from the count in `run.compute.parameters`."""
    found = find_shape(student.base, model_path(student.base))
    if found.shape is not None:
        return StudentShape(*found)
    stated = study.run.compute.parameters.get(student.label) if study.run.compute else None
    if stated is not None:
        rule = "run.compute.parameters; widths, and with them activations, are those of a usual model of that size"
        return StudentShape(assume_shape(stated), rule)
    return StudentShape(None, f"{found.source}; run.compute.parameters can state its size")


def has_gpus(study: Study) -> bool:
    """Whether the study is taken to be trained on GPUs."""
    return study.run.compute is not None or study.run.training.processes * study.run.training.nodes > 1


def make_setup(study: Study, *, longest: int | None = None, gpus: int | None = None) -> TrainingSetup:
    """How the study's students are trained, on `run.training`'s GPUs or on so many. `longest`: tokens of the longest
    example where it is known; else `training.max_length`."""
    training, run = study.training, study.run.training
    on_gpus = has_gpus(study)
    longest = training.max_length if longest is None else min(longest, training.max_length)
    block = run.micro_batch_tokens or min(training.batch_tokens, LEAST_BLOCK)
    adapter = training.adapter
    precision = training.precision
    if precision == "auto":
        precision = "bf16" if on_gpus else "fp32"
    checkpointing = run.activation_checkpointing
    return TrainingSetup(
        precision=precision,
        optimizer=training.optimizer,
        adapter=adapter.method if adapter else None,
        rank=adapter.rank if adapter else 0,
        targets=adapter.targets or None if adapter else None,
        gpus=run.processes * run.nodes if gpus is None else gpus,
        on_gpu=on_gpus,
        activation_checkpointing=on_gpus if checkpointing is None else checkpointing,
        pass_tokens=max(longest, block),
    )


def describe_setup(setup: TrainingSetup) -> str:
    """`full AdamW in bf16, activations checkpointed, 32,768 tokens a pass`."""
    optimizer = "Muon" if setup.optimizer == "muon" else "AdamW"
    way = {None: "full", "lora": "LoRA with", "qlora": "QLoRA with"}[setup.adapter]
    kept = "activations checkpointed" if setup.activation_checkpointing else "activations kept"
    precision = {"mixed": "mixed precision"}.get(setup.precision, setup.precision)
    return f"{way} {optimizer} in {precision}, {kept}, {setup.pass_tokens:,} tokens a pass"


# -- lengths ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmLengths:
    """What one training of an arm passes."""

    completions: int
    """Tokens that are trained on, over all epochs."""
    passed: TrainedLengths
    """Of whole sequences, prompts included where they are known."""
    longest: int | None
    """Tokens of the longest example; None where the arm is not built."""


def measure_lengths(examples: Iterable[ExampleLengths], study: Study) -> ArmLengths:
    """The lengths of a built arm, in the study's common tokenizer; without examples that are too long to train on."""
    completions = tokens = squares = longest = 0
    for example in examples:
        length = example.n_prompt + example.n_tokens + 1  # the end token
        if length <= study.training.max_length:
            completions += example.n_tokens * example.repeats
            tokens += length * example.repeats
            squares += length * length * example.repeats
            longest = max(longest, length)
    epochs = study.training.epochs
    passed = TrainedLengths(tokens=tokens * epochs, squares=squares * epochs)
    return ArmLengths(completions=completions * epochs, passed=passed, longest=longest)


def state_lengths(rows: int, each: float, study: Study) -> ArmLengths:
    """The lengths of an arm that is not built: `rows` examples of the mean length that the study states, as if all had
    it, prompts not counted. Longer and shorter ones would take more attention."""
    tokens = round(rows * each * study.training.epochs)
    return ArmLengths(completions=tokens, passed=TrainedLengths(tokens=tokens, squares=tokens * each), longest=None)
