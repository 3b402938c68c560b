"""`lakon benchmarks`: those that are known by name."""

from __future__ import annotations

from typing import Annotated

import typer

from lakon.cli.options import JsonOpt


def benchmarks(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One of them, with all that is known.")] = None,
    as_json: JsonOpt = False,
) -> None:
    """List the benchmarks that a study or `lakon eval` may name, with source, size and licence."""
    from lakon import api
    from lakon.cli.output import print_json

    rows = api.benchmarks(name)
    if as_json:
        print_json(rows)
        return
    if name is not None:
        for key, value in rows[0].items():
            typer.echo(f"{key}: {'not known' if value is None else value}")
        return
    wide = max(len(row["name"]) for row in rows)
    for row in rows:
        licence = row["licence"] or "licence not known"
        typer.echo(f"{row['name']:<{wide}}  {row['problems']:>5,}  {row['source']}, {row['split']}; {licence}")
        typer.echo(f"{'':<{wide}}         {row['about']}")
