"""Reads `cases/*.txt`: a reference, `==` or `!=`, and what an author wrote, one case a line under the class it is of.

Two spaces stand around the sign, and `⏎` stands for a line break in what was written. A case that came with a name of
its own keeps it, in square brackets before the reference; others are named by their line.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / "cases"
_CASE = re.compile(r"(?:\[(?P<name>[a-z]+\d+-\d+)\] )?(?P<reference>.*?)  (?P<sign>[=!]=)  (?P<written>.*)")


class Case(NamedTuple):
    """One labelled case and the class of notation that it is of."""

    name: str
    kind: str
    reference: str
    written: str
    expected: bool


def table(name: str) -> list[Case]:
    """The cases of one file."""
    found: list[Case] = []
    kind = ""
    for number, line in enumerate((FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("# "):
            kind = line[2:]
            continue
        case = _CASE.fullmatch(line)
        assert case, f"{name}.txt, line {number}: no case"
        written = case["written"].replace("⏎", "\n")
        found.append(Case(case["name"] or f"{name}-{number}", kind, case["reference"], written, case["sign"] == "=="))
    return found
