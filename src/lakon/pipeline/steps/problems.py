"""The bodies of the first steps: problems from their sources, and those that copy no benchmark.

Only `plan/` uses it. What does not fit into memory lies in the artifact's folder meanwhile, in files without a name:
whatever ends the step ends them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable

from lakon.core.records import Problem
from lakon.pipeline import sources
from lakon.stages.problems import decontaminate as decontaminate_stage
from lakon.stages.problems.near_duplicates import grouped
from lakon.stages.problems.sample import Sieve
from lakon.stages.problems.sources import ProblemSource, SyntheticProblems
from lakon.store.step import StepContext
from lakon.study.schema import Study

Body = Callable[[StepContext], None]


def problems(source: ProblemSource, seed: int) -> Body:
    """Read or make problems."""

    def body(ctx: StepContext) -> None:
        revision = sources.revision_of(source)
        count = None if isinstance(source, SyntheticProblems) else source.count
        with tempfile.TemporaryFile(dir=ctx.out.folder) as waiting:
            sieve = Sieve(sources.problem_rows(source, revision), count=count, seed=seed, waiting=waiting)
            ctx.out.write("exclusions", sieve.exclusions())
            # A generator's problems are independent draws from its templates; only written ones are copied.
            made = isinstance(source, SyntheticProblems)
            ctx.out.write("problems", sieve.problems() if made else grouped(sieve.problems, ctx.out.folder))
        ctx.out.facts.update({"rows_read": sieve.n_rows} | ({sources.REVISION: revision} if revision else {}))

    return body


def decontaminate(study: Study) -> Body:
    """The problems without those that copy a problem of a benchmark."""

    def body(ctx: StepContext) -> None:
        rows, found = ctx.inputs["problems"], study.evaluate.benchmarks
        benchmarks = {name: ctx.inputs[f"benchmark:{name}"].read("problems", Problem) for name in found}
        kept, left = decontaminate_stage.decontaminate(
            lambda: rows.read("problems", Problem), benchmarks, study.decontaminate, ctx.out.folder
        )
        ctx.out.write("problems", kept)
        ctx.out.write("exclusions", left)
        ctx.out.facts.update(rows.manifest.facts)

    return body
