"""`lakon compare`: from what was named to figures. Reads, joins, grades, counts, compares; prints nothing.

Read next: `sources.py`, what can be named; `join.py`; `figures.py`.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lakon.backends.tokenizers import load_counter
from lakon.core.errors import InputError
from lakon.core.protocols import Progress, VerifierOptions
from lakon.domains import registry
from lakon.stages.problems import near_duplicates
from lakon.stages.problems.text_runs import tokenize_text
from lakon.standalone.compare.figures import CompareOptions, Figures, compute_figures
from lakon.standalone.compare.grading import GradeAccount, count_tokens, grade_results, take_their_grades
from lakon.standalone.compare.join import JoinBy, Joined, join_results
from lakon.standalone.compare.readers.study import StoreOpener, read_study, split_study
from lakon.standalone.compare.results import ResultSet, rename_results
from lakon.standalone.compare.sources import ReadOptions, read_files, split_name

NEAR_DUPLICATES = "near-duplicates"
"""The cluster field that means: problems that read alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareRequest:
    """Everything that one comparison is asked."""

    sources: tuple[str, ...]
    read: ReadOptions
    options: CompareOptions
    join_by: JoinBy | None = None
    grade: str | None = None
    """The domain whose verifier grades; None takes the grades of the files."""
    tokenizer: str | None = None
    near_duplicates: bool = False
    workers: int = 1
    limit_s: float = 5.0


class ComparedResults(NamedTuple):
    """What came of it."""

    joined: Joined
    """With the grades and tokens that the figures are of."""
    accounts: dict[str, GradeAccount]
    figures: Figures
    tokenizer: str | None
    notes: tuple[str, ...]


def compare_results(request: CompareRequest, *, open_store: StoreOpener, progress: Progress) -> ComparedResults:
    """Read, join, grade and compare. Raises `InputError`."""
    sets = rename_results(_read_all(request, open_store))
    if len(sets) < 2:
        found = f"results of one author, {sets[0].name!r}"
        raise InputError(found, "two authors or more", "name another file, folder or study")
    joined = join_results(sets, request.join_by)
    graded: list[ResultSet] = []
    accounts: dict[str, GradeAccount] = {}
    with contextlib.ExitStack() as closing:
        grade_one = _choose_grader(request, joined, closing, progress)
        for side, one in enumerate(joined.sets):
            result, accounts[one.name] = grade_one(side)
            graded.append(result)
    if request.tokenizer:
        counter = load_counter(request.tokenizer)
        graded = [count_tokens(one, counter) for one in graded]
    joined = replace(joined, sets=tuple(graded))
    if request.near_duplicates:
        joined = _mark_near_duplicates(joined)
    same_tokens = request.tokenizer is not None or len({one.format == "study" for one in graded}) == 1
    notes = [*joined.notes, *(note for one in graded for note in one.notes)]
    if not same_tokens:
        notes.append("tokens are counted in different ways: a study's by its tokenizer, the others by their own tool")
    figures = compute_figures(joined, request.options)
    return ComparedResults(joined, accounts, figures, request.tokenizer, tuple(dict.fromkeys(notes)))


def _read_all(request: CompareRequest, open_store: StoreOpener) -> list[ResultSet]:
    sets: list[ResultSet] = []
    for named in request.sources:
        name, paths = split_name(named)
        if len(paths) == 1 and split_study(paths[0]):
            found = read_study(paths[0], open_store, keep_answers=request.read.keep_answers)
            sets += [replace(one, name=name) for one in found] if name and len(found) == 1 else found
        else:
            sets.append(read_files(named, request.read))
    return sets


def _choose_grader(
    request: CompareRequest, joined: Joined, closing: contextlib.ExitStack, progress: Progress
) -> Callable[[int], tuple[ResultSet, GradeAccount]]:
    if request.grade is None:
        return lambda side: take_their_grades(joined.sets[side])
    options = VerifierOptions(workers=request.workers, limit_s=request.limit_s)
    verifier = closing.enter_context(contextlib.closing(registry.domain(request.grade).make_verifier(options)))
    return lambda side: grade_results(joined, side, verifier, progress)


def _mark_near_duplicates(joined: Joined) -> Joined:
    """Problems that read alike become one cluster."""
    with tempfile.TemporaryDirectory() as scratch:
        first = near_duplicates.groups((tokenize_text(problem.text) for problem in joined.problems), Path(scratch))
    sizes = np.bincount(first)
    problems = [
        problem._replace(cluster=f"like {joined.problems[at].key}" if sizes[at] > 1 else None)
        for problem, at in zip(joined.problems, map(int, first), strict=True)
    ]
    return replace(joined, problems=tuple(problems))


def needs_answers(grade: str | None, tokenizer: str | None, export: str | None) -> bool:
    """Whether the responses themselves are read."""
    return any(value is not None for value in (grade, tokenizer, export))


def check_sources(sources: Sequence[str]) -> None:
    """Raise `InputError` where nothing was named."""
    if not sources:
        raise InputError("nothing to compare", "results of two authors or more", "lakon compare A B")
