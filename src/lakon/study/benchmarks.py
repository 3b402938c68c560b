"""The benchmarks known by name: source, split, fields. A study adds its own under `[benchmarks.NAME]`.

Revisions are pinned by the study where exactness matters: a data set can change under its name.
"""

from __future__ import annotations

from lakon.stages.problems.sources import HuggingFaceProblems

BENCHMARKS: dict[str, HuggingFaceProblems] = {
    "gsm8k": HuggingFaceProblems(
        path="openai/gsm8k", config="main", prompt_field="question", reference_field="answer", reference_after="####"
    ),
    "math-500": HuggingFaceProblems(
        path="HuggingFaceH4/MATH-500", prompt_field="problem", reference_field="answer", tag_fields=("level",)
    ),
    "aime-2024": HuggingFaceProblems(
        path="HuggingFaceH4/aime_2024", split="train", prompt_field="problem", reference_field="answer"
    ),
    "aime-2025": HuggingFaceProblems(
        path="math-ai/aime25", split="test", prompt_field="problem", reference_field="answer"
    ),
}

EXPECTED_ROWS: dict[str, int] = {"gsm8k": 1319, "math-500": 500, "aime-2024": 30, "aime-2025": 30}
"""How many problems each has, for plans made offline."""
