"""The peers themselves: files that lm-eval and inspect write now, and what inspect makes of those that we write.

`make peers` installs them in an environment of their own.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from lakon import api
from lakon.stats.intervals import clustered_error
from lakon.stats.samples import cluster_index

PEERS = Path(__file__).parents[2] / ".venv-peers" / "bin" / "python"
SCRIPTS = Path(__file__).parent / "peers"

pytestmark = [pytest.mark.big, pytest.mark.timeout(900)]


def run_peer(script: str, *args: str) -> str:
    """What a script prints in the environment of the peers."""
    assert PEERS.exists(), "run `make peers` first"
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "INSPECT_LOG_LEVEL": "error"}
    command = [str(PEERS), str(SCRIPTS / script), *args]
    return subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **offline}).stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    run_peer("make_files.py", str(folder))
    return folder


def test_logs_of_inspect_are_read_to_its_own_figures(made: Path):
    figures = json.loads((made / "figures.json").read_text())
    paths = [str(made / f"inspect_{author}.eval") for author in ("careful", "hasty")]
    comparison = api.compare(paths, cluster="family")
    for author in comparison.figures.authors:
        theirs = figures[author.name]
        assert author.accuracy.value == pytest.approx(theirs["accuracy"], abs=1e-12)
        assert (author.n_problems, author.n_samples) == (24, 96)
    document = api.compare([path.replace(".eval", ".json") for path in paths], cluster="family")
    assert document.figures.pairs[0].comparison.difference == comparison.figures.pairs[0].comparison.difference


def test_samples_of_lm_eval_are_read_to_its_own_figures(made: Path):
    figures = json.loads((made / "figures.json").read_text())
    comparison = api.compare([str(made / f"lm_eval_{author}") for author in ("careful", "hasty")])
    for author in comparison.figures.authors:
        assert author.accuracy.value == pytest.approx(figures[author.name]["exact_match,last-number"], abs=1e-12)


def test_both_tools_logged_the_same_responses(made: Path):
    for author in ("careful", "hasty"):
        paths = [str(made / f"inspect_{author}.eval"), str(made / f"lm_eval_{author}")]
        comparison = api.compare(paths, grade="math", workers=1)
        assert comparison.figures.pairs[0].comparison.difference.value == 0
        account = comparison.accounts[f"inspect_{author}"]
        assert (account.only_ours_right, account.only_theirs_right) == (0, 0)


def test_what_we_export_inspect_reads_with_the_same_standard_errors(made: Path, tmp_path: Path):
    paths = [str(made / f"inspect_{author}.eval") for author in ("careful", "hasty")]
    grouped = api.compare(paths, cluster="family", export="inspect", to=tmp_path)
    alone = api.compare(paths)
    files = [str(tmp_path / f"inspect_{author}_marbles.eval") for author in ("careful", "hasty")]
    theirs = json.loads(run_peer("read_logs.py", *files).splitlines()[-1])
    for side, found in enumerate(theirs):
        assert found["status"] == "success"
        assert found["samples"] == 96
        for comparison, name in ((alone, "stderr"), (grouped, "clustered")):
            samples = comparison.joined.sample_set(side, "marbles", with_tokens=False)
            assert samples is not None
            error = clustered_error(samples.accuracies, cluster_index(samples))
            assert error.se == pytest.approx(found[name], abs=1e-12)
            assert comparison.figures.authors[side].accuracy.value == pytest.approx(found["accuracy"], abs=1e-12)
        assert found["stated"] == pytest.approx(found["accuracy"], abs=1e-12)
