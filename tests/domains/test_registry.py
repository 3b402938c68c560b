"""A domain is one file and one row: a study in a new one is checked, run and scored, and nothing else knows of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from lakon import api
from lakon.core.errors import StudyError
from lakon.core.records import Verdict
from lakon.domains import registry
from lakon.study.load import load_study

REVERSED = '''
"""A toy domain: an answer is right when it is the reference read backwards."""

from lakon.core.protocols import Domain, Grading
from lakon.core.records import Outcome


class Verifier:
    version = "reversed@1"

    def __init__(self, options):
        assert options.workers >= 1 and options.limit_s > 0

    def grade(self, rows):
        for row in rows:
            right = row.answer.strip() == row.reference[::-1]
            outcome = Outcome.CORRECT if right else Outcome.INCORRECT
            yield Grading(outcome=outcome, extracted=row.answer.strip(), method="reversed")

    def close(self):
        pass


DOMAIN = Domain(version="reversed@1", make_verifier=Verifier, read_reference=lambda text: text[::-1])
'''
STUDY = """
name = "toy"
tokenizer = "words"
[problems]
kind = "jsonl"
path = "problems.jsonl"
domain = "{domain}"
[teachers.one]
kind = "recorded"
path = "traces.jsonl"
text_field = "text"
[arms.one]
teacher = "one"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Problems and traces of which every second one is right in the toy domain, whose module can be imported."""
    (tmp_path / "toy_domain.py").write_text(REVERSED, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "toy_domain", raising=False)
    problems = [{"problem": f"Reverse word{i}.", "answer": f"word{i}"} for i in range(6)]
    answers = [f"word{i}"[::-1] if i % 2 else f"word{i}" for i in range(6)]
    traces = [{**row, "text": f"<think>Hm.</think>{answer}"} for row, answer in zip(problems, answers, strict=True)]
    for name, rows in (("problems.jsonl", problems), ("traces.jsonl", traces)):
        (tmp_path / name).write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return tmp_path


def study_in(folder: Path, domain: str) -> Path:
    path = folder / "toy.toml"
    path.write_text(STUDY.format(domain=domain), encoding="utf-8")
    return path


def verdicts_of(folder: Path, domain: str) -> list[Verdict]:
    study = study_in(folder, domain)
    assert [fault for fault in api.check(study) if fault.level == "fault"] == []
    api.run(study, store=folder / "store", reports=folder / "reports")
    states: dict[str, Any] = {state.step.name: state.artifact for state in api.plan(study, store=folder / "store")}
    assert states["curate/one"].manifest.rows["examples"] == 3
    return list(states["verify/one"].read("verdicts", Verdict))


def test_a_row_in_the_table_adds_a_domain(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(registry.DOMAINS, "reversed", "toy_domain:DOMAIN")
    verdicts = verdicts_of(folder, "reversed")
    assert [verdict.outcome for verdict in verdicts] == ["incorrect", "correct"] * 3
    assert {(verdict.verifier, verdict.method) for verdict in verdicts} == {("reversed@1", "reversed")}


def test_a_study_may_bring_a_domain_of_its_own(folder: Path):
    assert [verdict.outcome for verdict in verdicts_of(folder, "toy_domain:DOMAIN")] == ["incorrect", "correct"] * 3


def test_a_file_is_graded_in_a_domain_of_ones_own(folder: Path):
    rows = [{"gold": "abc", "prediction": "cba"}, {"gold": "abc", "prediction": "abc"}]
    (folder / "answers.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    done = api.verify_file(folder / "answers.jsonl", domain="toy_domain:DOMAIN")
    assert (done.verifier, done.outcomes) == ("reversed@1", {"correct": 1, "incorrect": 1})


def test_only_marked_answers_count_where_a_file_is_graded_so(tmp_path: Path):
    rows = [{"gold": "4", "prediction": "It is \\boxed{4}."}, {"gold": "4", "prediction": "The answer is 4."}]
    (tmp_path / "answers.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    anywhere = api.verify_file(tmp_path / "answers.jsonl", out=tmp_path / "any.jsonl")
    boxed = api.verify_file(tmp_path / "answers.jsonl", out=tmp_path / "boxed.jsonl", boxed_only=True)
    assert anywhere.outcomes == {"correct": 2}
    assert boxed.outcomes == {"correct": 1, "unparsed": 1}
    assert anywhere.verifier != boxed.verifier


@pytest.mark.parametrize(
    ("domain", "found", "expected"),
    [
        ("maths", "no domain is called 'maths'", "math"),
        ("toy_domain:Verifier", "'toy_domain:Verifier' is a type", "a lakon.core.protocols.Domain"),
        ("toy_domain:DOMAINS", "cannot be imported", "an importable module"),
    ],
)
def test_a_domain_that_is_not_there_is_a_fault_of_the_study(folder: Path, domain: str, found: str, expected: str):
    with pytest.raises(StudyError) as raised:
        load_study(study_in(folder, domain))
    (fault,) = raised.value.faults
    assert fault.where == "problems.domain"
    assert found in fault.found
    assert expected in fault.expected
