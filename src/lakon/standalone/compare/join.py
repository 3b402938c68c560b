"""The problems that several authors' results have in common: by ids where all share a scheme, else by their text.

What does not join is counted by side. One id with different texts on two sides is two problems, and is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lakon.core.errors import InputError
from lakon.standalone.compare.results import RIGHT, UNGRADED, ResultSet
from lakon.standalone.compare.text_keys import find_text_key
from lakon.stats import Samples
from lakon.stats.ragged import Ragged

JoinBy = Literal["id", "text"]


class Problem(NamedTuple):
    """A problem as the first of the sides that has it tells it."""

    key: str
    problem_id: str
    text: str
    reference: str | None
    cluster: str | None
    benchmark: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Joined:
    """Several authors' results on one list of problems."""

    by: JoinBy
    sets: tuple[ResultSet, ...]
    problems: tuple[Problem, ...]
    places: tuple[NDArray[np.int64], ...]
    """For each set and each of its problems the place in `problems`; -1 for one that cannot be joined at all."""
    n_conflicts: int = 0
    """Ids that stand for different texts on different sides."""
    notes: tuple[str, ...] = ()

    @property
    def benchmarks(self) -> list[str]:
        """The benchmarks that the problems are of, in their order; one without a name where none is told."""
        return list(dict.fromkeys(problem.benchmark for problem in self.problems))

    def list_alone(self, side: int) -> list[str]:
        """The ids of the problems of a set that no other set has."""
        others = [places for at, places in enumerate(self.places) if at != side]
        shared = np.unique(np.concatenate(others))
        alone = np.flatnonzero(~np.isin(self.places[side], shared[shared >= 0]))
        return [self.sets[side].problem_ids[at] for at in alone.tolist()]

    def sample_set(self, side: int, benchmark: str, *, with_tokens: bool) -> Samples | None:
        """The samples of a set on a benchmark, by problem; None where it has none."""
        one, places = self.sets[side], self.places[side]
        is_of = np.array([problem.benchmark == benchmark for problem in self.problems])
        at = places[one.row]
        rows = np.flatnonzero((at >= 0) & is_of[at])
        if not len(rows):
            return None
        rows = rows[np.lexsort((one.sample[rows], one.training_seed[rows], at[rows]))]
        present, counts = np.unique(at[rows], return_counts=True)
        problems = [self.problems[place] for place in present.tolist()]
        clusters = tuple(problem.cluster for problem in problems)
        return Samples(
            problem_ids=tuple(problem.key for problem in problems),
            correct=Ragged(one.grade[rows] == RIGHT, counts),
            tokens=Ragged(one.tokens[rows], counts) if with_tokens else None,
            finished=Ragged(one.finished[rows], counts),
            graded=Ragged(one.grade[rows] != UNGRADED, counts),
            seed_index=Ragged(one.training_seed[rows], counts),
            clusters=clusters if any(clusters) else None,
        )


def join_results(sets: Sequence[ResultSet], by: JoinBy | None = None) -> Joined:
    """The sets on one list of problems. Raises `InputError` where some set has no problem in common with the first."""
    chosen = by or _choose(sets)
    problems: dict[str, Problem] = {}
    order: dict[str, int] = {}
    places: list[NDArray[np.int64]] = []
    n_conflicts = n_textless = n_same_text = 0
    for one in sets:
        mine = np.full(len(one.problem_ids), -1, dtype=np.int64)
        for at, problem in enumerate(_problems(one)):
            key = _key(problem, chosen)
            if key is None:
                n_textless += 1
                continue
            known = problems.get(key)
            if known is not None and chosen == "id" and _differ(known, problem):
                n_conflicts += 1
                key = f"{key}~{find_text_key(problem.text)[:12]}"
                known = problems.get(key)
            problems[key] = _merge(known, problem, key)
            mine[at] = order.setdefault(key, len(order))
        n_same_text += int((mine >= 0).sum()) - len(np.unique(mine[mine >= 0]))
        places.append(mine)
    joined = Joined(
        by=chosen,
        sets=tuple(sets),
        problems=tuple(problems.values()),
        places=tuple(places),
        n_conflicts=n_conflicts,
        notes=tuple(_notes(n_conflicts, n_textless, n_same_text)),
    )
    _check(joined)
    return joined


def _problems(one: ResultSet) -> list[Problem]:
    columns = (one.problem_ids, one.texts, one.references, one.clusters, one.benchmarks)
    return [Problem("", *values) for values in zip(*columns, strict=True)]


def _key(problem: Problem, by: JoinBy) -> str | None:
    if by == "id":
        return problem.problem_id
    return find_text_key(problem.text) if problem.text else None


def _differ(a: Problem, b: Problem) -> bool:
    return bool(a.text and b.text) and a.text != b.text and find_text_key(a.text) != find_text_key(b.text)


def _merge(known: Problem | None, problem: Problem, key: str) -> Problem:
    if known is None:
        return problem._replace(key=key)
    return known._replace(
        text=known.text or problem.text,
        reference=known.reference if known.reference is not None else problem.reference,
        cluster=known.cluster if known.cluster is not None else problem.cluster,
        benchmark=known.benchmark or problem.benchmark,
    )


def _choose(sets: Sequence[ResultSet]) -> JoinBy:
    """Ids where all share a scheme and most shared ids have one text; else texts, where all have them."""
    has_texts = all(any(one.texts) for one in sets)
    if not has_texts:
        return "id"
    if len({one.scheme for one in sets}) > 1:
        return "text"
    first = {problem.problem_id: problem for problem in _problems(sets[0])}
    for other in sets[1:]:
        pairs = [(first[problem.problem_id], problem) for problem in _problems(other) if problem.problem_id in first]
        if sum(_differ(a, b) for a, b in pairs) * 2 >= len(pairs):
            return "text"
    return "id"


def _notes(n_conflicts: int, n_textless: int, n_same_text: int) -> list[str]:
    told: list[str] = []
    if n_conflicts:
        told.append(f"ids with different texts on two sides, not joined: {n_conflicts:,}")
    if n_textless:
        told.append(f"problems without a text, which cannot be joined by it: {n_textless:,}")
    if n_same_text:
        told.append(f"problems that read like another one of their side, samples put together: {n_same_text:,}")
    return told


def _check(joined: Joined) -> None:
    first = joined.places[0]
    for one, places in zip(joined.sets[1:], joined.places[1:], strict=True):
        if not len(np.intersect1d(first[first >= 0], places[places >= 0])):
            a = joined.sets[0]
            what = "ids" if joined.by == "id" else "texts"
            shown = [repr((x.problem_ids[0] if joined.by == "id" else x.texts[0])[:60]) for x in (a, one)]
            raise InputError(
                f"no problem of {one.name!r} is one of {a.name!r} by {what} ({shown[1]} against {shown[0]})",
                "results on the same problems",
                f"try --join {'text' if joined.by == 'id' else 'id'}, or name the fields: --fields id=..,problem=..",
            )
