"""The first steps: problems read or made, and those of them that copy no benchmark.

What does not fit into memory lies in the artifact's folder meanwhile, in files without a name: whatever ends the step
ends them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from lakon.core.records import Problem
from lakon.core.spec import Spec
from lakon.pipeline import sources
from lakon.pipeline.places import Places
from lakon.pipeline.steps.context import Context
from lakon.stages.problems.decontaminate import Decontaminate, decontaminate
from lakon.stages.problems.near_duplicates import mark_groups
from lakon.stages.problems.sample import ProblemSampler
from lakon.stages.problems.sources import NoProblems, ProblemSource
from lakon.store.artifacts import Artifact
from lakon.store.facts import ReadFacts
from lakon.store.step import NoInputs, Step
from lakon.study.names import OWN

T = TypeVar("T")

READ_VERSION = 3
DECONTAMINATE_VERSION = 4


class ReadArgs(Spec):
    """Which problems are read or made."""

    source: ProblemSource
    seed: int = 0
    """Of the sample, where one is drawn."""


def read_step(label: str, source: ProblemSource, seed: int, places: Places) -> Step[ReadArgs]:
    """The problems of a source: the study's own, or a benchmark's."""
    referred = source if source.is_generated else places.refer(source)
    args = ReadArgs(source=referred, seed=seed if source.is_sampled else 0)
    return Step(stage="problems", label=label, version=READ_VERSION, args=args, inputs=NoInputs(), body=read_problems)


def read_problems(ctx: Context[NoInputs], args: ReadArgs) -> None:
    """Read or make problems, each once, with their near-duplicates marked."""
    if isinstance(args.source, NoProblems):
        ctx.out.write("exclusions", [])
        ctx.out.write("problems", [])
        ReadFacts(rows_read=0).write(ctx.out)
        return
    is_generated = args.source.is_generated
    source = args.source if is_generated else ctx.resources.places.locate(args.source)
    revision = sources.revision_of(source)
    with tempfile.TemporaryFile(dir=ctx.out.folder) as waiting:
        count = None if is_generated else source.count
        sampler = ProblemSampler(sources.problem_rows(source, revision), count=count, seed=args.seed, waiting=waiting)
        ctx.out.write("exclusions", sampler.exclusions())
        # A generator's problems are independent draws from its templates; only written ones are copied.
        ctx.out.write("problems", sampler.problems() if is_generated else mark_groups(sampler.problems, ctx.out.folder))
    ReadFacts(rows_read=sampler.n_rows, revision=revision).write(ctx.out)


@dataclass(frozen=True)
class DecontaminateInputs(Generic[T]):
    """The study's problems, and the benchmarks by name."""

    problems: T
    benchmarks: Mapping[str, T]


def decontaminate_step(
    spec: Decontaminate, problems: Step[ReadArgs], benchmarks: Mapping[str, Step[ReadArgs]]
) -> Step[Decontaminate]:
    """The problems without what copies the benchmarks."""
    return Step(
        stage="decontaminate",
        label=OWN,
        version=DECONTAMINATE_VERSION,
        args=spec,
        inputs=DecontaminateInputs(problems, benchmarks),
        body=decontaminate_problems,
        in_process=True,
    )


def decontaminate_problems(ctx: Context[DecontaminateInputs[Artifact]], args: Decontaminate) -> None:
    """Leave out the problems that copy a problem of a benchmark."""
    problems, benchmarks = ctx.inputs.problems, dict(sorted(ctx.inputs.benchmarks.items()))
    kept, left_out = decontaminate(
        lambda: problems.read("problems", Problem),
        {name: table.read("problems", Problem) for name, table in benchmarks.items()},
        args,
        ctx.out.folder,
    )
    ctx.out.write("problems", kept)
    ctx.out.write("exclusions", left_out)
    ReadFacts.of(problems.manifest).write(ctx.out)
