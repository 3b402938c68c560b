"""What a strategy is given and what it gives: candidates, which are problems with their traces, and picks.

`strategies.py` goes from the ones to the others; a study's own strategy imports these types from here.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from lakon.core.columns import Column, PackedStrings


class CandidateTrace(NamedTuple):
    """One trace of a teacher as strategies may look at it."""

    trace_id: str
    sample_index: int
    n_tokens: int
    correct: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A problem of the pool: what strategies may look at, and the chosen correct trace of each teacher."""

    problem_id: str
    tags: Mapping[str, str]
    pass_rate: float
    """Share of all teachers' graded samples of the problem that are correct."""
    traces: Mapping[str, str]
    """Teacher to trace id; a teacher without a correct trace is not in it."""
    rates: Mapping[str, float] = field(default_factory=dict[str, float])
    """Teacher to the share of its graded samples that are correct."""
    lengths: Mapping[str, int] = field(default_factory=dict[str, int])
    """Teacher to the tokens of its chosen trace."""
    agreement: float = math.nan
    samples: Mapping[str, Sequence[CandidateTrace]] = field(default_factory=dict[str, Sequence[CandidateTrace]])
    """Teacher to all its traces that no filter left out."""
    paired: bool = True
    """Whether it is in the pool; strategies are shown others only if they ask for them."""


class Pick(NamedTuple):
    """One example to be: a problem, the teacher whose trace it shows, and when it is trained. Without a trace id it
    says that the teacher has none."""

    problem_id: str
    teacher: str
    trace_id: str
    phase: int = 0
    system: str = ""


class Picks(Column[Pick]):
    """Picks in columns: as tuples of texts they would be most of what an arm's step keeps in memory."""

    def __init__(self, picks: Iterable[Pick]) -> None:
        self._problems, self._traces = PackedStrings(), PackedStrings()
        self._rest, self._numbers = list[tuple[str, int, str]](), dict[tuple[str, int, str], int]()
        self._number = array("I")
        for problem_id, teacher, trace_id, phase, system in picks:
            self._problems.append(problem_id)
            self._traces.append(trace_id)
            rest = teacher, phase, system
            number = self._numbers.setdefault(rest, len(self._rest))
            if number == len(self._rest):
                self._rest.append(rest)
            self._number.append(number)

    def __len__(self) -> int:
        return len(self._number)

    def item(self, at: int) -> Pick:
        teacher, phase, system = self._rest[self._number[at]]
        return Pick(self._problems.item(at), teacher, self._traces.item(at), phase, system)
