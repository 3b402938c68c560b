"""Decontamination on problems written by hand."""

from __future__ import annotations

import re
import tempfile
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakon.core.records import Exclusion, Problem
from lakon.stages.problems.decontaminate import Decontaminate, decontaminate
from lakon.stages.problems.text_runs import find_numbers, mask_numbers, tokenize_text

HELD_OUT = Problem.of(
    r"A baker sells $\frac{3}{4}$ of his 48 rolls before noon. In the afternoon a school orders twice as many rolls as "
    "are left over. How many rolls must he still bake to fill the order of the school?",
    "12",
    source="held-out:1",
)


def judged(
    problems: list[Problem], benchmarks: dict[str, list[Problem]], spec: Decontaminate | None = None
) -> tuple[list[Problem], list[Exclusion]]:
    with tempfile.TemporaryDirectory() as scratch:
        kept, left = decontaminate(lambda: iter(problems), benchmarks, spec or Decontaminate(), Path(scratch))
    return list(kept), list(left)


OTHERS = [Problem.of(f"Rectangle number {i} has sides {i} and {i + 3}. What is its area?", str(i)) for i in range(9)]


def left(*texts: str, spec: Decontaminate | None = None) -> list[Exclusion]:
    problems = [*OTHERS, *(Problem.of(text, HELD_OUT.reference) for text in texts)]
    kept, excluded = judged(problems, {"bench": [HELD_OUT]}, spec)
    assert len(kept) + len(excluded) == len(problems)
    assert all(problem in kept for problem in OTHERS)
    return excluded


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (HELD_OUT.prompt, "exact"),
        (HELD_OUT.prompt.upper().replace(". ", ".\n\n").replace("$\\FRAC{3}{4}$", r"\(\dfrac34\)"), "exact"),
        (HELD_OUT.prompt.replace("48", "60"), "renumbered"),
        (HELD_OUT.prompt.replace("48 rolls", "sixty rolls"), "renumbered"),
        (HELD_OUT.prompt.replace(HELD_OUT.prompt.partition(". ")[0], "Rolls"), "overlap, 71%"),
        (f"Solve this. {HELD_OUT.prompt} Give a number.", "overlap, 100%"),
    ],
)
def test_copies_are_found_with_the_problem_that_they_copy(text: str, rule: str):
    (exclusion,) = left(text)
    assert exclusion.rule == "contaminated"
    assert exclusion.detail.startswith(f"bench: problem {HELD_OUT.problem_id} (held-out:1), {rule}")


def test_what_shares_a_phrase_is_no_copy():
    assert not left("How many rolls must he still bake to fill the order of the club? He has 3 and owes 7 of them.")


def flagged(text: str, answer: str, bench: Problem, spec: Decontaminate | None = None, others: int = 0) -> str:
    """The rule by which one problem among strangers is a copy of `bench`, or nothing."""
    strangers = [Problem.of(f"Stranger {i} asks for the {i}th root of a tree.", str(1000 + i)) for i in range(others)]
    _, excluded = judged([*strangers, Problem.of(text, answer)], {"b": [bench]}, spec)
    assert len(excluded) <= 1
    return excluded[0].detail.rpartition("), ")[2].partition(",")[0] if excluded else ""


SHORT = Problem.of(r"Compute $\binom{31}{28}$.", "4495")
TWIN = Problem.of(
    "A point $(x,y)$ is randomly selected such that $0 \\le x \\le 8$ and $0 \\le y \\le 4$. What is the probability "
    "that $x+y \\le 4$? Express your answer as a common fraction.",
    "\\frac{1}{4}",
)


@pytest.mark.parametrize(
    ("text", "answer", "bench", "rule"),
    [
        (r"Compute $\binom{8}{2}$.", "28", SHORT, ""),  # a form that unrelated problems share
        (r"Compute $\binom{8}{2}$.", "4495", SHORT, "renumbered"),
        (r"Compute $\binom{8}{2}$.", "", SHORT, "renumbered"),  # an answer that is not known may be any
        (TWIN.prompt.replace("8", "3"), "1/3", TWIN, "renumbered"),  # long enough to be nobody else's
        (r"Simplify $\frac34$ of $1,200$.", "900", Problem.of(r"Simplify $\frac{17}{4}$ of $8$.", "900"), "renumbered"),
    ],
)
def test_a_short_renumbered_copy_has_the_answer_and_a_long_one_needs_none(
    text: str, answer: str, bench: Problem, rule: str
):
    assert flagged(text, answer, bench) == rule
    assert flagged(text, answer, bench, Decontaminate(same_answer=False)) == "renumbered"
    assert flagged(text, answer, bench, Decontaminate(renumbered=False)) != "renumbered"


@pytest.mark.parametrize("label", ["12. ", "(a) ", "Problem 7: ", "Exercise 3.1. ", "**Question 5.** ", "Q3) ", "#1: "])
def test_a_label_is_no_part_of_a_problem(label: str):
    assert flagged(label + SHORT.prompt, "1", SHORT) == "exact"


def test_a_label_is_not_mistaken_in_what_begins_with_a_number_or_is_nothing_else():
    assert flagged("12 friends share a pizza.", "1", Problem.of("friends share a pizza.", "1")) == "overlap"
    assert flagged("17.", "1", Problem.of("17.", "2")) == "exact"


def test_another_question_about_the_same_figure_is_a_copy_only_with_its_answer():
    drawn = "draw((0,0)--(4,0)--(4,3)--cycle); label(A,(0,0),W); label(B,(4,0),E); label(C,(4,3),N); dot((2,1));"
    figure = f"[asy] {drawn} [/asy]"
    bench = Problem.of(f"In the triangle below, what is the sine of angle $A$? {figure}", "3/5")
    other = f"In the triangle below, how long is the median from $B$? {figure}"
    assert flagged(other, "5/2", bench) == ""
    assert flagged(other, "3/5", bench) == "overlap"
    assert flagged(f"Look. {bench.prompt} Answer in full.", "5/2", bench) == "overlap"  # all of it, whatever the answer


def test_an_edited_copy_of_a_problem_of_three_words_is_found():
    bench = Problem.of(r"Evaluate $\log_264$.", "6")
    assert flagged(r"Work out $\log_264$ for me.", "6", bench, others=50) == "overlap"


def test_a_rare_answer_in_common_says_more_than_a_common_one():
    bench = Problem.of("A farmer sells a third of the apples and gives away half of what is left.", "7/13")
    edited = "In spring a farmer sells a third of the pears, keeps all others and is glad of it at length."
    filler = [Problem.of(f"Unrelated {i}: {i % 3}", "12" if i % 5 else str(i)) for i in range(2_000)]

    def found(answer: str) -> bool:
        here = replace(bench, reference=answer)
        left = judged([Problem.of(edited, answer), *filler], {"b": [here]}, Decontaminate(overlap=0.32))[1]
        return any("overlap" in each.detail for each in left)

    assert found("7/13")
    assert not found("12")


SOLD = Problem.of(
    "A shop sells 40 lamps. Each of them costs three coins. Four in ten come back broken. What does the shop earn?",
    "72",
)


@pytest.mark.parametrize("order", [*permutations(re.split(r"(?<=[.?])\s+", SOLD.prompt))])
def test_the_order_of_sentences_and_what_stands_between_them_take_nothing_from_a_copy(order: tuple[str, ...]):
    (found,) = judged([Problem.of(" Look here! ".join(order), "72")], {"b": [SOLD]})[1]
    assert found.detail.endswith("overlap, 100% of it")


@pytest.mark.parametrize("end", ['."', ".)", ".$", r".\]", r".\)", ".\n\n", ".**"])
def test_a_sentence_ends_in_spite_of_the_marks_behind_its_dot(end: str):
    first, second = "The shop on the corner has red lamps", "Tell how many blue hats it sells"
    bench = Problem.of(f"{first}{end} {second}.", "72")
    (found,) = judged([Problem.of(f"{second}. {first}.", "72")], {"b": [bench]})[1]
    assert found.detail.endswith("overlap, 100% of it")


@pytest.mark.parametrize("text", [r"Write $0.\overline{7}$ as $a / b$ now", "Is $5! / 3! = 2.5$ or more of it"])
def test_no_sentence_ends_within_a_number_or_at_a_factorial(text: str):
    words = tokenize_text(text)
    halves = " so ".join(" ".join(words[i : i + 3]) for i in range(0, len(words), 3))
    broken = judged([Problem.of(halves, "1")], {"b": [Problem.of(text, "1")]}, Decontaminate(overlap=0.01))[1]
    whole = judged([Problem.of(f"Well {text}", "1")], {"b": [Problem.of(text, "1")]})[1]
    assert whole[0].detail.endswith("overlap, 100% of it")
    assert not any("100%" in each.detail for each in broken)


def test_two_of_three_sentences_are_enough_for_a_copy_and_one_is_not():
    bench = (
        "Hilda has eleven coins in dimes and nickels. In all, they are worth 75 cents. How many nickels does she have?"
    )
    first, second, third = re.split(r"(?<=[.?])\s+", bench)
    other = "Twenty years ago, Sven was twice as old as Gert is now."
    for left_out in (first, second, third):
        assert flagged(bench.replace(left_out, other), "7", Problem.of(bench, "7"), others=50) == "overlap"
    assert flagged(f"{other} {other} {third}", "7", Problem.of(bench, "7"), others=50) == ""


ROWED = Problem.of("A gardener plants 17 rows of roses between two walls and waters every row of them by hand.", "34")
REWORDED = "A farmer plants {} rows of roses near {} fences and waters every row of those with care."


@pytest.mark.parametrize(
    ("numbers", "answer", "rule"),
    [
        (("17", "two"), "34", "overlap"),
        (("18", "two"), "34", ""),
        (("two", "17"), "34", ""),
        (("17", "two"), "35", ""),
        (("17", "two"), "", ""),  # an answer that is not known is no answer in common
    ],
)
def test_a_reworded_copy_is_told_by_its_numbers_and_answer_together(numbers: tuple[str, str], answer: str, rule: str):
    assert flagged(REWORDED.format(*numbers), answer, ROWED, others=50) == rule


def test_numbers_and_answer_in_common_are_not_enough_without_text():
    assert flagged("Of 17 sheep all but two run away, and each has twins. What is left?", "34", ROWED, others=50) == ""


def test_where_there_are_no_numbers_none_are_in_common():
    bench = Problem.of("A gardener plants rows of roses between walls and waters every row of them by hand.", "34")
    text = "A farmer plants rows of roses near fences and waters every row of those with care."
    assert flagged(text, "34", bench, others=50) == ""


@given(st.lists(st.sampled_from(["17", "3.5", "two", "Twenty", "row", "of", "+", "x"]), max_size=12))
def test_givens_are_the_numbers_of_a_text_whatever_words_stand_around_them(words: list[str]):
    found = find_numbers(tokenize_text(" ".join(words)))
    assert found == tuple(word.lower() for word in words if word in {"17", "3.5", "two", "Twenty"})
    assert found == find_numbers(tokenize_text(" and ".join(["So", *words])))


def test_a_turn_of_phrase_that_strangers_share_tells_nothing():
    phrase = "Enter your answer as an ordered pair of real numbers in the form (a, b) without any spaces."
    bench = Problem.of(f"Find the centre of the circle through all three corners of the square. {phrase}", "1")
    asked = [f"Question {name} about something else. {phrase}" for name in "abcdefghijklmnop"]
    strangers = [Problem.of(text, str(i)) for i, text in enumerate(asked)]
    assert not judged([p for p in strangers if p.reference != "0"], {"b": [bench]})[1]
    alone = judged([strangers[1]], {"b": [bench]}, Decontaminate(overlap=0.5))[1]
    assert [each.subject for each in alone] == [strangers[1].problem_id]  # nobody else has it: it is most of the text


@pytest.mark.parametrize("answer", ["12", "7"])
def test_copies_do_not_hide_one_another(answer: str):
    copies = [Problem.of(HELD_OUT.prompt.replace("48", str(40 + i)), str(i)) for i in range(20)]
    edited = [Problem.of(f"{HELD_OUT.prompt.replace('before noon', f'by {i} o clock')}", "12") for i in range(20)]
    wrapped = Problem.of(f"Solve. {HELD_OUT.prompt} Box it.", answer)
    kept, excluded = judged([*copies, *edited, wrapped], {"b": [HELD_OUT]})
    assert not kept
    assert len(excluded) == 41


def test_the_order_of_the_problems_decides_nothing():
    texts = [HELD_OUT.prompt.replace("before noon", "by noon"), "What is 3 + 4?", HELD_OUT.prompt + " Why?"]
    problems = [*OTHERS, *(Problem.of(text, "12") for text in texts)]
    there, back = (judged(p, {"b": [HELD_OUT]})[1] for p in (problems, problems[::-1]))
    assert sorted(each.detail for each in there) == sorted(each.detail for each in back)
    assert len(there) == 2


def test_tokens_forget_format_and_skeletons_forget_numbers():
    a, b = r"$\left(\dfrac{1}{2}\right)\cdot 1{,}000 \leq x$", r"\( (1/2) × 1000 ≤ x \)"
    assert tokenize_text(a) == tokenize_text(b) == ("1", "/", "2", "*", "1000", "<", "=", "x")
    assert mask_numbers(tokenize_text("Two and 3.5")) == ("#", "and", "#")
    assert tokenize_text("") == ()
