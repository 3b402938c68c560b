"""What a plan will take: requests, tokens and money for each step that is owed, from stated rates.

Nothing here is measured: counts come from the study and from artifacts that exist, tokens from `run.prices`. What is
not stated stays unknown; it is never guessed. Examples are bounded from above: what verification leaves is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from laconic.benchmarks import EXPECTED_ROWS
from laconic.plan import Plan
from laconic.stages.problems import JsonlProblems, ProblemSource
from laconic.store.runner import StepState
from laconic.store.step import Step
from laconic.study import Study


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one step takes; None is unknown. `money` is in the currency of the stated prices."""

    kind: str
    """`ask` (traces from an author) or `train` (completion tokens)."""
    rows: int | None
    tokens: int | None
    money: float | None = None


def estimate(plan: Plan, states: Sequence[StepState]) -> dict[str, Work]:
    """Step name to its work, for generate and train steps that are not in the store."""
    owed = {state.step for state in states if state.state != "cached"}
    made = {state.step: state.artifact.manifest.rows for state in states if state.artifact is not None}
    sizes = {"problems": _size(plan.study, "problems", made.get(plan.problems))}
    sizes |= {name: _size(plan.study, name, made.get(step)) for name, step in plan.benchmarks.items()}
    found: dict[str, Work] = {}
    for name, (traces, _) in plan.teachers.items():
        if traces in owed:
            found[traces.name] = _teacher(plan.study, name, sizes["problems"])
    for author in plan.authors:
        for benchmark, traces in author.traces.items():
            if traces in owed:
                found[traces.name] = _student(plan.study, author.arm, sizes[benchmark])
        if author.checkpoint in owed and author.checkpoint is not None and author.arm is not None:
            built = made.get(_of(author.examples))
            unknown = author.match == "tokens" and built is None  # repeats are known once the arms are built
            work = Work(kind="train", rows=None, tokens=None)
            found[author.checkpoint.name] = work if unknown else _training(plan.study, author.arm, built, sizes)
    return found


def _of(step: Step | None) -> Step:
    assert step is not None
    return step


def _teacher(study: Study, name: str, problems: int | None) -> Work:
    rows = None if problems is None else problems * study.teachers[name].samples
    price = study.run.prices.get(name)
    if price is None or rows is None or price.tokens_per_trace is None:
        return Work(kind="ask", rows=rows, tokens=None)
    tokens = round(rows * price.tokens_per_trace)
    asked = study.teachers[name].kind == "endpoint"
    return Work(kind="ask", rows=rows, tokens=tokens, money=tokens / 1e6 * price.output_per_million if asked else 0.0)


def _student(study: Study, arm: str | None, problems: int | None) -> Work:
    """A student writes about as much as the teachers of its arm; a base's length is unknown."""
    rows = None if problems is None else problems * study.evaluate.samples
    each = _tokens_each(study, arm) if arm is not None else None
    return Work(kind="ask", rows=rows, tokens=None if rows is None or each is None else round(rows * each))


def _training(study: Study, arm: str, made: dict[str, int] | None, sizes: dict[str, int | None]) -> Work:
    """Examples of the arm if it is built; else one a problem and teacher of a sequence: the most there can be."""
    count = study.curate.count
    bound = min((n for n in (count, sizes["problems"]) if n is not None), default=None)
    if bound is not None:
        bound *= len(study.arms[arm].sequence or (arm,))
    rows = made["examples"] if made is not None else bound
    each = _tokens_each(study, arm)
    tokens = None if rows is None or each is None else round(rows * each * study.training.epochs)
    return Work(kind="train", rows=rows, tokens=tokens)


def _tokens_each(study: Study, arm: str) -> float | None:
    """The mean of the stated lengths of the arm's teachers; None when one is not stated."""
    stated = [price.tokens_per_trace for t in study.arms[arm].teachers if (price := study.run.prices.get(t))]
    known = [n for n in stated if n is not None]
    return sum(known) / len(known) if known and len(known) == len(study.arms[arm].teachers) else None


def _size(study: Study, name: str, made: dict[str, int] | None) -> int | None:
    if made is not None:
        return made["problems"]
    source: ProblemSource = study.problems if name == "problems" else study.benchmark(name)
    if source.count is not None:
        return source.count
    if isinstance(source, JsonlProblems) and Path(source.path).is_file():
        with Path(source.path).open("rb") as file:
            return sum(1 for line in file if line.strip())
    return EXPECTED_ROWS.get(name)


def total(works: Sequence[Work], kind: str) -> Work:
    """The sum over works of one kind; a sum with an unknown part counts the known ones only."""
    chosen = [work for work in works if work.kind == kind]
    empty = Work(kind=kind, rows=0, tokens=0, money=0.0)
    for work in chosen:
        empty = replace(
            empty, rows=(empty.rows or 0) + (work.rows or 0), tokens=(empty.tokens or 0) + (work.tokens or 0),
            money=(empty.money or 0.0) + (work.money or 0.0),
        )  # fmt: skip
    return empty
