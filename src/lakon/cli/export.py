"""`lakon export`: the arms of a study as data sets."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from lakon.cli.options import JsonOpt, SetOpt, StoreOpt, StudyArg, parse_changes
from lakon.cli.output import print_json


def export(
    study: StudyArg,
    what: Annotated[str, typer.Argument(help="What to export: corpus.")],
    to: Annotated[str, typer.Option("--to", help="A new folder, or hf://user/name.")],
    public: Annotated[bool, typer.Option("--public", help="On the hub: for everybody to see; asks first.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    store: StoreOpt = None,
    overrides: SetOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Write the arms as data sets that TRL, LLaMA-Factory and axolotl read; on the hub they are private."""
    from dataclasses import asdict

    from lakon import api
    from lakon.core.errors import InputError, near_miss

    if what != "corpus":
        raise InputError(f"nothing to export called {what!r}", near_miss(what, ["corpus"]), "export the corpus")
    if public and not yes:
        if not sys.stdin.isatty():
            found = f"--public for {to}, and no terminal to ask at"
            raise InputError(found, "a confirmation", "add --yes, or leave out --public and it is private")
        typer.confirm(f"make {to} public?", abort=True)
    summary = api.export(study, to, store=store, public=public, overrides=parse_changes(overrides))
    if as_json:
        print_json(asdict(summary))
        return
    for name, n in summary.rows.items():
        typer.echo(f"{n:>10,} examples  {name}")
    typer.echo(f"written to {summary.place}")
