"""Recorded traces: columns and messages of data sets, one schema, and rows that are read once and not kept."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from lakon.backends.reasoning_formats import split_message, split_reasoning
from lakon.backends.recorded import Fields, RecordedAuthor
from lakon.core.errors import InputError
from lakon.core.protocols import ABSENT, Reply
from lakon.stages.problems.rows import read_path

Row = dict[str, Any]


def author(rows: Iterator[Row] | list[Row], **fields: Any) -> RecordedAuthor:
    named = Fields(problem=fields.pop("problem", "problem"), where=fields.pop("where", {}), **fields)
    numbered: Any = lambda: ((f"rows:{i}", row) for i, row in enumerate(rows))  # noqa: E731
    return RecordedAuthor(
        numbered, named, split=split_reasoning, split_message=split_message, read_path=read_path, digest="d"
    )


def replies(recorded: RecordedAuthor, *asked: tuple[str, int]) -> list[Reply]:
    prompts = list(dict.fromkeys(problem for problem, _ in asked))
    samples = 1 + max(sample for _, sample in asked)
    got = {
        (prompts[number], sample): recorded.parse(json.loads(json.dumps(payload)))
        for number, sample, payload in recorded.replies(prompts, samples)
    }
    return [got.get(key, Reply(error=ABSENT)) for key in asked]


PARTS = [{"type": "thinking", "thinking": "2 and 2"}, {"type": "text", "text": "It is 4."}]
THOUGHT = {"role": "assistant", "reasoning_content": "2 and 2", "content": "It is 4."}


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": "2+2?"}, THOUGHT],
        [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "<think>2 and 2</think>It is 4."}],
        [{"from": "human", "value": "2+2?"}, {"from": "gpt", "value": "<think>\n2 and 2\n</think>\n\nIt is 4."}],
        [{"role": "assistant", "content": "an earlier turn"}, {"role": "user", "content": "2+2?"}, THOUGHT],
        [{"role": "assistant", "content": PARTS}],
        [THOUGHT, {"role": "user", "content": "thanks"}],
        json.dumps([{"role": "user", "content": "2+2?"}, THOUGHT]),
    ],
)
def test_the_last_message_of_the_assistant_is_the_trace(messages: object):
    (reply,) = replies(author([{"problem": "2+2?", "chat": messages}], messages="chat"), ("2+2?", 0))
    assert (reply.reasoning, reply.answer) == ("2 and 2", "It is 4.")


@pytest.mark.parametrize(
    ("told", "n"),
    [
        (512, 512),
        (512.0, 512),
        ("512", 512),
        (0, 0),
        (512.5, None),
        (-1, None),
        ("many", None),
        (1e30, None),
        (None, None),
        ("inf", None),
        ("nan", None),
        (True, 1),
        ([512], None),
    ],
)
def test_a_count_is_a_whole_number_that_a_trace_can_have(told: object, n: int | None):
    rows = [{"problem": "q", "text": "4", "used": told}]
    (reply,) = replies(author(rows, text="text", tokens="used"), ("q", 0))
    assert reply.completion_tokens == n


def test_a_chat_without_an_assistant_is_an_empty_answer():
    (reply,) = replies(
        author([{"problem": "q", "chat": [{"role": "user", "content": "q"}]}], messages="chat"), ("q", 0)
    )
    assert (reply.answer, reply.error) == ("", None)


def test_the_problem_may_stand_in_the_same_chat():
    row = {"messages": [{"role": "user", "content": "2+2?"}, THOUGHT], "metadata": json.dumps({"who": "r1"})}
    fields: Row = {"problem": "messages.0.content", "messages": "messages", "where": {"metadata.who": "r1"}}
    assert replies(author([row], **fields), ("2+2?", 0))[0].answer == "It is 4."


def test_the_rows_of_a_problem_are_its_samples_and_what_is_missing_is_absent():
    rows = [{"problem": "a  b", "text": f"<think>t</think>{i}"} for i in range(3)]
    got = replies(author(rows, text="text"), ("a b", 1), ("a b", 0), ("a b", 3), ("c", 0))
    assert [reply.answer for reply in got] == ["1", "0", "", ""]
    assert [reply.error for reply in got] == [None, None, ABSENT, ABSENT]


def test_rows_that_nobody_asked_for_are_counted_by_why():
    rows = [{"problem": problem, "text": "1"} for problem in "aabbbc"]
    recorded = author(rows, text="text")
    assert len(list(recorded.replies("abd", 2))) == 4
    assert recorded.unused == {"rows_beyond_samples": 1, "rows_of_other_problems": 1, "problems_without_trace": 1}


def test_no_fitting_row_is_a_mistake_and_says_what_there_is():
    with pytest.raises(InputError, match="did you mean 'deepseek'"):
        replies(
            author([{"problem": "q", "who": "deepseek", "text": "1"}], text="text", where={"who": "deepsek"}), ("q", 0)
        )


def test_a_missing_column_names_the_row_and_the_columns_there_are():
    with pytest.raises(InputError, match="no field 'txt'") as caught:
        replies(author([{"problem": "q", "text": "1"}], text="txt"), ("q", 0))
    assert (caught.value.where, caught.value.fault.expected) == ("rows:0", "did you mean 'text'?")


def test_rows_that_nobody_asks_for_are_not_kept():
    def many() -> Iterator[Row]:
        for i in range(300):
            yield {"problem": f"p{i}", "text": "x" * 100_000 + str(i)}

    recorded = author(many(), text="text")
    seen: list[Mapping[str, object]] = []
    tracemalloc.start()
    seen.extend(payload for _, _, payload in recorded.replies(["p7"], 1))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(seen[0]["text"]).endswith("x7")
    assert peak < 3_000_000


def test_one_text_with_two_references_is_two_problems_that_share_the_recorded_traces():
    rows: list[Row] = [{"problem": "2+2?", "text": "first"}, {"problem": "2+2?", "text": "second"}]
    said = [(number, sample, row["text"]) for number, sample, row in author(rows, text="text").replies(["2+2?"] * 2, 3)]
    assert said == [(0, 0, "first"), (1, 0, "first"), (0, 1, "second"), (1, 1, "second")]
