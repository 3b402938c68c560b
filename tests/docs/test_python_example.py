"""The Python example of the docs, run from top to bottom as a reader would."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


def test_the_python_example_runs(tmp_path: Path):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 3
    script = tmp_path / "example.py"
    script.write_text("\n".join(blocks), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "12 steps would run"
    assert re.fullmatch(r"12 steps ran; reports/two-styles/report.html", lines[1])
    assert any(line.startswith("deep (teacher) accuracy 0.") for line in lines)
    (right,) = [line for line in lines if line.endswith(" of 40 right")]
    assert 30 <= int(right.split()[0]) < 40
    # The second study of the sweep shares problems and the other teacher with the first.
    swept = [line for line in lines if line.startswith(("0.0 ", "0.2 "))]
    assert len(swept) == 2
    assert all("generate/brief" in line and "generate/deep" not in line for line in swept)
