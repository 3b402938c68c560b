"""Public data sets by name: where the parts of a row stand, so that a study need not say it.

A preset fills what the study leaves out and nothing else. Every field name is one that was seen in the place that the
comment names; a data set whose names could not be seen is not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from lakon.core.errors import near_miss


class Preset(NamedTuple):
    """One data set's defaults."""

    hub: Mapping[str, Any]
    """Where it lies, for `kind = "huggingface"`; a copy in files has a path of its own."""
    problems: Mapping[str, Any]
    """The fields of a problem; empty where rows have no reference answer."""
    traces: Mapping[str, Any]
    """The fields of a recorded trace; empty where rows have none."""
    licence: str
    """As its card or, where that has none, its repository says."""


PRESETS: dict[str, Preset] = {
    # Data set card: uuid, license, generator, version, category, reasoning, messages (role, content, tool_calls),
    # metadata; splits chat, code, math, stem, tool_calling. Rows of `math`, as printed in public logs of its readers:
    # the user's message is the bare problem, the assistant's begins with <think>, metadata is the JSON text
    # {"expected_answer": ..., "problem_source": ...}, generator is DeepSeek-R1-0528.
    "nemotron-v1": Preset(
        hub={"path": "nvidia/Nemotron-Post-Training-Dataset-v1", "split": "math"},
        problems={"prompt_field": "messages.0.content", "reference_field": "metadata.expected_answer"},
        traces={"problem_field": "messages.0.content", "messages_field": "messages"},
        licence="CC BY 4.0",
    ),
    # Data set card: splits high_part00 to high_part02, medium, low; fields problem, expected_answer,
    # original_expected_answer, changed_answer_to_majority, data_source, messages, used_in, metadata, license. The
    # assistant's messages have reasoning_content (rows copied in a public reader's tests). A problem has several rows,
    # one a trace by gpt-oss-120b.
    "nemotron-math-v2": Preset(
        hub={"path": "nvidia/Nemotron-Math-v2", "split": "high_part00"},
        problems={"prompt_field": "problem", "reference_field": "expected_answer"},
        traces={"problem_field": "problem", "messages_field": "messages"},
        licence="CC BY 4.0, problems from StackExchange CC BY-SA 4.0",
    ),
    # Fields difficulty, source, domain, conversations (from: human or gpt, value), as public readers take them apart;
    # QwQ-32B's traces, and no reference answer: they can be recorded traces, not problems.
    "openthoughts3": Preset(
        hub={"path": "open-thoughts/OpenThoughts3-1.2M", "split": "train"},
        problems={},
        traces={
            "problem_field": "conversations.0.value", "messages_field": "conversations", "where": {"domain": "math"},
        },
        licence="Apache-2.0",
    ),
    # Data set card: configs default, extended, all; fields problem, solution, answer, problem_type, question_type,
    # source, uuid, is_reasoning_complete, generations, correctness_math_verify, finish_reasons, messages. A row has
    # several of DeepSeek-R1's generations; the first one is the trace. Proofs have an answer that is a word.
    "openr1-math": Preset(
        hub={"path": "open-r1/OpenR1-Math-220k", "config": "default", "split": "train"},
        problems={
            "prompt_field": "problem", "reference_field": "answer", "where": {"question_type": "math-word-problem"},
        },
        traces={"problem_field": "problem", "text_field": "generations.0"},
        licence="Apache-2.0",
    ),
    # Data set card (as in its copies): solution, question, cot_type, source_type, metadata, thinking_trajectories,
    # attempt. The solution is the reference, in places a whole one; Gemini's traces.
    "s1k": Preset(
        hub={"path": "simplescaling/s1K", "split": "train"},
        problems={
            "prompt_field": "question", "reference_field": "solution", "reference_boxed": True,
            "where": {"cot_type": "math"},
        },
        traces={
            "problem_field": "question", "reasoning_field": "thinking_trajectories.0", "answer_field": "attempt",
        },
        licence="Apache-2.0",
    ),
    # Data set card: as above with gemini_thinking_trajectory, gemini_attempt, deepseek_thinking_trajectory and
    # deepseek_attempt in place of the traces; DeepSeek-R1's are the ones meant by 1.1. Its licence is not s1K's.
    "s1k-1.1": Preset(
        hub={"path": "simplescaling/s1K-1.1", "split": "train"},
        problems={
            "prompt_field": "question", "reference_field": "solution", "reference_boxed": True,
            "where": {"cot_type": "math"},
        },
        traces={
            "problem_field": "question", "reasoning_field": "deepseek_thinking_trajectory",
            "answer_field": "deepseek_attempt",
        },
        licence="MIT",
    ),
    # The files of openai/grade-school-math: question, answer, the number after the last ####.
    "gsm8k": Preset(
        hub={"path": "openai/gsm8k", "config": "main", "split": "train"},
        problems={"prompt_field": "question", "reference_field": "answer", "reference_after": "####"},
        traces={},
        licence="MIT",
    ),
    # Data set cards of the copies of MATH: problem, level, type, solution, the answer in the solution's last \boxed.
    # Hendrycks' own was taken down; this one has all subjects in one split.
    "math": Preset(
        hub={"path": "DigitalLearningGmbH/MATH-lighteval", "config": "default", "split": "train"},
        problems={"prompt_field": "problem", "reference_field": "solution", "reference_boxed": True},
        traces={},
        licence="MIT",
    ),
}  # fmt: skip


def of_problems(raw: object, *, hub: bool) -> object:
    """A table of a source with its preset's fields where it has none of its own. Raises `ValueError`."""
    preset = _named(raw)
    if preset is None:
        return raw
    if not preset.problems:
        raise ValueError(
            "found a data set without reference answers; expected one with a problem and its answer; use the preset "
            "for a recorded teacher, and problems from elsewhere"
        )
    return {**(preset.hub if hub else {}), **preset.problems, **_given(raw)}


def of_traces(raw: object) -> object:
    """A table of a recorded teacher with its preset's fields where it names no place for a trace itself."""
    preset = _named(raw)
    if preset is None:
        return raw
    if not preset.traces:
        raise ValueError("found a data set without traces; expected one with them; name another preset or the fields")
    stated = _given(raw)
    texts = {"answer_field", "reasoning_field", "text_field", "messages_field"}
    from_preset = {k: v for k, v in preset.traces.items() if k not in texts or not texts & stated.keys()}
    return {**from_preset, **stated}


def _given(raw: object) -> dict[str, Any]:
    return {str(key): value for key, value in raw.items()} if isinstance(raw, Mapping) else {}  # pyright: ignore


def _named(raw: object) -> Preset | None:
    name = _given(raw).get("preset")
    if name is None:
        return None
    if name not in PRESETS:
        raise ValueError(f"found no preset {name!r}; expected {near_miss(str(name), PRESETS)}; name one of them")
    return PRESETS[name]
