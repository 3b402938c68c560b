"""`lakon plan`: what would run, and what it would take."""

from __future__ import annotations

from typing import Annotated

import typer

from lakon.cli.options import JsonOpt, SetOpt, StoreOpt, StudyArg, parse_changes


def plan(
    study: StudyArg,
    pilot: Annotated[
        int | None,
        typer.Option(
            "--pilot", min=1, metavar="N", help="First ask every endpoint about N of the problems; this is paid for."
        ),
    ] = None,
    store: StoreOpt = None,
    overrides: SetOpt = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress of the pilot.")] = False,
    as_json: JsonOpt = False,
) -> None:
    """Show every step of a study: in the store, would run, or waits for others; and what it would take.

    Offline, unless there is a pilot: its replies stay in the ledger, so that they are not paid for again.
    """
    from lakon import api
    from lakon.cli.plan_output import print_plan

    changed = parse_changes(overrides)
    tried = api.pilot(study, pilot, store=store, overrides=changed, quiet=quiet or as_json) if pilot else []
    print_plan(api.bill(study, store=store, overrides=changed), tried, as_json)
