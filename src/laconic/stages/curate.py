"""Which problems can be compared fairly: those for which enough teachers have a correct trace that passes the filters.

Invariant: every problem of the study is either in the pool or in an exclusion with its rule; every arm draws on the
same pool, which is computed once, before any arm. How arms pick is in `arms.py`; how picks become examples in
`examples.py`; what filters a trace in `screen.py`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, field_validator

from laconic.core.digest import derive_seed
from laconic.core.errors import InputError
from laconic.core.records import UNGRADED, Exclusion, Outcome, Problem, Verdict
from laconic.core.spec import MatchRule, Name, Spec
from laconic.stages.screen import Filters

VERSION = 4


class AtLeast(Spec):
    """So many teachers with a correct trace are enough."""

    at_least: Annotated[int, Field(ge=1)]
    """The number of teachers."""


class Curate(Spec):
    """What may be compared, and how arms are made comparable."""

    require: Literal["all", "any"] | AtLeast = "all"
    """`all`: a problem is kept when every teacher has a correct trace for it, as in the paper; `any`: when one has;
    `{ at_least = 2 }`: when two have. Unless `all`, an arm leaves out what its teacher lacks (`no_trace_of_teacher`),
    so that arms no longer hold the same problems: a difference between them is then one of coverage too."""
    count: Annotated[int, Field(ge=1)] | None = None
    """Train on so many of the paired problems (a seeded sample); all unless given."""
    filters: Filters = Filters()
    """What a trace must be like, beside correct, to count as one."""
    match: Annotated[tuple[MatchRule, ...], Field(min_length=1)] = ("problems",)
    """Rules under which every arm is built: equal `problems`, equal trained `tokens`, or equal optimizer `steps`
    (batches of `training.batch_tokens`, prompts and padding included). It can flip the verdict."""
    token_budget: Literal["largest", "smallest"] | Name | Annotated[int, Field(ge=1)] = "largest"
    """Under `tokens` and `steps`: as much as the largest or smallest arm has, as the arm named has, or a number of
    tokens (under `steps` as many whole batches as they fill)."""

    @field_validator("match", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    def needed(self, teachers: int) -> int:
        """How many of so many teachers must have a correct trace."""
        return self.require.at_least if isinstance(self.require, AtLeast) else teachers if self.require == "all" else 1


@dataclass(slots=True)
class Pool:
    """The paired problems in source order, with each teacher's chosen trace and what was left out."""

    problems: list[Problem]
    chosen: dict[str, list[str | None]]
    """Teacher to its trace for each of the problems, None where there is none."""
    pass_rate: list[float]
    """Of each of the problems, over all teachers' graded samples."""
    rates: dict[str, list[float | None]]
    """Teacher to the share of its graded samples that are right, None where none was graded."""
    exclusions: list[Exclusion] = field(default_factory=list[Exclusion])


def pool(
    problems: Sequence[Problem], verdicts: Mapping[str, Iterable[Verdict]], *, count: int | None, seed: int,
    after: Mapping[str, str] | None = None, needed: int | None = None,
    filtered: Mapping[str, Mapping[str, str]] | None = None,
) -> Pool:  # fmt: skip
    """Problems for which `needed` teachers (None: all) have a correct trace; the first such sample of each is used.

    `after` names, for a teacher that was asked only what another one got right, that other one: a problem that the
    first one lacks is excluded on its account alone. `filtered` has, for each teacher, the traces that a filter left
    out and its rule: they are as if they were not there. Raises `InputError` when no problem is left.
    """
    numbers = {problem.problem_id: number for number, problem in enumerate(problems)}
    tallies = {teacher: _Tally(rows, (filtered or {}).get(teacher, {}), numbers) for teacher, rows in verdicts.items()}
    enough = len(tallies) if needed is None else needed
    kept: list[Problem] = []
    exclusions: list[Exclusion] = []
    for number, problem in enumerate(problems):
        lacks = {name: why for name, tally in tallies.items() if (why := tally.lacks(number))}
        if len(tallies) - len(lacks) >= enough:
            kept.append(problem)
        else:
            exclusions.append(_unpaired(problem.problem_id, lacks, after or {}))
    kept, left = _sample(kept, count, seed)
    exclusions.extend(left)
    if not kept:
        raise InputError(
            f"no problem of {len(problems)} has a correct trace from {_enough(enough, len(tallies))}",
            "at least one",
            "look at `laconic show STUDY funnel` and at the verdicts; check the prompt and the answer format",
        )
    at = [numbers[p.problem_id] for p in kept]
    return Pool(
        kept,
        chosen={name: [tally.first[i] for i in at] for name, tally in tallies.items()},
        pass_rate=[_rate(i, tallies.values()) for i in at],
        rates={name: [_rate(i, [tally]) if tally.graded[i] else None for i in at] for name, tally in tallies.items()},
        exclusions=exclusions,
    )


def _enough(needed: int, teachers: int) -> str:
    return "every teacher" if needed >= teachers else f"{needed} of {teachers} teachers"


def _unpaired(problem_id: str, lacks: Mapping[str, str], after: Mapping[str, str]) -> Exclusion:
    lacking = [(name, why) for name, why in lacks.items() if after.get(name) not in lacks]
    rules = {why for _, why in lacking}
    rule = rules.pop() if len(rules) == 1 else "several_teachers_fail"
    detail = "; ".join(f"{name}: {why}" for name, why in lacking)
    return Exclusion(subject=problem_id, arm="", rule=rule, detail=detail)


class _Tally:
    """One teacher's verdicts in columns by the number of the problem: first usable trace, graded and correct samples,
    and the outcome to name where there is no usable trace."""

    def __init__(self, verdicts: Iterable[Verdict], filtered: Mapping[str, str], numbers: Mapping[str, int]) -> None:
        n = len(numbers)
        self.first: list[str | None] = [None] * n
        self.outcomes: list[str | None] = [None] * n
        self.graded, self.correct, best = (array("q", bytes(8 * n)) for _ in range(3))
        for verdict in verdicts:
            at = numbers[verdict.problem_id]
            right = verdict.outcome == Outcome.CORRECT
            self.graded[at] += verdict.outcome not in UNGRADED
            self.correct[at] += right
            if verdict.trace_id in filtered:
                outcome = f"filtered_{filtered[verdict.trace_id]}" if right else verdict.outcome
                self.outcomes[at] = self.outcomes[at] or outcome
                continue
            self.outcomes[at] = self.outcomes[at] or verdict.outcome
            if right and (self.first[at] is None or verdict.sample_index < best[at]):
                best[at], self.first[at] = verdict.sample_index, verdict.trace_id

    def lacks(self, number: int) -> str:
        """The rule by which this teacher lets a problem go; empty when it does not."""
        if self.first[number] is not None:
            return ""
        outcome = self.outcomes[number]
        return "no_trace" if outcome is None else f"teacher_{outcome}"


def _rate(number: int, tallies: Iterable[_Tally]) -> float:
    pairs = [(tally.correct[number], tally.graded[number]) for tally in tallies]
    return sum(c for c, _ in pairs) / max(1, sum(n for _, n in pairs))


def _sample(kept: list[Problem], count: int | None, seed: int) -> tuple[list[Problem], list[Exclusion]]:
    if count is None or count >= len(kept):
        return kept, []
    order = sorted(kept, key=lambda p: derive_seed(seed, "curate", p.problem_id))
    chosen = {p.problem_id for p in order[:count]}
    left = [
        Exclusion(subject=p.problem_id, arm="", rule="beyond_count", detail=f"curate.count is {count}")
        for p in kept
        if p.problem_id not in chosen
    ]
    return [p for p in kept if p.problem_id in chosen], left
