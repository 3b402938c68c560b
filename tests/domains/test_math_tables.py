"""The tables beside the grader's code: they ship with the package, say what they hold, and name nothing twice."""

from __future__ import annotations

from collections import Counter
from importlib.resources import files

import pytest

from lakon.domains.math import extract
from lakon.domains.math.tables import load_table

TABLES = (
    "extract/phrases.toml",
    "parse/characters.toml",
    "parse/latex_commands.toml",
    "rules/words.toml",
    "shapes/number_words.toml",
    "shapes/units.toml",
)


def test_these_are_all_the_tables():
    room = files("lakon.domains.math")
    found = [
        f"{part}/{file.name}"
        for part in ("extract", "parse", "shapes", "values", "rules")
        for file in (room / part).iterdir()
    ]
    assert sorted(name for name in found if name.endswith(".toml")) == list(TABLES)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_opens_with_what_it_holds(name: str):
    assert (files("lakon.domains.math") / name).read_text(encoding="utf-8").startswith("# ")
    assert load_table(name)


def test_no_unit_has_two_sizes():
    measures = load_table("shapes/units.toml")["measures"]
    listed = [names for sizes in measures.values() for names in sizes.values()]
    names = Counter(name for group in listed for name in group.split())
    assert [name for name, n in names.items() if n > 1] == []
    assert all(name == name.lower() for name in names)


@pytest.mark.parametrize(
    "said",
    [
        "la respuesta correcta es 12",
        "Die Antwort ist 12",
        "La réponse finale est 12",
        "Il risultato: la risposta è 12",
        "A resposta é 12",
        "Ответ: 12",
        "最终答案是12",
        "答えは12",
        "답은 12",
        "The correct option is 12",
    ],
)
def test_an_answer_is_announced_in_many_languages(said: str):
    found = extract(f"First 3 and 4 are added. {said}.")
    assert (found.text, found.stated) == ("12", True)
