"""The room's public names: each documented, each reachable from a verb, and none of them loads scipy."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import lakon
from lakon import stats

SOURCE = Path(lakon.__file__).parent

AWAITED = {
    "betting_interval": "eval: adaptive sampling stops a comparison that is decided",
    "betting_sequence": "eval: adaptive sampling looks after each problem",
    "compare_samples": "compare: two authors that are a family of their own",
    "maj_at_k": "eval: self-consistency as a prompting baseline",
}
"""Functions that no verb calls yet, with the verb that will."""


def test_public_names_exist_and_are_documented():
    assert sorted(stats.__all__) == list(stats.__all__)
    for name in stats.__all__:
        assert inspect.getdoc(getattr(stats, name)), name


def test_every_public_function_is_called_or_awaited_by_a_verb():
    imported: set[str] = set()
    for file in SOURCE.rglob("*.py"):
        if "stats" not in file.relative_to(SOURCE).parts:
            for names in re.findall(r"from lakon\.stats import (\([^)]*\)|.*)", file.read_text("utf-8")):
                imported |= set(re.findall(r"\w+", names))
    functions = {name for name in stats.__all__ if inspect.isfunction(getattr(stats, name))}
    assert functions - imported == set(AWAITED)


def test_import_is_light():
    code = "import sys, lakon.stats; print(sorted({'scipy', 'pandas'} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
