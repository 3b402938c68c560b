"""Properties of the comparison: reflexive, symmetric, indifferent to spelling, and total on any text."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from lakon.core.records import Outcome
from lakon.domains.math import equal
from lakon.domains.math.parse.clean import clean_text
from lakon.domains.math.parse.integers import read_whole_number

Rewriting = Callable[[str], str]
LEAVES = st.one_of(
    st.integers(0, 99).map(str),
    st.sampled_from(["x", "y", "n", r"\pi", "e", r"\theta", "0.25", ".5"]),
)


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    two = st.tuples(inner, inner)
    return st.one_of(
        two.map(lambda p: rf"\frac{{{p[0]}}}{{{p[1]}}}"),
        two.map(lambda p: f"{p[0]} + {p[1]}"),
        two.map(lambda p: rf"({p[0]}) \cdot ({p[1]})"),
        inner.map(lambda p: rf"\sqrt{{{p}}}"),
        inner.map(lambda p: rf"-({p})"),
    )


EXPRESSIONS = st.recursive(LEAVES, _grow, max_leaves=6)
ANSWERS = st.one_of(
    EXPRESSIONS,
    st.lists(EXPRESSIONS, min_size=2, max_size=3).map(lambda parts: f"({', '.join(parts)})"),
    st.lists(st.integers(-9, 9).map(str), min_size=2, max_size=4, unique=True).map(lambda p: rf"\{{{', '.join(p)}\}}"),
    st.tuples(st.integers(-9, 0), st.integers(1, 9)).map(lambda p: f"[{p[0]}, {p[1]})"),
    EXPRESSIONS.map(lambda text: f"y = {text}"),
    st.tuples(EXPRESSIONS, EXPRESSIONS).map(lambda p: rf"\begin{{pmatrix}} {p[0]} \\ {p[1]} \end{{pmatrix}}"),
    st.tuples(st.integers(-9, -1), st.integers(0, 9)).map(lambda p: rf"(-\infty, {p[0]}] \cup ({p[1]}, \infty)"),
    st.tuples(st.integers(1, 9), st.integers(1, 30)).map(lambda p: rf"{p[0]} \pm \sqrt{{{p[1]}}}"),
    st.integers(10, 10**7).map(lambda n: rf"\${n:,}"),
    st.integers(1, 999).map(lambda n: rf"{n}^\circ"),
    st.integers(1, 999).map(lambda n: rf"{n}\%"),
    st.integers(1, 500).map(lambda n: f"{n:b}_2"),
    st.tuples(st.integers(1, 20), st.integers(1, 9)).map(lambda p: rf"{p[0]}\frac{{{p[1]}}}{{10}}"),
    st.tuples(st.integers(1, 12), st.integers(10, 59)).map(lambda p: rf"{p[0]}:{p[1]} \text{{ p.m.}}"),
    st.sampled_from(
        [r"\text{Tuesday}", r"\text{(D)}", r"\emptyset", r"\infty", r"6 - 5i", r"\text{neither even nor odd}"]
    ),
    st.tuples(EXPRESSIONS, st.integers(-9, 9)).map(lambda p: rf"x < {p[1]}"),
    st.tuples(st.integers(1, 9), st.integers(1, 9)).map(
        lambda p: rf"\frac{{\pi}}{{{p[0]}}} + {p[1]} k \pi, k \in \mathbb{{Z}}"
    ),
    st.tuples(st.integers(-9, 9), st.integers(1, 9)).map(lambda p: rf"({p[0]}, 1) + t ({p[1]}, 2)"),
    st.tuples(EXPRESSIONS, EXPRESSIONS).map(
        lambda p: rf"\begin{{cases}} {p[0]} & x > 0 \\ {p[1]} & \text{{otherwise}} \end{{cases}}"
    ),
    st.tuples(st.integers(1, 99), st.sampled_from(["m/s", "km per hour", "cm^2", "dollars per pound"])).map(
        lambda p: rf"{p[0]} \text{{ {p[1]}}}"
    ),
)
HARMLESS = st.sampled_from(
    [
        lambda t: f"  {t} ",
        lambda t: f"${t}$",
        lambda t: rf"\({t}\)",
        lambda t: rf"\displaystyle {t}",
        lambda t: t.replace(r"\frac", r"\dfrac"),
        lambda t: t.replace(r"\frac", r"\tfrac"),
        lambda t: t.replace(r"\cdot", r"\times"),
        lambda t: t if "[" in t else re.sub(r"(?<!\\)\)", r"\\right)", re.sub(r"(?<!\\)\(", r"\\left(", t)),
        lambda t: t if r"\text" in t or r"\displaystyle" in t else t.replace(" ", ""),
        lambda t: t.replace(" ", r"\, "),
        lambda t: f"{t}.",
        lambda t: f"{{{t}}}",
        lambda t: f"\u200b{t}\ufeff",
    ]
)


@settings(max_examples=150, deadline=None)
@given(ANSWERS)
def test_every_answer_equals_itself(text: str) -> None:
    assert equal(text, text).outcome is Outcome.CORRECT


@settings(max_examples=200, deadline=None)
@given(ANSWERS, HARMLESS, HARMLESS)
def test_spelling_does_not_matter(text: str, first: Rewriting, second: Rewriting) -> None:
    assert equal(text, second(first(text))).outcome is Outcome.CORRECT


@settings(max_examples=150, deadline=None)
@given(st.integers(-(10**6), 10**6), st.sampled_from([r"\text{ cm}", " apples", r"^\circ", r"\%", r"\text{ dollars}"]))
def test_a_unit_after_a_number_does_not_matter(value: int, unit: str) -> None:
    assert equal(str(value), f"{value}{unit}").outcome is Outcome.CORRECT
    assert equal(str(value), f"{value + 1}{unit}").outcome is Outcome.INCORRECT


@settings(max_examples=150, deadline=None)
@given(st.fractions(-100, 100, max_denominator=60), st.fractions(-100, 100, max_denominator=60))
def test_fractions_are_compared_exactly(first: Fraction, second: Fraction) -> None:
    spelled = rf"\frac{{{second.numerator}}}{{{second.denominator}}}"
    outcome = equal(f"{first.numerator}/{first.denominator}", spelled).outcome
    assert (outcome is Outcome.CORRECT) == (first == second)


@settings(max_examples=100, deadline=None)
@given(EXPRESSIONS, st.integers(1, 10**6))
def test_adding_something_makes_another_answer(text: str, more: int) -> None:
    outcome = equal(text, f"{text} + {more}").outcome
    assert outcome is not Outcome.CORRECT


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60), st.text(alphabet=st.sampled_from("\\{}[]()$^_,.:;=<>|!%&0123xyπ½∞ frac"), max_size=40))
def test_any_text_is_graded(first: str, second: str) -> None:
    for a, b in ((first, second), (second, first), (second, second)):
        assert isinstance(equal(a, b).outcome, Outcome)


@settings(max_examples=200, deadline=None)
@given(ANSWERS)
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean_text(clean_text(text)) == clean_text(text)


@given(st.integers(-(10**30), 10**30), st.integers(0, 3))
def test_whole_numbers_are_read_exactly(value: int, zeros: int) -> None:
    digits = str(abs(value))
    assert read_whole_number(f"{'-' if value < 0 else ''}{'0' * zeros}{digits}") == str(value)
    assert read_whole_number(f"{value:,}") == str(value)
