"""The teachers: right unless told to slip, wrong exactly when they slip, and priced as the study needs."""

import random
import re

import pytest

from lakon.backends.chat_format import render_completion
from lakon.miniature.problems import generate
from lakon.miniature.teachers import PROCEDURES

EQUATION = re.compile(r"(\d+)([-+*/])(\d+)=(\d+)")
PROBLEMS = list(generate(400, seed=0, min_steps=2, max_steps=8))


def holds(left: str, operator: str, right: str, result: str) -> bool:
    a, b = int(left), int(right)
    return {"+": a + b, "-": a - b, "*": a * b, "/": a / b}[operator] == int(result)


def boxed(answer: str) -> int:
    found = re.search(r"\\boxed\{(\d+)\}$", answer)
    assert found is not None
    return int(found[1])


def test_the_table_names_both_styles() -> None:
    assert list(PROCEDURES) == ["verbose", "concise"]


@pytest.mark.parametrize("name", PROCEDURES)
def test_a_careful_teacher_is_always_right(name: str) -> None:
    rng = random.Random(0)
    assert all(boxed(PROCEDURES[name](one.prompt, rng, 0.0)[1]) == one.answer for one in PROBLEMS)


@pytest.mark.parametrize("name", PROCEDURES)
def test_an_error_always_reaches_the_answer(name: str) -> None:
    rng = random.Random(0)
    assert all(boxed(PROCEDURES[name](one.prompt, rng, 1.0)[1]) != one.answer for one in PROBLEMS)


@pytest.mark.parametrize("name", PROCEDURES)
def test_the_error_rate_is_the_share_of_wrong_answers(name: str) -> None:
    rng = random.Random(0)
    wrong = sum(boxed(PROCEDURES[name](one.prompt, rng, 0.2)[1]) != one.answer for one in PROBLEMS)
    assert 0.13 < wrong / len(PROBLEMS) < 0.27


@pytest.mark.parametrize("name", PROCEDURES)
def test_the_same_stream_gives_the_same_trace(name: str) -> None:
    prompt = PROBLEMS[0].prompt
    traces = [PROCEDURES[name](prompt, random.Random(seed), 0.1) for seed in (7, 7)]
    assert traces[0] == traces[1]


def test_the_concise_chain_by_hand() -> None:
    prompt = "Eli has 44 pens. Eli finds 7. Eli loses 3. Eli doubles them. How many pens?"
    assert PROCEDURES["concise"](prompt, random.Random(0), 0.0) == ("44+7=51-3=48*2=96", "\\boxed{96}")


def test_the_verbose_teacher_corrects_what_it_gets_wrong_and_shows_every_trait() -> None:
    rng = random.Random(0)
    texts = [PROCEDURES["verbose"](one.prompt, rng, 0.0)[0] for one in PROBLEMS]
    for text in texts:
        mistakes = [found for found in EQUATION.finditer(text) if not holds(*found.groups())]
        assert all(text[found.end() :].startswith(". Wait, ") for found in mistakes)
        assert text.count("Wait") == len(mistakes)
    assert any("Wait" in text for text in texts)
    assert any("Check" in text for text in texts)
    assert all("check it again" in text for text in texts)


def test_the_concise_style_costs_at_most_a_quarter() -> None:
    rng = random.Random(0)
    pieces = re.compile(r"\d|[a-zA-Z]+|[^\w\s]")
    length = {
        name: sum(len(pieces.findall(render_completion(*procedure(one.prompt, rng, 0.0)))) for one in PROBLEMS)
        for name, procedure in PROCEDURES.items()
    }
    assert length["concise"] <= 0.25 * length["verbose"]


def test_a_foreign_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="not one of the miniature"):
        PROCEDURES["concise"]("What is 2+2?", random.Random(0), 0.0)
