"""What a run would do and take: offline, from the store and the ledgers as they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from lakon.api._session import StudyLike, open_store, open_study
from lakon.backends.servers.commands import show_command
from lakon.core.records import Outcome, Problem, Verdict
from lakon.pipeline.authors import server_settings
from lakon.pipeline.budget import BudgetLine, list_budget_lines
from lakon.pipeline.build import build_plan
from lakon.pipeline.cost import estimate_costs
from lakon.pipeline.pending import spent_in
from lakon.pipeline.plan import Plan
from lakon.pipeline.spent import LedgerState, read_ledger_state, spent_before
from lakon.pipeline.step_cost import StepCost
from lakon.pipeline.student_cost import StudentCost, estimate_students
from lakon.stages.generate.specs import EndpointTeacher
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
    serves_as: str = ""
    """The command of the study's own server; empty without one."""


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
    lost: dict[str, int] = {}
    for asking in graph.list_asking():
        ledger = ledgers.get(asking.graded.traces.name)
        if ledger is not None and ledger.lost and asking.graded.traces in undone:
            lost[asking.name] = lost.get(asking.name, 0) + ledger.lost
    return Bill(
        states,
        works,
        list_budget_lines(loaded, works, spent),
        lost,
        place.root,
        estimate_students(graph, works),
        show_command(server_settings(loaded.run.serving)) if loaded.run.serving is not None else "",
    )


def _read_ledgers(graph: Plan, states: list[StepState], place: Store) -> dict[str, LedgerState]:
    """What the ledgers of endpoints hold for the steps that ask them, once the problems are known."""
    artifacts = {state.step: state.artifact for state in states}
    cached = {state.step for state in states if state.state == "cached"}
    ledgers: dict[str, LedgerState] = {}
    for asking in graph.list_asking():
        table = artifacts[asking.problems]
        if table is None or asking.graded.traces in cached or not isinstance(asking.spec, EndpointTeacher):
            continue
        problems = list(table.read("problems", Problem))
        before = asking.spec.if_correct
        verdicts = artifacts[graph.teachers[before].verdicts] if before is not None else None
        if verdicts is not None:
            right = {v.problem_id for v in verdicts.read("verdicts", Verdict) if v.outcome == Outcome.CORRECT}
            problems = [problem for problem in problems if problem.problem_id in right]
        ledgers[asking.graded.traces.name] = read_ledger_state(asking.name, asking.spec, place, problems)
    return ledgers
