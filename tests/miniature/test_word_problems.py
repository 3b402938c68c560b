"""The generator: deterministic, exact, and with splits that cannot leak into one another."""

from collections import Counter
from itertools import combinations

import pytest

from lakon.miniature.problems import WordProblem, generate, parse, render, split_of

SPLITS = ("pretrain", "train", "held-out")


def test_the_same_seed_gives_the_same_problems_and_another_seed_others() -> None:
    first = list(generate(50, seed=3, min_steps=2, max_steps=6))
    assert first == list(generate(50, seed=3, min_steps=2, max_steps=6))
    assert not {one.prompt for one in first} & {one.prompt for one in generate(50, seed=4, min_steps=2, max_steps=6)}


def test_more_problems_begin_with_the_same_ones() -> None:
    few, many = (list(generate(count, seed=3, min_steps=2, max_steps=6)) for count in (20, 60))
    assert many[:20] == few


def test_step_counts_are_spread_evenly_and_true() -> None:
    problems = list(generate(100, seed=0, min_steps=2, max_steps=6))
    assert Counter(problem.steps for problem in problems) == dict.fromkeys(range(2, 7), 20)
    assert all(len(parse(problem.prompt).events) == problem.steps for problem in problems)


def test_nothing_is_asked_twice_even_under_other_names() -> None:
    signatures = [parse(problem.prompt).signature for problem in generate(600, seed=0, min_steps=1, max_steps=2)]
    assert len(set(signatures)) == 600


def test_splits_are_disjoint_by_their_numbers() -> None:
    found = {
        split: {
            parse(problem.prompt).signature
            for seed in range(3)
            for problem in generate(200, seed=seed, min_steps=1, max_steps=3, split=split)  # pyright: ignore[reportArgumentType]
        }
        for split in SPLITS
    }
    for one, other in combinations(SPLITS, 2):
        assert not found[one] & found[other]


def test_a_story_stays_in_its_split_whatever_its_names() -> None:
    problem = next(generate(1, seed=0, min_steps=4, max_steps=4, split="held-out"))
    story = parse(problem.prompt)
    renamed = parse(problem.prompt.replace(story.name, "Uma").replace(story.thing, "rings"))
    assert (renamed.name, renamed.thing) == ("Uma", "rings")
    assert split_of(renamed) == split_of(story) == "held-out"


def test_parsing_inverts_rendering_and_finds_the_answer() -> None:
    for problem in generate(300, seed=1, min_steps=1, max_steps=8):
        story = parse(problem.prompt)
        assert render(story) == problem.prompt
        assert story.answer == problem.answer


def test_every_count_on_the_way_stays_below_a_hundred() -> None:
    for problem in generate(300, seed=2, min_steps=7, max_steps=8):
        value = (story := parse(problem.prompt)).start
        for event in story.events:
            value = event.apply(value)
            assert 0 <= value <= 99


def test_a_prompt_by_hand() -> None:
    story = parse("Eli has 44 pens. Eli finds 7. Eli loses 3. Eli doubles them. How many pens?")
    assert (story.signature, story.answer) == ("44+7-3*2", 96)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "What is 2+2?",
        "Eli has 44 pens. Eli finds 7. How many cups?",
        "Eli has 44 pens. Eli finds. How many pens?",
        "Eli has 44 pens. Eli paints 7. How many pens?",
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="found"):
        parse(text)


def test_impossible_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="min_steps"):
        list(generate(1, seed=0, min_steps=3, max_steps=2))
    with pytest.raises(ValueError, match="split"):
        list(generate(1, seed=0, min_steps=2, max_steps=3, split="test"))  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="no further 1-step"):
        list(generate(3000, seed=0, min_steps=1, max_steps=1, split="held-out"))


def test_a_problem_is_immutable() -> None:
    problem = WordProblem("a", 1, 1)
    with pytest.raises(AttributeError):
        problem.answer = 2  # pyright: ignore[reportAttributeAccessIssue]
