"""Verdicts that a new verifier changes, compared with verdicts in any order."""

from __future__ import annotations

import random

from lakon.core.digest import digest
from lakon.core.records import Verdict
from lakon.stages.verify.changed_verdicts import compare_verdicts


def verdict(i: int, outcome: str, method: str) -> Verdict:
    return Verdict(
        trace_id=digest(i),
        problem_id=digest(["p", i]),
        sample_index=0,
        outcome=outcome,
        extracted=str(i),
        method=method,
        explanation="",
        verifier="v",
    )


def test_changes_are_found_in_any_order_and_new_traces_are_no_changes():
    before = [verdict(i, "correct" if i % 2 else "incorrect", f"m{i % 3}") for i in range(100)]
    after = [verdict(i, "correct" if i % 2 or i % 10 == 0 else "incorrect", "new") for i in range(120)]
    random.Random(0).shuffle(before)
    changes = compare_verdicts("a", "v0", before, after)
    assert changes.counts == {"incorrect → correct": 10}
    assert [change.extracted for change in changes.listed] == [str(i) for i in range(0, 100, 10)]
    assert [change.method_before for change in changes.listed] == [f"m{i % 3}" for i in range(0, 100, 10)]
