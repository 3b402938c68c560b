"""A k of pass@k that nobody has samples for is told with the study, not dropped from its figures."""

from __future__ import annotations

from lakon.core.errors import Fault
from lakon.study.consistency import faults_of
from lakon.study.load import parse_study


def faults(*, samples: int, own: int | None, pass_at: list[int]) -> list[Fault]:
    author = {"kind": "endpoint", "model": "m", **({"samples": own} if own is not None else {})}
    study = parse_study(
        {
            "name": "t",
            "evaluate": {"benchmarks": ["gsm8k"], "samples": samples, "pass_at": pass_at, "authors": {"a": author}},
        }
    )
    return faults_of(study)


def test_a_k_above_the_samples_of_all_is_told():
    (fault,) = faults(samples=4, own=None, pass_at=[2, 4, 8])
    assert (fault.where, fault.expected) == ("evaluate.pass_at", "a k from 1 to 4")
    assert "k = 8" in fault.found


def test_a_k_above_the_samples_of_one_author_is_told_at_that_author():
    (fault,) = faults(samples=8, own=2, pass_at=[2, 4])
    assert (fault.where, fault.expected) == ("evaluate.authors.a.samples", "at least 4")
    assert faults(samples=8, own=4, pass_at=[2, 4]) == []
