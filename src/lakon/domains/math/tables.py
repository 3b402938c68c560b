"""Tables of words and signs that the grader knows, kept as TOML files beside the code that reads them.

What is in a table is data: units, number words, phrases of several languages. A line added there needs no code. Each
file opens with what it holds; it is read once, by the first row that needs it.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def load_table(name: str) -> dict[str, Any]:
    """The table in `name`, a path below this folder such as `shapes/units.toml`."""
    return tomllib.loads(files("lakon.domains.math").joinpath(name).read_text(encoding="utf-8"))
