"""Errors in three parts survive the trip from a worker process."""

from __future__ import annotations

import pickle

from lakon.core.errors import Fault, InputError, RunStopped, StudyError, near_miss


def test_a_message_has_where_found_expected_and_remedy():
    text = str(InputError("a file of 0 rows", "at least one", "check the path", where="x.jsonl:3"))
    assert text == "x.jsonl:3: a file of 0 rows\n    expected: at least one\n    to do:    check the path"


def test_errors_survive_pickling_with_their_kind_and_place():
    error = pickle.loads(pickle.dumps(RunStopped("interrupted", "all kept", "run again", where="generate/a")))
    assert (type(error), error.where, error.fault.remedy) == (RunStopped, "generate/a", "run again")


def test_a_study_error_keeps_all_its_faults():
    faults = [Fault("a", "b", "c", "d"), Fault("e", "f", "g", "h")]
    error = pickle.loads(pickle.dumps(StudyError(faults, study="s.toml")))
    assert list(error.faults) == faults
    assert str(error).startswith("s.toml has 2 faults:\n  1. a: b")


def test_near_miss_proposes_one_name_or_lists_all():
    assert near_miss("verbos", ["verbose", "concise"]) == "did you mean 'verbose'?"
    assert near_miss("zzz", ["b", "a"]) == "one of: a, b"
