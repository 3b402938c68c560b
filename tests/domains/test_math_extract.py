"""Extraction: the last answer that the author gave, never anything from its reasoning."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakon.core.reasoning import has_open_reasoning
from lakon.domains.math.extract.marked import extract

CASES = [
    # boxes
    (r"so we get $\boxed{42}$.", "42", "boxed"),
    (r"\boxed{\frac{1}{\sqrt{2}}} and done", r"\frac{1}{\sqrt{2}}", "boxed"),
    (r"\boxed{8}. Wait, no: \boxed{9}", "9", "boxed"),
    (r"\boxed{8}" "\n\n" r"\boxed{9}", "9", "boxed"),
    (r"either \boxed{8} or \boxed{9}", "8, 9", "boxes"),
    (r"\boxed{2}$ and $\boxed{3}$ and $\boxed{4}", "2, 3, 4", "boxes"),
    (r"x_1 = \boxed{2}\) and \(x_2 = \boxed{3}", "2, 3", "boxes"),
    (r"\boxed{7} \boxed{}", "7", "boxed"),
    (r"\boxed{\boxed{7}}", "7", "boxed"),
    (r"\fbox{11}", "11", "boxed"),
    (r"$\boxed 5$ ... so $\boxed7$", "7", "boxed"),
    (r"\boxed{\{1, 2\}}", r"\{1, 2\}", "boxed"),
    (r"\boxed{4} so the first part is done. Then \boxed{\frac{10}{", None, "unbalanced-box"),
    (r"The final answer is 3. \boxed{4}", "4", "boxed"),
    # marks and phrases
    ("some steps\n#### 1,250", "1,250", "hashes"),
    ("<answer>17</answer>", "17", "answer-tag"),
    ("The final answer is $x+1$. I hope it is correct.", "x+1", "final-answer"),
    ("**Answer:** 12", "12", "answer-phrase"),
    ("Answer: **12**", "12", "answer-phrase"),
    ("**Answer**\n\n12", "12", None),
    ("The answer is 12. Note that 13 is impossible.", "12", "answer-phrase"),
    ("Final Answer: the largest $k$ is 34.", "34", "final-answer"),
    ("The answer is thirteen.", "thirteen", "answer-phrase"),
    # no mark at all
    ("  -3/4 ", "-3/4", "bare"),
    ("$x^2+1$", "x^2+1", "bare"),
    ("She has 7 apples and buys 5 more, so she ends with 12 apples.", "12", "last-number"),
    ("Thus,\n\\[\ny = 4.\n\\]", "y = 4", "last-math"),
    ("The roots are 2 and 3.", "2 and 3", "last-is"),
    ("Hence it costs **\\$15**.", r"\$15", "last-bold"),
    ("I cannot say.", None, "none"),
    ("", None, "empty"),
    # reasoning is not an answer
    (r"<think>\boxed{1}</think>\boxed{2}", "2", "boxed"),
    (r"<think>\boxed{1}", None, "empty"),
    (r"\boxed{1}</think> It is \boxed{2}", "2", "boxed"),
    (r"\boxed{2} <think> or \boxed{3}", "2", "boxed"),
    (r"<|channel|>analysis<|message|>\boxed{1}<|end|><|channel|>final<|message|>It is **2**<|return|>", "2", None),
    (r"<|channel|>analysis<|message|>\boxed{1}", None, "empty"),
    (r"\boxed{2}<|im_end|><|im_start|>user \boxed{3}", "2", "boxed"),
]


@pytest.mark.parametrize(("text", "answer", "rule"), CASES)
def test_extracts(text: str, answer: str | None, rule: str | None) -> None:
    found = extract(text)
    assert found.text == answer
    assert rule is None or found.rule == rule


def test_a_guess_is_not_called_a_stated_answer() -> None:
    assert extract(r"\boxed{3}").stated
    assert extract("The answer is 3.").stated
    assert not extract("There were 3 birds left on the tree.").stated


def test_open_reasoning_is_seen() -> None:
    assert has_open_reasoning("<think> hm")
    assert has_open_reasoning("<|channel|>analysis<|message|> hm")
    assert not has_open_reasoning("<think> hm </think> 3")
    assert not has_open_reasoning("no reasoning here")


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=st.sampled_from("\\boxed{}()$# 12.answer is\n*<think>/|\u200b½"), max_size=200))
def test_never_raises_and_never_reads_past_an_opened_thought(text: str) -> None:
    assert extract("<think>" + text.replace("</think>", "")).text is None
    assert isinstance(extract(text).rule, str)


@pytest.mark.parametrize(
    "unit", ["\\boxed{", "$", "{", "1.", "\\boxed{1} and ", "answer is ", "**", "is ", "1,", "<answer>", "( ", "$1$, "]
)
def test_time_is_linear_in_the_length(unit: str) -> None:
    text = unit * (120_000 // len(unit))
    start = time.process_time()
    extract(text)
    assert time.process_time() - start < 2.0
