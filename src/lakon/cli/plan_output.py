"""How a plan looks on a terminal: each step, what it takes, the sums, and whether the budget has room for them.

Which tokens a figure counts is said where it stands: ledgers and estimates count completions, a budget both directions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import typer

from lakon.cli.output import print_json
from lakon.core.score_text import format_money, pluralise
from lakon.outputs.run_notes import lost_line
from lakon.pipeline.budget import BudgetLine
from lakon.pipeline.step_cost import StepCost, sum_costs
from lakon.pipeline.student_cost import LayoutCost, StudentCost
from lakon.stages.train.memory import GB, MemoryEstimate
from lakon.study.names import StepName

_UNITS = {"train": "example", "judge": "judgement"}
_PAID = ("ask", "judge")
MOST_LISTED = 4
"""Trainings of one student whose hours are told apart."""


def print_plan(bill: Any, pilots: Sequence[Any], as_json: bool) -> None:
    """The steps of a plan, their sums, the budget, and where it was looked; `bill` is `api.Bill`."""
    if as_json:
        rows = [{"step": s.step.name, "state": s.state, "key": s.key} for s in bill.states]
        steps = [
            {**row, "work": asdict(bill.works[row["step"]]) if row["step"] in bill.works else None} for row in rows
        ]
        budget = [{**asdict(each), "left": each.left, "fits": each.fits} for each in bill.funds]
        print_json(
            {
                "steps": steps,
                "pilot": [asdict(each) for each in pilots],
                "budget": budget,
                "students": [_student_row(each) for each in bill.students],
                "lost": bill.lost,
                "serves_as": bill.serves_as,
                "store": bill.store,
            }
        )
        return
    for each in pilots:
        typer.echo(_pilot_line(each))
    works, width = bill.works, max(len(state.step.name) for state in bill.states)
    for state in bill.states:
        work = works.get(state.step.name)
        typer.echo(f"{state.state:<8} {state.step.name:<{width}}  {_work_line(work) if work else ''}".rstrip())
    kinds = ("cached", "owed", "missing", "waiting")
    by_state = Counter(state.state for state in bill.states)
    counts = {kind: by_state[kind] for kind in kinds}
    typer.echo(
        f"\n{pluralise(len(bill.states), 'step')}: " + ", ".join(f"{n} {kind}" for kind, n in counts.items() if n)
    )
    for line in (
        *_sums(works),
        *_training_lines(bill.students),
        *([f"each model is served as: {bill.serves_as}"] if bill.serves_as else []),
        *map(_funds_line, bill.funds),
        *map(lost_line, bill.lost, bill.lost.values()),
    ):
        typer.echo(line)
    waiting = {state.step.name for state in bill.states if state.state == "waiting"}
    if any(work.kind == "ask" and name in waiting for name, work in works.items()):
        typer.echo(
            "figures of waiting steps are upper bounds: problems may be left out, and a ledger may hold replies already"
        )
    if any(work.kind == "ask" and work.tokens is None for work in works.values()):
        typer.echo("to estimate unknown tokens, set run.prices.NAME.tokens_per_trace or try --pilot 50")
    typer.echo(f"store: {bill.store}")


def print_eval_price(prepared: Any) -> None:
    """What an evaluation will take, before it begins, and the study that was written for it."""
    typer.echo(f"study: {prepared.study}{'' if prepared.was_written else ' (as it was: this goes on)'}")
    for line in _sums(prepared.bill.works):
        typer.echo(line)
    asked = [work for work in prepared.bill.works.values() if work.kind == "ask" and work.rows]
    if any(work.tokens is None for work in asked):
        typer.echo("how many tokens that is, is unknown: state --tokens-per-answer N for an estimate")
    elif any(work.money is None for work in asked):
        typer.echo("what that costs is unknown: state --price IN,OUT, for a million prompt and completion tokens")
    typer.echo("")


def _sums(works: dict[str, StepCost]) -> list[str]:
    named = {
        "read": "to read",
        "ask": "to ask for",
        "judge": "to judge",
        "sample": "to sample",
        "train": "to train on",
        "measure": "to measure",
    }
    lines: list[str] = []
    for kind, what in named.items():
        whole = sum_costs(list(works.values()), kind)
        if whole.rows:
            lines.append(f"{what}: {_work_line(whole)}{_uncounted(works) if kind == 'ask' and whole.money else ''}")
    return lines


def _student_row(student: StudentCost) -> dict[str, Any]:
    """For scripts: the parts of the memory and what they add up to, in bytes."""
    row = asdict(student)
    for layout, made in zip(row["layouts"], student.layouts, strict=True):
        layout["memory"]["passing"] = made.memory.passing
    return row


def _training_lines(students: Sequence[StudentCost]) -> list[str]:
    """Each student's memory and hours, a line for each number of GPUs."""
    lines: list[str] = []
    for student in students:
        if student.parameters is None:
            lines.append(f"training {student.student}: memory unknown ({student.source})")
            continue
        size = f"{_short(student.parameters)} parameters"
        lines.append(f"training {student.student}: {size} ({student.source}); {student.training}")
        lines += [_layout_line(layout, on_gpus=student.on_gpus) for layout in student.layouts]
    commands = dict.fromkeys(student.starts_as for student in students if student.starts_as)
    lines += [f"each training starts as: {command}" for command in commands]
    return lines


def _layout_line(layout: LayoutCost, *, on_gpus: bool) -> str:
    """`  8 GPUs: 49.0 GB each (weights 3.1, ...); 250 hours`: the parts add up to what each takes at its peak."""
    where = pluralise(layout.gpus, "GPU") if on_gpus else "a CPU"
    own = " (run.training)" if layout.is_own and on_gpus else ""
    nodes = f" on {pluralise(layout.nodes, 'node')}" if layout.nodes > 1 else ""
    fits = {None: "", True: ", fits", False: ", does not fit"}[layout.fits]
    unit, name = (GB, "GB") if layout.total >= GB / 2 else (GB / 1000, "MB")
    parts = ", ".join(f"{part} {n / unit:,.1f}" for part, n in _parts(layout.memory).items() if n)
    each = " each" if on_gpus else ""
    return f"  {where}{own}{nodes}: {layout.total / unit:,.1f} {name}{each}{fits} ({parts}){_hours(layout)}"


def _parts(memory: MemoryEstimate) -> dict[str, int]:
    """What is held at the peak; the parts add up to it."""
    parts = {"weights": memory.weights, "gradients": memory.gradients, "moments": memory.optimizer}
    if memory.passing == memory.step:
        parts["the optimizer's step"] = memory.step
    else:
        parts |= {"gathered": memory.gathered, "activations": memory.activations}
        parts |= {"logits": memory.logits} if memory.logits > memory.block else {"a block's backward": memory.block}
    return {**parts, "reserve": memory.reserve}


def _hours(layout: LayoutCost) -> str:
    """The time that all trainings take one after the other, and that of each where they are few."""
    known = {name: hours for name, hours in layout.hours.items() if hours is not None}
    if not known:
        return "; hours unknown"
    each = [f"{StepName.of(name).label} {hours:,.1f}" for name, hours in known.items()]
    several = f" ({', '.join(each)})" if 1 < len(each) <= MOST_LISTED else ""
    without = f", {pluralise(len(layout.hours) - len(known), 'training')} not counted"
    return f"; {sum(known.values()):,.1f} hours{several}{without if len(known) < len(layout.hours) else ''}"


def _uncounted(works: dict[str, StepCost]) -> str:
    """Whom a sum of money leaves out, and why."""
    paid = {StepName.of(step).label: work for step, work in works.items() if work.kind == "ask" and work.rows != 0}
    unpriced = [name for name, work in paid.items() if work.money is None and work.tokens is not None]
    unknown = [name for name, work in paid.items() if work.tokens is None]
    parts = [f"no price for {', '.join(unpriced)}"] if unpriced else []
    parts += [f"tokens unknown for {', '.join(unknown)}"] if unknown else []
    return f" ({'; '.join(parts)}: not counted)" if parts else ""


def _funds_line(funds: BudgetLine) -> str:
    """`budget: 1,200 of 50 million tokens ... left; still to spend: about 60 million: over the budget`."""
    if funds.unit == "tokens":
        spent, limit, left, owed = (_short(round(n)) for n in (funds.spent, funds.limit, funds.left, funds.owed))
        unit = " tokens (prompt and completion)"
    else:
        spent, limit, left, owed = map(format_money, (funds.spent, funds.limit, funds.left, funds.owed))
        unit = " in the stated currency"
    text = f"budget: {spent} of {limit}{unit} spent, {left} left"
    if not funds.owed and not funds.unknown:
        return text
    if not funds.owed:
        return f"{text}; what {', '.join(funds.unknown)} will still take cannot be estimated yet"
    fits = "within the budget" if funds.fits else "over the budget" if not funds.at_most else "perhaps over the budget"
    without = f", {', '.join(funds.unknown)} not counted" if funds.unknown else ""
    return f"{text}; still to spend: {'at most ' if funds.at_most else ''}about {owed}{without}: {fits}"


def _pilot_line(pilot: Any) -> str:
    """What one endpoint did in a pilot."""
    parts = [f"{pilot.correct} of {pilot.asked} right"]
    if pilot.errors:
        parts.append(f"{pilot.errors} failed")
    if pilot.truncated:
        parts.append(f"{pilot.truncated} cut off")
    if pilot.asked:
        parts.append(f"{pilot.completion_tokens / pilot.asked:,.0f} completion tokens and {pilot.seconds:,.1f} s each")
    return f"pilot of {pilot.teacher}: {', '.join(parts)}"


def _work_line(work: StepCost) -> str:
    """What a step will take, in one line. All of it is a bound where its rows are one: samples that stop at the first
    correct one are mostly fewer."""
    unit = _UNITS.get(work.kind, "trace")
    rows = f"an unknown number of {unit}s" if work.rows is None else pluralise(work.rows, unit)
    most = "at most " if work.at_most else ""
    parts = [rows if work.rows is None else f"{most}{rows}"]
    if work.kept:
        parts[0] += f" owed, {work.kept:,} in the ledger ({_short(work.spent.completion)} completion tokens)"
    if work.tokens:
        between = (
            f" ({_short(work.low)} to {_short(work.high)})" if work.low is not None and work.high is not None else ""
        )
        parts.append(f"{most}about {_short(work.tokens)} {'completion ' if work.kind in _PAID else ''}tokens{between}")
    if work.gpu_hours:
        parts.append(f"{most}{work.gpu_hours:,.1f} GPU hours")
    if work.money:
        bounds = [format_money(n) for n in (work.money_low, work.money_high) if n is not None]
        between = f" ({' to '.join(bounds)})" if bounds else ""
        parts.append(f"{most}{format_money(work.money)}{between} in the stated currency")
    return ", ".join(parts)


def _short(n: int) -> str:
    """`1.05 billion`, `4.2 million`, `8,100`."""
    for size, name in ((10**9, "billion"), (10**6, "million")):
        if n >= size:
            return f"{n / size:,.3g} {name}"
    return f"{n:,}"
