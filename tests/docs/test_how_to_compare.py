"""The how-to of comparing: each of its commands runs, on the files that it names."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lakon import api
from lakon.cli import app

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "standalone" / "data"
TEXT = (ROOT / "docs" / "how-to" / "compare.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ lakon (.+)$", TEXT, re.MULTILINE)
STUDY = """
name = "two-teachers"
[problems]
kind = "synthetic"
count = 20
[decontaminate]
enabled = false
[teachers.verbose]
kind = "procedural"
procedure = "verbose"
[teachers.concise]
kind = "procedural"
procedure = "concise"
error_rate = 0.3
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the page names."""
    folder = tmp_path_factory.mktemp("compare")
    shutil.copytree(DATA, folder, dirs_exist_ok=True)
    for name, shift in (("first", 0), ("second", 1)):
        rows = [f"t{i},{int((i + shift) % 3 > 0)},{100 + i}" for i in range(20)]
        (folder / f"{name}.csv").write_text("\n".join(["task,passed,length", *rows]))
    (folder / "study.toml").write_text(STUDY)
    api.run(folder / "study.toml", store=folder / ".lakon", until="verify", quiet=True)
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_runs(folder: Path, command: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)
    found = CliRunner().invoke(app, shlex.split(command))
    assert found.exit_code == 0, found.output
    if "--json" in command:
        assert json.loads(found.output)["pairs"]
    else:
        assert "Authors" in found.output
        assert "Holm over" in found.output


def test_the_table_of_the_page_is_what_the_command_prints(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)
    shown = CliRunner().invoke(app, shlex.split(COMMANDS[0])).output
    row = next(line for line in TEXT.splitlines() if line.startswith(" inspect_hasty"))
    assert row.split() in [line.split() for line in shown.splitlines()]
