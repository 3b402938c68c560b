"""A checkpoint as a teacher: one that cannot be loaded ends the run with a message, not with a traceback."""

from __future__ import annotations

import json
from pathlib import Path

from e2e_study import cli_in

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


def test_a_folder_without_weights_is_the_users_to_mend(tmp_path: Path):
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps({"model_type": "llama"}), encoding="utf-8")
    done = cli_in(tmp_path)("run", "study.toml", expect=1)
    assert "no model can be loaded from" in done.stderr
    assert "a folder with a causal model and its tokenizer" in done.stderr
    assert "Traceback" not in done.stderr
