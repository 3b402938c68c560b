"""The command line itself: usage, help, messages without tracebacks, exit codes. Runs are in `e2e/`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

VERBS = {
    "check", "explain", "gc", "miniature", "new", "plan", "report", "run", "show", "status", "studies", "verify",
    "version",
}  # fmt: skip


def lakon(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lakon", *args]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


def test_the_help_names_every_verb(tmp_path: Path):
    done = lakon("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert all(verb in done.stdout for verb in VERBS)


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["bogus"], 2, "No such command"),
        (["run"], 2, "Missing argument"),
        (["run", "minature"], 1, "did you mean 'miniature'?"),
        (["run", "miniature", "--mode", "fast"], 1, "one of: cached, force, retry"),
        (["run", "miniature", "--set", "training.epoch=2"], 1, "did you mean 'epochs'?"),
        (["run", "miniature", "--set", "training.epochs"], 1, "KEY=VALUE"),
        (["run", "miniature", "--store", "/dev/null/x"], 1, "cannot be locked"),
        (["run", "miniature", "--mode", "force", "--step", "trian"], 1, "did you mean 'train'?"),
        (["run", "miniature", "--until", "curat"], 1, "did you mean 'curate'?"),
        (["run", "miniature", "--step", "generate"], 1, "--until generate"),
        (["run", "miniature", "--step", "generate", "--mode", "retry"], 1, "--mode force, which --step narrows"),
        (["run", "miniature", "--mode", "force", "--step", "train", "--until", "curate"], 1, "which ends without it"),
        (["run", "miniature", "--mode", "force", "--step", "train", "--until", "curate"], 1, "with --until train"),
        (["show", "miniature", "profile"], 1, "lakon run miniature --until screen"),
        (["show", "miniature", "examples", "--store", "a b"], 1, "lakon run miniature --store 'a b' --until curate"),
        (["show", "miniature", "funnel", "--step", "scren"], 1, "did you mean 'screen'?"),
        (["explain", "miniature", "trian", "--store", "s"], 1, "see `lakon plan miniature --store s`"),
        (["show", "miniature", "-t", "tracs"], 1, "did you mean 'traces'?"),
        (["explain", "miniature", "nosuch"], 1, "more"),
        (["gc", "--store", "none"], 1, "no store at"),
        (["report", "miniature"], 1, "lakon run miniature"),
        (["new", "a.toml", "--from", "papr"], 1, "did you mean 'paper'?"),
        (["verify"], 2, "Missing argument"),
        (["verify", "none.jsonl"], 1, "no file 'none.jsonl'"),
        (["verify", "-"], 1, "add --out"),
        (["verify", "none.jsonl", "--limit", "0"], 1, "change --limit"),
    ],
)
def test_a_mistake_gets_a_message_and_no_traceback(args: list[str], code: int, says: str, tmp_path: Path):
    done = lakon(*args, cwd=tmp_path)
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / ".lakon").exists()


@pytest.mark.parametrize(
    "verb", ["check", "plan", "run", "status", "explain", "show", "show funnel", "export corpus --to out", "report"]
)
def test_every_verb_about_one_study_takes_changes_of_it(verb: str, tmp_path: Path):
    name, *more = verb.split()
    done = lakon(name, "miniature", *more, "--set", "training.epoch=2", cwd=tmp_path)
    assert done.returncode == 1
    assert "--set training.epoch: the study has no 'training.epoch'" in done.stderr
    assert "did you mean 'epochs'?" in done.stderr


def test_a_command_in_a_message_repeats_the_changes(tmp_path: Path):
    done = lakon("show", "miniature", "funnel", "--set", "problems.count=9", "--set", "name=a b", cwd=tmp_path)
    assert "name" in done.stderr, "a name with a blank is a fault"
    done = lakon("show", "miniature", "funnel", "--set", "problems.count=9", "--set", "title=a b", cwd=tmp_path)
    assert "lakon run miniature --set problems.count=9 --set 'title=a b' --until curate" in done.stderr


def test_the_version_is_an_option_too(tmp_path: Path):
    version = json.loads(lakon("version", "--json", cwd=tmp_path).stdout)["lakon"]
    assert lakon("--version", cwd=tmp_path).stdout == f"lakon {version}\n"


def test_where_the_store_lies_is_said_and_a_study_can_fix_it(tmp_path: Path):
    lakon("new", "mine.toml", cwd=tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert f"store: {elsewhere / '.lakon'}\n" in lakon("plan", "../mine.toml", cwd=elsewhere).stdout
    assert f"store: {elsewhere / '.lakon'}\n" in lakon("status", "../mine.toml", cwd=elsewhere).stdout
    with (tmp_path / "mine.toml").open("a") as file:
        file.write('\n[run]\nstore = "kept"\n')
    assert f"store: {tmp_path / 'kept'}\n" in lakon("plan", "../mine.toml", cwd=elsewhere).stdout
    facts = json.loads(lakon("status", "../mine.toml", "--json", cwd=elsewhere).stdout)
    assert facts["store"] == str(tmp_path / "kept")


def test_what_a_script_would_read_is_json(tmp_path: Path):
    assert "miniature" in json.loads(lakon("studies", "--json", cwd=tmp_path).stdout)
    assert json.loads(lakon("version", "--json", cwd=tmp_path).stdout)["lakon"]
    plan = json.loads(lakon("plan", "miniature", "--json", cwd=tmp_path).stdout)
    assert {"step", "state", "key", "work"} == set(plan["steps"][0])
    assert json.loads(lakon("status", "miniature", "--json", cwd=tmp_path).stdout)["state"] == "never run"
    assert json.loads(lakon("check", "miniature", "--json", cwd=tmp_path).stdout) == []


def test_a_broken_study_lists_its_faults_and_fails(tmp_path: Path):
    (tmp_path / "bad.toml").write_text('name = "bad"\n[problems]\nkind = "jsonl"\npath = "none.jsonl"\n')
    done = lakon("check", "bad.toml", cwd=tmp_path)
    assert done.returncode == 1
    assert "bad.toml has" in done.stderr
    faults = json.loads(lakon("check", "bad.toml", "--json", cwd=tmp_path).stdout)
    assert {fault["where"] for fault in faults} == {"teachers", "problems.path"}


def test_new_writes_a_study_that_checks(tmp_path: Path):
    assert lakon("new", "mine.toml", cwd=tmp_path).returncode == 0
    assert lakon("check", "mine.toml", cwd=tmp_path).stdout == "mine.toml: no fault found\n"


def test_verify_prints_counts_and_shares_or_json(tmp_path: Path):
    rows = [{"answer": "18", "out": "18"}, {"answer": "18", "out": "19"}, {"answer": "1/2", "out": "0.5"}, {"out": "1"}]
    (tmp_path / "a.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    fields = ("--field-gold", "answer", "--field-prediction", "out")
    said = lakon("verify", "a.jsonl", *fields, cwd=tmp_path).stdout
    lines = [line.split() for line in said.splitlines()]
    for row in (
        ["correct", "2", "50.0%"],
        ["error", "1", "25.0%"],
        ["integer", "2", "50.0%"],
        ["no-row", "1", "25.0%"],
    ):
        assert row in lines
    assert "4 rows: 4 graded" in said
    assert "1 ungraded" in said
    assert "written to a.verified.jsonl" in said
    facts = json.loads(lakon("verify", "a.jsonl", *fields, "--json", cwd=tmp_path).stdout)
    assert facts["outcomes"] == {"correct": 2, "incorrect": 1, "error": 1}
    assert (facts["rows"], facts["kept"], facts["ungraded"], facts["out"]) == (4, 4, 1, "a.verified.jsonl")
    assert "4 were graded before" in lakon("verify", "a.jsonl", *fields, cwd=tmp_path).stdout


CHECKED = """
name = "checked"
[problems]
kind = "jsonl"
path = "p.jsonl"
[teachers.a]
kind = "procedural"
procedure = "verbose"
"""


def test_check_warns_of_single_references_and_fails_when_most_are_bad(tmp_path: Path):
    (tmp_path / "c.toml").write_text(CHECKED)
    for bad, code, levels in ((1, 0, ["warning"]), (3, 1, ["fault", "warning", "warning", "warning"])):
        answers = ["???"] * bad + ["4"] * 2
        rows = [json.dumps({"problem": f"What is {i}?", "answer": answer}) for i, answer in enumerate(answers)]
        (tmp_path / "p.jsonl").write_text("\n".join(rows))
        done = lakon("check", "c.toml", cwd=tmp_path)
        assert done.returncode == code
        assert ("c.toml: no fault found\n" in done.stdout) == (code == 0)
        assert f"c.toml has {bad} warning" in done.stderr
        assert "'???'" in done.stderr
        asked = lakon("check", "c.toml", "--json", cwd=tmp_path)
        assert asked.returncode == code
        assert [fault["level"] for fault in json.loads(asked.stdout)] == levels


BROKEN = 'name = "bad"\n[problems]\nkind = "jsonl"\npath = "none.jsonl"\n'


@pytest.mark.parametrize("verb", ["plan", "run", "status", "explain", "show", "export corpus --to out", "report"])
def test_with_json_every_verb_tells_the_faults_of_a_study_as_check_does(verb: str, tmp_path: Path):
    (tmp_path / "bad.toml").write_text(BROKEN)
    checked = lakon("check", "bad.toml", "--json", cwd=tmp_path)
    name, *more = verb.split()
    done = lakon(name, "bad.toml", *more, "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert json.loads(done.stdout) == json.loads(checked.stdout)
    assert {fault["where"] for fault in json.loads(done.stdout)} == {"teachers", "problems.path"}


@pytest.mark.parametrize(
    "args", [["run", "minature"], ["gc", "--store", "none"], ["verify", "none.jsonl"], ["fields", "curat"]]
)
def test_with_json_any_other_fault_is_json_too(args: list[str], tmp_path: Path):
    done = lakon(*args, "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    (fault,) = json.loads(done.stdout)
    assert set(fault) == {"where", "found", "expected", "remedy", "level"}
    assert lakon("run", "--json", "--nosuch", cwd=tmp_path).returncode == 2
    (fault,) = json.loads(lakon("report", "miniature", "--json", cwd=tmp_path).stdout)
    assert fault["remedy"] == "lakon run miniature"


def test_check_says_what_it_has_not_looked_at_and_who_does(tmp_path: Path):
    said = lakon("check", "paper", "--set", "verify.audit=9", cwd=tmp_path).stdout
    assert "paper: no fault found\nnot checked (this command makes no network requests):\n" in said
    pilot = "`lakon plan paper --set verify.audit=9 --pilot 3` asks teachers about three problems"
    assert f"  endpoints (gpt-oss, judge): {pilot}\n" in said
    assert "openai/gsm8k" in said
    assert "HuggingFaceH4/MATH-500" in said
    assert "`lakon run paper --set verify.audit=9 --until problems` reads them" in said
    assert "models of the hub (nvidia/NVIDIA-Nemotron-Nano-12B-v2-Base" in said
    assert json.loads(lakon("check", "paper", "--json", cwd=tmp_path).stdout) == []
    assert lakon("check", "miniature", cwd=tmp_path).stdout == "miniature: no fault found\n"


def test_what_lies_on_this_machine_is_not_called_unseen(tmp_path: Path):
    (tmp_path / "set").mkdir()
    (tmp_path / "c.toml").write_text(CHECKED.replace('"jsonl"\npath = "p.jsonl"', '"huggingface"\npath = "set"'))
    assert "data sets of the hub" not in lakon("check", "c.toml", cwd=tmp_path).stdout
    (tmp_path / "set").rmdir()
    assert "data sets of the hub (set)" in lakon("check", "c.toml", cwd=tmp_path).stdout
