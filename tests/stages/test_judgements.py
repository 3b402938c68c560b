"""Judgements in columns say what was put in, whatever was not."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakon.stages.verify.judgement_columns import Judgement, Judgements, RowSet

JUDGEMENTS = st.builds(
    Judgement,
    st.sampled_from([True, False, None]),
    st.integers(0, 198),
    st.integers(0, 198),
    st.integers(0, 198),
    st.integers(0, 2**40),
)


@given(st.dictionaries(st.integers(0, 5_000), JUDGEMENTS))
def test_every_row_has_the_judgement_that_it_was_given(by_row: dict[int, Judgement]):
    found = Judgements()
    for row in sorted(by_row):
        found.add(row, by_row[row])
    assert {row: found.find(row) for row in range(5_001) if found.find(row)} == by_row
    assert all(found[row] == made for row, made in by_row.items())
    with pytest.raises(KeyError):
        found[5_001]


@given(st.lists(st.integers(0, 2_000)))
def test_rows_are_a_set(rows: list[int]):
    made = RowSet.of(rows)
    assert list(made) == sorted(set(rows))
    assert len(made) == len(set(rows))
    assert [row for row in range(2_100) if row in made] == sorted(set(rows))


def test_a_judgement_takes_some_tens_of_bytes():
    tracemalloc.start()
    found = Judgements()
    for row in range(100_000):
        found.add(row, Judgement(True, 3, 0, 0, row))
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert found[99_999].tokens == 99_999
    assert size < 100_000 * 23 * 1.2
