"""The paper's protocol, dry: its corpus steps on 100 rows in Nemotron's layout, from the source to both arms.

Everything is as in the shipped study but what a user has to name: where problems and benchmarks lie, how many problems
there are, and the two endpoints. Each row that goes wrong stands in `ODD` with what becomes of it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiohttp import web
from e2e_study import cli_in
from faults import FaultServer, _reply, _send
from judge_server import JudgeServer

from lakon import api
from lakon.core.records import Example, Exclusion, Problem, Trace, Verdict
from lakon.store.artifacts import Artifact
from lakon.study.load import load_study

pytest.importorskip("datasets")

ODD = {
    3: "metadata that is no JSON",
    7: "no reference",
    11: "row 10 again, with its uuid",
    15: "a problem of MATH-500",
    19: "R1 ran out of tokens",
    23: "R1 is wrong",
    27: "gpt-oss is wrong",
    31: "both are wrong",
    35: "gpt-oss ran out of tokens",
    39: "rules cannot read what both say, the judge accepts it",
    43: "rules cannot read what both say, the judge rejects it",
}
GPT_OSS, QWEN = "openai/gpt-oss-120b", "Qwen/Qwen3-30B-A3B-Thinking-2507"
TOOL = pa.struct({"id": pa.string(), "type": pa.string(), "function": pa.struct({"name": pa.string()})})
LAYOUT = pa.schema(
    {
        **dict.fromkeys(("uuid", "license", "generator", "version", "category", "reasoning"), pa.string()),
        "messages": pa.list_(pa.struct({"role": pa.string(), "content": pa.string(), "tool_calls": pa.list_(TOOL)})),
        "metadata": pa.string(),
    }
)
"""The columns of nvidia/Nemotron-Post-Training-Dataset-v1, as its card has them."""
CARD = """---
configs:
- config_name: default
  data_files:
  - split: math
    path: data/math-*
---
"""


def asked(row: int) -> str:
    """A problem that says which row it is; its words differ enough that no two are near-duplicates."""
    row = 10 if row == 11 else row
    things = ["apples", "bridges", "candles", "doors", "engines", "feathers", "gates", "hats", "inks", "jars"]
    first, second = things[row % 10], things[row // 10]
    return f"A merchant of {first} and {second} writes down the number {row}, then adds {2 * row + 1}. What is the sum?"


def right(row: int) -> str:
    if row in (39, 43):
        return f"if p then q{row}"
    return str(3 * (10 if row == 11 else row) + 1)


def said(row: int, *, wrong: bool) -> str:
    if row in (39, 43):
        return f"p \\implies q_{{{row}}}"
    return str(int(right(row)) + wrong)


def nemotron(row: int) -> dict[str, Any]:
    answer = f"So the answer is $\\boxed{{{said(row, wrong=row in (23, 31))}}}$."
    thought = f"<think>\nOkay, row {row}. Let me add. Wait, let me check that again.\n"
    trace = thought if row == 19 else f"{thought}</think>\n\n{answer}"
    told = {"expected_answer": "" if row == 7 else right(row), "problem_source": "aops_c4_high_school_math"}
    return {
        "uuid": f"00000000-0000-4000-8000-{10 if row == 11 else row:012}",
        "license": "cc-by-4.0",
        "generator": "DeepSeek-R1-0528",
        "version": "v1",
        "category": "math",
        "reasoning": "on",
        "messages": [
            {"role": "user", "content": asked(row), "tool_calls": None},
            {"role": "assistant", "content": trace, "tool_calls": None},
        ],
        "metadata": "expected_answer: 10" if row == 3 else json.dumps(told),
    }


class GptOss(FaultServer):
    """gpt-oss-120b as vLLM serves it: the analysis channel beside the answer."""

    async def _misbehave(self, request: web.Request, body: dict[str, Any], prompt: str) -> web.StreamResponse:
        row = int(re.search(r"the number (\d+)", prompt)[1])  # type: ignore[index]
        reply = _reply(body, "" if row == 35 else f"\\boxed{{{said(row, wrong=row in (27, 31))}}}")
        reply["choices"][0]["message"]["reasoning_content"] = f"Row {row}: just add."
        reply["choices"][0]["finish_reason"] = "length" if row == 35 else "stop"
        return await _send(request, body, reply)


def judged(shown: str, n: int) -> str:
    return f"The words say the same, or they do not.</think>Judgement: {'No' if '43' in shown else 'Yes'}"


@pytest.fixture
def servers() -> Iterator[tuple[GptOss, JudgeServer]]:
    with GptOss(models=(GPT_OSS,)) as teacher, JudgeServer(judged, models=(QWEN,)) as judge:
        yield teacher, judge


@pytest.fixture
def study(tmp_path: Path, servers: tuple[GptOss, JudgeServer]) -> Path:
    """The shipped study as a user would edit it."""
    (tmp_path / "nemotron" / "data").mkdir(parents=True)
    table = pa.Table.from_pylist([nemotron(row) for row in range(100)], schema=LAYOUT)
    pq.write_table(table, tmp_path / "nemotron" / "data" / "math-00000-of-00001.parquet")
    (tmp_path / "nemotron" / "README.md").write_text(CARD, encoding="utf-8")
    for name, rows in {"gsm8k": [200], "math-500": [201, 15], "aime-2025": [202]}.items():
        lines = [json.dumps({"problem": asked(row % 200), "answer": right(row)}) + "\n" for row in rows if row == 15]
        lines += [json.dumps({"problem": f"Unrelated question {name}?", "answer": "0"}) + "\n"]
        (tmp_path / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    path = api.new(tmp_path / "mine.toml", source="paper")
    text = path.read_text(encoding="utf-8")
    teacher, judge = servers
    for old, new in {
        '"nvidia/Nemotron-Post-Training-Dataset-v1"': '"nemotron"',
        "count = 300_000": "count = 97",
        "seed = 0\n": 'seed = 0\ntokenizer = "words"\n',  # the students' own lies on the hub
        "http://127.0.0.1:8000/v1": teacher.url,
        "http://127.0.0.1:8001/v1": judge.url,
    }.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    local = "".join(
        f'[benchmarks.{name}]\nkind = "jsonl"\npath = "{name}.jsonl"\n' for name in ("gsm8k", "math-500", "aime-2025")
    )
    path.write_text(text + local, encoding="utf-8")
    return path


def made_of(study: Path) -> dict[str, Artifact]:
    states = api.plan(load_study(study), store=study.parent / ".lakon")
    return {state.step.name: state.artifact for state in states if state.artifact is not None}


def left(artifact: Artifact) -> dict[str, int]:
    return dict(Counter(exclusion.rule for exclusion in artifact.read("exclusions", Exclusion)))


def test_the_papers_corpus_steps_from_a_hundred_rows_to_both_arms(study: Path, servers: tuple[GptOss, JudgeServer]):
    teacher, judge = servers
    lakon = cli_in(study.parent)
    lakon("run", "mine.toml", "--until", "curate", "-q")
    made = made_of(study)
    assert not any(name.startswith(("train", "evaluate", "generate/nemotron", "report")) for name in made)

    # The source: 100 rows, three of them no problem, 97 problems as `count` asks; one stands in MATH-500.
    assert left(made["problems/problems"]) == {"broken_json": 1, "no_reference": 1, "duplicate_problem": 1}
    assert left(made["decontaminate/problems"]) == {"contaminated": 1}
    problems = list(made["decontaminate/problems"].read("problems", Problem))
    assert len(problems) == 96
    row_of = {p.problem_id: int(re.search(r"the number (\d+)", p.prompt)[1]) for p in problems}  # type: ignore[index]
    assert sorted(row_of.values()) == sorted(set(range(100)) - {3, 7, 11, 15})

    # The teachers: R1's traces are in the rows, gpt-oss is asked each problem once.
    r1, gpt_oss = (list(made[f"generate/{name}"].read("traces", Trace)) for name in ("deepseek-r1", "gpt-oss"))
    assert len(r1) == len(gpt_oss) == len(teacher.seen) == 96
    assert all(body["model"] == GPT_OSS and body["temperature"] == 1.0 for body in teacher.seen)
    asked = "\n\nPlease reason step by step, and put your final answer within \\boxed{}."
    assert {body["messages"][-1]["content"] for body in teacher.seen} == {p.prompt + asked for p in problems}
    assert {trace.reasoning.split(":")[0] for trace in gpt_oss} == {f"Row {row}" for row in row_of.values()}
    assert all("<think>" not in trace.reasoning + trace.answer for trace in r1)

    # The verdicts: everything is right but what `ODD` names; words are decided by the judge.
    outcomes: dict[str, dict[int, tuple[str, str]]] = {}
    for name, traces in (("deepseek-r1", r1), ("gpt-oss", gpt_oss)):
        of = {trace.trace_id: row_of[trace.problem_id] for trace in traces}
        verdicts = made[f"verify/{name}"].read("verdicts", Verdict)
        outcomes[name] = {of[v.trace_id]: (v.outcome, v.method) for v in verdicts}
    for name, odd in (
        ("deepseek-r1", {19: "truncated", 23: "incorrect", 31: "incorrect", 43: "incorrect"}),
        ("gpt-oss", {27: "incorrect", 31: "incorrect", 35: "truncated", 43: "incorrect"}),
    ):
        assert {row: outcome for row, (outcome, _) in outcomes[name].items() if outcome != "correct"} == odd
        assert [row for row, (_, method) in sorted(outcomes[name].items()) if method == "judge"] == [39, 43]
    # The judge: of each teacher the two that rules cannot read, and for the audit 91 accepts and both rejects.
    assert all(body["model"] == QWEN for body in judge.seen)
    assert len(judge.seen) == 2 * (2 + 91 + 2)

    # The arms: both right, so that both hold the same problems.
    assert left(made["curate/pool"]) == {"teacher_truncated": 2, "teacher_incorrect": 4}
    both = sorted(set(row_of.values()) - {19, 23, 27, 31, 35, 43})
    for arm in ("r1", "gpt-oss"):
        examples = list(made[f"curate/{arm}"].read("examples", Example))
        assert sorted(row_of[example.problem_id] for example in examples) == both
        assert len(examples) == 90
    funnel = lakon("show", "mine.toml", "funnel").stdout
    assert re.search(r"decontaminate/problems\s+rows: 96\s+left_out: contaminated 1\s", funnel), funnel
    assert re.search(r"curate/pool\s+rows: 90\s+left_out: teacher_incorrect 4, teacher_truncated 2\s", funnel), funnel


def test_a_second_run_does_nothing_and_the_plan_says_what_is_left(study: Path, servers: tuple[GptOss, JudgeServer]):
    lakon = cli_in(study.parent)
    lakon("run", "mine.toml", "--until", "curate", "-q")
    teacher, judge = servers
    n_asked = len(teacher.seen), len(judge.seen)
    lakon("run", "mine.toml", "--until", "curate", "-q")
    assert (len(teacher.seen), len(judge.seen)) == n_asked
    plan = lakon("plan", "mine.toml").stdout
    assert re.search(r"^cached +curate/gpt-oss", plan, re.MULTILINE), plan
    assert re.search(r"^(missing|waiting) +train/nemotron-nano\.r1", plan, re.MULTILINE), plan


def test_the_paper_as_shipped_is_planned_without_a_network(tmp_path: Path):
    plan = cli_in(tmp_path)("plan", "paper").stdout
    assert "curate/r1" in plan
    assert re.search(r"generate/gpt-oss +at most 300,000 traces, at most about 1\.05 billion completion tokens", plan)
