"""What a plan will take: requests, tokens, GPU hours and money for each step that is owed.

Tokens are extrapolated from what a teacher's ledger already holds (a pilot puts a random sample there), with an
interval; else they are stated in `run.prices`. What is neither measured nor stated stays unknown; it is never guessed.
Examples are bounded from above: what verification leaves is not known. Training takes 6 floating-point operations a
parameter and token (Kaplan et al. 2020, arXiv 2001.08361), prompts not counted.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lakon.core.spending import Spent
from lakon.pipeline.plan import Plan
from lakon.pipeline.spent import LedgerState
from lakon.stages.problems.sources import ProblemSource
from lakon.stats.distributions import t_quantile
from lakon.store.facts import RetryFacts
from lakon.store.runner import StepState
from lakon.store.step import AnyStep
from lakon.study.benchmarks import EXPECTED_ROWS
from lakon.study.names import FIRST_RULE, OWN
from lakon.study.schema import JUDGE, Price, Study

LEAST_FOR_AN_INTERVAL = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCost:
    """What one step takes; None is unknown. `money` is in the currency of the stated prices."""

    kind: str
    """`read` (traces that exist or cost nothing), `ask` (an endpoint), `judge` (an endpoint, about answers), `sample`
    (a student, base or checkpoint), `train` (completion tokens), or `measure` (the losses of a base)."""
    rows: int | None
    """Traces that are owed or measured, or examples to train on."""
    tokens: int | None
    """Completion tokens."""
    prompt_tokens: int | None = None
    low: int | None = None
    high: int | None = None
    """95% bounds of `tokens`, when they are extrapolated."""
    kept: int = 0
    """Traces that the ledger has already: nothing is paid for them."""
    spent: Spent = Spent()  # noqa: RUF009
    """What those took."""
    at_most: bool = False
    """Whether `rows` is a bound: samples until the first correct one, a teacher that waits for another, or an endpoint
    of a study whose problems are not read yet."""
    gpu_hours: float | None = None
    money: float | None = None
    money_low: float | None = None
    money_high: float | None = None


def estimate_costs(
    plan: Plan, states: Sequence[StepState], ledgers: Mapping[str, LedgerState] | None = None
) -> dict[str, StepCost]:
    """Step name to its work, for generate, train and judged verify steps that are not in the store or owe rows.

    `ledgers`: what is kept of each endpoint whose problems are known.
    """
    by_step = {state.step: state for state in states}
    owed = {state.step for state in states if state.state != "cached"}
    rows = {state.step: state.artifact.manifest.rows for state in states if state.artifact is not None}
    sizes = {OWN: _size(plan.study, OWN, rows.get(plan.problems))}
    sizes |= {name: _size(plan.study, name, rows.get(step)) for name, step in plan.benchmarks.items()}
    costs: dict[str, StepCost] = {}
    for name, graded in plan.teachers.items():
        if (traces := graded.traces) in owed:
            costs[traces.name] = _teacher(plan.study, name, sizes[OWN], (ledgers or {}).get(name))
    for model in plan.models:
        arm = model.id.arm
        for benchmark, graded in model.answers.items():
            if graded.traces in owed:
                costs[graded.traces.name] = _student(plan.study, arm, sizes[benchmark])
        if model.checkpoint is not None and model.checkpoint in owed and arm is not None:
            built = None if model.examples is None else rows.get(model.examples)
            unknown = model.id.match != FIRST_RULE and built is None  # repeats are known once the arms are built
            work = StepCost(kind="train", rows=None, tokens=None)
            if not unknown:
                work = _training(plan.study, arm, model.id.student, built, sizes)
            costs[model.checkpoint.name] = work
    for student, step in plan.familiarity.items():
        if step in owed:
            costs[step.name] = _measuring(plan.study, student, sizes[OWN])
    if plan.study.verify.judge is not None:
        for traces, verdicts, most in _judged(plan, sizes):
            if verdicts in owed:
                costs[verdicts.name] = _judging(plan.study, most, by_step[verdicts], rows.get(traces))
    return costs


def _judged(plan: Plan, sizes: Mapping[str, int | None]) -> Iterator[tuple[AnyStep, AnyStep, int | None]]:
    """The traces and verdicts of every author on every benchmark, and how many traces there can be."""
    for name, graded in plan.teachers.items():
        yield graded.traces, graded.verdicts, _most(sizes[OWN], plan.study.teachers[name].samples)
    for model in plan.models:
        for benchmark, graded in model.answers.items():
            yield graded.traces, graded.verdicts, _most(sizes[benchmark], plan.study.evaluate.samples)


def _most(problems: int | None, samples: int) -> int | None:
    return None if problems is None else problems * samples


# -- teachers --------------------------------------------------------------------------------------------------


def _teacher(study: Study, name: str, problems: int | None, ledger: LedgerState | None) -> StepCost:
    teacher = study.teachers[name]
    rows = None if problems is None else problems * teacher.samples
    at_most = teacher.if_correct is not None or teacher.stops_when_correct
    price = study.run.prices.get(name)
    stated = None if price is None or rows is None else _times(rows, price.tokens_per_trace)
    if not teacher.is_served:
        kind = "sample" if teacher.model_folder is not None else "read"
        return StepCost(kind=kind, rows=rows, tokens=stated, at_most=at_most)
    if ledger is None:  # the problems are not read yet: some may go, and the ledger may hold replies about others
        return _priced(StepCost(kind="ask", rows=rows, tokens=stated, at_most=True), price)
    spent = Spent(sum(s.prompt for s in ledger.answers), sum(s.completion for s in ledger.answers))
    work = StepCost(kind="ask", rows=ledger.owed, tokens=None, kept=len(ledger.answers), spent=spent, at_most=at_most)
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


def _training(
    study: Study, arm: str, student: str, built: dict[str, int] | None, sizes: dict[str, int | None]
) -> StepCost:
    """Examples of the arm if it is built; else one a problem and teacher of a sequence: the most there can be."""
    count = study.curate.count
    bound = min((n for n in (count, sizes[OWN]) if n is not None), default=None)
    if bound is not None:
        bound *= len(study.arms[arm].sequence or study.arms[arm].efforts or (arm,))
    rows = built["examples"] if built is not None else bound
    each = _tokens_each(study, arm)
    tokens = None if rows is None or each is None else round(rows * each * study.training.epochs)
    work = StepCost(kind="train", rows=rows, tokens=tokens, at_most=built is None)
    return _gpu(study, work, _training_hours(study, student, tokens))


def _measuring(study: Study, student: str, problems: int | None) -> StepCost:
    """The traces that a base's losses are measured on: a third of a training pass, and no weights change."""
    chosen = study.evaluate.familiarity
    most = chosen if problems is None else min(chosen, problems)
    each = _mean_length(study, study.teachers)
    tokens = None if each is None else round(most * len(study.teachers) * each)
    work = StepCost(kind="measure", rows=most * len(study.teachers), tokens=tokens, at_most=True)
    hours = _training_hours(study, student, tokens)
    return _gpu(study, work, None if hours is None else hours / 3)


def _training_hours(study: Study, student: str, tokens: int | None) -> float | None:
    compute = study.run.compute
    size = compute.parameters.get(student) if compute else None
    if compute is None or size is None or tokens is None:
        return None
    return 6 * size * tokens / (compute.peak_tflops * 1e12 * compute.utilisation) / 3600


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


# -- sums ------------------------------------------------------------------------------------------------------


def sum_costs(works: Sequence[StepCost], kind: str) -> StepCost:
    """The sum over works of one kind; a sum with an unknown part counts the known ones only. Bounds add up as if all
    estimates were off in the same direction: never too narrow."""
    whole = StepCost(kind=kind, rows=0, tokens=0, money=0.0)
    for work in works:
        if work.kind == kind:
            whole = _sum(whole, work)
    return whole


def _sum(a: StepCost, b: StepCost) -> StepCost:
    bounded = b.low is not None or a.low is not None
    return replace(
        a,
        rows=(a.rows or 0) + (b.rows or 0),
        tokens=(a.tokens or 0) + (b.tokens or 0),
        prompt_tokens=(a.prompt_tokens or 0) + (b.prompt_tokens or 0),
        kept=a.kept + b.kept,
        low=_first(a.low, a.tokens) + _first(b.low, b.tokens) if bounded else None,
        high=_first(a.high, a.tokens) + _first(b.high, b.tokens) if bounded else None,
        spent=a.spent.plus(b.spent),
        at_most=a.at_most or b.at_most,
        gpu_hours=_add(a.gpu_hours, b.gpu_hours),
        money=(a.money or 0.0) + (b.money or 0.0),
        money_low=_add(a.money_low, b.money_low),
        money_high=_add(a.money_high, b.money_high),
    )


def _first(bound: int | None, value: int | None) -> int:
    return bound if bound is not None else value or 0


def _add(a: float | None, b: float | None) -> float | None:
    return b if a is None else a if b is None else a + b
