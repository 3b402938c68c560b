"""The bodies of the first steps: problems from their sources, and those that copy no benchmark.

Only `plan/` uses it.
"""

from __future__ import annotations

from collections.abc import Callable

from laconic import sources
from laconic.core.records import Problem
from laconic.stages import decontaminate as decontaminate_stage
from laconic.stages import problems as problems_stage
from laconic.stages.duplicates import grouped
from laconic.stages.problems import ProblemSource, SyntheticProblems
from laconic.store.step import StepContext
from laconic.study import Study

Body = Callable[[StepContext], None]


def problems(source: ProblemSource, seed: int) -> Body:
    """Read or make problems."""

    def body(ctx: StepContext) -> None:
        revision = sources.revision_of(source)
        count = None if isinstance(source, SyntheticProblems) else source.count
        sieve = problems_stage.Sieve(sources.problem_rows(source, revision), count=count, seed=seed)
        ctx.out.write("exclusions", sieve.exclusions())
        # A generator's problems are independent draws from its templates; only written ones are copied.
        kept = sieve.problems() if isinstance(source, SyntheticProblems) else grouped(sieve.problems())
        ctx.out.write("problems", kept)
        ctx.out.facts.update({"rows_read": sieve.n_rows} | ({sources.REVISION: revision} if revision else {}))

    return body


def decontaminate(study: Study) -> Body:
    """The problems without those that copy a problem of a benchmark."""

    def body(ctx: StepContext) -> None:
        rows, found = ctx.inputs["problems"], study.evaluate.benchmarks
        benchmarks = {name: ctx.inputs[f"benchmark:{name}"].read("problems", Problem) for name in found}
        kept, left = decontaminate_stage.decontaminate(rows.read("problems", Problem), benchmarks, study.decontaminate)
        ctx.out.write("problems", kept)
        ctx.out.write("exclusions", left)
        ctx.out.facts.update(rows.manifest.facts)

    return body
