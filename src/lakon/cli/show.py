"""`lakon show`: what is in the store of a study."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lakon.cli.options import JsonOpt, SetOpt, StoreOpt, StudyArg, parse_changes
from lakon.cli.output import format_cell, print_json, print_look, print_side_by_side


def show(
    study: StudyArg,
    view: Annotated[
        str | None, typer.Argument(help="A summary: funnel, lengths, profile, familiarity or examples.")
    ] = None,
    table: Annotated[
        str,
        typer.Option(
            "--table",
            "-t",
            help="problems, traces, verdicts, exclusions, examples, profiles, familiarity, losses or scores.",
        ),
    ] = "scores",
    step: Annotated[str | None, typer.Option("--step", help="Only this step or stage.")] = None,
    problem: Annotated[
        str | None,
        typer.Option("--problem", "-p", help="One problem, by the beginning of its id: all authors side by side."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1)] = 20,
    store: StoreOpt = None,
    overrides: SetOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Show a summary of the corpus, rows of a study's tables, or one problem with what every author wrote."""
    from lakon import api
    from lakon.core.score_text import pluralise

    changed = parse_changes(overrides)
    if view is not None:
        summaries = api.look(study, view, store=store, step=step, limit=limit, overrides=changed)
        print_json(summaries) if as_json else print_look(summaries)
        return
    if problem is not None and table == "scores":
        value: Any = api.side_by_side(study, problem, store=store, overrides=changed)
        print_json(value) if as_json else print_side_by_side(value)
        return
    rows = api.show(study, table=table, step=step, problem=problem, limit=limit, store=store, overrides=changed)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        typer.echo("  ".join(f"{k}={format_cell(v)}" for k, v in row.items() if v not in (None, "", [], ())))
    typer.echo(pluralise(len(rows), "row") + (" (--limit for more)" if len(rows) == limit else ""))
