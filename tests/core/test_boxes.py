r"""`\boxed{...}` in a text: where it ends, what stands in it, and what is no box."""

from __future__ import annotations

import time

import pytest

from lakon.core.boxes import find_boxes, last_box, write_box


@pytest.mark.parametrize(
    ("text", "contents"),
    [
        (r"\boxed{\frac{1}{2}} and \boxed{3}", [r"\frac{1}{2}", "3"]),
        (r"\fbox{4}, \framebox{5}, \bbox[5px]{6}, \boxed 7", ["4", "5", "6", "7"]),
        (r"\boxed{\{1, 2\}}", [r"\{1, 2\}"]),
        (r"\boxed{a \\} b", [r"a \\"]),
        (r"\boxed{\boxed{5}}", ["5"]),
        (r"\boxed{} \boxed{", ["", None]),
        (r"\boxed{\boxed{1}", [None, "1"]),
        (r"\boxedx{1} boxed{2}", []),
    ],
)
def test_every_box_is_found_in_order(text: str, contents: list[str | None]):
    boxes = find_boxes(text)
    assert [box.content for box in boxes] == contents
    assert all(text[box.start] == "\\" for box in boxes)


def test_a_box_ends_just_after_its_brace_and_an_open_one_with_the_text():
    assert [(box.start, box.end) for box in find_boxes(r"so \boxed{12}. \boxed{")] == [(3, 13), (15, 22)]


@pytest.mark.parametrize(
    ("text", "content"),
    [(r"\boxed{1}, \boxed{ 2 }.", "2"), (r"\boxed{1} \boxed{2", None), ("none", None), (r"\boxed{\}}", r"\}")],
)
def test_the_last_box(text: str, content: str | None):
    assert last_box(text) == content


@pytest.mark.parametrize("content", ["1", r"\frac{1}{2}", r"\{1\}", r"\{1"])
def test_a_box_that_is_written_is_found_again(content: str):
    boxed = write_box(content)
    assert boxed is not None
    assert last_box(boxed) == content


@pytest.mark.parametrize("content", ["{", "}", "1}{2", "5\\"])
def test_no_box_is_written_whose_braces_do_not_pair_up(content: str):
    assert write_box(content) is None


@pytest.mark.parametrize("piece", ["\\boxed{", "{", "\\boxed{}", "\\boxed "])
def test_the_scan_is_linear(piece: str):
    start = time.process_time()
    find_boxes(piece * 100_000)
    assert time.process_time() - start < 5
