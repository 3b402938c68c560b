"""One answer is read once: what hangs on it, what is remembered, and that nested brackets take no time of their own."""

from __future__ import annotations

import pytest

from lakon.domains.math import equal
from lakon.domains.math.rules.answer import MOST_REMEMBERED, read_answer
from lakon.domains.math.shapes import read as reading
from lakon.domains.math.values import expression


@pytest.fixture(autouse=True)
def nothing_is_remembered():
    read_answer.cache_clear()


def test_a_reference_is_parsed_once_for_all_its_samples(monkeypatch: pytest.MonkeyPatch):
    parsed: list[str] = []
    parse = expression.parse_expression
    monkeypatch.setattr(expression, "parse_expression", lambda text: parsed.append(text) or parse(text))
    for k in range(8):
        assert equal(r"\sqrt{2}+x", f"x+{k}+\\sqrt{{2}}").outcome == ("correct" if k == 0 else "incorrect")
    assert parsed.count(r"\sqrt{2}+x") == 1


def test_what_is_remembered_is_bounded():
    for k in range(MOST_REMEMBERED + 10):
        read_answer(f"{k}+x")
    assert read_answer.cache_info().currsize == MOST_REMEMBERED


def test_the_same_answer_in_another_spelling_is_no_other_object():
    answer = read_answer("15 m")
    assert answer.written_as("15 m") is answer
    assert answer.written_as(r"15 \text{m}") is answer.written_as(r"15 \text{m}")


def test_each_part_of_nested_brackets_is_read_once(monkeypatch: pytest.MonkeyPatch):
    read: list[str] = []
    tidy = reading.tidy_answer
    monkeypatch.setattr(reading, "tidy_answer", lambda text: read.append(text) or tidy(text))
    depth = 40
    assert read_answer("(" * depth + "1" + ",2)" * depth).node
    assert len(read) == len(set(read)) <= 3 * depth
