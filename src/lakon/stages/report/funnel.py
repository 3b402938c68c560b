"""The funnel from problems to examples, and the problem that a report shows with its traces.

Invariant: every number comes from a table of the study; the render room decides how it is displayed.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from lakon.core.columns import PackedStrings, PositionIndex
from lakon.core.records import Exclusion, Score, TraceCounts, VerdictOutcome
from lakon.core.report_data import FunnelRow

NOT_CONTAMINATED = "problems that copy no benchmark"


def build_funnel(
    problems: int,
    sources: Iterable[Exclusion],
    decontaminated: tuple[int, Iterable[Exclusion]] | None,
    pool: int,
    pool_exclusions: Iterable[Exclusion],
    arms: Mapping[str, tuple[int, Iterable[Exclusion]]],
    recorded: Mapping[str, tuple[int, dict[str, int]]],
) -> tuple[FunnelRow, ...]:
    """The funnel from the rows of the source to each arm's examples, with the rules that excluded rows in between.

    `decontaminated` has the problems that decontamination kept, and its exclusions; None without it. `recorded` has the
    number of traces of each recorded teacher, and the rows of its files that gave none (`count_unused_recordings`).
    """
    excluded = _count_by_rule(sources)
    rows = [
        FunnelRow(label="rows of the source", n=problems + sum(excluded.values())),
        FunnelRow(label="problems", n=problems, excluded=excluded),
    ]
    if decontaminated is not None:
        n, exclusions = decontaminated
        rows.append(FunnelRow(label=NOT_CONTAMINATED, n=n, excluded=_count_by_rule(exclusions)))
    for author, (n, unused) in recorded.items():
        rows.append(FunnelRow(label=f"traces of {author}", n=n, excluded=unused))
    rows.append(FunnelRow(label="paired problems", n=pool, excluded=_count_by_rule(pool_exclusions)))
    for arm, (n, exclusions) in arms.items():
        rows.append(FunnelRow(label=f"examples of {arm}", n=n, excluded=_count_by_rule(exclusions)))
    return tuple(rows)


def count_unused_recordings(facts: Mapping[str, object], samples: int) -> dict[str, int]:
    """Reason to the number of a recorded teacher's rows or problems without a trace; empty for other authors."""
    reasons = {
        "rows_beyond_samples": f"recorded rows beyond samples = {samples}",
        "rows_of_other_problems": "recorded rows of other problems",
        "problems_without_trace": "problems without a recorded trace",
    }
    return {reason: n for name, reason in reasons.items() if (n := int(str(facts.get(name, 0))))}


def _count_by_rule(exclusions: Iterable[Exclusion]) -> dict[str, int]:
    return dict(Counter(exclusion.rule for exclusion in exclusions).most_common())


def choose_showcase(
    problem_ids: Iterable[str], graded_traces: Sequence[Iterable[tuple[TraceCounts, VerdictOutcome]]]
) -> str | None:
    """The id of the problem that is shown with one trace of each author; None when there is no trace.

    `graded_traces` has one iterable for each author. The choice is a fixed rule: among the problems with traces of the
    most authors, prefer those where outcomes differ, then take the smallest problem id.
    """
    ids = PackedStrings(problem_ids)
    n_authors, first_outcome = array("H", bytes(2 * len(ids))), bytearray(len(ids))
    outcomes_differ = bytearray(len(ids))
    outcome_numbers: dict[str, int] = {}
    for of_author in graded_traces:
        positions = PositionIndex(ids)
        for trace, verdict in of_author:
            at = positions.find(trace.problem_id) if trace.sample_index == 0 else None
            if at is not None:
                outcome = outcome_numbers.setdefault(verdict.outcome, len(outcome_numbers) + 1)
                outcomes_differ[at] |= first_outcome[at] not in (0, outcome)
                first_outcome[at] = first_outcome[at] or outcome
                n_authors[at] += 1
    most = max(n_authors, default=0)
    candidates = ((not outcomes_differ[at], ids[at]) for at, n in enumerate(n_authors) if n == most > 0)
    return min(candidates, default=(False, None))[1]


def list_benchmarks(scores: Iterable[Score]) -> tuple[tuple[str, int], ...]:
    """Benchmarks in order of appearance, each with the largest number of problems that an author was asked."""
    sizes: dict[str, int] = {}
    for score in scores:
        if score.metric == "accuracy" and score.group is None:
            sizes[score.benchmark] = max(sizes.get(score.benchmark, 0), score.n_problems)
    return tuple(sizes.items())
