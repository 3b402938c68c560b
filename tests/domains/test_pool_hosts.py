"""The verifier is the same in threads, in a notebook, in a Ray worker and under pytest-xdist: the real hosts, in turn.

Timers that need the main thread, pools that daemonic processes may not start and forks of a caller with an event loop
are how graders break there; each host grades the same rows, one of which hangs in C.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from anywhere import EXPECTED, graded

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is imported here is imported in the processes that a host starts."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), *(entry for entry in sys.path if entry)]))


def test_in_threads_at_once() -> None:
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda _: graded(), range(4))) == [EXPECTED] * 4


def test_in_a_daemonic_process() -> None:
    script = """
        import multiprocessing
        from anywhere import EXPECTED, graded

        def work(results):
            results.put(graded())

        if __name__ == "__main__":
            context = multiprocessing.get_context("fork")
            results = context.Queue()
            child = context.Process(target=work, args=(results,), daemon=True)
            child.start()
            assert results.get(timeout=120) == EXPECTED
            child.join()
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=200)
    assert run.returncode == 0, run.stderr


def test_under_pytest_xdist(tmp_path: Path) -> None:
    test = """
        import os
        from pathlib import Path
        from anywhere import EXPECTED, graded

        def test_grades():
            assert graded() == EXPECTED
            Path(os.environ["PYTEST_XDIST_WORKER"]).touch()
    """
    (tmp_path / "test_it.py").write_text(textwrap.dedent(test), encoding="utf-8")
    # "each" gives every worker every test, so that both have graded
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-n",
        "2",
        "--dist",
        "each",
        "test_it.py",
    ]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert run.returncode == 0, run.stdout + run.stderr
    assert sorted(path.name for path in tmp_path.glob("gw*")) == ["gw0", "gw1"]


def test_in_a_notebook(tmp_path: Path) -> None:
    import nbclient
    import nbformat

    cells = [
        "from anywhere import graded; print(*graded())",
        "from concurrent.futures import ThreadPoolExecutor\nprint(*ThreadPoolExecutor(1).submit(graded).result())",
        "async def cell(): return graded()\nprint(*await cell())",
    ]
    notebook: Any = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(
        notebook, kernel_name="python3", timeout=200, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    assert [cell["outputs"][0]["text"].split() for cell in notebook["cells"]] == [EXPECTED] * len(cells)


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """A real cluster of one core on this machine; it takes seconds to start."""
    import ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), *(entry for entry in sys.path if entry)]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(num_cpus=1, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
        try:
            yield ray
        finally:
            ray.shutdown()


def test_in_a_ray_task_and_a_ray_actor(ray: Any) -> None:
    class Grader:
        def grade(self) -> list[str]:
            return graded()

    assert ray.get(ray.remote(graded).remote(), timeout=200) == EXPECTED
    actor = ray.remote(Grader).remote()
    assert ray.get(actor.grade.remote(), timeout=200) == EXPECTED
