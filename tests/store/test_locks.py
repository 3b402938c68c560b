"""The lock of a store: one holder, and a message where there are no locks."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lakon.core.errors import StoreError
from lakon.store.artifacts import AnyStore, Store


def test_a_local_store_is_locked_by_one_process_at_a_time(tmp_path: Path):
    store: AnyStore = Store(tmp_path / "new")
    lock = store.lock()
    with pytest.raises(StoreError, match="is being written by process"):
        store.lock()
    lock.release()
    lock.release()
    store.lock().release()


def test_a_system_without_file_locks_is_an_error_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with pytest.raises(StoreError, match="this system has no file locks"):
        Store(tmp_path).lock()
