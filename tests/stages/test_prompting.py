"""Ways of asking: thinking that is cut, worked examples that are chosen, what a study may say of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lakon.backends.tokenizers import WordCounter
from lakon.core.errors import StudyError
from lakon.core.records import Problem, Trace
from lakon.stages.evaluate.prompting import LONGEST_SHOWN, Cut, Prompting, choose_worked_examples, cut_thinking
from lakon.study.consistency import faults_of
from lakon.study.load import parse_study


def trace(n: int, reasoning: str = "", answer: str = "\\boxed{1}", **more: str) -> Trace:
    return Trace(
        trace_id=f"t{n}", problem_id=f"p{n}", author="a", sample_index=0, reasoning=reasoning, answer=answer, **more
    )


def cut_all(traces: Sequence[Trace], tokens: int, at_once: int = 256) -> list[Trace | Cut]:
    way = Prompting(thinking_tokens=tokens, closing="So \\boxed{")
    return list(cut_thinking(traces, way, WordCounter().cut, at_once=at_once))


def test_long_thinking_is_cut_closed_and_continued_and_short_is_left():
    short, long = trace(1, "one two"), trace(2, "one two three four")
    kept, cut = cut_all([short, long], 3)
    assert kept is short
    assert isinstance(cut, Cut)
    assert cut.kept == "one two three "
    assert cut.begun == "<think>\none two three \n</think>\nSo \\boxed{"
    assert cut.shown == "So \\boxed{"


def test_one_that_thinks_aloud_has_its_answer_cut():
    (cut,) = cut_all([trace(1, "", "first second third fourth \\boxed{9}")], 2)
    assert isinstance(cut, Cut)
    assert (cut.kept, cut.begun) == ("", "first second \nSo \\boxed{")
    assert cut.shown == cut.begun


def test_a_failed_call_stays_one_and_nothing_changes_with_the_size_of_a_chunk():
    rows = [trace(n, "word " * n) for n in range(1, 7)] + [trace(9, "word " * 9, error="timeout")]
    found = cut_all(rows, 4)
    assert [isinstance(row, Cut) for row in found] == [False] * 4 + [True, True, False]
    assert found == cut_all(rows, 4, at_once=3)


@pytest.mark.parametrize("text", ["", "a b c", "12 apples, ½ of 3é!", "漢字 かな 1", "x\n\n y"])
def test_a_text_is_cut_where_so_many_pieces_of_it_are_counted(text: str):
    counter = WordCounter()
    (n,) = counter.count([text])
    assert counter.cut([text], max(1, n)) == [None]
    for limit in range(1, n):
        (part,) = counter.cut([text], limit)
        assert part is not None
        assert text.startswith(part)
        assert counter.count([part]) == [limit]


def test_a_model_s_tokenizer_cuts_at_its_tokens(tmp_path):
    pytest.importorskip("tokenizers")
    from lakon.backends.tokenizers import load_counter
    from lakon.miniature.student import base_path

    counter = load_counter(str(base_path()))
    text = "Eli has 10 pens. Eli finds 2 more."
    (n,) = counter.count([text])
    assert counter.cut([text], n) == [None]
    for limit in range(1, n):
        (part,) = counter.cut([text], limit)
        assert part is not None
        assert text.startswith(part)
        assert counter.count([part])[0] <= limit + 1


PROBLEMS = [Problem.of(f"q{n}?", str(n), domain="math", source="s") for n in range(6)]


def answer_of(problem: Problem, text: str, sample: int = 0) -> Trace:
    return Trace(
        trace_id=f"{problem.problem_id}{sample}",
        problem_id=problem.problem_id,
        author="a",
        sample_index=sample,
        reasoning="long",
        answer=text,
    )


def test_worked_examples_are_correct_of_moderate_length_and_the_same_for_one_seed():
    traces = [answer_of(problem, f"answer {n}") for n, problem in enumerate(PROBLEMS)]
    traces[1] = answer_of(PROBLEMS[1], "x" * (LONGEST_SHOWN + 1))
    traces.append(answer_of(PROBLEMS[2], "a second one", 1))
    right = {each.trace_id for each in traces} - {traces[0].trace_id}
    turns = choose_worked_examples(PROBLEMS, traces, right, count=3, template="{problem} Think.", seed=4)
    assert [turn.role for turn in turns] == ["user", "assistant"] * 3
    shown = {turn.content for turn in turns}
    assert all(turn.content.endswith("? Think.") for turn in turns[::2])
    assert not shown & {"answer 0", "a second one", "x" * (LONGEST_SHOWN + 1)}
    again = choose_worked_examples(PROBLEMS[::-1], traces[::-1], right, count=3, template="{problem} Think.", seed=4)
    assert [turn.content for turn in turns[::2]] == [turn.content for turn in again[::2]]
    everything = choose_worked_examples(PROBLEMS, traces, right, count=99, template="{problem}", seed=4)
    assert len(everything) == 2 * 4
    other = choose_worked_examples(PROBLEMS, traces, right, count=3, template="{problem} Think.", seed=5)
    assert turns != other


def study(**evaluate: object):
    return parse_study(
        {
            "name": "t",
            "problems": {"kind": "synthetic", "count": 9},
            "teachers": {"v": {"kind": "procedural", "procedure": "verbose"}},
            "evaluate": evaluate,
        }
    )


def test_ways_of_ones_own_take_the_place_of_known_ones():
    made = study(prompting=["direct"], prompts={"direct": {"prompt": "{problem} Now!"}})
    assert made.evaluate.way("direct").prompt == "{problem} Now!"
    assert made.evaluate.way("few-shot").examples == 4


@pytest.mark.parametrize(
    ("evaluate", "words"),
    [
        ({"prompts": {"x": {"thinking_tokens": 9, "examples": 2}}}, "thinking_tokens beside"),
        ({"prompts": {"x": {"prompt": "no place"}}}, "without {problem}"),
    ],
)
def test_what_is_wrong_with_ways_is_told(evaluate: dict[str, object], words: str):
    with pytest.raises(StudyError) as told:
        study(**evaluate)
    assert words in str(told.value)


def test_ways_that_nobody_knows_or_that_are_named_twice_are_told():
    (unknown,) = faults_of(study(prompting=["dirct"]))
    assert (unknown.where, "direct" in unknown.expected) == ("evaluate.prompting", True)
    (twice,) = faults_of(study(prompting=["direct", "direct"]))
    assert "twice" in twice.found


def test_worked_examples_want_a_teacher():
    only = parse_study(
        {
            "name": "t",
            "evaluate": {
                "benchmarks": ["gsm8k"],
                "authors": {"m": {"kind": "checkpoint", "path": "miniature:base"}},
            },
        }
    )
    asked = only.model_copy(update={"evaluate": only.evaluate.model_copy(update={"prompting": ("few-shot",)})})
    assert [fault.where for fault in faults_of(asked)] == ["evaluate.prompting"]
