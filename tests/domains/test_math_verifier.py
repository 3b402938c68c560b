"""The verifier as stages use it: outcomes, order, bounds in time and memory, and no process for easy rows."""

from __future__ import annotations

import pickle
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from lakon.core.protocols import Answered, Verifier
from lakon.core.records import Outcome
from lakon.domains.math import MathVerifier


def row(reference: str, answer: str, finish: str | None = "stop") -> Answered:
    return Answered(reference=reference, answer=answer, finish_reason=finish)


@pytest.fixture(scope="module")
def verifier() -> Iterator[MathVerifier]:
    with MathVerifier(limit_s=1.0) as made:
        yield made


OUTCOMES = [
    (row("5", r"\boxed{5}"), Outcome.CORRECT, "integer"),
    (row("5", r"\boxed{6}"), Outcome.INCORRECT, "integer"),
    (row("5", "I could not find it."), Outcome.INCORRECT, "no-answer"),
    (row("5", "<think> hm", "length"), Outcome.TRUNCATED, "unfinished"),
    (row("5", r"<think> \boxed{5}", "length"), Outcome.TRUNCATED, "unfinished"),
    (row("5", r"<think> \boxed{5}", None), Outcome.TRUNCATED, "unfinished"),
    (row("5", r"<think> \boxed{5}", "stop"), Outcome.INCORRECT, "no-answer"),
    (row("5", "there are 3, then 4, then 5", "length"), Outcome.TRUNCATED, "unfinished"),
    (row("5", r"it is \boxed{5}. Let me check ag", "length"), Outcome.CORRECT, "integer"),
    (row("5", "", "content_filter"), Outcome.REFUSED, "finish-reason"),
    (row("5", "No.", "refusal"), Outcome.REFUSED, "finish-reason"),
    (row("", r"\boxed{5}"), Outcome.UNPARSED, "no-reference"),
    (row("so #### 1,200", "1200 apples are left."), Outcome.CORRECT, "integer"),
    (row(r"We add and get \boxed{\frac{1}{2}}.", "0.5"), Outcome.CORRECT, "rational"),
    (row(r"\text{Maria}", "Maria ran 3 miles in 20 minutes, the most."), Outcome.CORRECT, "named-in-prose"),
    (row(r"\text{Maria}", "Maria ran 3 miles. So Paul ran more than 2."), Outcome.UNPARSED, "unstated"),
]


@pytest.mark.parametrize(("answered", "outcome", "method"), OUTCOMES)
def test_outcomes(verifier: MathVerifier, answered: Answered, outcome: Outcome, method: str) -> None:
    (grading,) = verifier.grade([answered])
    assert (grading.outcome, grading.method) == (outcome, method)


HARD = [
    r"9^{9^{9^9}}",
    r"10^{10^{10}}",
    r"999999999!",
    r"\frac{100000000!}{99999999!}",
    r"\binom{10^9}{5\cdot10^8}",
    r"\sum_{k=1}^{1000000000} \frac{1}{k}",
    r"\int_0^1 x^{x^{x^x}} dx",
    "(" * 3000 + "7" + ")" * 3000,
    r"\sqrt{" * 900 + "7" + "}" * 900,
    "9" * 100_000,
    "1+" * 30_000 + "1",
    "x" * 50_000,
    r"\frac{" * 5_000,
    "{" * 20_000,
    ",".join("12345"[i % 5] for i in range(20_000)),
    '__import__("os").system("exit")',
    "\x00\x00",
    r"\begin{pmatrix}" + "1&" * 3000 + r"1\end{pmatrix}",
]


@pytest.mark.parametrize("answer", HARD, ids=range(len(HARD)))
def test_no_answer_takes_longer_than_the_limit_or_passes(verifier: MathVerifier, answer: str) -> None:
    list(verifier.grade([row("x+1", r"\boxed{1+x}")]))
    taken: list[float] = []
    while len(taken) < 4 and (not taken or taken[-1] >= verifier.limit_s + 0.5):  # a busy machine gets further tries
        start = time.monotonic()
        (grading,) = verifier.grade([row("5", rf"\boxed{{{answer}}}")])
        taken.append(time.monotonic() - start)
        assert grading.outcome is not Outcome.CORRECT
    assert min(taken) < verifier.limit_s + 0.5, taken


def test_order_is_kept_around_a_row_that_hangs(verifier: MathVerifier) -> None:
    hangs = row("5", r"\boxed{\int_0^{100000000!} \sum_{k=1}^{n} \lim_{y \to 0} \frac{x^k}{y} \sin(x^{x^k}) dx}")
    rows = [row("x", r"\boxed{x+0}"), row("1", r"\boxed{1}"), hangs, row("y", r"\boxed{y*1}"), row("2", r"\boxed{3}")]
    found = [grading.outcome for grading in verifier.grade(rows)]
    assert found[:2] == [Outcome.CORRECT, Outcome.CORRECT]
    assert found[2] is not Outcome.CORRECT
    assert found[3:] == [Outcome.CORRECT, Outcome.INCORRECT]


def test_easy_rows_start_no_process() -> None:
    with MathVerifier() as verifier:
        rows = [
            row("18", "#### 18"),
            row("1,000", r"\boxed{1000}"),
            row(r"\frac12", r"\boxed{\dfrac{1}{2}}"),
            row("3", ""),
        ]
        assert [g.outcome for g in verifier.grade(rows)] == [Outcome.CORRECT] * 3 + [Outcome.INCORRECT]
        assert not verifier.pool.started


def test_importing_the_verifier_imports_no_algebra() -> None:
    code = "import sys, lakon.domains.math; print([m for m in ('sympy', 'mpmath', 'math_verify') if m in sys.modules])"
    environment = {"PYTHONPATH": ":".join(entry for entry in sys.path if entry)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"


def test_rows_are_read_as_gradings_leave(verifier: MathVerifier) -> None:
    taken = 0

    def rows() -> Iterator[Answered]:
        nonlocal taken
        for i in range(20_000):
            taken += 1
            yield row(str(i), rf"\boxed{{{i}}}")

    ahead = max(taken - done for done, _ in enumerate(verifier.grade(rows())))
    assert taken == 20_000
    assert ahead <= 2


def test_it_is_a_verifier_and_travels_without_its_workers(verifier: MathVerifier) -> None:
    contract: Verifier = verifier
    assert contract.version == "math@9+prose@1"
    copy = pickle.loads(pickle.dumps(verifier))
    assert (copy.limit_s, copy.workers, copy.boxed_only) == (verifier.limit_s, verifier.workers, False)
    copy.close()


@pytest.mark.parametrize(
    ("reference", "answer", "finish_reason", "outcome", "method"),
    [
        ("7", r"So \boxed{7}.", "stop", Outcome.CORRECT, "integer"),
        ("7", r"So \boxed{8}.", "stop", Outcome.INCORRECT, "integer"),
        ("7", "#### 7", "stop", Outcome.CORRECT, "integer"),
        ("7", "<answer>7</answer>", "stop", Outcome.CORRECT, "integer"),
        ("7", "The final answer is 7.", "stop", Outcome.UNPARSED, "unmarked"),
        ("7", "7", "stop", Outcome.UNPARSED, "unmarked"),
        ("Evelyn", "Thus Evelyn.", "stop", Outcome.UNPARSED, "unmarked"),
        ("7", "The final answer is 7.", "length", Outcome.TRUNCATED, "unfinished"),
        ("7", r"So \boxed{7", "stop", Outcome.INCORRECT, "no-answer"),
        ("7", "", "stop", Outcome.INCORRECT, "no-answer"),
    ],
)
def test_only_boxed_answers_are_read_where_a_study_says_so(
    reference: str, answer: str, finish_reason: str, outcome: Outcome, method: str
):
    with MathVerifier(boxed_only=True) as boxed:
        (grading,) = boxed.grade([Answered(reference=reference, answer=answer, finish_reason=finish_reason)])
        assert (grading.outcome, grading.method) == (outcome, method)
        assert boxed.version == "math@9"
        assert pickle.loads(pickle.dumps(boxed)).boxed_only


@pytest.mark.parametrize(
    ("reference", "answer", "disputed"),
    [("40_9", "40", True), ("(-2,1)", "-2,1", True), ("5x-7y=0", "0", True), ("7", "8", False), ("1/2", "0.5", False)],
)
def test_a_veto_is_a_dispute_between_methods(verifier: MathVerifier, reference: str, answer: str, disputed: bool):
    (grading,) = verifier.grade([row(reference, rf"\boxed{{{answer}}}")])
    assert grading.disputed is disputed
    assert not disputed or grading.outcome == Outcome.INCORRECT
