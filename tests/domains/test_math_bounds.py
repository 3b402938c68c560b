"""Whatever is fed to the verifier: no row outlives its limit, none costs another, and nothing in a text is executed.

The texts are the ones that graders are known to hang on, and five megabytes of every piece of notation that one of our
own patterns looks for: those are scanned in the calling process, where no timer could end them.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakon.core.protocols import Answered, Grading
from lakon.core.records import Outcome
from lakon.domains.math import MathVerifier

OVERRUN_S = 0.5
"""What a row may take beyond its limit, at worst: the promise of the verifier."""
TRIES = 4
"""A busy machine may not let this process run in time; a row that cannot end in time fails every try."""
HUGE = 5_000_000


def row(reference: str, answer: str) -> Answered:
    return Answered(reference=reference, answer=answer, finish_reason="stop")


@pytest.fixture(scope="module")
def verifier() -> Iterator[MathVerifier]:
    with MathVerifier(limit_s=1.0) as made:
        list(made.grade([row("x+1", r"\boxed{1+x}")]))
        yield made


def one(verifier: MathVerifier, reference: str, answer: str) -> Grading:
    """The grading of one row, which must come within the limit."""
    taken: list[float] = []
    for _ in range(TRIES):
        start = time.monotonic()
        (grading,) = verifier.grade([row(reference, answer)])
        taken.append(time.monotonic() - start)
        if taken[-1] < verifier.limit_s + OVERRUN_S:
            return grading
    raise AssertionError(f"longer than the limit and half a second each time: {taken}")


PIECES = r"""
\boxed{ | $ | $$ | { | } | 1. | 1 | 1, | answer is | ** | is | <answer> | ( | $1$,
\frac{ | \sqrt{ | [ | \left( | \text{ | \begin{pmatrix} | \\
. A | <think> | </think> | <|channel|>analysis<|message|> | 9^ | ` | __
√ | ½ | ０ | 答案是 | 选 A | 1: | \ | \! | no | A: | $5 | = | \pm | 1...
not **5** | #### | \text{m}/ | \in\mathbb{Z}, | , k | &amp; | because | C_1 | +(1,2) | [[1,2], | {}^ | x^15
step 5 | 5!
**a** | \{1, | \choose | {\choose | frac | base | _{ | \text{ cm} | 1,234, | e | 1e9
"""


@pytest.mark.parametrize(
    "piece", [piece.strip() for piece in PIECES.replace("\n", " | ").split(" | ") if piece.strip()]
)
@pytest.mark.parametrize("size", [19_000, HUGE])
def test_any_amount_of_any_notation_is_bounded(verifier: MathVerifier, piece: str, size: int) -> None:
    text = f"{piece} " * (size // (len(piece) + 1))
    for reference, answer in (("5", text), ("x+1", rf"\boxed{{{text}}}"), (text, r"\boxed{5x}")):
        assert isinstance(one(verifier, reference, answer).outcome, Outcome)


MARKS = (
    "<answer>1{}x</answer>",
    "**Answer:** **1{}x**",
    r"\boxed{{1{}x}}",
    r"\boxed{{${}x}}",
    r"\boxed{{1}}{}and \boxed{{2}}",
    "The answer is 1{}x",
    "The answer{}of it is 1",
    "So it is $1{}x$.",
    "So it is 1{}x.",
    "We find 1{}or about{}2",
    "#### 1{}x",
    "####{}x",
    "The answer is 1, and{}we{}reject{}it so 2",
)


@pytest.mark.parametrize("space", [" ", "\n", "\u00a0", "\t", " \n", "\u2003"])
@pytest.mark.parametrize("size", [800, 20_000, 390_000])
@pytest.mark.parametrize("mark", MARKS)
def test_white_space_in_any_mark_is_bounded(verifier: MathVerifier, mark: str, size: int, space: str) -> None:
    text = mark.format(*[space * (size // len(space))] * 3)
    for reference, answer in (
        ("5", text),
        ("even", text),
        (text, r"\boxed{5}"),
        (f"\\text{{abc{text}", "So it is even."),
    ):
        assert isinstance(one(verifier, reference, answer).outcome, Outcome)


@pytest.mark.parametrize(
    "text",
    [
        "#### " + "a" * 390_000,
        "#### " + "a1" * 195_000,
        ("#### " + "a" * 490 + "\n") * 780,
        ("#### " + "ab1 " * 120 + "\n") * 780,
        "#### " * 70_000 + "\nx",
        "So " + "1," * 7_900,
        "$$" + "1," * 7_900,
        "<answer>1" + ":" * 15_900 + "x</answer>",
    ],
)
def test_long_lines_of_a_mark_are_bounded(verifier: MathVerifier, text: str) -> None:
    for reference, answer in (("5", text), (text, r"\boxed{5}")):
        assert isinstance(one(verifier, reference, answer).outcome, Outcome)


def test_white_space_changes_no_answer(verifier: MathVerifier) -> None:
    for space in (" ", "\n", "\u00a0", " \n "):
        for reference, written in (
            ("x+1", f"<answer>{space * 900}x{space * 900}+ 1</answer>"),
            ("12", f"#### {' ' * 900}12"),
        ):
            assert one(verifier, reference, written).outcome is Outcome.CORRECT


def test_numerals_longer_than_python_converts_are_undecided_and_no_fault(verifier: MathVerifier) -> None:
    digits = "7" * 5_000
    for answer in (rf"\boxed{{x + {digits}}}", rf"\boxed{{\frac{{{digits}}}{{3}}}}", rf"\boxed{{x^{digits}}}"):
        assert one(verifier, "x+5", answer).outcome in (Outcome.UNPARSED, Outcome.INCORRECT, Outcome.TIMEOUT)


def test_a_million_digits_are_compared_exactly(verifier: MathVerifier) -> None:
    digits = "7" * 390_000
    assert one(verifier, digits, rf"\boxed{{{digits}}}").outcome is Outcome.CORRECT
    assert one(verifier, digits, rf"\boxed{{{digits[:-1]}8}}").outcome is Outcome.INCORRECT
    assert one(verifier, "7" * 1_000_000, r"\boxed{7}").outcome is not Outcome.CORRECT


@pytest.mark.parametrize(
    ("opener", "closer"), [("(", ")"), ("{", "}"), ("[", "]"), (r"\sqrt{", "}"), (r"\left(", r"\right)")]
)
@pytest.mark.parametrize("depth", [400, 100_000])
def test_nesting_is_bounded(verifier: MathVerifier, opener: str, closer: str, depth: int) -> None:
    assert one(verifier, "5", rf"\boxed{{{opener * depth}7{closer * depth}}}").outcome is not Outcome.CORRECT


def test_nothing_in_a_text_is_executed(verifier: MathVerifier, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    calls = (
        f"__import__('os').system('touch {witness}')",
        f"open('{witness}', 'w').close()",
        f"exec(\"open('{witness}','w')\")",
    )
    for call in calls:
        for text in (
            call,
            rf"\text{{{call}}}",
            rf"\int {call} dx",
            f"{call} + 1",
            f"lambda: {call}",
            f"Integer({call})",
        ):
            one(verifier, "5", rf"\boxed{{{text}}}")
            one(verifier, text, r"\boxed{\int_0^1 x\,dx}")
    assert not witness.exists()


def test_workers_that_are_killed_at_work_cost_no_other_row(verifier: MathVerifier) -> None:
    rows = [row(rf"\frac{{{i}}}{{7}}x", rf"\boxed{{x\cdot\frac{{{i}}}{{7}}}}") for i in range(600)]
    done: list[Outcome] = []
    for i, grading in enumerate(verifier.grade(rows)):
        done.append(grading.outcome)
        if i % 150 == 10 and verifier.pool.worker_pids:
            os.kill(verifier.pool.worker_pids[0], signal.SIGKILL)
    assert done == [Outcome.CORRECT] * 600


def test_threads_grade_side_by_side(verifier: MathVerifier) -> None:
    found: dict[int, list[Outcome]] = {}

    def grade(i: int) -> None:
        rows = [row(f"x+{j}", rf"\boxed{{{j + (j % 3 == i % 3)}+x}}") for j in range(40)]
        found[i] = [grading.outcome for grading in verifier.grade(rows)]

    threads = [threading.Thread(target=grade, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wrong = {i: [j % 3 == i % 3 for j in range(40)] for i in range(4)}
    assert {i: [o is not Outcome.CORRECT for o in outcomes] for i, outcomes in found.items()} == wrong


def test_a_running_event_loop_does_not_matter() -> None:
    """As in a notebook's cell: a loop runs in this very thread."""

    async def cell() -> list[Outcome]:
        with MathVerifier(limit_s=2.0) as verifier:
            return [g.outcome for g in verifier.grade([row("x+1", r"\boxed{1+x}"), row("x", r"\boxed{y}")])]

    assert asyncio.run(cell()) == [Outcome.CORRECT, Outcome.INCORRECT]


def test_a_row_of_upright_units_is_decided_well_within_the_limit() -> None:
    units = r"\text{cm} " * 60
    with MathVerifier(limit_s=20.0) as made:
        (grading,) = made.grade([row("160", rf"\boxed{{x {units} 5}}")])
    assert grading.outcome is not Outcome.TIMEOUT
