"""What a plan will take: requests, tokens, GPU hours and money for each step that is owed.

Tokens are extrapolated from what a teacher's ledger already holds (a pilot puts a random sample there), with an
interval; else they are stated in `run.prices`. What is neither measured nor stated stays unknown; it is never guessed.
Examples are bounded from above: what verification leaves is not known. What training takes follows from the student's
shape and the lengths of the arm; of an arm that is not built prompts are not counted. Read next: `student_cost.py`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lakon.core.model_shape import ModelShape
from lakon.core.records import ExampleLengths
from lakon.core.spending import Spent
from lakon.pipeline.plan import Asking, EvaluatedModel, Plan
from lakon.pipeline.spent import LedgerState
from lakon.pipeline.step_cost import StepCost
from lakon.pipeline.training_setup import (
    ArmLengths,
    find_student_shape,
    make_setup,
    measure_lengths,
    state_lengths,
)
from lakon.stages.problems.sources import ProblemSource
from lakon.stages.train.operations import estimate_hours
from lakon.stats.distributions import t_quantile
from lakon.store.artifacts import Artifact
from lakon.store.facts import RetryFacts
from lakon.store.runner import StepState
from lakon.store.step import AnyStep
from lakon.study.benchmarks import EXPECTED_ROWS
from lakon.study.names import FIRST_RULE, OWN
from lakon.study.schema import JUDGE, Price, Study

LEAST_FOR_AN_INTERVAL = 5


def estimate_costs(
    plan: Plan, states: Sequence[StepState], ledgers: Mapping[str, LedgerState] | None = None
) -> dict[str, StepCost]:
    """Step name to its work, for generate, train and judged verify steps that are not in the store or owe rows.

    `ledgers`: by the names of steps that ask endpoints, what is kept of them where problems are known.
    """
    by_step = {state.step: state for state in states}
    owed = {state.step for state in states if state.state != "cached"}
    rows = {state.step: state.artifact.manifest.rows for state in states if state.artifact is not None}
    sizes = {OWN: _size(plan.study, OWN, rows.get(plan.problems))}
    sizes |= {name: _size(plan.study, name, rows.get(step)) for name, step in plan.benchmarks.items()}
    costs: dict[str, StepCost] = {}
    trainings = _Trainings(plan.study, by_step)
    for asking in plan.list_asking():
        if (traces := asking.graded.traces) in owed:
            ledger = (ledgers or {}).get(traces.name)
            costs[traces.name] = _asked(plan.study, asking, sizes[asking.benchmark], ledger)
    for model in plan.models:
        arm = model.id.arm
        for benchmark, graded in model.answers.items() if model.author is None else ():
            if graded.traces in owed:
                costs[graded.traces.name] = _student(plan.study, arm, sizes[benchmark])
        if model.checkpoint is not None and model.checkpoint in owed and arm is not None:
            costs[model.checkpoint.name] = trainings.estimate(model, arm, sizes)
    for student, step in plan.familiarity.items():
        if step in owed:
            costs[step.name] = _measuring(plan.study, student, sizes[OWN], trainings)
    if plan.study.verify.judge is not None:
        for traces, verdicts, most in _judged(plan, sizes):
            if verdicts in owed:
                costs[verdicts.name] = _judging(plan.study, most, by_step[verdicts], rows.get(traces))
    return costs


def _judged(plan: Plan, sizes: Mapping[str, int | None]) -> Iterator[tuple[AnyStep, AnyStep, int | None]]:
    """The traces and verdicts of every author on every benchmark, and how many traces there can be."""
    for asking in plan.list_asking():
        yield asking.graded.traces, asking.graded.verdicts, _most(sizes[asking.benchmark], asking.spec.samples)
    for model in plan.models:
        if model.author is not None:
            continue
        for benchmark, graded in model.answers.items():
            yield graded.traces, graded.verdicts, _most(sizes[benchmark], plan.study.evaluate.samples)


def _most(problems: int | None, samples: int) -> int | None:
    return None if problems is None else problems * samples


# -- teachers --------------------------------------------------------------------------------------------------


def _asked(study: Study, asking: Asking, problems: int | None, ledger: LedgerState | None) -> StepCost:
    name, teacher = asking.name, asking.spec
    rows = None if problems is None else problems * teacher.samples
    at_most = teacher.if_correct is not None or teacher.stops_when_correct
    price = study.run.prices.get(name)
    stated = None if price is None or rows is None else _times(rows, price.tokens_per_trace)
    if not teacher.is_served:
        kind = "sample" if teacher.model_folder is not None else "read"
        return StepCost(kind=kind, rows=rows, tokens=stated, at_most=at_most)
    if ledger is None:  # the problems are not read yet: some may go, and the ledger may hold replies about others
        return _priced(StepCost(kind="ask", endpoint=name, rows=rows, tokens=stated, at_most=True), price)
    spent = Spent(sum(s.prompt for s in ledger.answers), sum(s.completion for s in ledger.answers))
    work = StepCost(
        kind="ask", endpoint=name, rows=ledger.owed, tokens=None, kept=len(ledger.answers), spent=spent, at_most=at_most
    )
    return _priced(_extrapolated(work, ledger, price), price)


def _extrapolated(work: StepCost, ledger: LedgerState, price: Price | None) -> StepCost:
    """Tokens of the owed requests from those that were answered: their mean, and Student's interval around it."""
    owed, n = ledger.owed, len(ledger.answers)
    if n < LEAST_FOR_AN_INTERVAL:
        return replace(work, tokens=_times(owed, price.tokens_per_trace if price else None))
    lengths = [spent.completion for spent in ledger.answers]
    mean = sum(lengths) / n
    variance = sum((x - mean) ** 2 for x in lengths) / (n - 1)
    # The mean of the owed ones is itself a mean of `owed` draws: both spreads count.
    half = t_quantile(0.975, n - 1) * math.sqrt(variance / n + variance / max(1, owed))
    prompt = sum(spent.prompt for spent in ledger.answers) / n
    return replace(
        work,
        tokens=round(owed * mean),
        prompt_tokens=round(owed * prompt),
        low=round(owed * max(0.0, mean - half)),
        high=round(owed * (mean + half)),
    )


def _priced(work: StepCost, price: Price | None) -> StepCost:
    if price is None or not price.states_money or work.tokens is None:
        return work

    def money(tokens: int | None) -> float | None:
        if tokens is None:
            return None
        return (tokens * price.output_per_million + (work.prompt_tokens or 0) * price.input_per_million) / 1e6

    return replace(work, money=money(work.tokens), money_low=money(work.low), money_high=money(work.high))


def _times(rows: int, each: float | None) -> int | None:
    return None if each is None else round(rows * each)


def _judging(study: Study, rows: int | None, state: StepState, traces: Mapping[str, int] | None) -> StepCost:
    """The most judgements about so many answers; what rules will leave open is not known before they have run, and what
    the judge's ledger holds is known only then. Of a step that is in the store, the calls that failed."""
    spec, price = study.verify, study.run.prices.get(JUDGE)
    votes = spec.judge.votes if spec.judge else 1
    if traces is not None:
        rows = traces.get("traces", 0)
    most = None if rows is None else rows * votes
    if state.artifact is not None:
        most = RetryFacts.of(state.artifact.manifest).owed
    elif spec.policy == "rules" and most is not None:
        most = min(most, 2 * spec.audit * votes)
    each = price.tokens_per_trace if price else None
    return _priced(
        StepCost(kind="judge", rows=most, tokens=None if most is None else _times(most, each), at_most=True), price
    )


# -- students --------------------------------------------------------------------------------------------------


def _student(study: Study, arm: str | None, problems: int | None) -> StepCost:
    """A student writes about as much as the teachers of its arm; a base's length is unknown."""
    rows = None if problems is None else problems * study.evaluate.samples
    each = _tokens_each(study, arm) if arm is not None else None
    tokens = None if rows is None else _times(rows, each)
    rate = study.run.compute.sampled_tokens_per_s if study.run.compute else None
    hours = None if rate is None or tokens is None else tokens / rate / 3600
    return _gpu(study, StepCost(kind="sample", rows=rows, tokens=tokens), hours)


class _Trainings:
    """Estimates trainings; students share the lengths of an arm, and arms the shape of a student."""

    def __init__(self, study: Study, states: Mapping[AnyStep, StepState]) -> None:
        self.study, self._states = study, states
        self._lengths: dict[AnyStep, ArmLengths] = {}
        self._shapes: dict[str, ModelShape | None] = {}

    def estimate(self, model: EvaluatedModel, arm: str, sizes: Mapping[str, int | None]) -> StepCost:
        """Examples of the arm if it is built; else one a problem and teacher of a sequence: the most there can be."""
        state = None if model.examples is None else self._states.get(model.examples)
        artifact = None if state is None else state.artifact
        if artifact is not None and model.examples is not None:
            lengths = self._measured(model.examples, artifact)
            work = StepCost(
                kind="train",
                rows=artifact.manifest.rows["examples"],
                tokens=lengths.completions,
                longest=lengths.longest,
            )
        elif model.id.match != FIRST_RULE:  # repeats are known once the arms are built
            return StepCost(kind="train", rows=None, tokens=None)
        else:
            rows, each = self._most_examples(arm, sizes), _tokens_each(self.study, arm)
            lengths = None if rows is None or each is None else state_lengths(rows, each, self.study)
            work = StepCost(kind="train", rows=rows, tokens=lengths.completions if lengths else None, at_most=True)
        return _gpu(self.study, work, self._hours(model.id.student, lengths))

    def _measured(self, step: AnyStep, artifact: Artifact) -> ArmLengths:
        if step not in self._lengths:
            self._lengths[step] = measure_lengths(artifact.read("examples", ExampleLengths), self.study)
        return self._lengths[step]

    def _most_examples(self, arm: str, sizes: Mapping[str, int | None]) -> int | None:
        bound = min((n for n in (self.study.curate.count, sizes[OWN]) if n is not None), default=None)
        spec = self.study.arms[arm]
        return None if bound is None else bound * len(spec.sequence or spec.efforts or (arm,))

    def _hours(self, label: str, lengths: ArmLengths | None) -> float | None:
        """Hours of one GPU, from the operations of the training and the stated rate."""
        compute = self.study.run.compute
        if compute is None or lengths is None or self.study.run.training.command:
            return None
        shape = self._shape(label)
        if shape is None:
            return None
        setup = make_setup(self.study, longest=lengths.longest)
        rates = {"peak_tflops": compute.peak_tflops, "utilisation": compute.utilisation}
        return estimate_hours(shape, setup, lengths.passed, **rates)

    def forward_hours(self, label: str, tokens: int | None) -> float | None:
        """Hours of one GPU for one forward pass over so many tokens: two operations a parameter and token."""
        compute, shape = self.study.run.compute, self._shape(label)
        if compute is None or tokens is None or shape is None:
            return None
        return 2 * shape.multiplied * tokens / (compute.peak_tflops * 1e12 * compute.utilisation) / 3600

    def _shape(self, label: str) -> ModelShape | None:
        if label not in self._shapes:
            student = next(student for student in self.study.students if student.label == label)
            self._shapes[label] = find_student_shape(self.study, student).shape
        return self._shapes[label]


def _measuring(study: Study, student: str, problems: int | None, trainings: _Trainings) -> StepCost:
    """The traces that a base's losses are measured on: a forward pass, and no weights change."""
    chosen = study.evaluate.familiarity
    most = chosen if problems is None else min(chosen, problems)
    each = _mean_length(study, study.teachers)
    tokens = None if each is None else round(most * len(study.teachers) * each)
    work = StepCost(kind="measure", rows=most * len(study.teachers), tokens=tokens, at_most=True)
    return _gpu(study, work, trainings.forward_hours(student, tokens))


def _gpu(study: Study, work: StepCost, hours: float | None) -> StepCost:
    if hours is None or study.run.compute is None:
        return work
    return replace(work, gpu_hours=hours, money=hours * study.run.compute.money_per_hour)


def _tokens_each(study: Study, arm: str) -> float | None:
    """The mean of the stated lengths of the arm's teachers; None when one is not stated."""
    return _mean_length(study, study.arms[arm].teachers)


def _mean_length(study: Study, teachers: Collection[str]) -> float | None:
    stated = [price.tokens_per_trace for name in teachers if (price := study.run.prices.get(name))]
    known = [n for n in stated if n is not None]
    return sum(known) / len(known) if known and len(known) == len(teachers) else None


def _size(study: Study, name: str, table_rows: dict[str, int] | None) -> int | None:
    if table_rows is not None:
        return table_rows["problems"]
    source: ProblemSource = study.problems if name == OWN else study.benchmark(name)
    if source.count is not None:
        return source.count
    if source.lines_path is not None and Path(source.lines_path).is_file():
        with Path(source.lines_path).open("rb") as file:
            return sum(1 for line in file if line.strip())
    return EXPECTED_ROWS.get(name)
