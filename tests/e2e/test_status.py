"""What `lakon status` says of a study: what was really run, which steps are left, and of this study alone."""

from __future__ import annotations

import json
from pathlib import Path

from e2e_study import Cli, cli_in
from faults import FaultServer

CORPUS = """
name = "{name}"
[problems]
kind = "synthetic"
count = {count}
max_steps = 2
[decontaminate]
enabled = false
[teachers.verbose]
kind = "procedural"
procedure = "verbose"
{more}
"""
STEPS = {"problems/problems", "generate/verbose", "verify/verbose", "screen/verbose", "evaluate/scores"}


def written(folder: Path, file: str, *, name: str = "one", count: int = 8, more: str = "") -> Cli:
    (folder / file).write_text(CORPUS.format(name=name, count=count, more=more), encoding="utf-8")
    return cli_in(folder)


def facts_of(call: Cli, study: str, *more: str) -> dict:
    return json.loads(call("status", study, *more, "--json").stdout)


def test_a_run_that_ended_early_is_partial_and_names_what_is_left(tmp_path: Path):
    call = written(tmp_path, "s.toml")
    call("run", "s.toml", "--until", "verify", "-q")
    facts = facts_of(call, "s.toml")
    assert (facts["state"], facts["what"]) == ("partial", "run --until verify")
    done = {row["step"] for row in facts["finished"]}
    assert done == {"problems/problems", "generate/verbose", "verify/verbose"}
    assert set(facts["left"]) == STEPS - done | {"report/one"}
    said = call("status", "s.toml").stdout
    assert "one: partial, 3 of 3 steps of `run --until verify` done" in said
    assert "  not done: 3 steps of the study: evaluate/scores, screen/verbose, report/one\n" in said
    call("run", "s.toml", "-q")
    said = call("status", "s.toml").stdout
    assert "one: finished, 6 of 6 steps done" in said
    assert "left" not in said
    call("run", "s.toml", "--mode", "force", "--until", "generate", "-q")
    facts = facts_of(call, "s.toml")
    assert (facts["state"], facts["what"]) == ("finished", "run --mode force --until generate"), "nothing is left"
    again = json.loads(
        call("run", "s.toml", "--mode", "force", "--step", "verify", "--until", "verify", "--json").stdout
    )
    assert again["executed"] == ["verify/verbose"], "a step that is on the way is executed again"


def test_a_pilot_is_no_finished_run(tmp_path: Path):
    with FaultServer(answers=lambda body, n: ("\\boxed{4}", 9)) as server:
        teacher = '[teachers.one]\nkind = "endpoint"\nmodel = "m"\nsampling = { max_tokens = 20 }\n'
        call = written(tmp_path, "s.toml", more=f'{teacher}[run]\nendpoints.one = {{ url = "{server.url}" }}')
        call("plan", "s.toml", "--pilot", "3", "-q")
    facts = facts_of(call, "s.toml")
    assert (facts["state"], facts["what"], facts["steps"]) == ("partial", "pilot of 3", 2)
    assert [row["step"] for row in facts["finished"]] == ["problems/problems", "pilot/one"]
    assert {"generate/one", "generate/verbose", "report/one"} <= set(facts["left"])
    assert "one: partial, 2 of 2 steps of `pilot of 3` done" in call("status", "s.toml").stdout


def test_studies_of_one_name_have_each_its_own_status(tmp_path: Path):
    call = written(tmp_path, "a.toml")
    written(tmp_path, "b.toml", count=5)
    call("run", "a.toml", "-q")
    facts = facts_of(call, "b.toml")
    assert facts["state"] == "never run"
    assert facts["of_its_name"]["state"] == "finished"
    said = call("status", "b.toml").stdout
    assert "one: this version has never been run; the last run of a study with this name:\none: finished" in said
    call("run", "b.toml", "--until", "problems", "-q")
    assert facts_of(call, "b.toml")["state"] == "partial"
    assert facts_of(call, "a.toml")["state"] == "finished", "another study's run says nothing of this one"
    written(tmp_path, "c.toml", name="one-more")
    assert call("status", "c.toml").stdout.startswith("one-more: never run in this store\n")
    written(tmp_path, "a.toml", more="[run]\nworkers = 1")
    assert facts_of(call, "a.toml")["state"] == "finished", "where a study runs does not make it another one"
