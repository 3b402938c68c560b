"""An export to the hub, as a command against a server that the hub's own client talks to."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import TOKEN, HubServer

pytest.importorskip("huggingface_hub")

STUDY = """
name = "made"
tokenizer = "words"
[problems]
kind = "jsonl"
path = "problems.jsonl"
[teachers.short]
kind = "recorded"
path = "traces.jsonl"
answer_field = "answer"
[arms.short]
teacher = "short"
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub")
    (folder / "made.toml").write_text(STUDY, encoding="utf-8")
    problems = [{"problem": f"q{i}", "answer": str(i)} for i in range(3)]
    traces = [{"problem": f"q{i}", "answer": f"It is $\\boxed{{{i}}}$."} for i in range(3)]
    for name, rows in (("problems", problems), ("traces", traces)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    command(folder, "run", "made.toml")
    return folder


def command(
    folder: Path,
    *args: str,
    hub: HubServer | None = None,
    token: str = TOKEN,
    typed: str | None = None,
    xet: bool = True,
) -> subprocess.CompletedProcess[str]:
    """`lakon ARGS...` in `folder`; what is `typed` comes from a terminal, else there is none."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "LAKON_STORE"))}
    env |= {"HF_HOME": str(folder / "hf"), "HF_TOKEN": token, "HF_ENDPOINT": hub.url if hub else "http://127.0.0.1:9"}
    env |= {} if xet else {"HF_HUB_DISABLE_XET": "1"}
    ours, theirs = pty.openpty()
    try:
        os.write(ours, (typed or "").encode())
        return subprocess.run(
            [sys.executable, "-m", "lakon", *args],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            stdin=subprocess.DEVNULL if typed is None else theirs,
        )
    finally:
        os.close(ours)
        os.close(theirs)


EXPORT = ("export", "made.toml", "corpus", "--to", "hf://me/made")


@pytest.mark.parametrize(("lfs", "xet"), [("", True), (".parquet", False)])
def test_a_data_set_is_made_private_and_filled(place: Path, tmp_path: Path, lfs: str, xet: bool):
    import pyarrow.parquet as pq

    with HubServer(lfs=lfs) as hub:
        done = command(place, *EXPORT, hub=hub, xet=xet)
    assert done.returncode == 0, done.stderr
    assert "written to hf://me/made" in done.stdout
    assert hub.private == {"me/made": True}
    assert hub.tokens == {f"Bearer {TOKEN}"}
    assert TOKEN not in done.stdout + done.stderr
    files = hub.files["me/made"]
    assert set(files) == {"README.md", "short/train-00000.parquet"}
    assert "config_name: short" in files["README.md"].decode()
    assert any(call.startswith("PUT /lfs/") for call in hub.calls) == bool(lfs)
    (tmp_path / "short.parquet").write_bytes(files["short/train-00000.parquet"])
    rows = pq.read_table(tmp_path / "short.parquet").to_pylist()
    assert [row["messages"][-1]["content"] for row in rows] == [f"It is $\\boxed{{{i}}}$." for i in range(3)]


def test_nothing_is_made_public_that_was_not_confirmed(place: Path):
    with HubServer() as hub:
        refused = command(place, *EXPORT, "--public", hub=hub)
        assert refused.returncode == 1
        for part in ("no terminal to ask at", "a confirmation", "add --yes, or leave out --public"):
            assert part in refused.stderr
        denied = command(place, *EXPORT, "--public", hub=hub, typed="n\n")
        assert denied.returncode == 1
        assert "make hf://me/made public?" in denied.stdout + denied.stderr
        assert hub.calls == []
        assert command(place, *EXPORT, "--public", hub=hub, typed="y\n").returncode == 0
        assert hub.private == {"me/made": False}
    with HubServer() as hub:
        assert command(place, *EXPORT, "--public", "--yes", hub=hub).returncode == 0
        assert hub.private == {"me/made": False}


def test_what_the_hub_refuses_is_told_without_the_token(place: Path):
    with HubServer() as hub:
        stranger = command(place, *EXPORT, hub=hub, token="hf_anotherOneNobodyMaySee")
        assert command(place, *EXPORT, hub=hub).returncode == 0
        twice = command(place, *EXPORT, hub=hub)
    with HubServer(full=True) as hub:
        full = command(place, *EXPORT, hub=hub)
    for done, found, todo in (
        (stranger, "401", "set HF_TOKEN"),
        (twice, "409", "choose another name"),
        (full, "403", "remove me/made on the hub"),
    ):
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert "error: hf://me/made: " in done.stderr
        assert found in done.stderr
        assert todo in done.stderr
        assert TOKEN not in done.stdout + done.stderr
        assert "hf_another" not in done.stdout + done.stderr
