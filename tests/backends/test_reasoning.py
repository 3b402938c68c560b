"""Every way in which models and servers mark reasoning, as it comes over the wire, to the same two texts."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lakon.backends.endpoint.replies import reply_of
from lakon.backends.reasoning_formats import split_message, split_output, split_reasoning

R, A = "First I add.\n\nThen I check: 2 + 2 = 4.", "The answer is \\boxed{4}."

TEXTS = {
    "think": f"<think>\n{R}\n</think>\n\n{A}",
    "think, spaces and a start token": f"<s> \n<think>{R}</think>{A}</s>",
    "opening tag written by the template": f"{R}\n</think>\n\n{A}<|im_end|>",
    "closed twice": f"<think>\n{R}\n</think>\n</think>\n{A}",
    "Mistral": f"[THINK]{R}[/THINK]{A}",
    "Kimi": f"◁think▷{R}◁/think▷{A}",
    "Seed": f"<seed:think>{R}</seed:think>{A}",
    "Sky-T1": f"<|begin_of_thought|>\n\n{R}\n\n<|end_of_thought|>\n\n"
    f"<|begin_of_solution|>\n\n{A}\n\n<|end_of_solution|>",
    "thinking": f"<thinking>{R}</thinking>{A}",
    "harmony": f"<|channel|>analysis<|message|>{R}<|end|><|start|>assistant<|channel|>final<|message|>{A}<|return|>",
    "harmony, whole turn": f"<|start|>assistant<|channel|>analysis<|message|>{R}<|end|>"
    f"<|start|>assistant<|channel|>final <|constrain|>json<|message|>{A}",
    "harmony, head written by the template": f"{R}<|end|><|start|>assistant<|channel|>final<|message|>{A}<|return|>",
    "harmony, channels back to back": f"<|channel|>analysis<|message|>{R}<|channel|>final<|message|>{A}",
    "harmony without its special tokens": f"analysis{R}assistantfinal{A}",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_every_format_gives_the_same_two_texts(text: str) -> None:
    assert split_reasoning(text) == (R, A, True)
    assert split_reasoning(text, prefills_think=True) == (R, A, True)


@pytest.mark.parametrize(
    "text",
    [
        f"<think>\n{R}",
        f"<think>{R}</think>\nSo far.\n<think>\nBut wait",
        f"[THINK]{R}",
        f"<|channel|>analysis<|message|>{R}",
        f"<|channel|>analysis<|message|>{R}<|end|>",
        f"analysis{R}",
        "<think>",
    ],
)
def test_what_was_cut_off_while_thinking_has_no_answer(text: str) -> None:
    reasoning, answer, finished = split_reasoning(text)
    assert (answer, finished) == ("", False)
    assert (R in reasoning) == (R in text)


def test_a_text_without_tags_is_an_answer_unless_the_template_opened_the_thinking() -> None:
    assert split_reasoning(f"  {A}\n") == ("", A, True)
    assert split_reasoning(R, prefills_think=True) == (R, "", False)
    assert split_reasoning("") == ("", "", True)
    assert split_reasoning("<think>\n\n</think>\n\nYes") == ("", "Yes", True)


def test_answers_may_mention_tags() -> None:
    answer = "Wrap it in `<think>` and `</think>`, or in <thinking>x</thinking>."
    assert split_reasoning(f"<think>{R}</think>{answer}") == (R, answer, True)
    assert split_reasoning("Use <thinking>x</thinking> tags.") == (
        "",
        "Use <thinking>x</thinking> tags.",
        True,
    )
    assert split_reasoning("analysis of variance gives 4") == ("", "analysis of variance gives 4", True)


def test_thinking_in_several_blocks_is_gathered() -> None:
    assert split_reasoning(f"<think>one</think>\n<think>two\nlines</think>{A}") == (
        "one\n\ntwo\nlines",
        A,
        True,
    )
    text = f"<think>one</think>\nSo it seems.\n<think>two</think>\n{A}"
    assert split_reasoning(text) == ("one\n\ntwo", f"So it seems.\n\n{A}", True)
    text = f"<think>one</think> wait, no\n</think>\n{A}"
    assert split_reasoning(text) == ("one\n\nwait, no", A, True)
    harmony = (
        "<|channel|>analysis<|message|>one<|end|><|start|>assistant<|channel|>commentary<|message|>two<|end|>"
        f"<|start|>assistant<|channel|>analysis<|message|>three<|end|><|start|>assistant<|channel|>final<|message|>{A}"
    )
    assert split_reasoning(harmony) == ("one\n\ntwo\n\nthree", A, True)


MESSAGES: dict[str, dict[str, object]] = {
    "reasoning_content": {"content": A, "reasoning_content": R},
    "reasoning": {"content": A, "reasoning": R},
    "both, with one text": {"content": A, "reasoning_content": R, "reasoning": R},
    "one of them null": {"content": A, "reasoning_content": None, "reasoning": R},
    "also inside the content": {"content": f"<think>{R}</think>{A}", "reasoning_content": R},
    "reasoning_details": {"content": A, "reasoning_details": [{"type": "reasoning.text", "text": R}]},
    "a summary in reasoning_details": {"content": A, "reasoning_details": [{"summary": R}, {"data": "xx"}]},
    "thinking_blocks": {"content": A, "thinking_blocks": [{"type": "thinking", "thinking": R}]},
    "Mistral's parts": {
        "content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": R}]},
            {"type": "text", "text": A},
        ]
    },
    "parts of text": {"content": [{"type": "text", "text": f"<think>{R}</"}, {"type": "text", "text": f"think>{A}"}]},
    "plain content": {"content": TEXTS["harmony"]},
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES.keys())
@pytest.mark.parametrize("prefills_think", [False, True])
def test_every_message_gives_the_same_two_texts(message: dict[str, object], prefills_think: bool) -> None:
    assert split_message(message, prefills_think=prefills_think) == (R, A, True)


def test_a_message_cut_off_while_thinking_has_no_answer() -> None:
    assert split_message({"content": None, "reasoning_content": R})[:2] == (R, "")
    assert split_message({"content": "", "reasoning": R})[:2] == (R, "")
    assert split_message({"content": None}) == ("", "", True)


def test_responses_items_keep_their_order_and_prefer_text_to_summaries() -> None:
    items: list[object] = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "short"}], "content": None},
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "unused"}],
            "content": [{"type": "reasoning_text", "text": "long"}],
        },
        {"type": "web_search_call"},
        {"type": "message", "content": [{"type": "output_text", "text": A}]},
    ]
    assert split_output(items) == ("short\n\nlong", A, True)


def chat(message: dict[str, object], **choice: object) -> dict[str, object]:
    """A payload as it lies in the ledger."""
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 20,
        "completion_tokens_details": {"reasoning_tokens": 15},
    }
    body = {"model": "m-1", "choices": [{"message": message, **choice}], "usage": usage}
    return {"status": 200, "body": body, "latency_s": 1.5}


def test_a_reply_carries_usage_model_and_finish_reason() -> None:
    reply = reply_of(chat({"content": A, "reasoning": R}, finish_reason="stop"))
    assert (reply.reasoning, reply.answer, reply.finish_reason) == (R, A, "stop")
    assert (reply.prompt_tokens, reply.completion_tokens, reply.reasoning_tokens) == (10, 20, 15)
    assert (reply.served_model, reply.latency_s, reply.error) == ("m-1", 1.5, None)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("length", "length"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("tool_calls", "tool_calls"),
    ],
)
def test_finish_reasons_have_one_name(theirs: str, ours: str) -> None:
    assert reply_of(chat({"content": A}, finish_reason=theirs)).finish_reason == ours


def test_a_refusal_is_a_finish_reason() -> None:
    reply = reply_of(chat({"content": None, "refusal": "I can't."}, finish_reason="stop"))
    assert (reply.answer, reply.finish_reason, reply.error) == ("I can't.", "refusal", None)
    output = [{"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}]
    reply = reply_of({"body": {"output": output, "status": "completed"}})
    assert (reply.answer, reply.finish_reason) == ("No.", "refusal")


def test_a_responses_reply() -> None:
    body: dict[str, object] = {
        "model": "m-2",
        "status": "incomplete",
        "incomplete_details": {"reason": "max_output_tokens"},
        "output": [{"type": "reasoning", "summary": [{"text": R}]}],
        "usage": {"input_tokens": 3, "output_tokens": 9, "output_tokens_details": {"reasoning_tokens": 9}},
    }
    reply = reply_of({"body": body})
    assert (reply.reasoning, reply.answer, reply.finish_reason) == (R, "", "length")
    assert (reply.prompt_tokens, reply.completion_tokens, reply.reasoning_tokens) == (3, 9, 9)
    failed = reply_of({"body": {**body, "status": "failed", "error": {"message": "out of memory"}}})
    assert failed.error == "failed: out of memory"


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"body": None},
        {"body": [1]},
        {"body": {"choices": None}},
        {"body": {"choices": [None]}},
        {"body": {"choices": [{"message": {"content": {"a": 1}}}], "usage": [1], "model": 4}},
        {"body": {"choices": [{"message": {"content": [None, 1, {"text": None}]}, "finish_reason": 3}]}},
        {"body": {"output": [None, {"type": "message", "content": [None]}], "status": 1}},
        {"error": {"kind": "server", "message": "it broke", "status": 500}},
        {"error": "text", "latency_s": "x", "body": {"choices": 3}},
    ],
)
def test_no_payload_raises(payload: dict[str, object]) -> None:
    reply = reply_of(payload)
    assert not reply.error or "unreadable" not in reply.error
    assert reply.answer == ""


def recorded_traces() -> list[dict[str, str]]:
    """Traces that real models wrote, when the data folder is there."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    path = Path(os.environ.get("LAKON_DATA", str(beside))) / "traces_real.jsonl"
    if not path.exists():
        pytest.skip("the recorded traces are not here; set LAKON_DATA to their folder")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_real_traces_split_as_published() -> None:
    rows = recorded_traces()
    for row in rows:
        if row["thinking"]:
            assert split_reasoning(row["trace"]) == (
                row["thinking"].strip(),
                row["answer_text"].strip(),
                True,
            ), row["id"]
            message: dict[str, object] = {"content": row["answer_text"], "reasoning_content": row["thinking"]}
            assert split_message(message)[:2] == (row["thinking"].strip(), row["answer_text"].strip())
        else:
            assert split_reasoning(row["trace"], prefills_think=True) == (row["trace"].strip(), "", False), row["id"]
    assert sum(bool(row["thinking"]) for row in rows) > 50
