"""Whose grades count: those that the files have, or those of a domain's verifier; and how far the two differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from lakon.core.errors import InputError
from lakon.core.protocols import Answered, Progress, TokenCounter, Verifier
from lakon.core.records import UNGRADED as UNGRADED_OUTCOMES
from lakon.core.records import Outcome
from lakon.standalone.compare.join import Joined
from lakon.standalone.compare.results import RIGHT, UNGRADED, UNSCORED, WRONG, ResultSet

_COUNTED_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GradeAccount:
    """How the samples of one author were graded."""

    by: str
    """`file`, or the verifier."""
    n_samples: int
    n_ungraded: int
    n_unscored: int = 0
    """Samples of the file that its tool took no grade for: they are left out of figures by its grades."""
    n_compared: int = 0
    """Samples that both the file and the verifier graded."""
    only_ours_right: int = 0
    only_theirs_right: int = 0
    outcomes: dict[str, int] | None = None
    """The verifier's outcomes."""


def take_their_grades(one: ResultSet) -> tuple[ResultSet, GradeAccount]:
    """The samples that carry a grade. Raises `InputError` where none does."""
    if not one.is_scored:
        found = f"{one.name!r} ({one.format}) carries no grade for a single sample"
        remedy = "grade them: --grade math; or name the field: --fields correct=FIELD"
        raise InputError(found, "a grade for each sample", remedy, where=", ".join(one.files[:3]))
    scored = np.flatnonzero(one.grade != UNSCORED)
    kept = one.select(scored)
    n_ungraded = int((kept.grade == UNGRADED).sum())
    n_unscored = len(one.row) - len(scored)
    return kept, GradeAccount(by="file", n_samples=len(scored), n_ungraded=n_ungraded, n_unscored=n_unscored)


def grade_results(joined: Joined, side: int, verifier: Verifier, progress: Progress) -> tuple[ResultSet, GradeAccount]:
    """Every sample of a side graded by the verifier, on the references that any side has.

    Raises `InputError` where no joined problem has a reference."""
    one = joined.sets[side]
    references = [_reference(joined, place) for place in joined.places[side].tolist()]
    if not any(references):
        found = f"no reference for any problem of {one.name!r}"
        raise InputError(found, "a reference answer a problem", "name its field: --fields reference=FIELD")
    progress.start(len(one.row), unit="samples")
    grades = np.full(len(one.row), UNGRADED, dtype=np.int8)
    outcomes: Counter[str] = Counter()
    for at, grading in enumerate(verifier.grade(_answered(one, references))):
        outcomes[str(grading.outcome)] += 1
        ungraded = grading.outcome in UNGRADED_OUTCOMES or references[one.row[at]] is None
        grades[at] = UNGRADED if ungraded else RIGHT if grading.outcome is Outcome.CORRECT else WRONG
        progress.advance(1)
    both = (grades != UNGRADED) & (one.grade >= WRONG)
    account = GradeAccount(
        by=verifier.version,
        n_samples=len(grades),
        n_ungraded=int((grades == UNGRADED).sum()),
        n_compared=int(both.sum()),
        only_ours_right=int(((grades == RIGHT) & (one.grade == WRONG)).sum()),
        only_theirs_right=int(((grades == WRONG) & (one.grade == RIGHT)).sum()),
        outcomes=dict(outcomes.most_common()),
    )
    return replace(one, grade=grades), account


def count_tokens(one: ResultSet, counter: TokenCounter) -> ResultSet:
    """The tokens of every response in one tokenizer."""
    tokens = np.empty(len(one.row), dtype=np.int64)
    for start in range(0, len(tokens), _COUNTED_AT_ONCE):
        tokens[start : start + _COUNTED_AT_ONCE] = counter.count(one.answers[start : start + _COUNTED_AT_ONCE])
    return replace(one, tokens=tokens)


def _reference(joined: Joined, place: int) -> str | None:
    return joined.problems[place].reference if place >= 0 else None


def _answered(one: ResultSet, references: list[str | None]) -> Iterator[Answered]:
    for row, answer, finished in zip(one.row.tolist(), one.answers, one.finished.tolist(), strict=True):
        finish = "stop" if finished else "length"
        yield Answered(reference=references[row] or "", answer=answer, finish_reason=finish, prompt=one.texts[row])
