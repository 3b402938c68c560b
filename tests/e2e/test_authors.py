"""Whoever answers benchmarks beside students: endpoints, models in folders, recorded answers, teachers; and studies
that only evaluate."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from e2e_study import cli_in
from faults import FaultServer

from lakon import api
from lakon.core.errors import BudgetSpent
from lakon.core.records import Score
from lakon.study.load import load_study

N = 10


def write_benchmarks(folder: Path) -> None:
    for name in ("first", "second"):
        rows = [{"problem": f"q{i} of {name}?", "answer": str(i)} for i in range(N)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    answers = [
        {"problem": f"q{i} of {name}?", "answer": f"<think>so</think>\\boxed{{{i if i % 2 else 'x'}}}"}
        for name in ("first", "second")
        for i in range(N)
    ]
    (folder / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers), encoding="utf-8")


STUDY = """
name = "authors"
tokenizer = "words"
[evaluate]
benchmarks = ["first", "second"]
samples = 2
[evaluate.authors.served]
kind = "endpoint"
model = "m"
sampling = {{ temperature = 0.5, max_tokens = 64 }}
[evaluate.authors.known]
kind = "recorded"
path = "answers.jsonl"
text_field = "answer"
samples = 1
[benchmarks.first]
kind = "jsonl"
path = "first.jsonl"
[benchmarks.second]
kind = "jsonl"
path = "second.jsonl"
[run]
endpoints.served = {{ url = "{url}", concurrency = 3 }}
prices.served = {{ input_per_million = 1.0, output_per_million = 2.0, tokens_per_trace = 30 }}
"""


def right_below(least_wrong: int) -> Any:
    """Replies of 30 tokens; right for the first so many problems."""

    def answer(body: dict[str, Any], _: int) -> tuple[str, int]:
        number = int(re.findall(r"q(\d+) of", body["messages"][-1]["content"])[0])
        return f"\\boxed{{{number if number < least_wrong else 'x'}}}", 30

    return answer


def write_study(folder: Path, url: str, *, also: str = "") -> Path:
    write_benchmarks(folder)
    (folder / "authors.toml").write_text(STUDY.format(url=url) + also, encoding="utf-8")
    return folder / "authors.toml"


def scores_of(file: Path) -> dict[tuple[str, str], Score]:
    """Accuracies by author and benchmark."""
    states = {state.step.name: state.artifact for state in api.plan(file, store=file.parent / "store")}
    artifact = states["evaluate/scores"]
    assert artifact is not None
    return {
        (row.author, row.benchmark): row
        for row in artifact.read("scores", Score)
        if row.metric == "accuracy" and row.group is None
    }


def run(file: Path) -> api.RunSummary:
    return api.run(file, store=file.parent / "store", reports=file.parent / "reports")


def test_a_study_without_teachers_evaluates_endpoints_and_recorded_answers_on_several_benchmarks(tmp_path: Path):
    with FaultServer(answers=right_below(7)) as server:
        file = write_study(tmp_path, server.url)
        before = api.bill(file, store=tmp_path / "store")
        assert {name: work.rows for name, work in before.works.items() if work.kind == "ask"} == {
            "generate/served.first": 2 * N,
            "generate/served.second": 2 * N,
        }
        summary = run(file)
        assert len(server.seen) == 4 * N
        assert {body["temperature"] for body in server.seen} == {0.5}
        assert server.most_at_once <= 3
        accuracies = scores_of(file)
        assert {name: score.estimate for name, score in accuracies.items()} == pytest.approx(
            {("served", "first"): 0.7, ("served", "second"): 0.7, ("known", "first"): 0.5, ("known", "second"): 0.5}
        )
        assert accuracies["served", "first"].n_samples == 2 * N
        assert accuracies["known", "first"].n_samples == N
        assert summary.report is not None
        page = summary.report.with_name("report.md").read_text(encoding="utf-8")
        assert "From problems to examples" not in page
        run(file)
        assert len(server.seen) == 4 * N, "nothing is asked twice"


def test_more_samples_of_an_author_ask_only_what_is_new_and_a_budget_holds(tmp_path: Path):
    with FaultServer(answers=right_below(7)) as server:
        file = write_study(tmp_path, server.url)
        run(file)
        file.write_text(
            file.read_text().replace("samples = 2", "samples = 3") + "budget = { tokens = 1_500 }\n", encoding="utf-8"
        )
        owed = api.bill(file, store=tmp_path / "store").works
        assert [owed[f"generate/served.{name}"].rows for name in ("first", "second")] == [N, N]
        with pytest.raises(BudgetSpent):
            run(file)
        file.write_text(file.read_text().replace("1_500", "1_000_000"), encoding="utf-8")
        run(file)
        assert len(server.seen) == 6 * N


def test_teachers_answer_benchmarks_where_the_study_says_so(tmp_path: Path):
    (tmp_path / "t.toml").write_text(
        """
        name = "t"
        [problems]
        kind = "synthetic"
        count = 12
        [decontaminate]
        enabled = false
        [teachers.verbose]
        kind = "procedural"
        procedure = "verbose"
        [teachers.concise]
        kind = "procedural"
        procedure = "concise"
        error_rate = 0.5
        [evaluate]
        benchmarks = ["held-out"]
        teachers = ["verbose", "concise"]
        samples = 2
        [benchmarks.held-out]
        kind = "synthetic"
        count = 8
        split = "held-out"
        """,
        encoding="utf-8",
    )
    lakon = cli_in(tmp_path)
    lakon("run", "t.toml", "-q")
    rows = json.loads(
        lakon("show", "t.toml", "--table", "scores", "--step", "evaluate/scores", "-n", "999", "--json").stdout
    )
    accuracies = {
        (row["author"], row["benchmark"]): row for row in rows if row["metric"] == "accuracy" and not row["group"]
    }
    assert accuracies["verbose", "held-out"]["estimate"] == 1.0
    assert accuracies["verbose", "held-out"]["n_samples"] == 16
    assert accuracies["verbose", "problems"]["n_samples"] == 12
    compared = [row for row in rows if row["metric"] == "accuracy_difference" and row["benchmark"] == "held-out"]
    assert [(row["author"], row["baseline"]) for row in compared] == [("concise", "verbose")]


@pytest.mark.parametrize(
    ("tables", "where", "words"),
    [
        ("", "teachers", "no teacher"),
        ('[evaluate.authors.a]\nkind = "endpoint"\nmodel = "m"\n', "evaluate.benchmarks", "authors but no benchmark"),
        ('[evaluate]\nteachers = ["x"]\n', "evaluate.teachers", "'x'"),
        ('[evaluate.authors.judge]\nkind = "endpoint"\nmodel = "m"\n', "evaluate.authors.judge", "name"),
        (
            '[evaluate.authors.a]\nkind = "recorded"\npath = "none.jsonl"\ntext_field = "t"\n',
            "evaluate.authors.a.path",
            "no file",
        ),
        (
            '[evaluate.authors.a]\nkind = "endpoint"\nmodel = "m"\nuntil = "correct"\nsamples = 4\n',
            "evaluate.authors.a",
            "not asked every problem as often",
        ),
        ('[teachers.t]\nkind = "procedural"\nprocedure = "verbose"\n', "problems", "teachers, and no problems"),
    ],
)
def test_what_is_wrong_with_authors_is_told(tmp_path: Path, tables: str, where: str, words: str):
    (tmp_path / "s.toml").write_text(f'name = "s"\n{tables}', encoding="utf-8")
    found = [fault for fault in api.check(tmp_path / "s.toml") if fault.where == where]
    assert any(words in fault.found for fault in found), api.check(tmp_path / "s.toml")


def test_paths_of_recorded_authors_are_relative_to_the_study(tmp_path: Path):
    file = write_study(tmp_path, "http://127.0.0.1:9/v1")
    assert load_study(file).evaluate.authors["known"].traces_path == str(tmp_path / "answers.jsonl")
