"""The `words` counter: its fixed rule, against the regular expression that states it."""

from __future__ import annotations

import sys

import regex
from hypothesis import given
from hypothesis import strategies as st

from lakon.backends.tokenizers import load_counter

PIECE = regex.compile(r"[\p{L}\p{M}]+|\p{N}|[^\s\p{L}\p{M}\p{N}]+")


@given(st.lists(st.text(st.characters(max_codepoint=sys.maxunicode), max_size=60), max_size=3))
def test_words_are_counted_as_the_rule_says(texts: list[str]):
    assert load_counter("words").count(texts) == [len(PIECE.findall(text)) for text in texts]


def test_some_counts_by_hand():
    assert load_counter("words").count(["", " ", "a1b22 c+=d", "\ud800 été"]) == [0, 0, 8, 2]
