"""Made-up reports for the render tests: plausible in shape, hostile in text, measured nowhere."""

from __future__ import annotations

import math

from lakon.core.records import HeldOutLoss, Loss, LossBin, Problem, Score, Trace, Verdict
from lakon.core.report_data import (
    Familiarity,
    FunnelRow,
    LossGap,
    MeasuredValue,
    ModelCard,
    ReportData,
    Showcase,
    StyleLoss,
)
from lakon.stages.report.conclusions import draw_conclusions

HOSTILE = (
    (
        "<script>alert(1)</script></script><img src=x onerror=alert(2)><svg/onload=alert(3)>"
        '"><iframe src="https://evil.example/"></iframe>{{ 7 * 7 }}{% raw %}]]>--><!--'
        " \u202eright to left\u202c \x00\x1b[31m caf\u00e9 \u8ba1\u7b97 \ud83d\ude00 [x](javascript:alert(4))"
    )
    .encode("utf-16", "surrogatepass")
    .decode("utf-16")
)

STUDENTS = {
    # label: (accuracy on held-out, accuracy on harder, tokens, share truncated)
    "verbose": (0.723, 0.418, 412.0, 0.061),
    "concise": (0.612, 0.392, 83.0, 0.004),
    "routed": (0.702, 0.421, 196.0, 0.021),
    "verbose@tokens": (0.548, 0.301, 398.0, 0.094),
    "concise@tokens": (0.671, 0.405, 86.0, 0.002),
    "routed@tokens": (0.630, 0.377, 181.0, 0.018),
}
SIZES = {"held-out": 128, "harder": 30, "problems": 2000}


def full() -> ReportData:
    """Two benchmarks, two match rules, three arms, teachers, a base, and hostile text wherever one can be."""
    authors = _authors()
    scores = tuple(_scores())
    return ReportData(
        study="miniature",
        title="Same answers, a fifth of the tokens?",
        description="Two procedural teachers, one student a style and match rule. The numbers are made up.",
        caveats=(
            "This is a test page: every figure on it is invented.",
            "The problems are generated arithmetic; nothing here speaks of mathematics at large.",
        ),
        conclusions=draw_conclusions(authors, scores, margin=0.05, confidence=0.95),
        authors=authors,
        benchmarks=tuple(SIZES.items()),
        scores=scores,
        losses={"verbose": _curve(0.36, 0.31), "concise": _curve(1.84, 0.29), "routed": _curve(1.1, 0.3)},
        familiarity=(_familiarity(""), _familiarity(HOSTILE)),
        held_out={"verbose": _held_out(HOSTILE), f"concise{HOSTILE}": _held_out("concise-teacher")},
        funnel=_funnel(),
        outcomes=_outcomes(),
        showcases=(_showcase(HOSTILE), _showcase("A train leaves with 12 wagons and drops 3 at each stop.")),
        tokenizer="miniature-digits",
        margin=0.05,
        confidence=0.95,
        provenance={"lakon": "0.1.0", "verifier": "math@3", "problems": "sha256:1f0c" * 8, "odd": HOSTILE},
        resolved='{"name": "miniature", "note": "</pre><script>alert(5)</script>"}',
    )


def recorded() -> ReportData:
    """No students: two recorded teachers on the study's own problems, one sample each."""
    authors = (ModelCard(label="deepseek-r1", kind="teacher"), ModelCard(label="gpt-oss", kind="teacher"))
    scores = (
        score("problems", "deepseek-r1", "accuracy", 0.846, 0.016, n=2000, k=1),
        score("problems", "gpt-oss", "accuracy", 0.851, 0.016, n=2000, k=1),
        score("problems", "deepseek-r1", "tokens", 15512.0, 420.0, n=2000, k=1),
        score("problems", "gpt-oss", "tokens", 3480.0, 130.0, n=2000, k=1),
        score(
            "problems",
            "gpt-oss",
            "accuracy_difference",
            0.005,
            0.011,
            "deepseek-r1",
            n=2000,
            k=1,
            p_value=0.41,
        ),
        score("problems", "gpt-oss", "token_ratio", 0.224, 0.007, "deepseek-r1", n=2000, k=1),
        score("problems", "gpt-oss", "non_inferiority", 0.005, 0.009, "deepseek-r1", n=2000, k=1),
    )
    return bare(
        authors=authors,
        scores=scores,
        benchmarks=(("problems", 2000),),
        conclusions=draw_conclusions(authors, scores, margin=0.02, confidence=0.95),
        margin=0.02,
    )


def bare(**given: object) -> ReportData:
    """A report with nothing in it but what is given."""
    empty: dict[str, object] = {
        "study": "bare",
        "title": "Bare",
        "description": "",
        "caveats": (),
        "conclusions": (),
        "authors": (),
        "benchmarks": (),
        "scores": (),
        "losses": {},
        "funnel": (),
        "outcomes": {},
        "showcases": (),
        "tokenizer": "",
        "margin": 0.05,
        "confidence": 0.95,
        "provenance": {},
        "resolved": "",
    }
    return ReportData(**{**empty, **given})  # type: ignore[arg-type]


def score(
    benchmark: str,
    author: str,
    metric: str,
    estimate: float,
    reach: float | None = None,
    baseline: str | None = None,
    *,
    n: int = 128,
    k: int = 8,
    at: float | None = None,
    group: str | None = None,
    p_value: float | None = None,
    n_ungraded: int = 0,
) -> Score:
    """A score whose interval reaches equally far to both sides."""
    return Score(
        benchmark=benchmark,
        author=author,
        metric=metric,
        at=at,
        baseline=baseline,
        group=group,
        estimate=estimate,
        low=None if reach is None else estimate - reach,
        high=None if reach is None else estimate + reach,
        p_value=p_value,
        method="t interval on per-problem means",
        n_problems=n,
        n_samples=n * k,
        n_ungraded=n_ungraded,
    )


def _authors() -> tuple[ModelCard, ...]:
    students = tuple(
        ModelCard(
            label=label,
            kind="student",
            arm=label.split("@")[0],
            match="tokens" if "@" in label else "problems",
            seeds=(0,),
            n_examples=4096,
            n_problems=2048,
            n_train_tokens=1_660_000 if label.startswith("verbose") else 340_000,
            n_steps=512,
        )
        for label in STUDENTS
    )
    teachers = (
        ModelCard(label="verbose-teacher", kind="teacher"),
        ModelCard(label="concise-teacher", kind="teacher"),
    )
    return (*teachers, ModelCard(label="base", kind="base"), *students)


def _scores() -> list[Score]:
    made: list[Score] = []
    for which, benchmark in enumerate(("held-out", "harder")):
        n = SIZES[benchmark]
        made += _author(benchmark, "base", (0.121, 0.05)[which], 640.0, 0.31, n)
        for label, row in STUDENTS.items():
            made += _author(benchmark, label, row[which], row[2] * (1 + which), row[3], n)
        for label in STUDENTS:
            if not label.startswith("verbose"):
                made += _paired(benchmark, label, "verbose@tokens" if "@" in label else "verbose", which, n)
    made += _author("problems", "verbose-teacher", 0.968, 431.0, 0.0, 2000, k=1)
    made += _author("problems", "concise-teacher", 0.971, 88.0, 0.0, 2000, k=1)
    return made


def _author(benchmark: str, label: str, accuracy: float, tokens: float, cut: float, n: int, k: int = 8) -> list[Score]:
    reach = 2 * math.sqrt(accuracy * (1 - accuracy) * 0.6 / n)
    made = [
        score(benchmark, label, "accuracy", accuracy, reach, n=n, k=k, n_ungraded=3 if label == "routed" else 0),
        score(benchmark, label, "accuracy_fixed", accuracy, reach / 3, n=n, k=k),
        score(benchmark, label, "tokens", tokens, tokens * 0.7 / math.sqrt(n), n=n, k=k),
        score(benchmark, label, "reasoning_tokens", tokens * 0.9, tokens * 0.06, n=n, k=k),
        score(benchmark, label, "answer_tokens", tokens * 0.1, tokens * 0.01, n=n, k=k),
        score(benchmark, label, "truncation_rate", cut, min(cut, 0.02), n=n, k=k),
        score(benchmark, label, "tokens_per_correct", tokens / accuracy, tokens * 0.1, n=n, k=k),
    ]
    if k > 1:
        made.append(score(benchmark, label, "pass_at_k", min(0.99, accuracy + 0.15), reach, n=n, k=k, at=float(k)))
        made += [_within(benchmark, label, accuracy, tokens, budget, n) for budget in (16, 32, 64, 128, 256, 512, 1024)]
        made += [_by_steps(benchmark, label, accuracy, steps, n) for steps in range(2, 9)]
    return made


def _within(benchmark: str, label: str, accuracy: float, tokens: float, budget: int, n: int) -> Score:
    share = 1 / (1 + (tokens / budget) ** 3)
    return score(benchmark, label, "accuracy_within_budget", accuracy * share, 0.06 * share, n=n, at=float(budget))


def _by_steps(benchmark: str, label: str, accuracy: float, steps: int, n: int) -> Score:
    part = max(0.02, min(0.98, accuracy + 0.08 * (5 - steps)))
    return score(benchmark, label, "accuracy", part, 0.12, n=n // 7, group=f"steps={steps}")


def _paired(benchmark: str, label: str, baseline: str, which: int, n: int) -> list[Score]:
    difference = STUDENTS[label][which] - STUDENTS[baseline][which]
    reach = 0.66 / math.sqrt(n)
    p_value = 0.0004 if abs(difference) > reach else 0.31
    ratio = STUDENTS[label][2] / STUDENTS[baseline][2]
    return [
        score(benchmark, label, "accuracy_difference", difference, reach, baseline, n=n, p_value=p_value),
        score(benchmark, label, "token_ratio", ratio, ratio * 0.05, baseline, n=n),
        score(benchmark, label, "non_inferiority", difference, reach * 0.84, baseline, n=n),
    ]


def _curve(start: float, end: float) -> list[Loss]:
    def at(step: int) -> float:
        return end + (start - end) * math.exp(-step / 70) + 0.06 * end * math.sin(step * 12.9898) ** 3

    return [Loss(step=i, n_tokens=3242 * (i + 1), loss=at(i), learning_rate=1e-3) for i in range(512)]


def _familiarity(student: str) -> Familiarity:
    gaps = (
        LossGap(
            teacher=f"concise{HOSTILE}",
            baseline="verbose-teacher",
            difference=MeasuredValue(value=1.2, low=1.1, high=1.3),
            p_value=0.0004,
        ),
        LossGap(
            teacher="odd-teacher",
            baseline="verbose-teacher",
            difference=MeasuredValue(value=0.01, low=-0.1, high=0.12),
            p_value=0.83,
        ),
    )
    return Familiarity(
        student=student,
        n_problems=61,
        n_left_out=3,
        n_too_long=4,
        context=1024,
        styles=(_style_loss("verbose-teacher", 0.3), _style_loss(f"concise{HOSTILE}", 1.5)),
        gaps=gaps,
    )


def _style_loss(teacher: str, loss: float) -> StyleLoss:
    stretches = [("all", 0, None), ("tokens", 0, 16), ("tokens", 16_384, None)]
    stretches += [("tenths", at, at + 1) for at in range(10)]
    bins = tuple(
        LossBin(
            teacher=teacher,
            scale=scale,
            start=start,
            stop=stop,
            n_tokens=16 * 61,
            n_traces=61,
            loss=loss + 0.01 * start / 16,
            median=loss / 2,
            q90=2 * loss,
            q99=4 * loss,
            surprising=0.012,
        )
        for scale, start, stop in stretches
    )
    value = MeasuredValue(value=loss, low=loss - 0.02, high=loss + 0.02)
    return StyleLoss(teacher=teacher, n_traces=61, loss=value, bins=bins)


def _held_out(style: str) -> list[HeldOutLoss]:
    return [
        HeldOutLoss(step=step, trained_tokens=3242 * step, style=name, loss=1 / (1 + step / 50), n_tokens=900)
        for step in range(0, 512, 64)
        for name in ("verbose-teacher", style)
    ]


def _funnel() -> tuple[FunnelRow, ...]:
    return (
        FunnelRow(label="problems", n=4096),
        FunnelRow(label="both teachers correct", n=3870, excluded={"not_correct": 209, "truncated": 17}),
        FunnelRow(label="not in a benchmark", n=3858, excluded={"contaminated": 12}),
        FunnelRow(label="examples of verbose", n=2048, excluded={"over_the_count": 1810}),
        FunnelRow(label="examples of concise@tokens", n=2048, excluded={"over_the_count": 1810}),
    )


def _outcomes() -> dict[str, dict[str, int]]:
    return {
        f"{label} / {benchmark}": {
            "correct": round(8 * SIZES[benchmark] * row[which]),
            "incorrect": round(8 * SIZES[benchmark] * (0.96 - row[which] - row[3])),
            "truncated": round(8 * SIZES[benchmark] * row[3]),
            "unparsed": 11 if label == "routed" else 0,
            "timeout": 4,
        }
        for which, benchmark in enumerate(("held-out", "harder"))
        for label, row in STUDENTS.items()
    }


def _showcase(text: str) -> Showcase:
    problem = Problem.of(f"{text} How many wagons are left?", "6", tags=("steps=2", "kind=wagons"))
    entries = [
        ("verbose", "Let me think about this step by step. " * 40 + text, "6", "correct"),
        ("concise", f"12-3-3=6 {text}", f"6 {text}", "correct"),
        ("routed", "", "", "error"),
        (f"odd{text}", "12-3=9", "9", "incorrect"),
    ]
    return Showcase(problem=problem, entries=tuple(_entry(problem, *entry) for entry in entries))


def _entry(problem: Problem, author: str, reasoning: str, answer: str, outcome: str) -> tuple[str, Trace, Verdict]:
    trace = Trace(
        trace_id=f"trace-{author}",
        problem_id=problem.problem_id,
        author=author,
        sample_index=0,
        reasoning=reasoning,
        answer=answer,
        n_reasoning=len(reasoning.split()),
        n_answer=1,
        error=None if answer else f"the call failed: {HOSTILE}",
    )
    found = Verdict(
        trace_id=trace.trace_id,
        problem_id=problem.problem_id,
        sample_index=0,
        outcome=outcome,
        extracted=answer,
        method="exact",
        explanation=f"extracted {answer!r}",
        verifier="math@3",
    )
    return (author, trace, found)
