"""`lakon explain`: why a step would run again."""

from __future__ import annotations

from typing import Annotated

import typer

from lakon.cli.options import JsonOpt, SetOpt, StoreOpt, StudyArg, parse_changes
from lakon.cli.output import print_json


def explain(
    study: StudyArg,
    step: Annotated[str | None, typer.Argument(help="Only this step or stage.")] = None,
    store: StoreOpt = None,
    overrides: SetOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Say, field by field, why a step would run again."""
    from lakon import api

    rows = api.explain(study, step=step, store=store, overrides=parse_changes(overrides))
    if as_json:
        print_json([{"step": r.step, "state": r.state, "reasons": r.reasons} for r in rows])
        return
    for row in rows:
        typer.echo(f"{row.state:<8} {row.step}")
        for reason in row.reasons:
            typer.echo(f"           {reason}")
