"""Which verdicts a new verifier changes: the same traces, graded before and now.

What moved is recorded beside a verdict table, never in it: a table says the same whatever was in the store before.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import cast

from lakon.core.columns import PackedStrings, PositionIndex
from lakon.core.records import Verdict
from lakon.core.report_data import Move, Moved

LISTED = 200


def moved(label: str, since: str, before: Iterable[Verdict], after: Iterable[Verdict]) -> Moved:
    """The verdicts of `after` whose outcome was another one in `before`; `since` names the verifier of then."""
    then = _Then(before)
    moves: Counter[str] = Counter()
    listed: list[Move] = []
    for verdict in after:
        outcome, method = then.find(verdict.trace_id) or (verdict.outcome, "")
        if outcome != verdict.outcome:
            moves[f"{outcome} → {verdict.outcome}"] += 1
            if len(listed) < LISTED:
                listed.append(
                    Move(
                        trace_id=verdict.trace_id,
                        before=outcome,
                        method_before=method,
                        after=verdict.outcome,
                        method_after=verdict.method,
                        extracted=verdict.extracted or "",
                    )
                )
    return Moved(label=label, since=since, moves=dict(moves.most_common()), listed=tuple(listed))


class _Then:
    """Outcome and method by trace, in columns."""

    def __init__(self, verdicts: Iterable[Verdict]) -> None:
        self._numbers: dict[tuple[str, str], int] = {}
        self._ids, self._number = PackedStrings(), array("I")
        for verdict in verdicts:
            self._ids.append(verdict.trace_id)
            self._number.append(self._numbers.setdefault((verdict.outcome, verdict.method), len(self._numbers)))
        self._kinds = list(self._numbers)
        self._places = PositionIndex(self._ids)

    def find(self, trace_id: str) -> tuple[str, str] | None:
        at = self._places.find(trace_id)
        return None if at is None else self._kinds[self._number[at]]


def plain(made: Moved) -> dict[str, object]:
    """For a manifest's facts."""
    rows = [[m.trace_id, m.before, m.method_before, m.after, m.method_after, m.extracted] for m in made.listed]
    return {"since": made.since, "moves": made.moves, "listed": rows}


def of_facts(label: str, facts: Mapping[str, object]) -> Moved | None:
    """What `plain` wrote, under the label that a report shows; None when nothing was there to compare with."""
    raw = facts.get("moved")
    if not isinstance(raw, dict):
        return None
    made = cast("dict[str, object]", raw)
    listed = cast("list[list[str]]", made["listed"])
    return Moved(
        label=label,
        since=str(made["since"]),
        moves=cast("dict[str, int]", made["moves"]),
        listed=tuple(
            Move(trace_id=t, before=b, method_before=mb, after=a, method_after=ma, extracted=e)
            for t, b, mb, a, ma, e in listed
        ),
    )
