"""`lakon eval`: models on benchmarks without a study file, against real servers and real models."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from e2e_study import Cli, cli_in
from faults import KEY, FaultServer

from lakon import api
from lakon.core.errors import InputError, LakonError
from lakon.standalone.eval_study.authors import EvaluatedAuthor
from lakon.standalone.eval_study.write import EvalSettings, make_study_text, write_study

N = 12


def write_file(folder: Path, name: str = "mine.jsonl", *, problem: str = "question", answer: str = "answer") -> Path:
    rows = [{problem: f"q{i} of mine?", answer: f"It is so.\n#### {i}"} for i in range(N)]
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder / name


def right_below(least_wrong: int) -> Any:
    def answer(body: dict[str, Any], _: int) -> tuple[str, int]:
        number = int(re.findall(r"q(\d+) of", body["messages"][-1]["content"])[0])
        return f"\\boxed{{{number if number < least_wrong else 'x'}}}", 30

    return answer


def lakon_in(folder: Path) -> Cli:
    write_file(folder)
    return cli_in(folder)


def test_two_servers_are_compared_and_a_study_is_left_that_runs(tmp_path: Path):
    lakon = lakon_in(tmp_path)
    with FaultServer(answers=right_below(9)) as good, FaultServer(answers=right_below(2)) as bad:
        words = ("eval", good.url, f"worse={bad.url}#m", "--on", "mine.jsonl", "-q", "--samples")
        price = ("--price", "1,10", "--tokens-per-answer", "30")
        said = lakon(*words, "2", *price).stdout
        assert "to ask for: at most 48 traces, at most about 1,440 completion tokens, at most 0.014" in said
        assert "study: eval.toml" in said
        assert "75.0%" in said
        assert "16.7%" in said
        assert (tmp_path / "reports" / "eval" / "report.html").is_file()
        assert (len(good.seen), len(bad.seen)) == (24, 24)
        assert {body["max_tokens"] for body in good.seen} == {32_768}
        assert "boxed{}" in good.seen[0]["messages"][-1]["content"]
        again = lakon(*words, "2", *price).stdout
        assert "as it was: this goes on" in again
        assert "nothing to do" in again
        lakon("run", "eval.toml", "-q")
        more = lakon(*words, "4", *price, "--json").stdout
        assert json.loads(more)["study"] == "eval"
        assert (len(good.seen), len(bad.seen)) == (48, 48), "the first samples are kept"
    study = tomllib.loads((tmp_path / "eval.toml").read_text())
    assert study["benchmarks"]["mine"]["reference_after"] == "####"
    assert study["evaluate"]["baseline"] == "m"
    assert list(study["evaluate"]["authors"]) == ["m", "worse"]


def test_a_model_in_a_folder_is_sampled_here(tmp_path: Path):
    lakon = cli_in(tmp_path)
    rows = [{"problem": "Eli has 10 pens. Eli finds 2. How many pens has Eli now?", "answer": "12"}]
    (tmp_path / "one.jsonl").write_text(json.dumps(rows[0]) + "\n", encoding="utf-8")
    words = ("--on", "one.jsonl", "--max-tokens", "8", "--samples", "2", "--prompt", "{problem}", "-q", "--json")
    done = json.loads(lakon("eval", "miniature:base", *words).stdout)
    assert "generate/miniature-base.one" in done["executed"]
    study = tomllib.loads((tmp_path / "eval.toml").read_text())
    assert study["evaluate"]["authors"] == {"miniature-base": {"kind": "checkpoint", "path": "miniature:base"}}


def test_with_plan_nothing_is_asked(tmp_path: Path):
    lakon = lakon_in(tmp_path)
    with FaultServer(answers=right_below(9)) as server:
        plan = json.loads(lakon("eval", server.url, "--on", "mine.jsonl", "--plan", "--json").stdout)
        assert {step["step"]: step["state"] for step in plan["steps"]}["generate/m.mine"] == "waiting"
        assert server.seen == []
    assert (tmp_path / "eval.toml").is_file()


def test_a_key_is_read_from_a_variable_and_stands_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MY_KEY", KEY)
    write_file(tmp_path)
    monkeypatch.chdir(tmp_path)
    with FaultServer(answers=right_below(9), key=KEY) as server:
        with pytest.raises(InputError, match="--key-env"):
            api.prepare_eval([server.url], on=["mine.jsonl"])
        prepared = api.prepare_eval([server.url], on=["mine.jsonl"], key_env="MY_KEY", samples=1)
        api.run(prepared.study)
        assert len(server.seen) == N
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("models", "on", "words"),
    [
        (["nonsense"], ["mine.jsonl"], "no URL, no folder and no name on the hub"),
        (["http://127.0.0.1:9/v1"], ["mine.jsonl"], "no answer from"),
        (["."], ["mine.jsonl"], "without config.json"),
        (["miniature:base"], ["gsm9k"], "gsm8k"),
        (["miniature:base"], ["odd.jsonl"], "none of the fields"),
        (["miniature:base"], ["empty.jsonl"], "without rows"),
        (["miniature:base"], [" "], "no benchmark"),
        ([], ["mine.jsonl"], "no model"),
    ],
)
def test_what_is_no_model_or_benchmark_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, models: list[str], on: list[str], words: str
):
    monkeypatch.chdir(tmp_path)
    write_file(tmp_path)
    write_file(tmp_path, "odd.jsonl", problem="text", answer="number")
    (tmp_path / "empty.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(LakonError) as told:
        api.prepare_eval(models, on=on)
    assert words in str(told.value)
    assert not (tmp_path / "eval.toml").exists()


def test_a_server_with_several_models_wants_one_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write_file(tmp_path)
    with FaultServer(models=("small", "large")) as server:
        with pytest.raises(InputError, match="URL#MODEL"):
            api.prepare_eval([server.url], on=["mine.jsonl"])
        prepared = api.prepare_eval([f"{server.url}#large"], on=["mine.jsonl"])
    assert tomllib.loads(prepared.study.read_text())["evaluate"]["authors"]["large"]["model"] == "large"


def test_fields_of_a_file_may_be_named_and_a_sample_of_it_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write_file(tmp_path, "odd.jsonl", problem="text", answer="number")
    options: dict[str, Any] = {"prompt_field": "text", "reference_field": "number", "problems": 5}
    prepared = api.prepare_eval(["miniature:base"], on=["odd.jsonl,gsm8k"], **options)
    study = tomllib.loads(prepared.study.read_text())
    assert (study["benchmarks"]["odd"]["prompt_field"], study["benchmarks"]["odd"]["count"]) == ("text", 5)
    assert (study["benchmarks"]["gsm8k"]["path"], study["benchmarks"]["gsm8k"]["count"]) == ("openai/gsm8k", 5)


def test_a_file_that_somebody_has_edited_is_not_written_over(tmp_path: Path):
    file = tmp_path / "eval.toml"
    author = EvaluatedAuthor("m", {"kind": "checkpoint", "path": "a/m"})
    text, more = (make_study_text([author], [], EvalSettings("eval", samples, {})) for samples in (4, 8))
    assert write_study(file, text)
    assert not write_study(file, text)
    assert write_study(file, more)
    file.write_text(more.replace("samples = 8", "samples = 9"), encoding="utf-8")
    with pytest.raises(InputError, match="written by hand or edited"):
        write_study(file, text)
    assert "samples = 9" in file.read_text()


@pytest.mark.parametrize(
    "prompt", ['say "{problem}"\n\tplease \\boxed{}', "{problem} ' \x7f \u2028 é 漢", '"""{problem}"""']
)
def test_what_is_written_is_read_back_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prompt: str):
    monkeypatch.chdir(tmp_path)
    write_file(tmp_path, "odd name's.jsonl")
    prepared = api.prepare_eval(["My Model=miniature:base"], on=["odd name's.jsonl"], prompt=prompt)
    study = tomllib.loads(prepared.study.read_text(encoding="utf-8"))
    assert study["prompt"] == prompt
    assert list(study["evaluate"]["authors"]) == ["my-model"]
    assert list(study["benchmarks"]) == ["odd-name-s"]
    assert study["benchmarks"]["odd-name-s"]["path"] == str(tmp_path / "odd name's.jsonl")


def test_a_server_of_ones_own_may_sample_local_models(tmp_path: Path):
    lakon = lakon_in(tmp_path)
    words = ("eval", "miniature:base", "--on", "mine.jsonl", "--plan")
    lakon(*words, "--server", "vllm", "--server-python", "/opt/vllm/bin/python", "--max-length", "4096")
    study = tomllib.loads((tmp_path / "eval.toml").read_text())
    assert study["run"]["serving"] == {"server": "vllm", "python": "/opt/vllm/bin/python", "max_length": 4096}
    assert "--server vllm" in lakon(*words, "--max-length", "4096", expect=1).stderr
    assert "ollama" in lakon(*words, "--server", "ollama", expect=1).stderr
