"""The reference of the study file: nothing is missing from it, and `docs/study.md` is what the specs say."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakon.core.errors import InputError
from lakon.core.spec import Spec
from lakon.study.reference import Row, as_markdown, list_sections

DOC = Path(__file__).parents[2] / "docs" / "study.md"


def specs(of: type[Spec]) -> Iterator[type[Spec]]:
    for spec in of.__subclasses__():
        of_studies = spec.__module__.startswith("lakon.") and not spec.__module__.startswith("lakon.pipeline")
        if of_studies and not spec.__name__.startswith("_") and not spec.__name__.endswith("Spec"):
            yield spec
        yield from specs(spec)


def rows(table: str) -> dict[str, Row]:
    return {row.field: row for section in list_sections(table) for row in section.rows}


def test_the_document_is_what_the_specs_say():
    assert DOC.read_text(encoding="utf-8").endswith(f"\n\n{as_markdown(list_sections())}"), (
        "docs/study.md is out of date: put the output of `lakon fields --markdown` below its heading `Fields`"
    )


def test_every_spec_is_a_table_and_every_field_has_a_type_and_a_meaning():
    told = {frozenset(row.field for row in section.rows) for section in list_sections()}
    for spec in specs(Spec):
        assert frozenset(spec.model_fields) - {"kind"} in told, f"{spec.__name__} is in no table"
    for section in list_sections():
        assert section.meaning, section.title
        for row in section.rows:
            assert row.type, (section.title, row.field)
            assert row.meaning, (section.title, row.field)


@pytest.mark.parametrize(
    ("table", "field", "type_", "default"),
    [
        ("students", "base", "text", "required"),
        ("evaluate", "samples", "whole number at least 1, at most 1024", "8"),
        ("evaluate", "sampling", "table", "{ temperature = 0.6, top_p = 0.95 }"),
        ("run.budget", "money", "number above 0", ""),
        ("[curate]", "match", 'list of: "problems", "tokens" or "steps"', '["problems"]'),
        ("arms", "mix", "table: name to number above 0", ""),
        ("recorded", "where", "table: text to text", ""),
        ("decontaminate", "enabled", "true or false", "true"),
    ],
)
def test_types_and_defaults_in_words(table: str, field: str, type_: str, default: str):
    assert rows(table)[field][1:3] == (type_, default)


def test_a_name_finds_its_table_and_those_below_it_and_a_wrong_one_the_nearest():
    assert [section.table for section in list_sections("curate")] == [
        "curate",
        "curate.require",
        "curate.filters",
        "curate.filters.language",
    ]
    assert {section.kind for section in list_sections("teachers")} == {
        "endpoint",
        "recorded",
        "checkpoint",
        "procedural",
    }
    with pytest.raises(InputError, match="did you mean 'evaluate'"):
        list_sections("evalute")


def test_the_verb_prints_text_and_json():
    command = [sys.executable, "-m", "lakon", "fields", "verify.judge"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.startswith("[verify.judge]\n")
    assert "  model: text (required)\n" in said
    (table,) = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout)
    assert {row["field"] for row in table["rows"]} >= {"model", "votes", "template"}
