"""What a new verifier moved, against verdicts in any order."""

from __future__ import annotations

import random

from lakon.core.digest import digest
from lakon.core.records import Verdict
from lakon.stages.verify.changed_verdicts import moved


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


def test_what_moved_is_found_whatever_the_order_and_new_traces_are_not_among_it():
    before = [verdict(i, "correct" if i % 2 else "incorrect", f"m{i % 3}") for i in range(100)]
    after = [verdict(i, "correct" if i % 2 or i % 10 == 0 else "incorrect", "new") for i in range(120)]
    random.Random(0).shuffle(before)
    made = moved("a", "v0", before, after)
    assert made.moves == {"incorrect → correct": 10}
    assert [move.extracted for move in made.listed] == [str(i) for i in range(0, 100, 10)]
    assert [move.method_before for move in made.listed] == [f"m{i % 3}" for i in range(0, 100, 10)]
