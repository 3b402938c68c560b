"""What a run's shared things do when it is dropped."""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path

import pytest

from lakon.core.errors import StoreError
from lakon.pipeline.resources import Wiring
from lakon.store.ledger import writer as ledger_writer
from lakon.store.ledger.ledger import Ledger
from lakon.study.load import load_study


def test_a_ledger_that_cannot_be_written_keeps_no_other_from_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ledger_writer, "COMMIT_WINDOW_S", 60.0)  # nothing is written but by a flush
    wiring = Wiring(load_study("miniature"))
    broken, whole, key = tmp_path / "broken.ledger", tmp_path / "whole.ledger", f"{1:032x}"
    kept: object = None
    with contextlib.suppress(StoreError), wiring.ledger(broken) as first, wiring.ledger(whole) as second:
        second.put(key, {"answer": "4"})
        first._writer.fail(OSError(errno.ENOSPC, "no room"))
        wiring.halt()
        with Ledger.open(whole, readonly=True) as read:
            kept = read.get(key)
    wiring.close()
    assert kept == {"answer": "4"}
    assert "no room" in caplog.text
