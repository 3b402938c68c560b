"""Files of other tools, read as results: real ones, hostile ones, and what each reader has to choose."""

from __future__ import annotations

import contextlib
import gzip
import json
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest

from lakon.core.errors import InputError
from lakon.standalone.compare import bounded
from lakon.standalone.compare.readers.open_file import recognise_format
from lakon.standalone.compare.readers.values import FieldNames, parse_fields, read_count, read_grade
from lakon.standalone.compare.results import RIGHT, UNGRADED, UNKNOWN, UNSCORED, WRONG, clean_name
from lakon.standalone.compare.sources import ReadOptions, read_files

DATA = Path(__file__).parent / "data"
ANSWERS = ReadOptions(keep_answers=True)


def write_rows(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def read(path: Path | str, **fields: str) -> Any:
    return read_files(str(path), ReadOptions(fields=FieldNames(**fields), keep_answers=True))


# -- real files -------------------------------------------------------------------------------------------------


def test_a_real_log_of_inspect_is_read_to_its_own_figure():
    figures = json.loads((DATA / "figures.json").read_text())
    for author in ("careful", "hasty"):
        one = read(DATA / f"inspect_{author}.eval")
        assert one.format == "inspect"
        assert one.counts.tolist() == [2] * 8
        assert (one.grade == RIGHT).mean() == pytest.approx(figures[f"inspect_{author}"]["accuracy"])
        assert one.has_tokens
        assert one.bad_rows == ()
    assert one.problem_ids[0] == "box-0"
    assert one.texts[0].startswith("A box holds 2 red")
    assert one.references[0] == "6"
    assert one.answers[0].startswith("So the answer is")
    assert one.benchmarks[0] == "marbles"


def test_the_json_form_of_a_log_says_the_same_as_the_archive():
    archive, document = read(DATA / "inspect_careful.eval"), read(DATA / "inspect_careful.json.gz")
    assert document.format == "inspect-json"
    for one in (archive, document):
        assert dict(zip(one.problem_ids, one.texts, strict=True))["box-3"] == archive.texts[3]
    by_problem = [
        sorted(zip(map(one.problem_ids.__getitem__, one.row), one.sample, one.grade, one.tokens, strict=True))
        for one in (archive, document)
    ]
    assert by_problem[0] == by_problem[1]


def test_a_cluster_of_inspect_is_a_field_of_the_metadata():
    one = read(DATA / "inspect_careful.eval", cluster="family")
    assert one.clusters[:4] == ("f0", "f0", "f1", "f1")


def test_real_samples_of_lm_eval_have_one_scored_response_of_several():
    figures = json.loads((DATA / "figures.json").read_text())
    one = read(DATA / "lm_eval_careful.jsonl")
    assert one.format == "lm-eval"
    scored = one.grade[one.grade != UNSCORED]
    assert len(scored) == 8
    assert (scored == RIGHT).mean() == pytest.approx(figures["lm_eval_careful"]["exact_match,last-number"])
    assert one.counts.tolist() == [2] * 8
    assert "last-number" in one.notes[0]
    assert "whole" in one.notes[0]


def test_another_filter_of_lm_eval_is_read_when_it_is_named():
    one = read(DATA / "lm_eval_careful.jsonl", filter="whole")
    assert (one.grade[one.grade != UNSCORED] == WRONG).all()


# -- other formats ----------------------------------------------------------------------------------------------


def test_seeds_of_nemo_skills_are_samples(tmp_path: Path):
    for seed in range(3):
        rows = [
            {
                "problem": f"What is {i} + {i}?",
                "expected_answer": str(2 * i),
                "predicted_answer": str(2 * i),
                "generation": f"It is {2 * i}",
                "symbolic_correct": (i + seed) % 2 == 0,
                "num_generated_tokens": 10 + i,
            }
            for i in range(4)
        ]
        write_rows(tmp_path / f"output-rs{seed}.jsonl", rows)
    one = read(tmp_path)
    assert (one.format, one.name) == ("nemo-skills", tmp_path.name)
    assert one.counts.tolist() == [3] * 4
    assert one.sample.tolist() == [0, 1, 2] * 4
    assert one.grade.tolist() == [1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0]
    assert one.tokens.tolist() == [10] * 3 + [11] * 3 + [12] * 3 + [13] * 3
    assert read(f"{tmp_path}/output-rs[01].jsonl").counts.tolist() == [2] * 4
    assert read(f"mine={tmp_path}/output-rs0.jsonl,{tmp_path}/output-rs2.jsonl").name == "mine"


def write_lighteval(path: Path, n_samples: int) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {
            "doc": {"query": f"What is {i} + 1?", "choices": [str(i + 1)], "gold_index": [0], "id": str(i)},
            "model_response": {
                "text": [f"It is {i + 1 + s}" for s in range(n_samples)],
                "output_tokens": [[1] * (5 + s) for s in range(n_samples)],
            },
            "metric": {"extractive_match": 1.0 if i else 0.0},
        }
        for i in range(3)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_details_of_lighteval_are_read(tmp_path: Path):
    one = read(write_lighteval(tmp_path / "details_lighteval|gsm8k|0_2026-01-01T00-00-00.parquet", 1))
    assert one.format == "lighteval"
    assert one.grade.tolist() == [0, 1, 1]
    assert one.tokens.tolist() == [5, 5, 5]
    assert one.references == ("1", "2", "3")
    assert one.benchmarks[0] == "gsm8k"


def test_one_metric_for_several_samples_grades_none_of_them(tmp_path: Path):
    one = read(write_lighteval(tmp_path / "details_x_2026-01-01T00-00-00.parquet", 2))
    assert one.counts.tolist() == [2, 2, 2]
    assert not one.is_scored
    assert "--grade math" in one.notes[0]


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "csv", "parquet"])
def test_tables_with_named_fields(tmp_path: Path, kind: str):
    rows = [{"task": f"t{i // 2}", "ok": i % 3 == 0, "n": 7 * i, "try": i % 2} for i in range(8)]
    path = tmp_path / f"mine.{kind}"
    if kind == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), path)
    elif kind == "csv":
        lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
        path.write_text("\n".join(lines))
    else:
        text = "".join(json.dumps(row) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(text) if kind == "jsonl.gz" else text)
    one = read(path, id="task", correct="ok", tokens="n", sample="try")
    assert one.problem_ids == ("t0", "t1", "t2", "t3")
    assert one.grade.tolist() == [1, 0, 0, 1, 0, 0, 1, 0]
    assert one.tokens.tolist() == [7 * i for i in range(8)]
    assert one.name == "mine"


def test_a_field_that_no_row_has_is_refused_with_those_that_are_there(tmp_path: Path):
    path = write_rows(tmp_path / "a.jsonl", [{"id": 1, "passed": True}])
    with pytest.raises(InputError) as caught:
        read(path, correct="pased")
    assert "pased" in caught.value.fault.found
    assert "passed" in caught.value.fault.expected


def test_outcomes_of_our_own_verify_are_grades(tmp_path: Path):
    rows = [
        {"id": i, "gold": "1", "prediction": "x", "outcome": outcome}
        for i, outcome in enumerate(["correct", "incorrect", "unparsed", "truncated", "timeout"])
    ]
    one = read(write_rows(tmp_path / "v.jsonl", rows))
    assert one.grade.tolist() == [RIGHT, WRONG, UNGRADED, WRONG, UNGRADED]
    assert one.finished.tolist() == [True, True, True, False, True]


# -- what is wrong with rows and files --------------------------------------------------------------------------


def test_bad_rows_are_counted_with_file_and_line(tmp_path: Path):
    deep = "[" * 100_000
    rows: list[Any] = [
        {"id": "a", "correct": True},
        "no json",
        "[1, 2]",
        deep,
        {"id": "b", "correct": 0.5},
        {"id": "c", "correct": {"x": 1, "y": 2}},
        {"id": "d", "correct": True, "tokens": -3},
        '{"id": "e", "correct": NaN}',
        {"nothing": 1},
        {"id": "a", "correct": True, "sample": 0},
        {"id": "g", "correct": True, "sample": "many"},
    ]
    one = read(write_rows(tmp_path / "bad.jsonl", rows))
    assert [bad.where.rpartition(":")[2] for bad in one.bad_rows] == ["2", "3", "4", "5", "6", "7", "9", "10", "11"]
    assert one.problem_ids == ("a", "e")
    assert one.grade.tolist() == [RIGHT, UNGRADED]
    assert "neither right nor wrong" in one.bad_rows[3].why
    assert "stands in" in one.bad_rows[7].why


def test_a_line_that_is_too_long_is_a_bad_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bounded, "LONGEST_LINE", 1_000)
    rows = [{"id": "a", "correct": True}, {"id": "b", "correct": True, "x": "y" * 5_000}, {"id": "c", "correct": False}]
    one = read(write_rows(tmp_path / "long.jsonl", rows))
    assert one.problem_ids == ("a", "c")
    assert [bad.where for bad in one.bad_rows] == [f"{tmp_path / 'long.jsonl'}:2"]


def test_a_member_that_unpacks_without_end_is_a_bad_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bounded, "LARGEST_MEMBER", 100_000)
    path = tmp_path / "bomb.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps({"eval": {"task": "t"}}))
        sample = {"id": "a", "epoch": 1, "input": "?", "target": "", "scores": {"s": {"value": "C"}}}
        archive.writestr("samples/a_epoch_1.json", json.dumps(sample))
        archive.writestr("samples/b_epoch_1.json", b" " * 10_000_000)
        archive.writestr("samples/c_epoch_1.json", "[" * 90_000)
        archive.writestr("samples/d_epoch_1.json", b"\x00\xff")
    one = read(path)
    assert one.problem_ids == ("a",)
    assert [bad.where.rpartition("/")[2] for bad in one.bad_rows] == [
        "b_epoch_1.json",
        "c_epoch_1.json",
        "d_epoch_1.json",
    ]
    assert "more than" in one.bad_rows[0].why


def test_an_archive_that_lies_about_a_size_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "liar.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", "{}")
        archive.writestr("samples/a_epoch_1.json", b" " * 1_000_000)
    data = path.read_bytes().replace((1_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read(path)
    assert "no sample that can be read" in caught.value.fault.found


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "an empty file"),
        (b"\x00\x01\x02\xff" * 100, "a file that begins with"),
        (b"PK\x03\x04 no zip", "no zip file"),
        (b"PAR1 no parquet", "no Parquet"),
        (b'[{"id": 1}]', "a file that begins with"),
        (b"\x1f\x8b broken gzip", "cannot be read"),
        (b'{"a": 1', "one JSON document"),
    ],
)
def test_files_of_no_format_are_refused_in_three_parts(tmp_path: Path, content: bytes, told: str):
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read(path)
    assert told in caught.value.fault.found
    assert caught.value.fault.expected
    assert caught.value.fault.remedy


def test_what_is_not_there_is_refused(tmp_path: Path):
    for named in (tmp_path / "none.jsonl", tmp_path, f"{tmp_path}/*.eval", "name="):
        with pytest.raises(InputError):
            read(named)
    with pytest.raises(InputError, match="--format lmeval"):
        read_files(str(DATA / "inspect_careful.eval"), ReadOptions(format="lmeval"))
    with pytest.raises(InputError, match="--fields corect=x"):
        parse_fields("corect=x")


def test_files_of_two_formats_are_no_one_author():
    with pytest.raises(InputError, match="several formats"):
        read(f"{DATA}/inspect_careful.eval,{DATA}/lm_eval_careful.jsonl")


def test_a_format_can_be_forced(tmp_path: Path):
    row = {"doc_id": 1, "doc": {}, "resps": [["x"]], "correct": True, "problem": "p"}
    path = write_rows(tmp_path / "odd.jsonl", [row])
    assert recognise_format(path) == "lm-eval"
    assert read_files(str(path), ReadOptions(format="jsonl")).grade.tolist() == [RIGHT]


def test_names_are_cleaned():
    assert clean_name("a\x1b[31m\nb\u202e") == "a?[31m?b?"
    assert clean_name("") == "unnamed"
    assert len(clean_name("x" * 500)) == 60


def test_values_of_other_tools():
    assert [read_grade(value) for value in (True, 1.0, "C", "yes", {"acc": 1})] == [RIGHT] * 5
    assert [read_grade(value) for value in (False, 0, "I", "N", "incorrect")] == [WRONG] * 5
    assert [read_grade(value) for value in (None, float("nan"), "timeout", "")] == [UNGRADED] * 4
    for value in ("P", 2, [1], "maybe", float("inf")):
        with pytest.raises(ValueError, match="neither right nor wrong"):
            read_grade(value)
    assert [read_count(value) for value in (None, "12", 7.0)] == [UNKNOWN, 12, 7]
    for value in (-1, 1.5, True, "x", 1 << 60, float("inf")):
        with pytest.raises((ValueError, OverflowError)):
            read_count(value)


# -- broken at random -------------------------------------------------------------------------------------------

ODD: list[Any] = [None, True, -1, 1e308, "", "x", [], [None], {}, {"a": {}}, [[1]], "\x1b[2J"]


def damage(value: Any, draw: random.Random) -> Any:
    """The value with one odd thing somewhere in it."""
    if isinstance(value, dict) and value and draw.random() < 0.8:
        key = draw.choice(list(value))
        return {**value, key: damage(value[key], draw)}
    if isinstance(value, list) and value and draw.random() < 0.8:
        at = draw.randrange(len(value))
        return [*value[:at], damage(value[at], draw), *value[at + 1 :]]
    return draw.choice(ODD)


@pytest.mark.parametrize("seed", range(3))
def test_rows_with_odd_values_are_read_or_counted_and_nothing_else_happens(tmp_path: Path, seed: int):
    draw = random.Random(seed)
    lm_eval = [json.loads(line) for line in (DATA / "lm_eval_careful.jsonl").read_text().splitlines()]
    log = json.loads(gzip.decompress((DATA / "inspect_careful.json.gz").read_bytes()))
    plain = {
        "id": "a",
        "problem": "p",
        "correct": True,
        "tokens": 3,
        "sample": 0,
        "answer": "x",
        "finish_reason": "stop",
    }
    nemo = {"problem": "p", "generation": "g", "expected_answer": "1", "predicted_answer": "1", "is_correct": True}
    n_bad = 0
    for kind, rows in (("lm-eval", lm_eval), ("jsonl", [plain] * 8), ("nemo-skills", [nemo] * 8)):
        for number in range(30):
            path = write_rows(tmp_path / f"{kind}{number}.jsonl", [rows[0], *(damage(row, draw) for row in rows)])
            one = read_files(str(path), ReadOptions(format=kind, keep_answers=True))
            n_bad += len(one.bad_rows)
    for number in range(10):
        samples = [log["samples"][0], *(damage(sample, draw) for sample in log["samples"])]
        path = tmp_path / f"log{number}.json"
        path.write_text(json.dumps({**log, "samples": samples}))
        one = read_files(str(path), ReadOptions(format="inspect-json", keep_answers=True))
        assert len(one.row) + len(one.bad_rows) == 17
        n_bad += len(one.bad_rows)
    assert n_bad > 50


def test_files_with_broken_bytes_are_read_or_refused(tmp_path: Path):
    draw = random.Random(1)
    for name in ("inspect_careful.eval", "inspect_careful.json.gz", "lm_eval_careful.jsonl"):
        data = (DATA / name).read_bytes()
        for number in range(25):
            broken = bytearray(data)
            for _ in range(draw.choice([1, 5, 50])):
                broken[draw.randrange(len(broken))] = draw.randrange(256)
            path = tmp_path / f"{number}-{name}"
            path.write_bytes(broken[: draw.choice([len(broken), len(broken) // 2])])
            with contextlib.suppress(InputError):
                assert len(read(path).row) > 0
