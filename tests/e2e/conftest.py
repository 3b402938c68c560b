"""Fixtures of the end-to-end tests; what they are made of stands in `e2e_study.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "backends"))  # the server of `faults.py`

from e2e_study import SMALL, Cli, cli_in


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with the small study in it, shared by the tests of one file."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "small.toml").write_text(SMALL, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def lakon(place: Path) -> Cli:
    """`lakon ARGS...` in the working folder, as its own process."""
    return cli_in(place)
