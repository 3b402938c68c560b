"""The options that several commands take, and what was typed for them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

_given: dict[str, Any] = {}
"""What was typed: the study, its changes and the store, for the commands that messages name, which must work when
pasted; and whether JSON is wanted, of faults as well."""


def _remember(parameter: typer.CallbackParam, value: Any) -> Any:
    _given[str(parameter.name)] = value
    return value


def complete_command(text: str) -> str:
    """`text` with the study that this command was given in the place of STUDY, its store and its changes beside it."""
    if "study" not in _given:
        return text
    words = [_given["study"]]
    if _given.get("store") is not None:
        words += ["--store", str(_given["store"])]
    for pair in _given.get("overrides") or ():
        words += ["--set", pair]
    return text.replace("STUDY", shlex.join(words))


def remember_study(path: str) -> str:
    """Let messages name the study that a command has written as the one that it was given."""
    _given["study"] = path
    return path


def json_is_wanted() -> bool:
    """Whether this command was asked for JSON."""
    return bool(_given.get("as_json"))


_STUDY_HELP = "A study file (TOML), or the name of a shipped study (see `lakon studies`)."
_STORE_HELP = (
    "The store's folder. Default: LAKON_STORE, else the study's run.store, else .lakon in the folder where the "
    "command is run."
)
StudyArg = Annotated[str, typer.Argument(metavar="STUDY", help=_STUDY_HELP, callback=_remember)]
StoreOpt = Annotated[Path | None, typer.Option("--store", help=_STORE_HELP, callback=_remember)]
JsonOpt = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.", callback=_remember)]
SetOpt = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change a key that the file has: --set training.epochs=1", callback=_remember
    ),
]
ReportsOpt = Annotated[Path, typer.Option("--reports", help="Where finished reports lie.")]


def parse_changes(pairs: list[str] | None) -> dict[str, str]:
    """What `--set` changes: key to value, as text. Raises `InputError`."""
    from lakon.core.errors import InputError

    out: dict[str, str] = {}
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        if not equals:
            raise InputError(f"--set {pair}", "KEY=VALUE", "write for instance --set training.epochs=1")
        out[key.strip()] = value.strip()
    return out
