"""Results that lie in a study's store: what teachers, students and other authors did, on its benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lakon.core.columns import pair_rows
from lakon.core.errors import InputError, near_miss
from lakon.core.records import UNGRADED as UNGRADED_OUTCOMES
from lakon.core.records import Outcome, Problem, Trace, TraceCounts, VerdictOutcome
from lakon.pipeline.build import build_plan
from lakon.pipeline.steps.scores import Graded
from lakon.standalone.compare.results import RIGHT, UNGRADED, WRONG, ResultBuilder, ResultSet, SampleRow
from lakon.store.artifacts import Artifact, Store
from lakon.store.runner import inspect_steps
from lakon.store.step import Step
from lakon.study.load import load_study
from lakon.study.names import OWN
from lakon.study.schema import Study

StoreOpener = Callable[[Study], Store]
SCHEME = "lakon"


def split_study(named: str) -> tuple[str, str] | None:
    """A study and the author that was named of it (empty for all): `STUDY.toml`, `STUDY.toml#AUTHOR`,
    `STUDY.toml:AUTHOR`. None where it is no study."""
    for mark in ("#", ":"):
        study, found, author = named.partition(f".toml{mark}")
        if found:
            return f"{study}.toml", author
    return (named, "") if named.endswith(".toml") else None


def read_study(named: str, open_store: StoreOpener, *, keep_answers: bool) -> list[ResultSet]:
    """The results of one author of a study, or of all. Raises `InputError` for an author that has none."""
    split = split_study(named)
    assert split is not None
    path, author = split
    study = load_study(path)
    authors = _list_authors(study, open_store(study))
    if author and author not in authors:
        found = f"{path} has no results of {author!r}"
        remedy = f"name one of them, or run the study: lakon run {path}"
        raise InputError(found, near_miss(author, authors), remedy, where=named)
    chosen = [author] if author else list(authors)
    if not chosen:
        raise InputError("a study without results", "verdicts in its store", f"lakon run {path}", where=named)
    return [_read_author(name, path, authors[name], keep_answers) for name in chosen]


class _Work:
    """What an author did on one benchmark in one training run."""

    def __init__(self, benchmark: str, seed: int, problems: Artifact, graded: Graded[Artifact]) -> None:
        self.benchmark, self.seed, self.problems, self.graded = benchmark, seed, problems, graded


def _list_authors(study: Study, store: Store) -> dict[str, list[_Work]]:
    """Author label to its work, as far as it is done."""
    plan = build_plan(study)
    states = inspect_steps(store, [plan.report])
    done = {state.step: state.artifact for state in states if state.artifact is not None}
    inputs: Any = plan.scores.inputs
    authors: dict[str, list[_Work]] = {}

    def note(label: str, benchmark: str, seed: int, problems: Step[Any], graded: Graded[Step[Any]]) -> None:
        if {problems, graded.traces, graded.verdicts} <= done.keys():
            of_steps = Graded(done[graded.traces], done[graded.verdicts])
            authors.setdefault(label, []).append(_Work(benchmark, seed, done[problems], of_steps))

    args = plan.scores.args
    for teacher in args.teachers:
        note(teacher.label, OWN, 0, inputs.problems, inputs.teachers[teacher.name])
    for model in args.models:
        for benchmark in args.benchmarks:
            graded = inputs.models.get(model.label_on(benchmark))
            if graded is not None:
                note(model.label, benchmark, model.seed, inputs.benchmarks[benchmark], graded)
    return authors


def _read_author(label: str, path: str, works: list[_Work], keep_answers: bool) -> ResultSet:
    builder = ResultBuilder(name=label, format="study", scheme=SCHEME, keep_answers=keep_answers)
    builder.files.append(str(Path(path)))
    builder.notes.append(f"{label}: tokens are those of the study's common tokenizer")
    for work in works:
        problems = {problem.problem_id: problem for problem in work.problems.read("problems", Problem)}
        for row in _samples(work, problems, keep_answers):
            builder.add(row, f"{work.graded.traces.folder}:{row.problem_id}")
    return builder.build()


def _samples(work: _Work, problems: dict[str, Problem], keep_answers: bool) -> Iterator[SampleRow]:
    traces = work.graded.traces.read("traces", Trace if keep_answers else TraceCounts)
    verdicts = work.graded.verdicts.read("verdicts", VerdictOutcome)
    for trace, verdict in pair_rows(traces, verdicts):
        problem = problems[trace.problem_id]
        ungraded = verdict.outcome in UNGRADED_OUTCOMES
        yield SampleRow(
            problem_id=trace.problem_id,
            text=problem.prompt,
            reference=problem.reference,
            answer=trace.answer if isinstance(trace, Trace) else "",
            sample=trace.sample_index,
            grade=UNGRADED if ungraded else RIGHT if verdict.outcome == Outcome.CORRECT else WRONG,
            tokens=trace.n_tokens,
            finished=verdict.outcome != Outcome.TRUNCATED,
            cluster=problem.duplicate_group,
            benchmark=work.benchmark,
            training_seed=work.seed,
        )
