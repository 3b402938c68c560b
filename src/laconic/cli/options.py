"""The options that several commands take, and what was typed for them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

_given: dict[str, str] = {}
"""The study and the store as they were typed, for the commands that messages name: those must work when pasted."""


def _remember(parameter: typer.CallbackParam, value: Any) -> Any:
    if value is not None:
        _given[str(parameter.name)] = shlex.quote(str(value))
    return value


def pasteable(text: str) -> str:
    """`text` with the study that this command was given in the place of STUDY, and its store beside it."""
    store = f" --store {_given['store']}" if "store" in _given else ""
    return text.replace("STUDY", f"{_given['study']}{store}") if "study" in _given else text


_STUDY_HELP = "A study file (TOML), or the name of a shipped study (see `laconic studies`)."
_STORE_HELP = (
    "The store's folder. Default: LACONIC_STORE, else the study's run.store, else .laconic in the folder where the "
    "command is run."
)
StudyArg = Annotated[str, typer.Argument(metavar="STUDY", help=_STUDY_HELP, callback=_remember)]
StoreOpt = Annotated[Path | None, typer.Option("--store", help=_STORE_HELP, callback=_remember)]
JsonOpt = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
SetOpt = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a key that the file has: --set training.epochs=1"),
]
ReportsOpt = Annotated[Path, typer.Option("--reports", help="Where finished reports lie.")]


def changes(pairs: list[str] | None) -> dict[str, str]:
    """What `--set` changes: key to value, as text. Raises `InputError`."""
    from laconic.core.errors import InputError

    out: dict[str, str] = {}
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        if not equals:
            raise InputError(f"--set {pair}", "KEY=VALUE", "write for instance --set training.epochs=1")
        out[key.strip()] = value.strip()
    return out
