"""The report's data: scores, losses, funnel and examples of a finished study, gathered and put into sentences.

Invariant: nothing here is set by hand; every number comes from a table of the study. How it is drawn is the render
room's business.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from lakon.core.columns import PackedStrings, PositionIndex
from lakon.core.records import Exclusion, Score, TraceCounts, VerdictOutcome
from lakon.core.report_data import FunnelRow

VERSION = 3
CLEAN = "problems that copy no benchmark"


def funnel(
    problems: int,
    sources: Iterable[Exclusion],
    clean: tuple[int, Iterable[Exclusion]] | None,
    pool: int,
    pooled: Iterable[Exclusion],
    arms: Mapping[str, tuple[int, Iterable[Exclusion]]],
    recorded: Mapping[str, tuple[int, dict[str, int]]],
) -> tuple[FunnelRow, ...]:
    """From the rows of the source to each arm's examples; every loss with the rules that caused it. `clean` is what
    decontamination kept, where there was one; `recorded` the traces of recorded teachers, with what of their files is
    none."""
    lost = _rules(sources)
    rows = [
        FunnelRow(label="rows of the source", n=problems + sum(lost.values())),
        FunnelRow(label="problems", n=problems, excluded=lost),
        *([FunnelRow(label=CLEAN, n=clean[0], excluded=_rules(clean[1]))] if clean is not None else []),
        *(FunnelRow(label=f"traces of {who}", n=n, excluded=left) for who, (n, left) in recorded.items()),
        FunnelRow(label="paired problems", n=pool, excluded=_rules(pooled)),
    ]
    rows += [FunnelRow(label=f"examples of {arm}", n=n, excluded=_rules(left)) for arm, (n, left) in arms.items()]
    return tuple(rows)


def left_of_recordings(facts: Mapping[str, object], samples: int) -> dict[str, int]:
    """What of a recorded teacher's rows and problems became no trace, in words; empty for other authors."""
    words = {
        "rows_beyond_samples": f"recorded rows beyond samples = {samples}",
        "rows_of_other_problems": "recorded rows of other problems",
        "problems_without_trace": "problems without a recorded trace",
    }
    return {word: n for name, word in words.items() if (n := int(str(facts.get(name, 0))))}


def _rules(exclusions: Iterable[Exclusion]) -> dict[str, int]:
    return dict(Counter(exclusion.rule for exclusion in exclusions).most_common())


def showcase(problem_ids: Iterable[str], works: Sequence[Iterable[tuple[TraceCounts, VerdictOutcome]]]) -> str | None:
    """The problem that is shown with one trace of each author: one that as many authors as any wrote about, where they
    differ in outcome if there is such a one. None when nobody wrote anything.

    The choice is a fixed rule (first in the order of the problem ids), not a selection for looks.
    """
    ids = PackedStrings(problem_ids)
    written, first, mixed = array("H", bytes(2 * len(ids))), bytearray(len(ids)), bytearray(len(ids))
    outcomes: dict[str, int] = {}
    for work in works:
        places = PositionIndex(ids)
        for trace, verdict in work:
            at = places.find(trace.problem_id) if trace.sample_index == 0 else None
            if at is not None:
                outcome = outcomes.setdefault(verdict.outcome, len(outcomes) + 1)
                mixed[at] |= first[at] not in (0, outcome)
                first[at] = first[at] or outcome
                written[at] += 1
    most = max(written, default=0)
    full = ((not mixed[at], ids[at]) for at, n in enumerate(written) if n == most > 0)
    return min(full, default=(False, None))[1]


def benchmarks_of(scores: Iterable[Score]) -> tuple[tuple[str, int], ...]:
    """Benchmarks in order of appearance with the most problems that any author was asked."""
    sizes: dict[str, int] = {}
    for score in scores:
        if score.metric == "accuracy" and score.group is None:
            sizes[score.benchmark] = max(sizes.get(score.benchmark, 0), score.n_problems)
    return tuple(sizes.items())
