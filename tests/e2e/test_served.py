"""A student sampled through a real vLLM: as it is without a server, killed or not. `make vllm` installs it."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from e2e_study import clean_environment, cli_in

from lakon import api
from lakon.core.records import Score, Trace
from lakon.store.artifacts import Artifact
from lakon.store.facts import AskedFacts

PYTHON = Path(os.environ.get("LAKON_VLLM", Path(__file__).parents[2] / ".venv-vllm")) / "bin" / "python"
pytestmark = [
    pytest.mark.big,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not PYTHON.is_file(), reason="no vLLM: `make vllm` installs one, or LAKON_VLLM names it"),
]

N, SAMPLES = 64, 4
STUDY = """
name = "served"
[evaluate]
benchmarks = ["held-out"]
samples = SAMPLES
sampling = { temperature = 0.6, top_p = 0.95, max_tokens = 200 }
[evaluate.authors.mini]
kind = "checkpoint"
path = "miniature:base"
[benchmarks.held-out]
kind = "synthetic"
count = 64
max_steps = 3
split = "held-out"
[run]
SERVING
"""
SERVING = f"""
[run.serving]
server = "vllm"
python = "{PYTHON}"
max_length = 512
concurrency = CONCURRENCY
extra = ["--enforce-eager"]
environment = {{ VLLM_CPU_KVCACHE_SPACE = "1", HF_HUB_OFFLINE = "1" }}
"""


def write_study(folder: Path, *, samples: int = SAMPLES, concurrency: int = 64, served: bool = True) -> Path:
    serving = SERVING.replace("CONCURRENCY", str(concurrency)) if served else ""
    text = STUDY.replace("SAMPLES", str(samples)).replace("SERVING", serving)
    (folder / "served.toml").write_text(text, encoding="utf-8")
    return folder / "served.toml"


def artifact(study: Path, step: str) -> Artifact:
    states = {state.step.name: state.artifact for state in api.plan(study, store=study.parent / ".lakon")}
    found = states[step]
    assert found is not None
    return found


def accuracy(study: Path) -> float:
    scores = artifact(study, "evaluate/scores").read("scores", Score)
    return next(row.estimate for row in scores if row.metric == "accuracy" and row.group is None)


def servers_below(folder: Path) -> list[int]:
    """Processes of vLLM's whose log lies in a store."""
    found: list[int] = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().decode(errors="replace")
            log = os.readlink(place / "fd" / "1")
        except OSError:
            continue
        if log.startswith(str(folder)) and "api_server" in words and "lakon.backends.guard" not in words:
            found.append(int(place.name))
    return found


def test_a_model_answers_as_well_through_a_server_as_in_this_process(tmp_path: Path):
    served, here = tmp_path / "served", tmp_path / "here"
    served.mkdir()
    here.mkdir()
    studies = write_study(served), write_study(here, served=False)
    for study in studies:
        cli_in(study.parent)("run", "served.toml", "-q", timeout=600)
    facts = AskedFacts.of(artifact(studies[0], "generate/mini.held-out").manifest)
    assert facts.sampled_by["server"] == "vllm"
    assert facts.sampled_by["its own chat template"] == "renders the same tokens"
    assert facts.errors == 0
    # One prompt, one number of tokens: what vLLM counts is what is rendered here.
    from lakon.backends.checkpoint.tokens import load_prompting
    from lakon.core.messages import build_messages
    from lakon.core.records import Problem
    from lakon.miniature.student import base_path

    problems = {row.problem_id: row for row in artifact(studies[0], "problems/held-out").read("problems", Problem)}
    encode = load_prompting(str(base_path())).encode
    for trace in artifact(studies[0], "generate/mini.held-out").read("traces", Trace):
        assert trace.prompt_tokens == len(encode(build_messages(problems[trace.problem_id].prompt)))
    one, other = map(accuracy, studies)
    # Two shares of 256 samples of 64 problems; their noise is at most that of 64 independent draws each.
    p = (one + other) / 2
    noise = math.sqrt(2 * max(p * (1 - p), 0.02) / N)
    assert abs(one - other) < 4 * noise, (one, other)
    assert servers_below(tmp_path) == []


def test_server_and_run_are_killed_and_nothing_that_came_is_asked_again(tmp_path: Path):
    study = write_study(tmp_path, samples=5, concurrency=4)
    command = [sys.executable, "-m", "lakon", "run", "served.toml"]
    run = subprocess.Popen(command, cwd=tmp_path, env=clean_environment(), stdout=subprocess.DEVNULL)
    ledgers = lambda: sum(file.stat().st_size for file in (tmp_path / ".lakon" / "ledger").glob("*"))  # noqa: E731
    wait_for(lambda: ledgers() > 8_000, run)
    (first,) = servers_below(tmp_path)[:1]
    os.kill(first, signal.SIGKILL)  # the server: it is started again, and the run goes on
    before = ledgers()
    wait_for(lambda: ledgers() > before + 8_000, run)
    run.kill()  # the run: its server ends with it
    run.wait()
    until = time.monotonic() + 60
    while servers_below(tmp_path):
        assert time.monotonic() < until, "a server outlives its run"
        time.sleep(0.5)
    plan = json.loads(cli_in(tmp_path)("plan", "served.toml", "--json").stdout)
    assert plan["steps"]
    kept = read_replies(tmp_path)
    assert 0 < len(kept) < 5 * N
    cli_in(tmp_path)("run", "served.toml", "-q", timeout=600)
    traces = list(artifact(study, "generate/mini.held-out").read("traces", Trace))
    assert len(traces) == 5 * N
    assert not [trace for trace in traces if trace.error]
    after = read_replies(tmp_path)
    assert len(after) == 5 * N
    assert {key: after[key] for key in kept} == kept, "a reply that was there was asked for again"


def read_replies(folder: Path) -> dict[str, object]:
    """What the ledger holds, by the keys of calls: a reply that came twice would have another latency."""
    from lakon.store.ledger.ledger import Ledger

    replies: dict[str, object] = {}
    for path in (folder / ".lakon" / "ledger").glob("*"):
        if path.suffix != ".lock":
            with Ledger.open(path, create=False, readonly=True) as ledger:
                replies |= {key: ledger.get(key) for key in ledger.keys()}  # noqa: SIM118
    return replies


def wait_for(condition: object, run: subprocess.Popen[bytes], seconds: float = 300) -> None:
    assert callable(condition)
    until = time.monotonic() + seconds
    while not condition():
        assert run.poll() is None, "the run ended too early"
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_server_that_ignores_the_temperature_is_refused(tmp_path: Path):
    """`transformers serve` with continuous batching gives the likeliest text at any temperature after a greedy one."""
    study = write_study(tmp_path, served=False)
    serving = '[run.serving]\nserver = "transformers"\nextra = ["--continuous-batching"]\n'
    study.write_text(study.read_text() + serving, encoding="utf-8")
    said = cli_in(tmp_path)("run", "served.toml", "-q", expect=1, timeout=600).stderr
    assert "temperature is obeyed" in said
    assert "to do:" in said
    assert "Traceback" not in said
