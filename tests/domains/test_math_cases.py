"""Labelled answers as authors write them, from extraction to verdict, by class of notation."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cases_tables import Case, table

from lakon.core.protocols import Answered
from lakon.core.records import Outcome
from lakon.domains.math import MathVerifier

CASES = [
    case
    for name in (
        "first",
        "second",
        "third",
        "held_out",
        "held_out_2",
        "held_out_3",
        "held_out_4",
        "fourth",
        "held_out_5",
        "held_out_6",
        "fifth",
        "held_out_7",
        "sixth",
        "seventh",
        "eighth",
        "ninth",
    )
    for case in table(name)
]


@pytest.fixture(scope="module")
def verifier() -> Iterator[MathVerifier]:
    with MathVerifier(limit_s=5.0) as made:
        yield made


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_verdict_is_the_label(verifier: MathVerifier, case: Case) -> None:
    (grading,) = verifier.grade([Answered(reference=case.reference, answer=case.written, finish_reason="stop")])
    assert (grading.outcome is Outcome.CORRECT) == case.expected, grading
