"""The room's public names, and that importing it loads neither scipy nor statsmodels."""

from __future__ import annotations

import inspect
import subprocess
import sys

from lakon import stats


def test_public_names_exist_and_are_documented():
    assert sorted(stats.__all__) == list(stats.__all__)
    for name in stats.__all__:
        assert inspect.getdoc(getattr(stats, name)), name


def test_import_is_light():
    code = "import sys, lakon.stats; print(sorted({'scipy', 'statsmodels', 'pandas'} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
