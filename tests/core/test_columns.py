"""Columns: what goes in comes out, places are found in any order, and the memory is what it says."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterable
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakon.core.columns import (
    Counts,
    PackedStrings,
    PositionIndex,
    fingerprint,
    fingerprints,
    pair_rows,
    sort_positions,
)
from lakon.core.digest import digest

IDS = [digest(i) for i in range(500)]


@given(
    st.lists(
        st.one_of(
            st.text(max_size=40),
            st.binary(min_size=16, max_size=16).map(bytes.hex),
            st.binary(min_size=16, max_size=16).map(lambda data: data.hex().upper()),
            st.sampled_from(["\ud800", "a1 " * 10 + "b2", "0" * 31, "0" * 33, " " * 32]),
        )
    )
)
def test_texts_come_back_as_they_went_in(texts: list[str]):
    made = PackedStrings(texts)
    assert len(made) == len(texts)
    assert list(made) == texts
    assert made[1:3] == texts[1:3]
    assert all(made[-1 - i] == text for i, text in enumerate(reversed(texts)))


@pytest.mark.parametrize("index", [3, -4])
def test_what_is_not_there_is_an_index_error(index: int):
    with pytest.raises(IndexError):
        PackedStrings(["a", "b", "c"])[index]


def size_of(texts: Iterable[str]) -> int:
    tracemalloc.start()
    made = PackedStrings(texts)
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(made) == 100_000
    return size


@pytest.mark.parametrize(
    ("first", "n_bytes"), [(f"{0:032x}", 16), ("an id of one's own", 21)], ids=["among ids", "after another text"]
)
def test_an_id_takes_16_bytes_and_21_among_other_texts(first: str, n_bytes: int):
    size = size_of([first, *(f"{i:032x}" for i in range(1, 100_000))])
    assert size < 100_000 * n_bytes * 1.2  # buffers grow by an eighth ahead


def test_a_text_of_nothing_takes_four_bytes():
    assert size_of([""] * 100_000) < 100_000 * 4 * 1.2


def test_texts_are_equal_when_they_read_the_same_however_they_came():
    assert PackedStrings([*IDS, "x"]) == PackedStrings(["".join(text) for text in [*IDS, "x"]])
    assert PackedStrings(IDS) != PackedStrings([*IDS, ""])
    assert PackedStrings(IDS[:3]) != PackedStrings(IDS[:2])


@pytest.mark.parametrize("disorder", [0, 3, 500])
def test_places_are_found_whatever_the_order(disorder: int):
    asked = [(i, sample) for sample in range(3) for i in range(0, 500, 2)]
    asked.sort(key=lambda pair: pair[1] * 500 + pair[0] + random.Random(str(pair)).uniform(0, disorder))
    places = PositionIndex(PackedStrings(IDS))
    assert [places[IDS[i]] for i, _ in asked] == [i for i, _ in asked]


def test_ids_that_are_not_there_have_no_place_and_do_not_confuse_the_search():
    places = PositionIndex(IDS)
    for i in range(0, 500, 7):
        assert places.find(digest(["missing", i])) is None
        assert places[IDS[i]] == i
    with pytest.raises(KeyError):
        places["nowhere"]
    assert PositionIndex([]).find("a") is None


class Watched(list[str]):
    looks = 0

    def __getitem__(self, index):  # type: ignore[override]
        self.looks += 1
        return super().__getitem__(index)


@pytest.mark.parametrize("shuffled", [False, True])
def test_looking_up_all_ids_takes_a_bounded_number_of_looks_in_any_order(shuffled: bool):
    ids = Watched(digest(i) for i in range(5_000))
    asked = list(ids)
    if shuffled:
        random.Random(0).shuffle(asked)
    places, at = PositionIndex(ids), {key: place for place, key in enumerate(ids)}
    assert [places.find(key) for key in asked] == [at[key] for key in asked]
    assert ids.looks < 10 * 5_000


class Row(NamedTuple):
    trace_id: str
    value: int = 0


def test_rows_of_tables_in_one_order_are_paired():
    left, right = [Row("a"), Row("b")], [Row("a", 1), Row("b", 2)]
    assert [(one.trace_id, other.value) for one, other in pair_rows(left, right)] == [("a", 1), ("b", 2)]


@pytest.mark.parametrize("right", [["b", "a"], ["a"], ["a", "b", "c"]], ids=["disorder", "shorter", "longer"])
def test_tables_that_do_not_fit_are_not_paired(right: list[str]):
    with pytest.raises(ValueError, match=r"beside|shorter|longer"):
        list(pair_rows([Row("a"), Row("b")], map(Row, right)))


def test_counts_say_how_often_a_text_occurs():
    counts = Counts(["a", "b", "a", "c", "a"])
    assert [counts[text] for text in ("a", "b", "z")] == [3, 1, 0]
    assert Counts([])["a"] == 0


def test_fingerprints_are_the_same_in_every_process():
    assert fingerprint("a problem") == 556310300335102365
    assert fingerprints(["a problem", "another"]).tolist() == [fingerprint("a problem"), fingerprint("another")]


@given(st.lists(st.one_of(st.sampled_from(IDS), st.text(max_size=8))))
def test_texts_are_ordered_as_sorting_them_does(texts: list[str]):
    expected = sorted(range(len(texts)), key=lambda at: texts[at].encode("utf-8", "surrogatepass").rstrip(b"\0"))
    assert sort_positions(PackedStrings(texts)).tolist() == expected


def test_ids_are_ordered_as_sorting_them_does():
    ids = [*IDS, *IDS[:5], "f" * 32, "0" * 32]
    assert sort_positions(PackedStrings(ids)).tolist() == sorted(range(len(ids)), key=ids.__getitem__)
