"""What a run has to say of itself beside its report: rows that failed, and records that were damaged on the disk.

It is read from the facts of steps, so that a run that was resumed says the same as one that was not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lakon.core.score_text import pluralise
from lakon.store.facts import AskedFacts
from lakon.store.runner import RunResult


def run_notes(result: RunResult) -> list[str]:
    """A line for each step that was executed now, or whose rows are still owed, and has something to tell."""
    return [
        line
        for step, artifact in result.artifacts.items()
        if step.stage == "generate" and (step.name in result.executed or AskedFacts.of(artifact.manifest).owed)
        for line in _of_author(step.label, AskedFacts.of(artifact.manifest), executed=step.name in result.executed)
    ]


def lost_line(name: str, n: int) -> str:
    """What is said of records that were paid for and cannot be read."""
    again = "their checksum: they are asked again" if n > 1 else "its checksum: it is asked again"
    return f"{pluralise(n, 'record')} of {name}'s ledger failed {again}"


def _of_author(name: str, facts: AskedFacts, *, executed: bool) -> Iterator[str]:
    lost, errors, owed = facts.lost or 0, facts.errors, facts.owed
    if lost and executed:
        yield lost_line(name, lost)
    if errors:
        which = f" ({_kinds(facts.failed)})" if facts.failed else ""
        again = "asked again by the next run" if owed else "not asked again, unless with --mode retry"
        if 0 < owed < errors:
            again = f"{owed:,} asked again by the next run, the others only with --mode retry"
        yield f"{pluralise(errors, 'row')} of {name} failed{which}: {again}"


def _kinds(kinds: Mapping[str, int]) -> str:
    """`bad_request`, or `3 timeout, 1 server_error`."""
    if len(kinds) == 1:
        return next(iter(kinds))
    return ", ".join(f"{n:,} {kind}" for kind, n in sorted(kinds.items(), key=lambda item: (-item[1], item[0])))
