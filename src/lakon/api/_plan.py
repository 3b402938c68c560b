"""What a run would do and take: offline, from the store and the ledgers as they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from lakon.api._session import StudyLike, open_store, open_study
from lakon.core.records import Outcome, Problem, Verdict
from lakon.pipeline.budget import BudgetLine, list_budget_lines
from lakon.pipeline.build import build_plan
from lakon.pipeline.cost import estimate_costs
from lakon.pipeline.pending import spent_in
from lakon.pipeline.plan import Plan
from lakon.pipeline.spent import LedgerState, read_ledger_state, spent_before
from lakon.pipeline.step_cost import StepCost
from lakon.pipeline.student_cost import StudentCost, estimate_students
from lakon.store.artifacts import Store
from lakon.store.runner import StepState, inspect_steps


def plan(
    study: StudyLike, *, store: str | Path | None = None, overrides: Mapping[str, str] | None = None
) -> list[StepState]:
    """Where every step stands: `cached`, `owed` (made, with failed rows to ask again), `missing`, or `waiting` for
    inputs whose content is not known yet."""
    loaded = open_study(study, overrides)
    return inspect_steps(open_store(loaded, store), [build_plan(loaded).report])


class Bill(NamedTuple):
    """A plan and what it will take."""

    states: list[StepState]
    works: dict[str, StepCost]
    """Step name to requests, tokens, GPU hours and money, from what the ledgers hold already and from stated rates."""
    funds: list[BudgetLine]
    """Each limit of `run.budget`: spent, left, and owed."""
    lost: dict[str, int]
    """Endpoint to the records of its ledger that failed their checksum and are asked again."""
    store: Path
    students: list[StudentCost]
    """Memory on each GPU and hours of the trainings that are owed."""


def bill(study: StudyLike, *, store: str | Path | None = None, overrides: Mapping[str, str] | None = None) -> Bill:
    """The plan with what each owed step will take, and whether the budget has room for it."""
    loaded = open_study(study, overrides)
    place = open_store(loaded, store)
    graph = build_plan(loaded)
    states = inspect_steps(place, [graph.report])
    ledgers = _read_ledgers(graph, states, place)
    works = estimate_costs(graph, states, ledgers)
    spent = spent_before(loaded, spent_in(graph, states), place)
    # Where a step is done, its replies are in use as they are: a run does not pay for them again.
    undone = {state.step for state in states if state.artifact is None}
    lost = {n: ledger.lost for n, ledger in ledgers.items() if ledger.lost and graph.teachers[n].traces in undone}
    return Bill(
        states, works, list_budget_lines(loaded, works, spent), lost, place.root, estimate_students(graph, works)
    )


def _read_ledgers(graph: Plan, states: list[StepState], place: Store) -> dict[str, LedgerState]:
    """What the ledgers of endpoints hold, once the problems are known."""
    artifacts = {state.step: state.artifact for state in states}
    artifact = artifacts[graph.problems]
    if artifact is None:
        return {}
    problems = list(artifact.read("problems", Problem))
    cached = {state.step for state in states if state.state == "cached"}
    owed = [name for name, graded in graph.teachers.items() if graded.traces not in cached]
    problems_of = {name: problems for name in owed if graph.study.teachers[name].is_served}
    for name in problems_of:
        before = graph.study.teachers[name].if_correct
        verdicts = artifacts[graph.teachers[before].verdicts] if before is not None else None
        if verdicts is not None:
            right = {v.problem_id for v in verdicts.read("verdicts", Verdict) if v.outcome == Outcome.CORRECT}
            problems_of[name] = [problem for problem in problems if problem.problem_id in right]
    return {name: read_ledger_state(graph.study, name, place, rows) for name, rows in problems_of.items()}
