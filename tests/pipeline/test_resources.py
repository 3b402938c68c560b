"""What a run's shared things do when it is dropped."""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path

import pytest

from lakon.core.digest import digest
from lakon.core.errors import StoreError
from lakon.pipeline.places import Places
from lakon.pipeline.resources import RunResources
from lakon.store.artifacts import Store
from lakon.store.ledger import writer as ledger_writer
from lakon.store.ledger.ledger import Ledger
from lakon.study.schema import Run


def test_a_ledger_that_cannot_be_written_keeps_no_other_from_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ledger_writer, "COMMIT_WINDOW_S", 60.0)  # nothing is written but by a flush
    store, key = Store(tmp_path), f"{1:032x}"
    resources = RunResources(Run(), Places(), store)
    kept: object = None
    with contextlib.suppress(StoreError), resources.ledger("a", 1) as first, resources.ledger("b", 2) as second:
        second.put(key, {"answer": "4"})
        first._writer.fail(OSError(errno.ENOSPC, "no room"))
        resources.halt()
        with Ledger.open(store.ledger_path("b", digest(2)), readonly=True) as read:
            kept = read.get(key)
    resources.close()
    assert kept == {"answer": "4"}
    assert "no room" in caplog.text
