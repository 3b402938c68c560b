"""Near-duplicate groups: by hand, and against datasketch's own index on families of texts made by chance."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import datasketch
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakon.core.records import Problem
from lakon.miniature.problems import generate
from lakon.stages.problems.near_duplicates import groups, mark_groups
from lakon.stages.problems.text_runs import Tokens, list_ngrams, mask_numbers, tokenize_text

BAKER = (
    "A baker sells 3 of his 48 rolls before noon. In the afternoon a school orders twice as many rolls as are left "
    "over. How many rolls must he still bake to fill the order of the school?"
)


def of_the_library(texts: Sequence[Tokens]) -> list[int]:
    """The groups by `MinHashLSH`, all of it in memory: every text against each earlier one that its index gives."""
    index: Any = datasketch.MinHashLSH(threshold=0.8, num_perm=128)
    made: dict[int, Any] = {}
    members = {i: [i] for i in range(len(texts))}
    for i, words in enumerate(texts):
        if len(words) < 15:
            continue
        made[i] = mine = datasketch.MinHash(num_perm=128, seed=1)
        mine.update_batch([" ".join(run).encode() for run in set(list_ngrams(mask_numbers(words), 3))])
        for other in index.query(mine):
            if members[other] is not members[i] and mine.jaccard(made[other]) >= 0.8:
                small, large = sorted((members[other], members[i]), key=len)
                large += small
                members.update(dict.fromkeys(small, large))
        index.insert(i, mine)
    first = {id(group): min(group) for group in members.values()}
    return [first[id(members[i])] for i in range(len(texts))]


def family(chance: random.Random, size: int, most_changes: int, vocabulary: int) -> list[Tokens]:
    """Texts of one template: so many of its words are others, or it goes on in words of its own."""
    words = [f"w{chance.randrange(300)}" for _ in range(chance.randint(14, 120))]
    names, own = [f"n{i}" for i in range(vocabulary)], (f"o{i}" for i in count())
    made: list[Tokens] = []
    for _ in range(size):
        text = list(words)
        for place in chance.choices(range(len(text)), k=chance.randint(0, most_changes)):
            text[place] = chance.choice(names)
        made.append((*text, *(next(own) for _ in range(chance.choice((0, 0, len(words) // 6))))))
    return made


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(0, 9))
def test_groups_are_those_of_the_librarys_own_index(tmp_path: Path, seed: int, sizes: list[int], changes: int):
    chance = random.Random(seed)
    texts = [text for size in sizes for text in family(chance, size, changes, vocabulary=chance.choice((1, 3, 50)))]
    chance.shuffle(texts)
    assert groups(iter(texts), tmp_path).tolist() == of_the_library(texts)


@pytest.mark.parametrize("changes", [0, 1, 8])
def test_a_template_of_thousands_of_texts_is_grouped_as_the_library_does(tmp_path: Path, changes: int):
    chance = random.Random(changes)
    texts = [*family(chance, 3000, changes, vocabulary=20), *family(chance, 40, 2, vocabulary=5)]
    chance.shuffle(texts)
    first = groups(texts, tmp_path).tolist()
    assert first == of_the_library(texts)
    assert len(set(first)) < len(first)


def test_more_texts_than_are_written_at_once_are_grouped_as_the_library_does(tmp_path: Path):
    texts = [tokenize_text(p.prompt) for p in generate(5000, seed=1, min_steps=4, max_steps=6)]
    first = groups(texts, tmp_path).tolist()
    assert first == of_the_library(texts)
    assert 1 < len(set(first)) < len(first)


def test_near_duplicates_are_one_group_named_by_its_first_problem(tmp_path: Path):
    others = [
        Problem.of(f"Rectangle number {i} has sides {i} and {i + 3}. What is its area?", str(i)) for i in range(2)
    ]
    baker, twin = Problem.of(BAKER, "12"), Problem.of(BAKER.replace("48", "64"), "16")
    made = list(mark_groups(lambda: [others[0], baker, others[1], twin], tmp_path))
    assert [p.problem_id for p in made] == [p.problem_id for p in (others[0], baker, others[1], twin)]
    assert [p.duplicate_group for p in made] == [None, baker.problem_id, None, baker.problem_id]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("texts", [[], ["Compute 3 + 4."], ["Compute 3 + 4.", "Compute 4 + 3."]])
def test_texts_that_are_too_short_to_tell_stand_alone(tmp_path: Path, texts: list[str]):
    problems = [Problem.of(text, "7") for text in texts]
    assert list(mark_groups(lambda: problems, tmp_path)) == problems
