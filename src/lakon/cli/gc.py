"""`lakon gc`: tidy a store."""

from __future__ import annotations

from typing import Annotated

import typer

from lakon.cli.options import JsonOpt, StoreOpt
from lakon.cli.output import print_json


def gc(
    keep: Annotated[
        list[str] | None, typer.Option("--keep", help="Remove every artifact that these studies do not use.")
    ] = None,
    store: StoreOpt = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: JsonOpt = False,
) -> None:
    """Remove what interrupted steps left, and compact ledgers. Nothing that was paid for is lost."""
    from lakon import api

    facts = api.gc(store=store, keep=tuple(keep or ()), dry_run=dry_run)
    if as_json:
        print_json(facts)
        return
    for kind, label in (("torn", "incomplete"), ("unused", "unused")):
        for name in facts[kind]:
            typer.echo(f"{label:<10} {name}")
    verb = "would free" if dry_run else "freed"
    typer.echo(f"{verb} {facts['bytes'] / 1e6:.1f} MB: {len(facts['torn'])} incomplete, {len(facts['unused'])} unused")
