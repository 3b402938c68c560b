"""The benchmarks known by name: where each lies, its fields, its size and its licence. A study adds its own under
`[benchmarks.NAME]`.

What could not be looked up is left empty rather than guessed. Revisions are stated by the study where exactness
matters: a data set can change under its name. The commit that was read and a digest of the problems stand in each
report.
"""

from __future__ import annotations

from typing import NamedTuple

from lakon.stages.problems.sources import HuggingFaceProblems


class KnownBenchmark(NamedTuple):
    """One row of the table."""

    source: HuggingFaceProblems
    n: int
    """Problems, for plans that are made offline."""
    licence: str
    """As its card or repository states it; empty where that was not seen."""
    about: str


_MAA = "problems © MAA"
KNOWN: dict[str, KnownBenchmark] = {
    "gsm8k": KnownBenchmark(
        HuggingFaceProblems(
            path="openai/gsm8k",
            config="main",
            prompt_field="question",
            reference_field="answer",
            reference_after="####",
        ),
        1319,
        "MIT",
        "grade-school word problems (arXiv 2110.14168)",
    ),
    "gsm8k-platinum": KnownBenchmark(
        HuggingFaceProblems(
            path="madrylab/gsm8k-platinum",
            config="main",
            prompt_field="question",
            reference_field="answer",
            reference_after="####",
        ),
        1209,
        "MIT; corrected labels CC BY-SA 4.0",
        "GSM8K's test problems with their labels cleaned (arXiv 2502.03461)",
    ),
    "math-500": KnownBenchmark(
        HuggingFaceProblems(
            path="HuggingFaceH4/MATH-500", prompt_field="problem", reference_field="answer", tag_fields=("level",)
        ),
        500,
        "MIT",
        "competition problems of five levels (arXiv 2103.03874, 2305.20050)",
    ),
    "aime-2024": KnownBenchmark(
        HuggingFaceProblems(
            path="HuggingFaceH4/aime_2024", split="train", prompt_field="problem", reference_field="answer"
        ),
        30,
        _MAA,
        "AIME I and II, answers from 0 to 999",
    ),
    "aime-2025": KnownBenchmark(
        HuggingFaceProblems(path="math-ai/aime25", split="test", prompt_field="problem", reference_field="answer"),
        30,
        _MAA,
        "AIME I and II, answers from 0 to 999",
    ),
    "aime-2026": KnownBenchmark(
        HuggingFaceProblems(
            path="MathArena/aime_2026", split="train", prompt_field="problem", reference_field="answer"
        ),
        30,
        _MAA,
        "AIME I and II, answers from 0 to 999",
    ),
    "amc-2023": KnownBenchmark(
        HuggingFaceProblems(path="math-ai/amc23", split="test", prompt_field="question", reference_field="answer"),
        40,
        _MAA,
        "AMC 12, answers as numbers",
    ),
    "hmmt-feb-2025": KnownBenchmark(
        HuggingFaceProblems(
            path="MathArena/hmmt_feb_2025", split="train", prompt_field="problem", reference_field="answer"
        ),
        30,
        "",
        "Harvard-MIT tournament of February 2025",
    ),
    "minerva": KnownBenchmark(
        HuggingFaceProblems(
            path="math-ai/minervamath", split="test", prompt_field="question", reference_field="answer"
        ),
        272,
        "",
        "undergraduate sciences (arXiv 2206.14858)",
    ),
    "olympiadbench": KnownBenchmark(
        HuggingFaceProblems(
            path="math-ai/olympiadbench", split="test", prompt_field="question", reference_field="final_answer.0"
        ),
        674,
        "",
        "olympiad problems in English without pictures (arXiv 2402.14008)",
    ),
}

BENCHMARKS: dict[str, HuggingFaceProblems] = {name: known.source for name, known in KNOWN.items()}
EXPECTED_ROWS: dict[str, int] = {name: known.n for name, known in KNOWN.items()}
"""How many problems each has, for plans made offline."""
