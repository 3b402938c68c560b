"""What one author did, read from its files: the one noun that every reader makes and everything else takes.

Columns, not rows: ten authors with eight samples of two thousand problems each are read, joined and compared in
seconds. A row that cannot be read is kept as a `BadRow` with its file and line, never dropped in silence.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lakon.standalone.compare.text_keys import find_text_key

RIGHT, WRONG, UNGRADED, UNSCORED = 1, 0, -1, -2
"""Grades of a sample. An ungraded one counts as wrong and is counted apart. An unscored one is a response that the tool
left out of its figures or that has no grade at all: only a verifier of ours can count it."""
UNKNOWN = -1
"""A number of tokens that the file does not tell."""


class BadRow(NamedTuple):
    """A row that could not be used."""

    where: str
    """`file:line`, or `file:member`."""
    why: str


class SampleRow(NamedTuple):
    """One answer to one problem, as a reader found it."""

    problem_id: str
    text: str = ""
    """The problem; empty where the file has none."""
    reference: str | None = None
    answer: str = ""
    sample: int | None = None
    """Which sample of the problem; None numbers them in the order of the file."""
    grade: int = UNSCORED
    tokens: int = UNKNOWN
    finished: bool = True
    """False where the author ran out of tokens."""
    cluster: str | None = None
    benchmark: str = ""
    training_seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResultSet:
    """One author's results: columns over n problems and over m samples, sorted by problem, then by sample."""

    name: str
    format: str
    files: tuple[str, ...]
    scheme: str
    """What the problem ids are: two sets are joined by ids only when theirs are of one scheme."""
    problem_ids: tuple[str, ...]
    texts: tuple[str, ...]
    """Empty text where the file has none."""
    references: tuple[str | None, ...]
    clusters: tuple[str | None, ...]
    benchmarks: tuple[str, ...]
    row: NDArray[np.int64]
    """The problem of each sample, shape (m,)."""
    sample: NDArray[np.int64]
    grade: NDArray[np.int8]
    tokens: NDArray[np.int64]
    finished: NDArray[np.bool_]
    training_seed: NDArray[np.int64]
    answers: tuple[str, ...]
    """The response of each sample; empty unless texts were asked for."""
    bad_rows: tuple[BadRow, ...] = ()
    notes: tuple[str, ...] = ()
    """What the reader had to choose or noticed, in sentences."""

    @property
    def counts(self) -> NDArray[np.int64]:
        """Samples of each problem, shape (n,)."""
        return np.bincount(self.row, minlength=len(self.problem_ids)).astype(np.int64)

    @property
    def has_tokens(self) -> bool:
        """Whether the number of tokens is known of every sample."""
        return len(self.tokens) > 0 and bool((self.tokens >= 0).all())

    @property
    def is_scored(self) -> bool:
        """Whether any sample carries a grade."""
        return bool((self.grade != UNSCORED).any())

    def select(self, rows: NDArray[np.int64]) -> ResultSet:
        """The same results with these samples alone, in their order; problems stay as they are."""
        columns = ("row", "sample", "grade", "tokens", "finished", "training_seed")
        kept = {name: getattr(self, name)[rows] for name in columns}
        answers = tuple(self.answers[at] for at in rows.tolist()) if self.answers else ()
        return replace(self, answers=answers, **kept)


@dataclass(slots=True, eq=False)
class ResultBuilder:
    """Takes an author's rows as a reader finds them."""

    name: str
    format: str
    scheme: str
    keep_answers: bool = False
    files: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    bad_rows: list[BadRow] = field(default_factory=list)
    _problems: dict[tuple[str, str], int] = field(default_factory=dict)
    """Id and digest of the text, so that one id with two texts is two problems."""
    _first: dict[str, str] = field(default_factory=dict)
    _heads: list[SampleRow] = field(default_factory=list)
    _answers: list[str] = field(default_factory=list)
    _next: Counter[int] = field(default_factory=Counter)
    _seen: dict[tuple[int, int, int], str] = field(default_factory=dict)
    _columns: tuple[array[int], ...] = field(default_factory=lambda: tuple(array("q") for _ in range(6)))
    n_conflicts: int = 0
    """Problems whose id another problem of the file has as well."""

    def add(self, found: SampleRow, where: str) -> None:
        """Take one sample. A second one of the same problem and number is a bad row."""
        place = self._place(found)
        number = self._next[place] if found.sample is None else found.sample
        known = (place, number, found.training_seed)
        if known in self._seen:
            before = self._seen[known]
            self.refuse(where, f"sample {number} of problem {found.problem_id[:60]!r} stands in {before} already")
            return
        self._seen[known] = where
        self._next[place] = max(self._next[place], number) + 1
        values = (place, number, found.grade, found.tokens, int(found.finished), found.training_seed)
        for column, value in zip(self._columns, values, strict=True):
            column.append(value)
        if self.keep_answers:
            self._answers.append(found.answer)

    def refuse(self, where: str, why: str) -> None:
        """Count a row that cannot be used."""
        self.bad_rows.append(BadRow(where, why))

    def _place(self, found: SampleRow) -> int:
        key = find_text_key(found.text) if found.text else ""
        known = self._problems.get((found.problem_id, key))
        if known is not None:
            return known
        place = self._problems[found.problem_id, key] = len(self._heads)
        if self._first.setdefault(found.problem_id, key) != key:
            self.n_conflicts += 1
            found = found._replace(problem_id=f"{found.problem_id}~{place}")
        benchmark = clean_name(found.benchmark) if found.benchmark else ""
        self._heads.append(found._replace(answer="", benchmark=benchmark))
        return place

    def build(self) -> ResultSet:
        """The results, sorted by problem in the order of their first rows."""
        if self.n_conflicts:
            self.notes.append(f"{self.name}: ids with a second, different text, told apart by it: {self.n_conflicts:,}")
        row, sample, grade, tokens, finished, seed = (np.array(column, dtype=np.int64) for column in self._columns)
        order = np.lexsort((sample, seed, row))
        return ResultSet(
            name=self.name,
            format=self.format,
            files=tuple(self.files),
            scheme=self.scheme,
            problem_ids=tuple(head.problem_id for head in self._heads),
            texts=tuple(head.text for head in self._heads),
            references=tuple(head.reference for head in self._heads),
            clusters=tuple(head.cluster for head in self._heads),
            benchmarks=tuple(head.benchmark for head in self._heads),
            row=row[order],
            sample=sample[order],
            grade=grade[order].astype(np.int8),
            tokens=tokens[order],
            finished=finished[order].astype(np.bool_),
            training_seed=seed[order],
            answers=tuple(self._answers[at] for at in order.tolist()) if self.keep_answers else (),
            bad_rows=tuple(self.bad_rows),
            notes=tuple(self.notes),
        )


def rename_results(sets: list[ResultSet]) -> list[ResultSet]:
    """The sets with names that can be printed and are all different."""
    taken: set[str] = set()
    renamed: list[ResultSet] = []
    for one in sets:
        name = base = clean_name(one.name)
        number = 2
        while name in taken:
            name, number = f"{base}-{number}", number + 1
        taken.add(name)
        renamed.append(replace(one, name=name))
    return renamed


_LONGEST_NAME = 60


def clean_name(name: str) -> str:
    """A name without control characters, line breaks or edges of white space, and not longer than a table bears."""
    shown = "".join(mark if mark.isprintable() else "?" for mark in name)
    return " ".join(shown.split())[:_LONGEST_NAME] or "unnamed"
