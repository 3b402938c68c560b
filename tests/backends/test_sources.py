"""Every preset on rows in its data set's layout, read by `datasets` from a local folder; and Parquet files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakon.backends.datasets import huggingface, parquet
from lakon.core.errors import InputError, StudyError
from lakon.core.records import Problem
from lakon.pipeline import sources
from lakon.stages.generate.specs import RecordedTeacher
from lakon.stages.problems.presets import PRESETS
from lakon.stages.problems.sources import HuggingFaceProblems, ParquetProblems
from lakon.study.load import parse_study

pytest.importorskip("datasets")

ASKED, THOUGHT, SAID = "What is 1+1?", "<think>\nadd\n</think>\nIt is 2.", "It is $\\boxed{2}$."
CHAT = [{"role": "user", "content": ASKED}, {"role": "assistant", "content": THOUGHT}]
S1 = {
    "solution": SAID, "question": ASKED, "cot_type": "math", "source_type": "qq8933/AIME_1983_2024", "metadata": "{}",
    "cot": None,
}  # fmt: skip
ROWS: dict[str, dict[str, Any]] = {
    "nemotron-v1": {
        "uuid": "u", "license": "CC BY 4.0", "generator": "DeepSeek-R1-0528", "version": "v1", "category": "math",
        "reasoning": "on", "messages": [{**message, "tool_calls": []} for message in CHAT],
        "metadata": json.dumps({"expected_answer": "2", "problem_source": "aops"}),
    },
    "nemotron-math-v2": {
        "problem": ASKED, "expected_answer": "2", "original_expected_answer": "3", "changed_answer_to_majority": True,
        "data_source": "aops", "used_in": ["x"], "metadata": {"x": 1}, "license": "cc-by-4.0",
        "messages": [CHAT[0], {"role": "assistant", "content": "It is 2.", "reasoning_content": "add"}],
    },
    "openthoughts3": {
        "difficulty": 7, "source": "ai2-adapt-dev/openmath-2-math", "domain": "math",
        "conversations": [{"from": "human", "value": ASKED}, {"from": "gpt", "value": THOUGHT}],
    },
    "openr1-math": {
        "problem": ASKED, "solution": SAID, "answer": "2", "problem_type": "Algebra",
        "question_type": "math-word-problem", "source": "olympiads", "uuid": "u", "is_reasoning_complete": [True, True],
        "generations": [THOUGHT, "other"], "correctness_math_verify": [True, False], "correctness_llama": None,
        "finish_reasons": ["stop", "stop"], "correctness_count": 1, "messages": CHAT,
    },
    "s1k": {**S1, "thinking_trajectories": ["add"], "attempt": "It is 2."},
    "s1k-1.1": {
        **S1, "gemini_thinking_trajectory": "Let me think.", "gemini_attempt": "It is two.",
        "deepseek_thinking_trajectory": "add", "deepseek_attempt": "It is 2.", "gemini_grade": "Yes",
    },
    "gsm8k": {"question": ASKED, "answer": "1+1=<<1+1=2>>2\n#### 2"},
    "math": {"problem": ASKED, "level": "Level 1", "type": "Algebra", "solution": SAID},
}  # fmt: skip


def folder_of(tmp_path: Path, rows: list[dict[str, Any]], split: str, kind: str) -> Path:
    """A data set as a folder that `load_dataset` knows: one file, named by its split."""
    folder = tmp_path / "data"
    folder.mkdir()
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{split}.parquet")
        readme = f"configs:\n- config_name: default\n  data_files:\n  - split: {split}\n    path: {split}.parquet\n"
    else:
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        readme = f"configs:\n- config_name: default\n  data_files:\n  - split: {split}\n    path: {split}.jsonl\n"
    (folder / "README.md").write_text(f"---\n{readme}---\n")
    return folder


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
@pytest.mark.parametrize("name", [name for name, preset in PRESETS.items() if preset.problems])
def test_a_preset_finds_problem_and_reference(tmp_path: Path, name: str, kind: str):
    split = PRESETS[name].hub["split"]
    folder = folder_of(tmp_path, [ROWS[name]], split, kind)
    source = HuggingFaceProblems.model_validate({"preset": name, "path": str(folder), "config": "default"})
    (problem,) = sources.problem_rows(source, sources.revision_of(source))
    assert isinstance(problem, Problem)
    assert (problem.prompt, problem.reference, problem.source) == (ASKED, "2", f"data/{split}:0")


@pytest.mark.parametrize("name", [name for name, preset in PRESETS.items() if preset.traces])
def test_a_preset_finds_the_trace(tmp_path: Path, name: str):
    from lakon.backends.reasoning_formats import split_message, split_reasoning
    from lakon.backends.recorded import Fields, RecordedAuthor
    from lakon.stages.problems.rows import read_path

    folder = folder_of(tmp_path, [ROWS[name]], "train", "parquet")
    teacher = RecordedTeacher.model_validate({"preset": name, "path": str(folder)})
    read, who = sources.trace_rows(teacher, ParquetProblems(path="none"), None)
    fields = Fields(
        problem=teacher.problem_field,
        reasoning=teacher.reasoning_field,
        answer=teacher.answer_field,
        text=teacher.text_field,
        messages=teacher.messages_field,
        where=teacher.where,
    )
    author = RecordedAuthor(
        read, fields, split=split_reasoning, split_message=split_message, read_path=read_path, digest=who
    )
    ((_, _, payload),) = author.replies([ASKED], 1)
    reply = author.parse(payload)
    assert (reply.reasoning.strip(), reply.answer.strip()) == ("add", "It is 2.")


def test_a_preset_gives_way_to_the_study_and_unknown_ones_are_named():
    source = HuggingFaceProblems.model_validate({"preset": "gsm8k", "split": "test"})
    assert (source.path, source.split, source.reference_after) == ("openai/gsm8k", "test", "####")
    raw = {"name": "k", "teachers": {"v": {"kind": "procedural", "procedure": "verbose"}}}
    for preset, says in (("gsm9k", "did you mean 'gsm8k'"), ("openthoughts3", "without reference answers")):
        with pytest.raises(StudyError, match=says):
            parse_study({**raw, "problems": {"kind": "huggingface", "preset": preset}})


def test_shards_are_read_in_order_and_only_the_columns_that_are_asked(tmp_path: Path):
    for shard in range(3):
        rows = [{"problem": f"q{shard}{i}", "answer": str(i), "trace": "x" * 100} for i in range(300)]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"part-{shard}.parquet", row_group_size=100)
    read = list(parquet.read_rows(tmp_path, ("problem", "answer")))
    assert [row["problem"] for _, row in read] == [f"q{s}{i}" for s in range(3) for i in range(300)]
    assert all(set(row) == {"problem", "answer"} for _, row in read)
    assert read[-1][0] == f"{tmp_path}/part-2.parquet:299"


def test_bad_files_and_columns_are_input_errors(tmp_path: Path):
    with pytest.raises(InputError, match=r"without a \.parquet file"):
        list(parquet.read_rows(tmp_path, ()))
    (tmp_path / "bad.parquet").write_text("no parquet")
    with pytest.raises(InputError, match="a readable Parquet file"):
        list(parquet.read_rows(tmp_path / "bad.parquet", ()))
    pq.write_table(pa.Table.from_pylist([{"problem": "q"}]), tmp_path / "bad.parquet")
    with pytest.raises(InputError, match="did you mean 'problem'"):
        list(parquet.read_rows(tmp_path, ("problm.0",)))
    folder = folder_of(tmp_path, [ROWS["math"]], "train", "parquet")
    with pytest.raises(InputError, match="did you mean 'problem'"):
        list(huggingface.read_rows(str(folder), config=None, split="train", revision=None, fields=("problm",)))
    with pytest.raises(InputError, match="to do"):
        list(huggingface.read_rows(str(folder), config=None, split="none", revision=None))


def test_a_commit_is_its_own_and_a_folder_has_none(tmp_path: Path):
    assert huggingface.resolve_commit(str(tmp_path), None) is None
    assert huggingface.resolve_commit("owner/name", "0" * 40) == "0" * 40
