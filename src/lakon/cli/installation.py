"""`lakon version`: Lakon and the packages it uses."""

from __future__ import annotations

import typer

from lakon.cli.options import JsonOpt
from lakon.cli.output import print_json


def version(as_json: JsonOpt = False) -> None:
    """Print the versions of Lakon and of the packages it uses."""
    import platform
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as version_of

    from lakon import __version__

    versions = {"lakon": __version__, "python": platform.python_version()}
    for name in ("pyarrow", "pydantic", "math-verify", "torch", "transformers", "trl"):
        try:
            versions[name] = version_of(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    print_json(versions) if as_json else typer.echo("\n".join(f"{k} {v}" for k, v in versions.items()))
