"""The guide's worked example: its study is one that `check` finds no fault in, its commands are those that exist."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from lakon import api
from lakon.cli import app
from lakon.study.load import parse_study

GUIDE = Path(__file__).parents[2] / "docs" / "guide.md"
TEXT = GUIDE.read_text(encoding="utf-8")
(STUDY,) = re.findall(r"^```toml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
COMMANDS = sorted(set(re.findall(r"^\$ lakon (.+)$", TEXT, re.MULTILINE) + re.findall(r"`lakon ([^`]+)`", TEXT)))
FILTERS = re.findall(r"`(filters = \{.*?\})`", TEXT)


def faults(folder: Path, study: str) -> list[str]:
    """What `check` says of a study beside files such as the guide's."""
    task = {"id": "t000", "question": "Leo has 19 nuts. Leo buys 10. How many nuts?", "gold": "29", "unit": "school"}
    (folder / "tasks.jsonl").write_text(json.dumps(task) + "\n", encoding="utf-8")
    held_out = {"problem": "What is $2^{10}$?", "answer": "1024"}
    (folder / "math500.jsonl").write_text(json.dumps(held_out) + "\n", encoding="utf-8")
    (folder / "mine.toml").write_text(study, encoding="utf-8")
    return [fault.render() for fault in api.check(folder / "mine.toml")]


def test_the_study_of_the_guide_has_no_fault(tmp_path: Path):
    assert faults(tmp_path, STUDY) == []


def test_what_the_guide_adds_to_its_study_fits_in(tmp_path: Path):
    (filters,) = FILTERS
    filtered = STUDY.replace("[curate]\n", f"[curate]\n{filters}\n")
    assert "`count = 20`" in TEXT
    assert faults(tmp_path, filtered.replace("[problems]\n", "[problems]\ncount = 20\n")) == []
    assert parse_study(tomllib.loads(filtered)).curate.filters.max_tokens == 200
    alike = re.sub("(?m)^(until|after) = .*$", "", STUDY).replace('name = "mine"', 'name = "compare"')
    assert faults(tmp_path, alike) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_guide_exists_with_its_options(command: str):
    verb, *args = shlex.split(command)
    verbs: Any = get_command(app)
    given = verbs.commands[verb].make_context(verb, args).params  # raises for what the verb does not take
    if verb == "show":
        assert given["view"] is None or given["view"] in api.LOOKS


def test_the_guide_is_found_from_the_readme_and_from_the_reference():
    root = GUIDE.parents[1]
    assert "(docs/guide.md)" in (root / "README.md").read_text(encoding="utf-8")
    assert "(guide.md)" in (root / "docs" / "study.md").read_text(encoding="utf-8")
