"""From a recorded study without students to arms, looks and an export that `datasets` loads."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from lakon import api
from lakon.cli import app
from lakon.core.errors import InputError
from lakon.outputs.dataset import card
from lakon.study.load import parse_study

STUDY = """
name = "made"
tokenizer = "words"
[problems]
kind = "jsonl"
path = "problems.jsonl"
tag_fields = ["id"]
[teachers.long]
kind = "recorded"
path = "traces.jsonl"
where = { by = "long" }
text_field = "text"
samples = 2
[teachers.short]
kind = "recorded"
path = "traces.jsonl"
where = { by = "short" }
text_field = "text"
[curate]
require = "any"
match = ["problems", "steps"]
filters = { empty_reasoning = true }
[arms.long]
teacher = "long"
[arms.shortest]
shortest = "long"
[arms.short]
teacher = "short"
[arms.both]
effort = { low = "short", high = "long" }
[arms.any]
unverified = "long"
[arms.routed]
route = { easy = "short", hard = "long", by = "length", of = "long", quantile = 0.5 }
[training]
batch_tokens = 64
"""


def text(reasoning: str, answer: int) -> str:
    return f"<think>\n{reasoning}\n</think>\nIt is $\\boxed{{{answer}}}$."


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "made.toml").write_text(STUDY, encoding="utf-8")
    problems = [{"id": f"mine-{i}", "problem": f"q{i}", "answer": str(i)} for i in range(8)]
    traces = [
        row
        for i in range(8)
        for row in (
            {"problem": f"q{i}", "by": "long", "text": text("Wait, no. " * (i + 3), i if i else 99)},
            {"problem": f"q{i}", "by": "long", "text": text("Yes. ", i if i else 99)},
            {"problem": f"q{i}", "by": "short", "text": text("" if i == 7 else "So.", i)},
        )
    ]
    for name, rows in (("problems", problems), ("traces", traces)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    api.run(folder / "made.toml", store=folder / "store", reports=folder / "reports")
    return folder


def rows_of(place: Path, arm: str) -> list[dict[str, object]]:
    return api.show(place / "made.toml", store=place / "store", table="examples", step=f"curate/{arm}", limit=100)


def test_every_arm_holds_what_its_strategy_says(place: Path):
    counts = {arm: len(rows_of(place, arm)) for arm in ("long", "shortest", "short", "both", "any", "routed")}
    assert counts == {"long": 7, "shortest": 7, "short": 7, "both": 14, "any": 8, "routed": counts["routed"]}
    assert all("Yes." in str(row["completion"]) for row in rows_of(place, "shortest"))
    assert {row["system"] for row in rows_of(place, "both")} == {"Reasoning effort: low", "Reasoning effort: high"}
    assert any("99" in str(row["completion"]) for row in rows_of(place, "any"))


def test_what_a_teacher_lacks_is_left_out_of_its_arm_alone(place: Path):
    left = api.show(place / "made.toml", store=place / "store", table="exclusions", step="curate/long")
    assert [(row["arm"], row["rule"]) for row in left] == [("long", "no_trace_of_teacher")]


def test_arms_matched_by_steps_take_about_as_many(place: Path):
    from lakon.stages.curate.matching import count_steps

    def steps(arm: str) -> int:
        rows = rows_of(place, arm)
        repeats = [int(str(row["repeats"])) for row in rows]
        sizes = [int(str(row["n_tokens"])) + int(str(row["n_prompt"])) + 1 for row in rows]
        passes = range(max(repeats))
        return sum(
            count_steps(now := [n for n, r in zip(sizes, repeats, strict=True) if r > p], [0] * len(now), 64)
            for p in passes
        )

    assert steps("short@steps") == steps("shortest@steps") == steps("long@steps")


def test_the_looks_and_the_report(place: Path):
    without_students = [name for name in api.LOOKS if name != "familiarity"]
    looks = {name: api.look(place / "made.toml", name, store=place / "store") for name in without_students}
    assert all(looks.values())
    screened = next(row for row in looks["funnel"] if row["step"] == "screen/short")
    assert (screened["rows"], screened["left_out"]) == (7, {"empty_reasoning": 1})
    whole = next(row for row in looks["funnel"] if row["step"] == "screen/long")
    assert (whole["rows"], whole["left_out"]) == (16, {}), "every trace that was kept, not the sample that is profiled"
    assert {row["teacher"] for row in looks["profile"]} == {"long", "short"}
    assert "How the teachers reason" in (place / "reports" / "made" / "report.md").read_text(encoding="utf-8")
    with pytest.raises(InputError, match="measures no base"):
        api.look(place / "made.toml", "familiarity", store=place / "store")
    with pytest.raises(InputError, match="no view"):
        api.look(place / "made.toml", "lenghts", store=place / "store")


def test_a_changed_filter_recomputes_what_depends_on_it_and_explain_says_so(place: Path):
    changed = place / "changed.toml"
    changed.write_text(
        STUDY.replace("empty_reasoning = true", "empty_reasoning = true, repetition = 0.9"), encoding="utf-8"
    )
    told = {e.step: e for e in api.explain(changed, store=place / "store")}
    would = {step for step, each in told.items() if each.state != "cached"}
    assert would == {step for step in told if step.partition("/")[0] in ("screen", "curate", "report")}
    for teacher in ("long", "short"):
        assert told[f"screen/{teacher}"].reasons == ("filters.repetition: the default then, 0.9 now",)


def test_an_export_loads_offline_arm_by_arm(place: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    done = api.export(place / "made.toml", tmp_path / "out", store=place / "store")
    assert done.rows["both"] == 14
    # Under `steps` a student of its own trainer sees these examples this often in an epoch, one pass after the other.
    told = rows_of(place, "short@steps")
    stepped = datasets.load_dataset(str(tmp_path / "out"), "short-steps", split="train", cache_dir=str(tmp_path / "c"))
    assert Counter(stepped["problem_id"]) == {row["problem_id"]: row["repeats"] for row in told}
    assert done.rows["short-steps"] == len(stepped) > len(told)
    assert stepped["occurrence"] == sorted(stepped["occurrence"])
    rows = datasets.load_dataset(str(tmp_path / "out"), "both", split="train", cache_dir=str(tmp_path / "cache"))
    assert [m["role"] for m in rows[0]["messages"]] == ["system", "user", "assistant"]
    assert rows[0]["messages"][2]["content"].startswith("<think>\n")
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "config_name: short-steps" in card
    assert f"| short-steps | {len(stepped):,} | {sum(stepped['n_tokens']):,} |" in card
    assert "- Filters: `empty_reasoning = true`\n" in card
    assert "- problems: `problems.jsonl`: not known here" in card
    assert "| screen/short | 7 | 1 `empty_reasoning` |\n" in card
    assert "| curate/long | 7 | 1 `no_trace_of_teacher` |\n" in card
    assert "| curate/any | 8 | none |\n" in card
    assert re.search(r"\| verify/short \| 8 \| \d `correct`", card), "verification stands in the funnel as its outcomes"
    assert "{" not in card.partition("## Funnel")[2].partition("## Lengths")[0]
    with pytest.raises(InputError, match="not empty"):
        api.export(place / "made.toml", tmp_path / "out", store=place / "store")


def test_every_exported_row_says_where_its_problem_comes_from(place: Path, tmp_path: Path):
    done = api.export(place / "made.toml", tmp_path / "out", store=place / "store")
    for arm, n in done.rows.items():
        rows = pq.read_table(tmp_path / "out" / arm).to_pylist()
        assert len(rows) == n
        for row in rows:
            (said,) = (m["content"] for m in row["messages"] if m["role"] == "user")
            i = int(said.removeprefix("q"))
            assert (row["source"], row["tags"]) == (f"problems.jsonl:{i + 1}", [f"id=mine-{i}"])
    said = api.look(place / "made.toml", "examples", store=place / "store", step="curate/short")
    i = int(said[0]["prompt"].removeprefix("q"))
    assert (said[0]["source"], said[0]["tags"]) == (f"problems.jsonl:{i + 1}", f"id=mine-{i}")


def test_the_card_names_the_licence_of_each_data_set_that_is_known():
    raw = {
        "name": "k",
        "tokenizer": "words",
        "problems": {"kind": "huggingface", "preset": "nemotron-v1"},
        "teachers": {
            "r1": {"kind": "recorded", "text_field": "messages.1.content", "problem_field": "messages.0.content"},
            "oss": {"kind": "endpoint", "model": "openai/gpt-oss-120b"},
        },
        "arms": {"r1": {"teacher": "r1"}},
        "curate": {"filters": {"language": {}, "repetition": 0.3}},
    }
    said = card(parse_study(raw), {}, {}, [])
    assert "- problems: `nvidia/Nemotron-Post-Training-Dataset-v1`: CC BY 4.0\n" in said
    assert "- teacher `r1`: `nvidia/Nemotron-Post-Training-Dataset-v1`: CC BY 4.0\n" in said
    assert "- teacher `oss`: `openai/gpt-oss-120b`: not known here\n" in said
    assert '`repetition = 0.3`, `language = {"script": "latin", "at_least": 0.9}`' in said


def test_the_card_says_who_was_asked_how_and_against_what_was_decontaminated():
    raw = {
        "name": "k",
        "tokenizer": "words",
        "prompt": "{problem} Think.",
        "problems": {"kind": "jsonl", "path": "p.jsonl"},
        "teachers": {
            "oss": {
                "kind": "endpoint",
                "model": "openai/gpt-oss-120b",
                "samples": 4,
                "until": "correct",
                "sampling": {"temperature": 0, "max_tokens": 99},
            },
            "r1": {
                "kind": "endpoint",
                "model": "r1",
                "if_correct": "oss",
                "prompt": "Now: {problem}",
                "system": "Be deep.",
            },
        },
        "arms": {"r1": {"teacher": "r1"}},
        "evaluate": {"benchmarks": ["math-500", "gsm8k"]},
    }
    said = card(parse_study(raw), {}, {}, [])
    oss = '`model = "openai/gpt-oss-120b"`, `samples = 4`, `until = "correct"`'
    assert f"- `oss`: endpoint, {oss}, `temperature = 0.0`, `top_p = 1.0`, `max_tokens = 99`\n" in said
    r1 = '`model = "r1"`, `samples = 1`, `if_correct = "oss"`, `system = "Be deep."`, `prompt = "Now: {problem}"`'
    assert f"- `r1`: endpoint, {r1}, `temperature = 1.0`" in said
    assert "- Decontaminated against: `math-500`, `gsm8k`\n" in said
    assert "# k\n\nReasoning traces" in said, "a study without a description leaves no gap"
    assert "against: nothing\n" in card(parse_study({**raw, "decontaminate": {"enabled": False}}), {}, {}, [])


@pytest.mark.parametrize(
    ("view", "says"), [("funnel", "curate/pool"), ("lengths", "p95"), ("profile", "backtracks"), ("examples", "boxed")]
)
def test_the_terminal_shows_a_look_as_text_and_as_json(place: Path, view: str, says: str):
    command = ["show", str(place / "made.toml"), view, "--store", str(place / "store")]
    assert says in CliRunner().invoke(app, command).output
    assert says in json.dumps(json.loads(CliRunner().invoke(app, [*command, "--json"]).output))


def test_trl_reads_an_exported_row_as_a_conversation_and_trains_on_the_trace(place: Path, tmp_path: Path):
    datasets = pytest.importorskip("datasets")
    data_utils = pytest.importorskip("trl.data_utils")
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"u": 0}, unk_token="u"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="u", eos_token="u")
    tokenizer.chat_template = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}"
    api.export(place / "made.toml", tmp_path / "out", store=place / "store")
    rows = datasets.load_dataset(str(tmp_path / "out"), "both", split="train", cache_dir=str(tmp_path / "cache"))
    assert data_utils.is_conversational(rows[0])
    system, user, assistant = rows[0]["messages"]
    text = data_utils.apply_chat_template({"messages": rows[0]["messages"]}, tokenizer)["text"]
    said = f"<|system|>{system['content']}<|user|>{user['content']}<|assistant|>{assistant['content']}"
    assert text == said
    assert "<think>" in assistant["content"]
