"""Students that other programs train: a command of one's own in the run, a folder that a study names. And trainings
that are refused.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from e2e_study import Cli, cli_in

sys.path.insert(0, str(Path(__file__).parents[1] / "backends" / "training"))

from own_trainers import BARE_LOOP, FAILS, command

from lakon.miniature.student import base_path

pytestmark = pytest.mark.slow

STUDY = """
name = "elsewhere"
[problems]
kind = "synthetic"
count = 12
max_steps = 2
[decontaminate]
enabled = false
[teachers.verbose]
kind = "procedural"
procedure = "verbose"
[teachers.concise]
kind = "procedural"
procedure = "concise"
[arms.verbose]
teacher = "verbose"
[arms.concise]
teacher = "concise"
[[students]]
name = "tiny"
base = "BASE"
TRAINED
[training]
epochs = 1
batch_tokens = 2048
max_length = 640
learning_rate = 1e-3
TRAINING
[evaluate]
benchmarks = ["held-out"]
samples = 1
familiarity = 0
base = false
sampling = { temperature = 0.6, top_p = 0.95, max_tokens = 16 }
[benchmarks.held-out]
kind = "synthetic"
count = 2
max_steps = 2
split = "held-out"
"""


def study(folder: Path, *, base: str = "miniature:base", trained: str = "", training: str = "", run: str = "") -> Cli:
    """Write the study into a folder; returns the command line there."""
    text = STUDY.replace("BASE", base).replace("TRAINED", trained).replace("TRAINING", training)
    (folder / "s.toml").write_text(text + run, encoding="utf-8")
    return cli_in(folder)


def trainings(lakon: Cli) -> dict[str, str]:
    """Training steps to their states, as the plan has them."""
    steps = json.loads(lakon("plan", "s.toml", "--json").stdout)["steps"]
    return {step["step"]: step["state"] for step in steps if step["step"].startswith("train/")}


def test_a_command_trains_under_the_same_key_and_the_report_names_it(tmp_path: Path):
    own = f"[run.training]\ncommand = {json.dumps(command(tmp_path, BARE_LOOP))}\n"
    lakon = study(tmp_path, run=own)
    lakon("run", "s.toml", "-q")
    report = (tmp_path / "reports" / "elsewhere" / "report.md").read_text(encoding="utf-8")
    assert "training: trainer" in report
    assert "bare-loop" in report
    losses = json.loads(lakon("show", "s.toml", "--table", "losses", "--step", "train/verbose", "--json").stdout)
    assert [row["step"] for row in losses] == [1, 2, 3]
    assert trainings(study(tmp_path)) == {"train/verbose": "cached", "train/concise": "cached"}


def test_a_command_that_fails_ends_the_run_in_words(tmp_path: Path):
    own = f"[run.training]\ncommand = {json.dumps(command(tmp_path, FAILS))}\n"
    said = study(tmp_path, run=own)("run", "s.toml", "-q", expect=1).stderr
    assert "ended with exit code 3" in said
    assert "training.log" in said
    assert "to do:" in said
    assert "Traceback" not in said


def test_students_that_were_trained_elsewhere_are_evaluated_and_unknown_arms_refused(tmp_path: Path):
    shutil.copytree(base_path(), tmp_path / "mine")
    both = 'trained = { verbose = "mine", concise = "mine" }'
    lakon = study(tmp_path, trained=both)
    assert trainings(lakon) == {}
    lakon("run", "s.toml", "-q")
    scores = json.loads(
        lakon("show", "s.toml", "--table", "scores", "--step", "evaluate/scores", "-n", "99", "--json").stdout
    )
    assert {"verbose", "concise"} <= {row["author"] for row in scores}
    report = (tmp_path / "reports" / "elsewhere" / "report.md").read_text(encoding="utf-8")
    assert "| verbose | trained elsewhere |" in report
    assert "what it was trained on is not known" in report
    lakon = study(tmp_path, trained='trained = { verbos = "mine" }')
    said = lakon("plan", "s.toml", expect=1).stderr
    assert "'verbos'" in said
    assert "verbose" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("fault", ["template", "weights", "too long"])
def test_a_training_that_is_refused_ends_the_run_in_words(tmp_path: Path, fault: str):
    base = Path(shutil.copytree(base_path(), tmp_path / "spoilt"))
    training, found = "", "the loss of the first step is nan"
    if fault == "template":
        settings = json.loads((base / "tokenizer_config.json").read_text())
        settings["chat_template"] = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
        (base / "tokenizer_config.json").write_text(json.dumps(settings))
        found = "the base's chat template has no generation part"
    elif fault == "weights":
        from safetensors.torch import load_file, save_file

        weights = load_file(base / "model.safetensors")
        weights["model.embed_tokens.weight"][5] = float("nan")
        save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    else:
        training, found = 'max_length = 32\ntoo_long = "refuse"', "examples are longer than 32 tokens"
    lakon = study(tmp_path, base="spoilt", training=training)
    if fault == "too long":
        text = (tmp_path / "s.toml").read_text().replace("max_length = 640\n", "")
        (tmp_path / "s.toml").write_text(text)
    said = lakon("run", "s.toml", "-q", expect=1).stderr
    assert found in said
    assert "expected:" in said
    assert "to do:" in said
    assert "Traceback" not in said
    assert not list((tmp_path / ".lakon").glob("train/*/manifest.json"))
