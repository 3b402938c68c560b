"""What every host of the verifier is asked to do: grade rows of each kind, and outlive one that hangs in C."""

from __future__ import annotations

import pool_rows

from lakon.core.protocols import Answered
from lakon.domains.math import MathVerifier
from lakon.domains.worker_pool.pool import KillablePool

EXPECTED = ["correct", "correct", "incorrect", "truncated", "a!", "timeout", "b!"]
"""What `graded` gives wherever it runs."""
_ROWS = [
    ("5", r"\boxed{5}", "stop"),
    ("x^2+2x+1", r"\boxed{(x+1)^2}", "stop"),
    ("x^2+2x+1", r"\boxed{(x+2)^2}", "stop"),
    ("5", "", "length"),
]


def graded() -> list[str]:
    """The outcomes of rows that need no process, rows that need one, and a row that its worker has to die of."""
    rows = [Answered(reference=gold, answer=said, finish_reason=finish) for gold, said, finish in _ROWS]
    with MathVerifier(limit_s=20.0) as verifier:
        outcomes = [grading.outcome.value for grading in verifier.grade(rows)]
    with KillablePool(pool_rows.act, setup=pool_rows.prepare, limit_s=0.5) as pool:
        outcomes += [result.value or result.status for result in pool.map(["a", "hang", "b"])]
    return outcomes
