"""Which problems can be compared fairly: those for which enough teachers have a correct trace that passes the filters.

Invariant: every problem of the study is either in the pool or in an exclusion with its rule; every arm draws on the
same pool, which is computed once, before any arm. How arms pick is in `strategies.py`; how picks become examples in
`examples.py`; what filters a trace in `filters.py`.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, field_validator

from lakon.core.columns import PackedStrings, PositionIndex
from lakon.core.digest import derive_seed
from lakon.core.errors import InputError
from lakon.core.records import UNGRADED, Exclusion, Outcome, Paired, VerdictOutcome
from lakon.core.spec import MatchRule, Name, Spec
from lakon.stages.curate.filters import Filters


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
    held_out: Annotated[int, Field(ge=0)] = 0
    """So many of the paired problems for which every teacher has a trace, and that have no near-duplicate (a seeded
    sample), are kept out of all arms: while students train, their loss on each teacher's traces of these is measured.
    """
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

    def count_needed(self, teachers: int) -> int:
        """How many of so many teachers must have a correct trace."""
        return self.require.at_least if isinstance(self.require, AtLeast) else teachers if self.require == "all" else 1


@dataclass(frozen=True, slots=True)
class Pool:
    """The problems that can be compared, in the order of the source, and what was left out; in places, because those of
    two million problems lie in memory."""

    _ids: Sequence[str]
    _tallies: Mapping[str, _Tally]
    _if_correct: Mapping[str, str]
    paired: Sequence[int]
    """Where the problems stand among all."""
    unpaired: Sequence[int]
    beyond: Sequence[int]
    """Where those stand that could be compared, but that the study's count leaves out."""
    held_out: Sequence[int]
    """Where those stand that could be compared, but that no arm trains on."""
    _count: int | None

    def __len__(self) -> int:
        return len(self.paired)

    def rows(self) -> Iterator[Paired]:
        """Each problem with every teacher's chosen trace."""
        return self._rows(self.paired)

    def held_out_rows(self) -> Iterator[Paired]:
        """The same of each problem that no arm trains on."""
        return self._rows(self.held_out)

    def _rows(self, places: Sequence[int]) -> Iterator[Paired]:
        for at in places:
            rate = _rate(at, self._tallies.values())
            for name, tally in self._tallies.items():
                yield Paired(
                    problem_id=self._ids[at],
                    teacher=name,
                    trace_id=tally.chosen(at),
                    pass_rate=rate,
                    rate=_rate(at, [tally]) if tally.graded[at] else None,
                )

    def exclusions(self) -> Iterator[Exclusion]:
        """What was left out, each with its rule."""
        for at in self.unpaired:
            yield _unpaired(self._ids[at], _lacks(at, self._tallies), self._if_correct)
        for at in self.beyond:
            detail = f"curate.count is {self._count}"
            yield Exclusion(subject=self._ids[at], arm="", rule="beyond_count", detail=detail)
        for at in self.held_out:
            detail = f"curate.held_out is {len(self.held_out)}"
            yield Exclusion(subject=self._ids[at], arm="", rule="held_out", detail=detail)


def build_pool(
    problem_ids: Sequence[str],
    verdicts: Mapping[str, Iterable[VerdictOutcome]],
    *,
    count: int | None,
    seed: int,
    if_correct: Mapping[str, str] | None = None,
    needed: int | None = None,
    filtered: Mapping[str, Mapping[str, str]] | None = None,
    held_out: int = 0,
    duplicated: Collection[str] = (),
) -> Pool:
    """Problems for which `needed` teachers (None: all) have a correct trace; the first such sample of each is used.

    `if_correct` names, for a teacher that was asked only what another one got right, that other one: a problem that the
    first one lacks is excluded on its account alone. `filtered` has, for each teacher, the traces that a filter left
    out and its rule: they are as if they were not there. `held_out` problems are drawn before `count`, so that it does
    not change which they are; those that are `duplicated` are not among them. Raises `InputError` when no problem is
    left.
    """
    tallies = {name: _Tally(rows, (filtered or {}).get(name, {}), problem_ids) for name, rows in verdicts.items()}
    enough = len(tallies) if needed is None else needed
    sides = array("I"), array("I")
    for at in range(len(problem_ids)):
        lacking = sum(tally.first[at] < 0 for tally in tallies.values())
        sides[len(tallies) - lacking < enough].append(at)
    if not sides[0]:
        raise InputError(
            f"no problem of {len(problem_ids)} has a correct trace from {_enough(enough, len(tallies))}",
            "at least one",
            "look at `lakon show STUDY funnel` and at the verdicts; check the prompt and the answer format",
        )
    kept_out, rest = array("I"), sides[0]
    if held_out:
        fit = [at for at in rest if not _lacks(at, tallies) and problem_ids[at] not in duplicated]
        kept_out, rest = _hold_out(rest, fit, problem_ids, held_out, seed)
    paired, beyond = _sample(rest, problem_ids, count, seed)
    return Pool(problem_ids, tallies, if_correct or {}, paired, sides[1], beyond, kept_out, count)


def _enough(needed: int, teachers: int) -> str:
    return "every teacher" if needed >= teachers else f"{needed} of {teachers} teachers"


def _lacks(at: int, tallies: Mapping[str, _Tally]) -> dict[str, str]:
    return {name: why for name, tally in tallies.items() if (why := tally.lacks(at))}


def _unpaired(problem_id: str, lacks: Mapping[str, str], if_correct: Mapping[str, str]) -> Exclusion:
    lacking = [(name, why) for name, why in lacks.items() if if_correct.get(name) not in lacks]
    rules = {why for _, why in lacking}
    rule = rules.pop() if len(rules) == 1 else "several_teachers_fail"
    detail = "; ".join(f"{name}: {why}" for name, why in lacking)
    return Exclusion(subject=problem_id, arm="", rule=rule, detail=detail)


class _Tally:
    """One teacher's verdicts in columns by the place of the problem: first usable trace, graded and correct samples,
    and the outcome to name where there is no usable trace."""

    def __init__(
        self, verdicts: Iterable[VerdictOutcome], filtered: Mapping[str, str], problem_ids: Sequence[str]
    ) -> None:
        n = len(problem_ids)
        self.first = array("q", [-1]) * n
        """Where the chosen trace stands among `_ids`."""
        self.graded, self.correct, self._why, best = (array("I", bytes(4 * n)) for _ in range(4))
        self._ids, self._reasons = PackedStrings(), [""]
        places = PositionIndex(problem_ids)
        for verdict in verdicts:
            at = places[verdict.problem_id]
            right = verdict.outcome == Outcome.CORRECT
            self.graded[at] += verdict.outcome not in UNGRADED
            self.correct[at] += right
            rule = filtered.get(verdict.trace_id)
            if not self._why[at]:
                self._why[at] = self._reason(f"filtered_{rule}" if right and rule is not None else verdict.outcome)
            if rule is None and right and (self.first[at] < 0 or verdict.sample_index < best[at]):
                best[at], self.first[at] = verdict.sample_index, len(self._ids)
                self._ids.append(verdict.trace_id)

    def _reason(self, reason: str) -> int:
        if reason not in self._reasons:
            self._reasons.append(reason)
        return self._reasons.index(reason)

    def chosen(self, at: int) -> str | None:
        """The trace that stands for the teacher; None when it has none."""
        return self._ids[self.first[at]] if self.first[at] >= 0 else None

    def lacks(self, at: int) -> str:
        """The rule by which this teacher lets a problem go; empty when it does not."""
        if self.first[at] >= 0:
            return ""
        reason = self._reasons[self._why[at]]
        return f"teacher_{reason}" if reason else "no_trace"


def _rate(at: int, tallies: Iterable[_Tally]) -> float:
    pairs = [(tally.correct[at], tally.graded[at]) for tally in tallies]
    return sum(c for c, _ in pairs) / max(1, sum(n for _, n in pairs))


def _hold_out(
    paired: array[int], fit: Sequence[int], problem_ids: Sequence[str], count: int, seed: int
) -> tuple[array[int], array[int]]:
    """`count` of the problems that are fit to be held out, by a seeded order, and the others."""
    if len(fit) < count or len(paired) == count:
        raise InputError(
            f"{len(fit)} problems that every teacher got right and that have no near-duplicate, of {len(paired)}",
            f"at least the {count} of curate.held_out, and one more to train on",
            "lower curate.held_out, or add problems",
        )
    chosen = sorted(fit, key=lambda at: derive_seed(seed, "held-out", problem_ids[at]))[:count]
    kept_out = set(chosen)
    return array("I", sorted(chosen)), array("I", (at for at in paired if at not in kept_out))


def _sample(
    paired: array[int], problem_ids: Sequence[str], count: int | None, seed: int
) -> tuple[array[int], array[int]]:
    """`count` of them by a seeded order, and the others."""
    if count is None or count >= len(paired):
        return paired, array("I")
    order = sorted(paired, key=lambda at: derive_seed(seed, "curate", problem_ids[at]))
    return array("I", sorted(order[:count])), array("I", sorted(order[count:]))
