"""The pool as an arm's strategy sees it: candidates, each made on access from columns of the study's tables.

Ids are packed and numbers lie in arrays, so that two million problems fit in memory. What takes a pass over verdicts or
traces is read only where the arm's strategy needs it.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import numpy as np

from lakon.core.columns import Column, PackedStrings, PositionIndex, fingerprint, pair_rows
from lakon.core.records import UNGRADED, Exclusion, Outcome, Paired, ProblemTags, TraceCounts, VerdictOutcome
from lakon.stages.curate.arms import Arm
from lakon.stages.curate.candidates import Candidate, CandidateTrace
from lakon.store.artifacts import Artifact

T = TypeVar("T")
_SEPARATOR = "\x1f"

_Columns = Mapping[str, Sequence[Any]]
"""Teacher to a value for each problem in order; what it has none of is as `_is_missing` says."""
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class ArmInputs(Generic[T]):
    """What an arm is made of: problems, pool, and of each teacher what the arm's strategy looks at."""

    problems: T
    pool: T
    traces: Mapping[str, T]
    verdicts: Mapping[str, T]
    screens: Mapping[str, T]


def read_candidates(arm: Arm, teachers: Sequence[str], inputs: ArmInputs[Artifact]) -> Sequence[Candidate]:
    """The candidates of an arm, in the order of the source; `teachers` are all of the study, in its order."""
    needs = arm.needs
    pool = _read_pool(arm, teachers, inputs.pool)
    shown = _read_shown(pool.ids, inputs, everything="unpaired" in needs)
    samples = {t: _read_samples(t, shown.ids, inputs) for t in arm.teachers} if "samples" in needs else {}
    return _Candidates(
        shown,
        pool,
        samples,
        lengths=_read_lengths(pool, inputs) if "lengths" in needs else {},
        agreement=_measure_agreement(teachers, shown.ids, inputs) if "agreement" in needs else (),
    )


def read_filtered(screens: Mapping[str, Artifact], teacher: str) -> dict[str, str]:
    """Traces of a teacher that a filter left out, with its rule; none when no filter is on."""
    screened = screens.get(teacher)
    return {e.subject: e.rule for e in screened.read("exclusions", Exclusion)} if screened else {}


@dataclass(slots=True)
class _Pool:
    """The pool's table in columns."""

    ids: PackedStrings = field(default_factory=PackedStrings)
    pass_rate: array[float] = field(default_factory=lambda: array("d"))
    chosen: dict[str, PackedStrings] = field(default_factory=dict[str, PackedStrings])
    rates: dict[str, array[float]] = field(default_factory=dict[str, "array[float]"])


def _read_pool(arm: Arm, teachers: Sequence[str], table: Artifact) -> _Pool:
    """Of teachers those that the arm's strategy may look at."""
    first = teachers[0]
    seen = tuple(teachers) if arm.how in ("route", "strategy") else arm.teachers
    pool = _Pool(chosen={t: PackedStrings() for t in seen}, rates={t: array("d") for t in seen})
    for row in table.read("pool", Paired):
        if row.teacher == first:
            pool.ids.append(row.problem_id)
            pool.pass_rate.append(row.pass_rate)
        if row.teacher in pool.chosen:
            pool.chosen[row.teacher].append(row.trace_id or "")
            pool.rates[row.teacher].append(math.nan if row.rate is None else row.rate)
    return pool


@dataclass(slots=True)
class _ShownProblems:
    """The problems that strategies see."""

    ids: PackedStrings
    places: Sequence[int]
    """The position of each in the pool; -1 for one that is not in it."""
    tags: PackedStrings


def _read_shown(pool: PackedStrings, inputs: ArmInputs[Artifact], *, everything: bool) -> _ShownProblems:
    ids, places, tags = PackedStrings(), array("i"), PackedStrings()
    positions = PositionIndex(pool)
    held_out = {row.problem_id for row in inputs.pool.read("held_out_pool", Paired)} if everything else set[str]()
    for problem in inputs.problems.read("problems", ProblemTags):
        at = positions.find(problem.problem_id)
        if at is not None or (everything and problem.problem_id not in held_out):
            ids.append(problem.problem_id)
            places.append(-1 if at is None else at)
            tags.append(_SEPARATOR.join(problem.tags))
    return _ShownProblems(ids, places, tags)


@dataclass(frozen=True, slots=True)
class _Candidates(Column[Candidate]):
    shown: _ShownProblems
    pool: _Pool
    samples: Mapping[str, _Samples]
    """By the position of the candidate, as `agreement`; all else is by its position in the pool."""
    lengths: _Columns
    agreement: Sequence[float]

    def __len__(self) -> int:
        return len(self.shown.ids)

    def item(self, at: int) -> Candidate:
        place, tags = self.shown.places[at], self.shown.tags.item(at)
        return Candidate(
            problem_id=self.shown.ids[at],
            tags=_tags(tags.split(_SEPARATOR)) if tags else _NOTHING,
            pass_rate=0.0 if place < 0 else self.pool.pass_rate[place],
            traces=_values_at(self.pool.chosen, place),
            rates=_values_at(self.pool.rates, place),
            lengths=_values_at(self.lengths, place),
            agreement=self.agreement[at] if self.agreement else math.nan,
            samples=_values_at(self.samples, at),
            paired=place >= 0,
        )


class _TeacherValues(Mapping[str, Any]):
    """Teacher to value for one problem: a view of one row of the columns."""

    __slots__ = ("_at", "_columns")

    def __init__(self, columns: _Columns, at: int) -> None:
        self._columns, self._at = columns, at

    def __getitem__(self, teacher: str) -> Any:
        value = self._columns[teacher][self._at]
        if _is_missing(value):
            raise KeyError(teacher)
        return value

    def __iter__(self) -> Iterator[str]:
        return (name for name, values in self._columns.items() if not _is_missing(values[self._at]))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _values_at(columns: _Columns, at: int) -> Mapping[str, Any]:
    return _NOTHING if at < 0 or not columns else _TeacherValues(columns, at)


def _is_missing(value: object) -> bool:
    """No id, no rate, no length, no samples."""
    return value in ("", -1, []) or value != value


def _tags(tags: Iterable[str]) -> Mapping[str, str]:
    named: dict[str, str] = {}
    for tag in tags:
        name, _, value = tag.partition("=")
        named[name] = value
    return named


def _read_lengths(pool: _Pool, inputs: ArmInputs[Artifact]) -> dict[str, array[int]]:
    """Tokens of the chosen traces."""
    found: dict[str, array[int]] = {}
    for name, ids in pool.chosen.items():
        lengths, places = array("i", [-1]) * len(ids), PositionIndex(pool.ids)
        for trace in inputs.traces[name].read("traces", TraceCounts):
            at = places.find(trace.problem_id)
            if at is not None and ids[at] == trace.trace_id:
                lengths[at] = trace.n_tokens
        found[name] = lengths
    return found


def _measure_agreement(teachers: Sequence[str], ids: PackedStrings, inputs: ArmInputs[Artifact]) -> Sequence[float]:
    """The share of all teachers' graded answers to each problem that equal the most frequent one; NaN without any."""
    at, answers = array("q"), array("Q")
    for name in teachers:
        places = PositionIndex(ids)
        for verdict in inputs.verdicts[name].read("verdicts", VerdictOutcome):
            place = places.find(verdict.problem_id) if verdict.outcome not in UNGRADED else None
            if place is not None:
                at.append(place)
                answers.append(fingerprint(verdict.extracted or ""))
    keys = np.empty(len(at), dtype=[("at", np.int64), ("answer", np.uint64)])
    keys["at"], keys["answer"] = at, answers
    found, counts = np.unique(keys, return_counts=True)
    most = np.zeros(len(ids), dtype=np.int64)
    np.maximum.at(most, found["at"], counts)
    total = np.bincount(keys["at"], minlength=len(ids))
    return array("d", np.where(total > 0, most / np.maximum(total, 1), np.nan))


class _Samples(Column[list[CandidateTrace]]):
    """A teacher's usable traces by problem: those that failed, said nothing or were filtered are not there."""

    def __init__(self, n: int, rows: Iterable[tuple[int, TraceCounts, bool]]) -> None:
        self._ids, self._right = PackedStrings(), bytearray()
        place, self._sample, self._tokens = array("q"), array("I"), array("I")
        for at, trace, right in rows:
            place.append(at)
            self._ids.append(trace.trace_id)
            self._sample.append(trace.sample_index)
            self._tokens.append(trace.n_tokens)
            self._right.append(right)
        at = np.asarray(place)
        self._order = np.argsort(at, kind="stable")
        self._starts = np.searchsorted(at[self._order], np.arange(n + 1))

    def __len__(self) -> int:
        return len(self._starts) - 1

    def item(self, at: int) -> list[CandidateTrace]:
        return [
            CandidateTrace(self._ids[row], self._sample[row], self._tokens[row], bool(self._right[row]))
            for row in self._order[self._starts[at] : self._starts[at + 1]].tolist()
        ]


def _read_samples(teacher: str, ids: PackedStrings, inputs: ArmInputs[Artifact]) -> _Samples:
    left, places = read_filtered(inputs.screens, teacher), PositionIndex(ids)

    def rows() -> Iterator[tuple[int, TraceCounts, bool]]:
        traces = inputs.traces[teacher].read("traces", TraceCounts)
        verdicts = inputs.verdicts[teacher].read("verdicts", VerdictOutcome)
        for trace, verdict in pair_rows(traces, verdicts):
            at = places.find(trace.problem_id)
            if at is not None and trace.error is None and trace.n_tokens and trace.trace_id not in left:
                yield at, trace, verdict.outcome == Outcome.CORRECT

    return _Samples(len(ids), rows())
