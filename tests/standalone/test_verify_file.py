"""A file graded without a study: its rows kept as they are, killed and gone on with, and everything it may refuse."""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lakon import api
from lakon.core.errors import InputError
from lakon.core.protocols import Answered, Grading
from lakon.core.records import Outcome
from lakon.domains.math import VERSION
from lakon.progress import terminal
from lakon.progress.meter import Meter
from lakon.standalone.verify_file import resume
from lakon.standalone.verify_file.grade import Fields, grade_file

HANGS = r"\boxed{\int_0^{100000000!} \sum_{k=1}^{n} \lim_{y \to 0} \frac{x^k}{y} \sin(x^{x^k}) dx}"
ROWS: list[dict[str, object]] = [
    {"id": i, "gold": str(i), "prediction": f"so \\boxed{{{i + i % 2}}}"} for i in range(30)
]


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def read(path: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def start(*args: str, cwd: Path, **pipes: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "lakon", "verify", *args]
    return subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **pipes)


def wait_for_rows(path: Path) -> None:
    until = time.monotonic() + 60
    while not (path.exists() and path.stat().st_size) and time.monotonic() < until:
        time.sleep(0.02)
    assert path.stat().st_size


# -- rows ------------------------------------------------------------------------------------------------------


def test_a_row_keeps_its_bytes_and_gains_a_verdict(tmp_path: Path):
    line = '{"b": 1.0,  "a":12345678901234567890123, "gold" : "1/2", "prediction": "\\u0030.5", "c": 1e5 }'
    (tmp_path / "a.jsonl").write_text(f"\ufeff{line}\r\n\n", encoding="utf-8")
    done = api.verify_file(tmp_path / "a.jsonl", workers=1)
    assert done.out == str(tmp_path / "a.verified.jsonl")
    text = Path(done.out).read_text(encoding="utf-8")
    assert text.startswith(line[:-1].rstrip() + ",")
    assert read(done.out)[0] == {
        **json.loads(line),
        "outcome": "correct",
        "extracted": "0.5",
        "method": "rational",
        "verifier": VERSION,
    }


@pytest.mark.parametrize(
    ("gold", "prediction", "outcome", "extracted"),
    [
        (18, "18", "correct", "18"),
        (0.5, "\\boxed{0.50}", "correct", "0.50"),
        ("18", 18, "correct", "18"),
        (2**70, str(2**70), "correct", str(2**70)),
        (2**70, str(2**70 + 1), "incorrect", str(2**70 + 1)),
        ("18", None, "incorrect", None),
        (None, "18", "unparsed", "18"),
        ("5", "\ud800", "unparsed", "\ud800"),
    ],
)
def test_what_may_be_gold_and_prediction(
    gold: object, prediction: object, outcome: str, extracted: str, tmp_path: Path
):
    file = write(tmp_path / "a.jsonl", [{"gold": gold, "prediction": prediction}])
    (row,) = read(api.verify_file(file, workers=1).out)
    assert (row["outcome"], row["extracted"], row["gold"], row["prediction"]) == (outcome, extracted, gold, prediction)


@pytest.mark.parametrize(
    ("line", "kept", "fault"),
    [
        ("{broken", {"raw_line": "{broken"}, "no JSON"),
        ("[1, 2]", {"raw_line": "[1, 2]"}, "a JSON list"),
        ("{}", {}, "no field 'gold'"),
        ('{"gold": "1"}', {"gold": "1"}, "no field 'prediction'"),
        ('{"gold": true, "prediction": "1"}', {"gold": True, "prediction": "1"}, "neither text nor a number: True"),
        ('{"gold": "1", "prediction": ["1"]}', {"gold": "1", "prediction": ["1"]}, "neither text nor a number"),
        (
            '{"gold": "1", "prediction": "1", "outcome": 2}',
            {"raw_line": '{"gold": "1", "prediction": "1", "outcome": 2}'},
            "has a field 'outcome' already",
        ),
        ("[" * 100_000, {"raw_line": "[" * 100_000}, "no JSON"),
    ],
    ids=["broken", "list", "empty", "no-prediction", "bool", "list-field", "taken", "deep"],
)
def test_a_bad_row_is_a_row_with_an_error(line: str, kept: dict[str, object], fault: str, tmp_path: Path):
    good = [json.dumps(row) for row in ROWS]
    file = write(tmp_path / "a.jsonl", [*good, line, good[0]])
    done = api.verify_file(file, workers=1)
    row = read(done.out)[len(good)]
    assert fault in row.pop("fault")
    assert row == {**kept, "outcome": "error", "extracted": None, "method": "no-row", "verifier": VERSION}
    assert (done.rows, done.ungraded, done.methods["no-row"]) == (len(good) + 2, 1, 1)
    before = Path(done.out).read_bytes()
    assert api.verify_file(file, workers=1).kept == len(good) + 2
    assert Path(done.out).read_bytes() == before


def test_bytes_that_are_no_text_are_a_bad_row(tmp_path: Path):
    file = write(tmp_path / "a.jsonl", ROWS)
    file.write_bytes(file.read_bytes() + b'{"gold": "\xff", "prediction": "1"}\n')
    assert read(api.verify_file(file, workers=1).out)[-1]["raw_line"] == '{"gold": "\\xff", "prediction": "1"}'


def test_dotted_fields_and_a_finish_reason(tmp_path: Path):
    rows = [
        {"metadata": {"answer": 4}, "response": '{"text": "4"}', "finish": "stop"},
        {"metadata": {"answer": 4}, "response": '{"text": "let me think"}', "finish": "length"},
        {"metadata": {"answer": 4}, "response": None, "finish": None},
        {"metadata": {}, "response": '{"text": "4"}', "finish": "stop"},
    ]
    file = write(tmp_path / "a.jsonl", rows)
    done = api.verify_file(file, gold="metadata.answer", prediction="response.text", finish="finish", workers=1)
    assert [row["outcome"] for row in read(done.out)] == ["correct", "truncated", "incorrect", "error"]


def test_a_prefix_keeps_fields_of_ones_own_apart_from_the_verdict(tmp_path: Path):
    own = {"method": "guess", "outcome": "18", "verifier": 3, "fault": None, "raw_line": ""}
    rows = [{**own, "gold": "18", "n": i} for i in range(30)]
    file = write(tmp_path / "a.jsonl", [*rows, "[]"])
    with pytest.raises(InputError, match=r"fields called fault, method, outcome, raw_line, verifier[\s\S]*--prefix"):
        api.verify_file(file, prediction="outcome", workers=1)
    done = api.verify_file(file, prediction="outcome", prefix="graded_", workers=1)
    assert (done.outcomes, done.methods) == ({"correct": 30, "error": 1}, {"integer": 30, "no-row": 1})
    verdict = {"outcome": "correct", "extracted": "18", "method": "integer", "verifier": VERSION}
    *good, bad = read(done.out)
    assert good == [{**row, **{f"graded_{name}": value for name, value in verdict.items()}} for row in rows]
    assert (bad["graded_raw_line"], bad["graded_fault"]) == ("[]", "a JSON list, not an object")
    whole = Path(done.out).read_bytes()
    with pytest.raises(InputError, match="has no verdict \\(two_outcome, "):
        api.verify_file(file, prediction="outcome", prefix="two_", workers=1)
    for torn in (whole[:-20], whole[: whole.rindex(b'"graded_outcome"') + 4], whole):
        Path(done.out).write_bytes(torn)
        api.verify_file(file, prediction="outcome", prefix="graded_", workers=1)
        assert Path(done.out).read_bytes() == whole


def test_packed_input(tmp_path: Path):
    plain = write(tmp_path / "a.jsonl", ROWS).read_bytes()
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(plain))
    one, two = api.verify_file(tmp_path / "a.jsonl", workers=1), api.verify_file(tmp_path / "b.jsonl.gz", workers=1)
    assert two.out == str(tmp_path / "b.verified.jsonl")
    assert Path(one.out).read_bytes() == Path(two.out).read_bytes()
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(plain * 500)[:-500])
    with pytest.raises(InputError, match="cannot be read after line"):
        api.verify_file(tmp_path / "c.jsonl.gz", workers=1)


def test_the_summary_counts_every_row(tmp_path: Path):
    done = api.verify_file(write(tmp_path / "a.jsonl", ROWS), out=tmp_path / "o.jsonl", workers=1)
    assert (done.rows, done.kept, done.outcomes) == (30, 0, {"correct": 15, "incorrect": 15})
    assert (done.methods, done.ungraded, done.verifier) == ({"integer": 30}, 0, VERSION)
    again = api.verify_file(tmp_path / "a.jsonl", out=tmp_path / "o.jsonl", workers=1)
    assert (again.kept, again.outcomes, again.methods) == (30, done.outcomes, done.methods)


def test_a_row_that_hangs_costs_its_limit_and_no_other_row(tmp_path: Path):
    rows = [{"gold": "x", "prediction": f"\\boxed{{x+{i}}}"} for i in range(20)]
    rows[3] = {"gold": "5", "prediction": HANGS}
    done = api.verify_file(write(tmp_path / "a.jsonl", rows), workers=1, limit_s=1.0)
    found = read(done.out)
    assert [row["outcome"] for row in found] == ["correct", *["incorrect"] * 2, "timeout", *["incorrect"] * 16]
    assert found[3]["fault"] == "longer than 1 s"
    assert [row["prediction"] for row in found] == [row["prediction"] for row in rows]


# -- streaming -------------------------------------------------------------------------------------------------


def test_memory_does_not_grow_with_the_file(tmp_path: Path):
    rows = [{"gold": str(i), "prediction": "word " * 4_000 + f"\\boxed{{{i}}}"} for i in range(1_000)]
    file = write(tmp_path / "a.jsonl", rows)
    del rows
    for kept in (0, 1_000):
        tracemalloc.start()
        assert api.verify_file(file, workers=1).kept == kept
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < file.stat().st_size / 4


def test_rows_are_written_while_the_input_is_still_open(tmp_path: Path):
    run = start("-", "--out", "o.jsonl", cwd=tmp_path, stdin=subprocess.PIPE)
    assert run.stdin is not None
    run.stdin.write("".join(f"{json.dumps(row)}\n" for row in ROWS * 20).encode())
    run.stdin.flush()
    wait_for_rows(tmp_path / "o.jsonl")
    assert run.poll() is None
    run.communicate(timeout=60)
    assert run.returncode == 0
    assert len(read(tmp_path / "o.jsonl")) == len(ROWS) * 20


# -- going on --------------------------------------------------------------------------------------------------


@pytest.fixture
def whole(tmp_path: Path) -> tuple[Path, Path, bytes]:
    """A file, its graded rows, and their bytes."""
    file = write(tmp_path / "a.jsonl", [*ROWS, "{broken", *ROWS])
    out = Path(api.verify_file(file, workers=1).out)
    return file, out, out.read_bytes()


@pytest.mark.parametrize("back", [0, 1, 2, 20, 60, 75, 95, 110, 125, 1_000])
def test_a_torn_end_is_cut_off_and_done_again(back: int, whole: tuple[Path, Path, bytes]):
    file, out, expected = whole
    torn = expected[: len(expected) - back]
    out.write_bytes(torn)
    done = api.verify_file(file, workers=1)
    assert out.read_bytes() == expected
    assert done.kept == torn.count(b"\n")
    assert done.rows == 61


def test_every_way_to_tear_a_row(tmp_path: Path):
    file = write(tmp_path / "a.jsonl", ROWS[:2])
    out = Path(api.verify_file(file, workers=1).out)
    expected = out.read_bytes()
    for length in range(len(expected) + 1):
        out.write_bytes(expected[:length])
        api.verify_file(file, workers=1)
        assert out.read_bytes() == expected


def test_a_torn_row_that_was_longer_than_the_new_one_leaves_nothing(whole: tuple[Path, Path, bytes]):
    file, out, expected = whole
    start = json.dumps(ROWS[-1])[:-1].encode()
    out.write_bytes(expected[: expected.rindex(start)] + start + b',"outcome":"timeout","fault":"' + b"long " * 99)
    assert api.verify_file(file, workers=1).kept == 60
    assert out.read_bytes() == expected


def test_kept_verdicts_are_sampled_all_along(whole: tuple[Path, Path, bytes], monkeypatch: pytest.MonkeyPatch):
    file, out, expected = whole
    monkeypatch.setattr(resume, "REGRADED_FIRST", 1)
    monkeypatch.setattr(resume, "REGRADED_EARLY", 0)
    monkeypatch.setattr(resume, "REGRADED_EVERY", 10)
    for index, noticed in ((0, True), (10, True), (12, False), (20, True)):
        rows = expected.splitlines(keepends=True)
        rows[index] = rows[index].replace(b'"correct"', b'"incorrect"')
        out.write_bytes(b"".join(rows))
        with pytest.raises(InputError, match="this run correct") if noticed else contextlib.nullcontext():
            api.verify_file(file, workers=1)


def test_rows_that_were_added_later_are_graded(whole: tuple[Path, Path, bytes]):
    file, out, before = whole
    write(file, [*ROWS, "{broken", *ROWS, ROWS[0]])
    assert api.verify_file(file, workers=1).kept == 61
    assert out.read_bytes().startswith(before)
    assert len(read(out)) == 62


def test_a_killed_run_ends_as_an_undisturbed_one(tmp_path: Path):
    rows = [*ROWS * 20, {"gold": "5", "prediction": HANGS}, *ROWS * 20]
    file = write(tmp_path / "a.jsonl", rows)
    calm = Path(api.verify_file(file, out=tmp_path / "calm.jsonl", workers=1, limit_s=1.0).out).read_bytes()
    run = start("a.jsonl", "--workers", "1", "--limit", "60", cwd=tmp_path)
    out = tmp_path / "a.verified.jsonl"
    wait_for_rows(out)
    run.send_signal(signal.SIGKILL)
    run.communicate(timeout=60)
    rows_left = out.read_bytes().count(b"\n")
    assert 0 < rows_left <= 600
    again = start("a.jsonl", "--workers", "1", "--limit", "1", "--json", cwd=tmp_path)
    said, _ = again.communicate(timeout=120)
    assert json.loads(said)["kept"] == rows_left
    assert out.read_bytes() == calm


def test_ctrl_c_keeps_what_was_graded_and_says_how_to_go_on(tmp_path: Path):
    rows = [*ROWS * 20, {"gold": "5", "prediction": HANGS}, *ROWS]
    write(tmp_path / "a.jsonl", rows)
    run = start("a.jsonl", "--workers", "1", "--limit", "60", cwd=tmp_path)
    wait_for_rows(tmp_path / "a.verified.jsonl")
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130, said
    assert b"run the same command again to go on" in said
    assert b"a.verified.jsonl" in said
    assert b"Traceback" not in said
    rows_left = len(read(tmp_path / "a.verified.jsonl"))
    assert 0 < rows_left <= 600
    done = api.verify_file(tmp_path / "a.jsonl", workers=1, limit_s=1.0)
    assert (done.rows, done.kept) == (631, rows_left)


def test_ctrl_c_ends_a_wait_for_more_of_a_stream(tmp_path: Path):
    run = start("-", "--out", "o.jsonl", cwd=tmp_path, stdin=subprocess.PIPE)
    assert run.stdin is not None
    run.stdin.write("".join(f"{json.dumps(row)}\n" for row in ROWS * 20).encode())
    run.stdin.flush()
    wait_for_rows(tmp_path / "o.jsonl")
    time.sleep(0.3)
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130, said
    assert b"with another --out" in said
    assert b"Traceback" not in said
    assert read(tmp_path / "o.jsonl")


# -- refusals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "options", "says"),
    [
        ([{"golf": "1", "prediction": "1"}], {}, "did you mean 'golf'"),
        ([{"gold": "1", "answer": "1"}], {}, "--field-prediction"),
        ([{"gold": "1", "m": {"answer": "1"}}], {"prediction": "m.anwser"}, "did you mean 'm.answer'"),
        ([{"gold": "1", "prediction": "1", "finish": "stop"}], {"finish": "finnish"}, "did you mean 'finish'"),
        ([{"gold": "1", "prediction": "1", "outcome": "x", "method": 1}], {}, "fields called method, outcome"),
        (["[", '{"gold": "1"}]'], {}, "jq -c"),
        (["question,answer"], {}, "no JSON object in its beginning: 'question,answer'"),
        ([], {}, "no rows"),
        (ROWS, {"out": "a.jsonl"}, "is the input itself"),
        (ROWS, {"out": "a.out.gz"}, "drop the .gz"),
        (ROWS, {"out": "no/such/folder.jsonl"}, "No such file or directory"),
        (ROWS, {"out": "."}, "Is a directory"),
        (ROWS, {"limit_s": 0}, "--limit"),
        (ROWS, {"workers": 0}, "--workers"),
    ],
)
def test_a_fault_of_the_whole_is_said_before_anything_is_written(
    rows: list[Any], options: dict[str, Any], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    before = write(Path("a.jsonl"), rows).read_bytes()
    with pytest.raises(InputError) as caught:
        api.verify_file("a.jsonl", **options)
    assert says in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["a.jsonl"]
    assert Path("a.jsonl").read_bytes() == before


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(InputError, match="no file"):
        api.verify_file(tmp_path / "none.jsonl")


def changed(row: dict[str, Any], **values: object) -> str:
    return json.dumps({**row, **values}, separators=(",", ":"))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda rows: [*rows, rows[-1]], "row 31 is beyond the end of the input"),
        (lambda rows: [rows[1], *rows[1:]], "row 1 is not line 1 of the input"),
        (lambda rows: [*rows[:7], rows[7].replace('"id": 7', '"id": 8'), *rows[8:]], "row 8 is not line 8"),
        (lambda rows: [*rows[:7], rows[7].replace(',"outcome"', ',"more":1,"outcome"')], "row 8 has no verdict"),
        (lambda rows: [*rows[:7], rows[7][:-5] + "]"], "row 8 has no verdict"),
        (lambda rows: [row.replace(VERSION, "math@0") for row in rows], "was made by math@0"),
        (lambda rows: [*rows[:7], rows[7].replace('"integer"', '"no-row"')], "from other fields"),
        (lambda rows: [*rows[:8], rows[8].replace('"correct"', '"incorrect"')], "of line 9, this run correct"),
    ],
    ids=["longer", "order", "value", "field", "no-json", "version", "no-row", "verdict"],
)
def test_rows_of_something_else_are_refused_and_left_alone(damage: Any, says: str, tmp_path: Path):
    file = write(tmp_path / "a.jsonl", ROWS)
    out = Path(api.verify_file(file, workers=1).out)
    rows = damage(out.read_text(encoding="utf-8").splitlines())
    assert rows != out.read_text(encoding="utf-8").splitlines()
    before = write(out, rows).read_bytes()
    with pytest.raises(InputError) as caught:
        api.verify_file(file, workers=1)
    assert says in str(caught.value)
    assert "choose another file with --out" in str(caught.value)
    assert out.read_bytes() == before


def test_other_fields_than_before_are_noticed(tmp_path: Path):
    file = write(tmp_path / "a.jsonl", [{**row, "second": row["gold"]} for row in ROWS])
    out = Path(api.verify_file(file, workers=1).out)
    before = out.read_bytes()
    with pytest.raises(InputError, match="name the fields as before"):
        api.verify_file(file, prediction="second", workers=1)
    assert out.read_bytes() == before


def test_other_fields_are_noticed_though_their_first_hundred_rows_are_equal(tmp_path: Path):
    rows = [{"gold": "1", "a": "1", "b": "1" if i < 100 or i % 3 else "2"} for i in range(900)]
    file = write(tmp_path / "ab.jsonl", rows)
    before = Path(api.verify_file(file, prediction="a", workers=1).out).read_bytes()
    with pytest.raises(InputError, match=r"verdicts about the same fields[\s\S]*name the fields as before") as refused:
        api.verify_file(file, prediction="b", workers=1)
    assert refused.value.fault.found.endswith("says correct ('1') of line 121, this run incorrect ('2')")
    assert (tmp_path / "ab.verified.jsonl").read_bytes() == before


@pytest.mark.parametrize("text", ["my notes", json.dumps(ROWS[0]), json.dumps(ROWS[0])[:-1] + ',"mine":1}'])
def test_a_line_without_a_newline_that_is_not_ours_is_not_cut_off(text: str, tmp_path: Path):
    file, out = write(tmp_path / "a.jsonl", ROWS), tmp_path / "o.jsonl"
    out.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="row 1 is not line 1"):
        api.verify_file(file, out=out, workers=1)
    assert out.read_text(encoding="utf-8") == text


def test_two_runs_do_not_write_one_file(tmp_path: Path):
    file = write(tmp_path / "a.jsonl", ROWS)
    with (tmp_path / "a.verified.jsonl").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="being written by another run"):
            api.verify_file(file, workers=1)


def test_a_stream_needs_a_new_file(tmp_path: Path):
    rows = "".join(f"{json.dumps(row)}\n" for row in ROWS).encode()
    for args, says in ((("-",), b"add --out"), (("-", "--out", "full.jsonl"), b"begins anew")):
        (tmp_path / "full.jsonl").write_text("{}\n")
        run = start(*args, cwd=tmp_path, stdin=subprocess.PIPE)
        _, said = run.communicate(rows, timeout=60)
        assert run.returncode == 1
        assert says in said
        assert b"Traceback" not in said
        assert (tmp_path / "full.jsonl").read_text() == "{}\n"


def test_a_pipe_is_a_stream(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    run = start("pipe", "--out", "o.jsonl", "--json", cwd=tmp_path)
    with (tmp_path / "pipe").open("wb") as pipe:
        pipe.write(gzip.compress("".join(f"{json.dumps(row)}\n" for row in ROWS).encode()))
    said, _ = run.communicate(timeout=60)
    assert json.loads(said)["rows"] == 30


# -- the verifier's part ---------------------------------------------------------------------------------------


class Later:
    """A verifier that reads all answers before it grades the first."""

    version = "later@3"

    def grade(self, rows: Any) -> Iterator[Grading]:
        for row in list(rows):
            assert isinstance(row, Answered)
            yield Grading(outcome=Outcome.CORRECT, extracted=row.answer, method="any")


def test_any_verifier_serves_and_order_does_not_depend_on_how_far_it_looks_ahead(tmp_path: Path):
    file, meter = write(tmp_path / "a.jsonl", [*ROWS, "{"]), Meter("verify")
    done = grade_file(file, out=None, fields=Fields(), verifier=Later(), progress=meter)
    rows = read(done.out)
    assert [row.get("prediction") for row in rows] == [*(row["prediction"] for row in ROWS), None]
    assert {row["verifier"] for row in rows} == {"later@3"}
    assert (meter.done, meter.total) == (31, 31)


# -- what a terminal shows -------------------------------------------------------------------------------------


def test_a_terminal_gets_a_bar_with_rate_and_time_left(tmp_path: Path):
    write(tmp_path / "a.jsonl", [*ROWS * 100, {"gold": "5", "prediction": HANGS}, *ROWS])
    ours, theirs = pty.openpty()
    run = subprocess.Popen(
        [sys.executable, "-m", "lakon", "verify", "a.jsonl", "--workers", "1", "--limit", "2"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # the terminal is gone with its last writer
        while chunk := os.read(ours, 65536):
            shown += chunk
    os.close(ours)
    assert run.wait(60) == 0
    assert b"/3,031 rows" in shown
    assert b"/s, " in shown
    assert b" left" in shown


def test_without_a_terminal_there_are_plain_lines(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(terminal, "_LINE_EVERY_S", 0.05)
    log = io.StringIO()
    with terminal.show_meter("verify", stream=log) as meter:
        meter.start(0, unit="earlier rows checked")
        meter.advance(7)
        time.sleep(0.2)
        meter.start(1_000, done=7, unit="rows")
        time.sleep(0.2)
    lines = log.getvalue().splitlines()
    assert "...    verify  7 earlier rows checked" in lines
    assert lines[-1] == "...    verify  7/1,000 rows"
    silent = io.StringIO()
    with terminal.show_meter("verify", stream=silent, quiet=True):
        time.sleep(0.2)
    assert silent.getvalue() == ""
