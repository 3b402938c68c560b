"""The ledger's index against a plain dict: the same answers, in a fraction of the memory."""

from __future__ import annotations

import random
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from lakon.store.ledger.frames import Place
from lakon.store.ledger.index import Index

KEYS = [n.to_bytes(16, "big") for n in range(8)]
"""Few, so that they meet again and again."""


@given(st.lists(st.tuples(st.sampled_from(KEYS), st.integers(0, 3), st.integers(0, 2**64 - 1))))
def test_it_answers_as_a_dict_does(moves: list[tuple[bytes, int, int]]) -> None:
    index, plain = Index(), dict[bytes, Place]()
    for key, kind, note in moves:
        if kind:
            plain[key] = Place(17 + note // 2, 2**32 - kind, note)
            index.put(key, plain[key])
        else:
            plain.pop(key, None)
            index.drop(key)
        assert len(index) == len(plain)
        assert {each: index.get(each) for each in index} == plain
        assert all((each in index) == (each in plain) for each in KEYS)


def test_many_calls_take_little_memory() -> None:
    rng = random.Random(0)
    tracemalloc.start()
    index = Index()
    before = tracemalloc.get_traced_memory()[0]
    for n in range(1, 30_001):
        index.put(rng.randbytes(16), Place(n, n % 977, n))
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(index) == 30_000
    assert taken < 2_200_000
    rng = random.Random(0)
    assert all(index.get(rng.randbytes(16)) == Place(n, n % 977, n) for n in range(1, 30_001))
