"""What a step says of itself while it runs: one line with rates, cost, what is in flight, errors by kind."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lakon.progress.meter import Meter
from lakon.progress.status import VERSIONS_KEPT, Extent, StatusFile, last_of_name, read_status


def test_a_meter_says_everything_in_one_line():
    meter = Meter("generate/a")
    meter.start(1_000, done=100, unit="traces")
    meter.began = time.monotonic() - 10
    meter.advance(1, tokens=5_000, cost=1.25)
    meter.advance(99, tokens=15_000, errors=1, **{"error: timeout": 1})
    meter.advance(100, errors=2, **{"error: rate_limited": 2})
    meter.show(in_flight=63, limit=64)
    meter.show(in_flight=64)
    said = meter.describe()
    assert said.startswith("300/1,000 traces, 20.0/s, 2,0")
    assert "tokens/s, cost 1.25, 64 in flight, 3 errors (2 rate_limited, 1 timeout), 0:35 left" in said
    facts = meter.facts()
    assert (facts["in_flight"], facts["limit"], facts["cost"], facts["text"][:9]) == (64, 64, 1.25, "300/1,000")


def test_a_meter_says_that_nobody_answers_and_what_was_damaged():
    meter = Meter("generate/a")
    meter.show(lost=1)
    meter.start(9, unit="traces")
    meter.advance(1, errors=1, **{"error: timeout": 1})
    meter.show(retries=12, silent_s=40.4)
    said = meter.describe()
    assert "no connection for 40 s, 12 retries, 1 error (1 timeout), 1 damaged record of the ledger asked again" in said
    meter.show(silent_s=0.0)
    assert "no connection" not in meter.describe()


def test_a_meter_that_starts_again_forgets_its_figures():
    meter = Meter("a")
    meter.start(10)
    meter.advance(5, errors=1)
    meter.start(7, unit="verdicts")
    assert meter.describe() == "0/7 verdicts"
    assert Meter("later").describe() == "starting"


def status_of(folder: Path, name: str, version: int) -> Path:
    return folder / "runs" / f"{name}-{version:012x}.json"


def has_run(folder: Path, name: str, version: int) -> None:
    """A run from its start to its end, as far as its status goes."""
    status = StatusFile(status_of(folder, name, version), name, Extent(what="run", steps=("a/b",), beyond=()))
    status.open()
    status.close("finished")


def test_the_newest_versions_of_a_study_keep_their_status_and_so_does_every_live_run(tmp_path: Path):
    has_run(tmp_path, "one-more", 0)
    for version in range(3):
        has_run(tmp_path, "one", version)
    live, killed = status_of(tmp_path, "one", 0), status_of(tmp_path, "one", 1)
    live.write_text(live.read_text().replace("partial", "running"))
    gone = killed.read_text().replace("partial", "running").replace(f'"pid": {os.getpid()}', '"pid": 4194304')
    killed.write_text(gone)
    assert [(read_status(path) or {})["state"] for path in (live, killed)] == ["running", "killed"]
    for version in range(3, 2 + VERSIONS_KEPT):
        has_run(tmp_path, "one", version)
    newest = [status_of(tmp_path, "one", version) for version in range(2, 2 + VERSIONS_KEPT)]
    assert set((tmp_path / "runs").iterdir()) == {live, *newest, status_of(tmp_path, "one-more", 0)}
    has_run(tmp_path, "one", 2)
    assert set((tmp_path / "runs").iterdir()) == {live, *newest, status_of(tmp_path, "one-more", 0)}, "no new version"
    assert (last_of_name(tmp_path, "one") or {})["state"] == "partial"


@pytest.mark.parametrize("text", ["[]", "{}", '{"state": "finished"}', "7", "not JSON", ""])
def test_a_file_that_is_no_status_neither_stops_a_run_nor_is_removed(tmp_path: Path, text: str):
    strange = status_of(tmp_path, "one", 0)
    strange.parent.mkdir()
    strange.write_text(text)
    for version in range(1, 3 + VERSIONS_KEPT):
        has_run(tmp_path, "one", version)
    assert strange.read_text() == text
    assert (last_of_name(tmp_path, "one") or {})["state"] == "partial"
