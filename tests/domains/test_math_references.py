"""Every reference of the real benchmarks equals itself in each spelling that authors give it, where the files are."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lakon.core.protocols import Answered
from lakon.core.records import Outcome
from lakon.domains.math import MathVerifier

DATA = Path(os.environ.get("LAKON_DATA") or Path(__file__).parents[3] / "shared" / "data")
FILES = ("math500", "math_train", "aime2024", "aime2025")
FORMS: dict[str, Callable[[str], str]] = {
    "bare": lambda r: r,
    "box": lambda r: rf"So the answer is $\boxed{{{r}}}$.",
    "spaced box": lambda r: rf"\[ \boxed{{ {r} }} \]",
    "display style": lambda r: rf"\boxed{{{r.replace(chr(92) + 'frac', chr(92) + 'dfrac')}}}",
    "sized brackets": lambda r: (
        rf"\boxed{{{r if 'left' in r else r.replace('(', chr(92) + 'left(').replace(')', chr(92) + 'right)')}}}"
    ),
    "prose": lambda r: f"After some work we find it.\n\nThe final answer is ${r}$. I hope it is correct.",
    "markdown": lambda r: f"**Answer:** ${r}$",
    "thoughts": lambda r: rf"<think>perhaps \boxed{{-1}}</think>It is \boxed{{{r}}}",
}


@pytest.fixture(scope="module")
def verifier() -> Iterator[MathVerifier]:
    with MathVerifier() as made:
        yield made


def references(name: str) -> list[str]:
    path = DATA / f"{name}.jsonl"
    if not path.is_file():
        pytest.skip(f"no {path.name} in the data folder")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return sorted({str(row["answer"]) for row in rows} - {""})


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", FILES)
def test_every_reference_equals_itself(verifier: MathVerifier, name: str, form: str) -> None:
    answers = references(name)
    rows = [Answered(reference=a, answer=FORMS[form](a), finish_reason="stop") for a in answers]
    missed = [a for a, g in zip(answers, verifier.grade(rows), strict=True) if g.outcome is not Outcome.CORRECT]
    assert missed == []
