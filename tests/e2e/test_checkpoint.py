"""A checkpoint as a teacher: one that cannot be loaded ends the run with a message, not with a traceback."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from e2e_study import cli_in

from lakon.miniature.student import base_path

STUDY = """
name = "checkpoint"
[problems]
kind = "synthetic"
count = 2
[decontaminate]
enabled = false
[teachers.local]
kind = "checkpoint"
path = "model"
[arms.local]
teacher = "local"
"""


@pytest.mark.parametrize("broken", ["no weights", "damaged weights", "no config", "an unknown model"])
def test_what_is_no_model_is_the_users_to_mend(tmp_path: Path, broken: str):
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    folder = tmp_path / "model"
    shutil.copytree(base_path(), folder)
    weights = next(folder.glob("*.safetensors"))
    if broken == "no weights":
        weights.unlink()
    elif broken == "damaged weights":
        weights.write_bytes(b"not weights")
    elif broken == "no config":
        (folder / "config.json").unlink()
    else:
        (folder / "config.json").write_text(json.dumps({"model_type": "nobody"}), encoding="utf-8")
    done = cli_in(tmp_path)("run", "study.toml", expect=1)
    assert "no model can be loaded from" in done.stderr
    assert "a folder with a causal model and its tokenizer" in done.stderr
    assert "Traceback" not in done.stderr
