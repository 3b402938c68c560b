"""Runs of the real command line in a folder of their own, on studies small enough for a test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

SMALL = """
name = "small"
[problems]
kind = "synthetic"
count = 40
max_steps = 3
[decontaminate]
enabled = false
[teachers.verbose]
kind = "procedural"
procedure = "verbose"
error_rate = 0.1
[teachers.concise]
kind = "procedural"
procedure = "concise"
error_rate = 0.1
[curate]
match = ["problems", "tokens"]
token_budget = "verbose"
[arms.verbose]
teacher = "verbose"
[arms.concise]
teacher = "concise"
[[students]]
name = "tiny"
base = "miniature:base"
[training]
epochs = 1
batch_tokens = 2048
max_length = 640
optimizer = "muon"
learning_rate = 1e-3
[evaluate]
benchmarks = ["held-out"]
samples = 2
sampling = { temperature = 0.6, top_p = 0.95, max_tokens = 192 }
group_by = ["steps"]
[benchmarks.held-out]
kind = "synthetic"
count = 6
max_steps = 3
split = "held-out"
"""
ASKED = """
name = "asked"
tokenizer = "words"
[problems]
kind = "jsonl"
path = "problems.jsonl"
{tables}
[run]
{run}
"""
ONE = """
[teachers.one]
kind = "endpoint"
model = "m"
{extra}
sampling = {{ max_tokens = {cap} }}
"""

Cli = Callable[..., subprocess.CompletedProcess[str]]


def cli_in(folder: Path) -> Cli:
    """The command line, run in `folder`."""

    def call(*args: str, expect: int = 0, timeout: float = 280) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "lakon", *args],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env=clean_environment(),
        )
        assert done.returncode == expect, f"{done.stdout}\n{done.stderr}"
        return done

    return call


def asked_study(folder: Path, tables: str, run: str, problems: Iterable[tuple[str, str]]) -> Path:
    """A study of files that asks endpoints: `tables` names the teachers (`ONE` is one), `run` where they are."""
    write_problems(folder, problems)
    (folder / "s.toml").write_text(ASKED.format(tables=tables, run=run), encoding="utf-8")
    return folder / "s.toml"


def write_problems(folder: Path, problems: Iterable[tuple[str, str]]) -> None:
    """The study's file of problems: each a prompt and its answer."""
    rows = ({"problem": prompt, "answer": answer} for prompt, answer in problems)
    (folder / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def questions(n: int) -> Iterable[tuple[str, str]]:
    """Problems that say which one they are."""
    return ((f"q{i} what is {i}?", f"{i}") for i in range(n))


def clean_environment() -> dict[str, str]:
    """This process's environment without what would point a run elsewhere."""
    return {key: value for key, value in os.environ.items() if key != "LAKON_STORE"}
