"""Human rulings: they win over every method, and a file that cannot be read says so line by line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lakon.core.errors import StudyError
from lakon.core.protocols import Grading
from lakon.core.records import Outcome, Problem, Trace
from lakon.stages.verify.overrides import (
    NO_OVERRIDES,
    Overrides,
    find_override_faults,
    read_overrides,
    read_ruling_uses,
)

PROBLEM = Problem.of("p", " x=5 ")
WHO = {"who": "Ada", "why": "same value"}
WRONG = Grading(outcome=Outcome.INCORRECT, extracted="5", method="shape", disputed=True)


def trace(trace_id: str = "0123456789abcdef", answer: str = "It is 5.") -> Trace:
    return Trace(trace_id=trace_id, problem_id=PROBLEM.problem_id, author="a", sample_index=0, answer=answer)


def read(folder: Path, *rows: object) -> Overrides:
    path = folder / "overrides.jsonl"
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return read_overrides(str(path))


def test_a_ruling_about_a_trace_names_who_why_and_what_it_overrules(tmp_path: Path):
    rulings = read(tmp_path, {"trace_id": "0123456789abcdef", "outcome": "correct", **WHO})
    ruled = rulings.apply(trace(), PROBLEM, WRONG)
    assert (ruled.outcome, ruled.method, ruled.extracted, ruled.disputed) == (Outcome.CORRECT, "override", "5", False)
    assert ruled.explanation == "Ada: same value (the rules said incorrect by shape)"
    assert rulings.apply(trace("0123456789abcdee"), PROBLEM, WRONG) is WRONG


@pytest.mark.parametrize("answer", ["5", "It is 5."])
def test_a_ruling_about_words_is_for_every_such_answer_extracted_or_whole(tmp_path: Path, answer: str):
    rulings = read(tmp_path, {"reference": "x=5", "answer": answer, "outcome": "correct", **WHO})
    assert rulings.apply(trace("any"), PROBLEM, WRONG).outcome == Outcome.CORRECT
    assert rulings.apply(trace("any"), Problem.of("p", "x=6"), WRONG) is WRONG


def test_a_ruling_about_the_trace_comes_before_one_about_its_words(tmp_path: Path):
    pair = {"reference": "x=5", "answer": "5", "outcome": "correct", **WHO}
    rulings = read(tmp_path, pair, "", {"trace_id": "0123456789abcdef", "outcome": "refused", **WHO})
    assert rulings.apply(trace(), PROBLEM, WRONG).outcome == Outcome.REFUSED


def test_the_beginning_of_an_id_that_a_report_shows_is_enough_and_a_mistyped_rest_is_not(tmp_path: Path):
    ruled = {"outcome": "correct", **WHO}
    rulings = read(tmp_path, {"trace_id": "0123456789ab", **ruled}, {"trace_id": "bbbbbbbbbbbbXX", **ruled})
    assert rulings.apply(trace("0123456789abcdef"), PROBLEM, WRONG).outcome == Outcome.CORRECT
    assert rulings.apply(trace("0123456789acffff"), PROBLEM, WRONG) is WRONG
    assert rulings.apply(trace("bbbbbbbbbbbbcccc"), PROBLEM, WRONG) is WRONG


def test_the_account_says_how_often_each_ruling_was_used(tmp_path: Path):
    pair = {"reference": "x=5", "answer": "5", "outcome": "correct", **WHO}
    rulings = read(tmp_path, pair, "", {"trace_id": "0123456789ab", "outcome": "refused", **WHO})
    for trace_id in ("a" * 16, "b" * 16):
        rulings.apply(trace(trace_id), PROBLEM, WRONG)
    file = tmp_path / "rulings.json"
    file.write_text(rulings.uses_as_json(), encoding="utf-8")
    told = [(use.line, use.about, use.outcome, use.who, use.n) for use in read_ruling_uses(file)]
    assert told == [(1, "5 to x=5", "correct", "Ada", 2), (3, "0123456789ab", "refused", "Ada", 0)]
    assert read_ruling_uses(tmp_path / "nowhere") == ()


def test_without_a_file_there_is_nothing_to_apply():
    assert read_overrides(None) is NO_OVERRIDES
    assert NO_OVERRIDES.apply(trace(), PROBLEM, WRONG) is WRONG


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{oops", "not JSON"),
        ("[1]", "a list"),
        ({"outcome": "correct", **WHO}, "neither trace_id nor reference and answer"),
        ({"reference": "5", "outcome": "correct", **WHO}, "a trace_id, or a reference and an answer"),
        ({"trace_id": "0123456789ab", "answer": "5", "outcome": "correct", **WHO}, "trace_id and answer"),
        ({"trace_id": "0123456789ab", "outcome": "corect", **WHO}, "did you mean 'correct'"),
        ({"trace_id": "0123456789ab", "outcome": "correct", "who": "Ada"}, "no why"),
        ({"trace_id": "0123456789ab", "outcome": "correct", "who": " ", "why": "x"}, "who is ' '"),
        ({"trace_id": "0123", "outcome": "correct", **WHO}, "at least its first 12 characters"),
        ({"trace_id": 7, "outcome": "correct", **WHO}, "trace_id is 7"),
        ({"trace_id": "0123456789ab", "outcome": "correct", "whom": "x", **WHO}, "did you mean 'who'"),
        ('{"trace_id": "\udcff"}'.encode("utf-8", "surrogateescape").decode("latin-1"), "no outcome"),
    ],
)
def test_a_bad_line_is_named_with_what_to_do(tmp_path: Path, line: object, says: str):
    with pytest.raises(StudyError) as caught:
        read(tmp_path, {"trace_id": "a good trace", "outcome": "correct", **WHO}, line)
    assert {fault.where for fault in caught.value.faults} == {"overrides.jsonl:2"}
    assert says in str(caught.value)
    assert all(fault.found and fault.expected and fault.remedy for fault in caught.value.faults)


def test_all_faults_come_at_once_and_two_rulings_may_not_contradict(tmp_path: Path):
    with pytest.raises(StudyError):
        read(
            tmp_path,
            {"trace_id": "0123456789ab", "outcome": "correct", **WHO},
            "{",
            {"trace_id": "0123456789ab", "outcome": "correct", "who": "Bob", "why": "I agree"},
            {"trace_id": "0123456789ab", "outcome": "incorrect", "who": "Eve", "why": "no"},
        )
    faults = find_override_faults(str(tmp_path / "overrides.jsonl"))
    assert [fault.where for fault in faults] == ["overrides.jsonl:2", "overrides.jsonl:4"]
    assert "line 1 says correct" in faults[1].found
