"""What a run of a plan would ask of endpoints, what is better left unasked, and what was spent already.

Read from where the steps stand (`store.runner.inspect`); nothing here asks or pays.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from lakon.core.spending import NOTHING, Spent
from lakon.pipeline.plan import Plan
from lakon.pipeline.resources import RunResources
from lakon.pipeline.spent import count_missing_replies
from lakon.store.artifacts import AnyStore
from lakon.store.facts import AskedFacts, RetryFacts
from lakon.store.runner import Mode, StepState
from lakon.store.step import AnyStep
from lakon.study.schema import JUDGE


def list_endpoints(
    plan: Plan,
    states: Sequence[StepState],
    store: AnyStore,
    mode: Mode = "cached",
    forced: frozenset[str] = frozenset(),
) -> list[str]:
    """The endpoints that a run may ask: those of steps that are missing and, in the other modes, of steps that ask
    again and all that stands on them. What a cached run asks again may be left as it is: see `steps_not_retried`."""
    steps = {state.step for state in states if state.artifact is None}
    for state in states:
        if mode != "cached" and state.artifact is not None and _again(plan, state, states, store, mode, forced):
            steps |= _with_users(state.step, states)
    return _endpoints(plan, steps)


def _again(
    plan: Plan, state: StepState, states: Sequence[StepState], store: AnyStore, mode: Mode, forced: frozenset[str]
) -> bool:
    """Whether a finished step would ask an endpoint again: about rows that failed, or for replies that are gone."""
    assert state.artifact is not None
    facts = RetryFacts.of(state.artifact.manifest)
    if mode == "retry":
        return facts.owed > 0 or facts.errors > 0
    if forced and not forced & {state.step.name, state.step.stage}:
        return False
    return facts.owed > 0 or bool(_missing_replies(plan, _endpoints(plan, {state.step}), states, store))


def _endpoints(plan: Plan, steps: Collection[AnyStep]) -> list[str]:
    """Whom these steps ask: teachers by their traces, the judge by verdicts."""
    names = [asking.name for asking in plan.list_asking() if asking.graded.traces in steps]
    names += [JUDGE] if any(step.stage == "verify" for step in steps) else []
    return [name for name in dict.fromkeys(names) if name in plan.study.served]


def _with_users(step: AnyStep, states: Sequence[StepState]) -> set[AnyStep]:
    """A step and all that stands on it."""
    steps = {step}
    for other in states:  # inputs come before users
        if steps.intersection(other.step.sources.values()):
            steps.add(other.step)
    return steps


def steps_not_retried(
    plan: Plan, states: Sequence[StepState], resources: RunResources, store: AnyStore
) -> dict[str, str]:
    """Owed steps (the judge's: their stage) that are better left as they are, with the reason in a line: an
    endpoint that this would come to cannot be asked, or would be paid again for what is made."""
    reasons: dict[str, str] = {}
    for step, names in _owing(plan, states).items():
        if faults := resources.endpoint_faults(plan.study.served, names):
            reasons[step] = f"{faults[0].where}: {faults[0].found}"
        elif missing := _missing_replies(plan, names, states, store):
            reasons[step] = f"{missing}; retrying would pay for them again: --mode retry does so"
    return reasons


def _owing(plan: Plan, states: Sequence[StepState]) -> dict[str, list[str]]:
    """Steps of which only failed rows would be asked again, each with the endpoints that this may come to: its own,
    and those of all that stands on it, since what is new there is asked about as well."""
    endpoints: dict[str, list[str]] = {}
    for state in states:
        if state.state == "owed":
            step = state.step
            names = _endpoints(plan, _with_users(step, states))
            endpoints.setdefault("verify" if step.stage == "verify" else step.name, []).extend(names)
    return {step: list(dict.fromkeys(names)) for step, names in endpoints.items()}


def _missing_replies(plan: Plan, names: Sequence[str], states: Sequence[StepState], store: AnyStore) -> str:
    """Which ledger lacks replies that finished steps hold, and how many; empty when none does."""
    artifacts = {state.step: state.artifact for state in states if state.artifact is not None}
    for name in names:
        asked = [asking.graded.traces for asking in plan.list_asking() if asking.name == name]
        steps = asked or [step for step in artifacts if step.stage == "verify"]
        tables = [artifacts[step] for step in steps if step in artifacts]
        if n := count_missing_replies(plan.study, name, tables, store):
            return f"the ledger of {name} no longer holds {n} replies that finished steps use"
    return ""


def spent_in(plan: Plan, states: Sequence[StepState]) -> dict[str, Spent]:
    """What the finished steps of endpoints took: endpoint to tokens."""
    artifacts = {state.step: state.artifact for state in states if state.artifact is not None}
    spent: dict[str, Spent] = {}
    for asking in plan.list_asking():
        if asking.spec.is_served and asking.graded.traces in artifacts:
            facts = AskedFacts.of(artifacts[asking.graded.traces].manifest)
            before = spent.get(asking.name, NOTHING)
            spent[asking.name] = Spent(before.prompt + facts.prompt_tokens, before.completion + facts.completion_tokens)
    return spent
