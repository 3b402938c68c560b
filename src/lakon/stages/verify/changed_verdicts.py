"""Which verdicts a new verification changes: the same traces, graded before and now.

The changes are recorded beside a verdict table, never in it, so that the table does not depend on what the store held.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import cast

from lakon.core.columns import PackedStrings, PositionIndex
from lakon.core.records import Verdict
from lakon.core.report_data import VerdictChange, VerdictChanges

LISTED = 200
"""Changes that are recorded one by one; the others are only counted."""


def compare_verdicts(label: str, since: str, before: Iterable[Verdict], after: Iterable[Verdict]) -> VerdictChanges:
    """The verdicts of `after` whose outcome differs from that in `before`; `since` names the verifier of `before`."""
    earlier = _EarlierVerdicts(before)
    counts: Counter[str] = Counter()
    listed: list[VerdictChange] = []
    for verdict in after:
        outcome, method = earlier.find(verdict.trace_id) or (verdict.outcome, "")
        if outcome == verdict.outcome:
            continue
        counts[f"{outcome} → {verdict.outcome}"] += 1
        if len(listed) < LISTED:
            listed.append(
                VerdictChange(
                    trace_id=verdict.trace_id,
                    before=outcome,
                    method_before=method,
                    after=verdict.outcome,
                    method_after=verdict.method,
                    extracted=verdict.extracted or "",
                )
            )
    return VerdictChanges(label=label, since=since, counts=dict(counts.most_common()), listed=tuple(listed))


class _EarlierVerdicts:
    """Outcome and method by trace, in columns."""

    def __init__(self, verdicts: Iterable[Verdict]) -> None:
        numbers: dict[tuple[str, str], int] = {}
        ids, self._number = PackedStrings(), array("I")
        for verdict in verdicts:
            ids.append(verdict.trace_id)
            self._number.append(numbers.setdefault((verdict.outcome, verdict.method), len(numbers)))
        self._outcomes_and_methods = list(numbers)
        self._positions = PositionIndex(ids)

    def find(self, trace_id: str) -> tuple[str, str] | None:
        position = self._positions.find(trace_id)
        return None if position is None else self._outcomes_and_methods[self._number[position]]


def changes_to_facts(changes: VerdictChanges) -> dict[str, object]:
    """The changes as plain values for the facts of a manifest; the label is left out."""
    listed = [[c.trace_id, c.before, c.method_before, c.after, c.method_after, c.extracted] for c in changes.listed]
    return {"since": changes.since, "counts": changes.counts, "listed": listed}


def changes_from_facts(label: str, facts: Mapping[str, object]) -> VerdictChanges | None:
    """The changes in the facts of a manifest, under a label; None when there was no earlier verification."""
    if not isinstance(facts.get("verdict_changes"), dict):
        return None
    recorded = cast("dict[str, object]", facts["verdict_changes"])
    listed: list[VerdictChange] = []
    for trace_id, before, method_before, after, method_after, extracted in cast("list[list[str]]", recorded["listed"]):
        listed.append(
            VerdictChange(
                trace_id=trace_id,
                before=before,
                method_before=method_before,
                after=after,
                method_after=method_after,
                extracted=extracted,
            )
        )
    counts = cast("dict[str, int]", recorded["counts"])
    return VerdictChanges(label=label, since=str(recorded["since"]), counts=counts, listed=tuple(listed))
