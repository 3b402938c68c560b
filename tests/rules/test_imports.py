"""House rules that a machine can check: floors, light imports, public names."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import lakon

ROOT = Path(__file__).parents[2]
HEAVY = (
    "torch",
    "transformers",
    "trl",
    "ray",
    "vllm",
    "datasets",
    "accelerate",
    "plotly",
    "sympy",
    "math_verify",
)


def modules_after(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after `code`."""
    script = f"{code}\nimport sys; print(' '.join(sorted({{m.split('.')[0] for m in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "code",
    [
        "import lakon",
        "import lakon.cli",
        "from lakon import load_study; load_study('miniature'); load_study('paper')",
        "from lakon.api import plan; plan('paper', store='nowhere')",
    ],
)
def test_looking_at_a_study_loads_nothing_heavy(code: str):
    assert not modules_after(code) & set(HEAVY)


def test_import_lakon_loads_no_third_party_package():
    assert not modules_after("import lakon") & {"pydantic", "pyarrow", "numpy", "typer", "rich", "aiohttp", "scipy"}


def test_the_help_does_not_wait_for_pydantic_or_arrow():
    run = "import lakon.cli\ntry: lakon.cli.main()\nexcept SystemExit: pass"
    code = f"import sys; sys.argv = ['lakon', '--help']\n{run}"
    assert not modules_after(code) & {"pydantic", "pyarrow", "numpy"}


def test_every_public_name_can_be_had():
    for name in lakon.__all__:
        assert getattr(lakon, name) is not None
    assert lakon.__all__ == sorted(lakon.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        lakon.no_such_name  # noqa: B018


def test_floors_hold():
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout


def test_every_module_says_why_it_exists():
    bare = [
        p
        for p in (ROOT / "src").rglob("*.py")
        if not p.read_text(encoding="utf-8").lstrip().startswith(('"""', 'r"""'))
    ]
    assert bare == []


def test_no_public_name_is_also_a_module():
    """Importing `lakon.study` sets the attribute `study`: a function of that name would be gone after its first use."""
    modules = {name for _, name, _ in pkgutil.iter_modules(lakon.__path__)}
    assert not modules & set(lakon.__all__)
