"""The how-to of training: its snippets are parts of a study, its commands exist, its own trainer trains."""

from __future__ import annotations

import re
import shlex
import sys
import threading
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from lakon.backends.training.job import TrainJob
from lakon.backends.training.own_command import run_own_trainer
from lakon.backends.training.worker import JobFile
from lakon.cli import app
from lakon.core.records import Example
from lakon.miniature.student import base_path
from lakon.store.artifacts import Store
from lakon.study.load import parse_study

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "train.md"
TEXT = PAGE.read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```toml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^(?:\$|exec) lakon (.+)$", TEXT, re.MULTILINE)
STUDY = """
name = "trained"
prompt = "{problem}"
[problems]
kind = "synthetic"
count = 40
[teachers.verbose]
kind = "procedural"
procedure = "verbose"
[arms.verbose]
teacher = "verbose"
[[students]]
base = "miniature:base"
[evaluate]
benchmarks = ["gsm8k"]
"""


def merge_into(study: dict[str, Any], part: dict[str, Any]) -> None:
    """Put the tables of `part` into `study`: its values come before what is there."""
    for name, value in part.items():
        if isinstance(value, dict) and isinstance(study.get(name), dict):
            merge_into(study[name], value)
        else:
            study[name] = value


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_a_snippet_is_part_of_a_study(snippet: str):
    part, study = tomllib.loads(snippet), tomllib.loads(STUDY)
    assert part
    merge_into(study, part)
    parse_study(study)  # raises for whatever a study may not say


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_exists_with_its_options(command: str):
    verb, *args = shlex.split(command, comments=True)
    verbs: Any = get_command(app)
    verbs.commands[verb].make_context(verb, args)  # raises for what the verb does not take


def test_the_page_is_found_from_the_readme_and_from_the_reference():
    assert "(docs/how-to/train.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "(how-to/train.md)" in (ROOT / "docs" / "study.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_own_trainer_of_the_page_trains(tmp_path: Path):
    (script,) = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    (tmp_path / "my_trainer.py").write_text(script, encoding="utf-8")
    examples = write_examples(tmp_path)
    file = JobFile(job=make_job(tmp_path), examples=examples, held_out=examples)
    command = [sys.executable, str(tmp_path / "my_trainer.py"), "{job}", "{out}"]
    for _ in range(2):  # the second time as after an attempt that failed
        result = run_own_trainer(file, command, devices=(), stop=threading.Event())
    assert result.settings["trainer"] == "my-trainer"
    assert result.versions == {"my-trainer": "1"}
    assert [loss.step for loss in result.losses] == list(range(1, 25))
    assert sum(loss.loss for loss in result.losses[-6:]) < 0.8 * sum(loss.loss for loss in result.losses[:6])
    assert (tmp_path / "model" / "model.safetensors").is_file()
    assert not (tmp_path / "model" / "trainer.json").exists()
    assert len((tmp_path / "work" / "job" / "held-out.jsonl").read_bytes().splitlines()) == 8


def make_job(folder: Path) -> TrainJob:
    return TrainJob(
        base=str(base_path()),
        out=str(folder / "model"),
        work=str(folder / "work"),
        epochs=3,
        batch_tokens=1024,
        max_length=256,
        learning_rate=3e-4,
    )


def write_examples(folder: Path) -> str:
    """An artifact with eight examples, the last two of a later phase."""
    key = "e" * 40
    out = Store(folder / "store").begin("curate", "sums", key)
    out.write("examples", [make_example(n) for n in range(10, 18)])
    made = out.commit(stage="curate", label="sums", version=1, key=key, payload={}, inputs={})
    return str(made.folder)


def make_example(n: int) -> Example:
    return Example(
        arm="sums",
        problem_id=str(n),
        trace_id=f"t{n}",
        teacher="t",
        style="sums",
        prompt=f"Eli has {n} pens. Eli finds 2. How many pens?",
        completion=f"<think>\n{n}+2={n + 2}\n</think>\n\\boxed{{{n + 2}}}",
        phase=int(n >= 16),
    )
