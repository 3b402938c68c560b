"""Commands that look at what is in the store of a study, and hand it on."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from laconic.cli.options import JsonOpt, SetOpt, StoreOpt, StudyArg, changes
from laconic.cli.prints import cell, print_json, print_look, print_side_by_side


def explain(
    study: StudyArg,
    step: Annotated[str | None, typer.Argument(help="Only this step or stage.")] = None,
    store: StoreOpt = None,
    overrides: SetOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Say, field by field, why a step would run again."""
    from laconic import api

    rows = api.explain(study, step=step, store=store, overrides=changes(overrides))
    if as_json:
        print_json([{"step": r.step, "state": r.state, "reasons": r.reasons} for r in rows])
        return
    for row in rows:
        typer.echo(f"{row.state:<8} {row.step}")
        for reason in row.reasons:
            typer.echo(f"           {reason}")


def show(
    study: StudyArg,
    view: Annotated[str | None, typer.Argument(help="A look: funnel, lengths, profile or examples.")] = None,
    table: Annotated[
        str,
        typer.Option(
            "--table", "-t", help="problems, traces, verdicts, exclusions, examples, profiles, losses or scores."
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
    """Show a look at the corpus, rows of a study's tables, or one problem with what every author wrote."""
    from laconic import api
    from laconic.core.wording import counted

    changed = changes(overrides)
    if view is not None:
        found = api.look(study, view, store=store, step=step, limit=limit, overrides=changed)
        print_json(found) if as_json else print_look(found)
        return
    if problem is not None and table == "scores":
        value: Any = api.side_by_side(study, problem, store=store, overrides=changed)
        print_json(value) if as_json else print_side_by_side(value)
        return
    rows = api.show(
        study, table=table, step=step, problem=problem, limit=limit, store=store, overrides=changed
    )  # fmt: skip
    if as_json:
        print_json(rows)
        return
    for row in rows:
        typer.echo("  ".join(f"{k}={cell(v)}" for k, v in row.items() if v not in (None, "", [], ())))
    typer.echo(counted(len(rows), "row") + (" (--limit for more)" if len(rows) == limit else ""))


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

    from laconic import api
    from laconic.core.errors import InputError, near_miss

    if what != "corpus":
        raise InputError(f"nothing to export called {what!r}", near_miss(what, ["corpus"]), "export the corpus")
    if public and not yes:
        if not sys.stdin.isatty():
            found = f"--public for {to}, and no terminal to ask at"
            raise InputError(found, "a confirmation", "add --yes, or leave out --public and it is private")
        typer.confirm(f"make {to} public?", abort=True)
    done = api.export(study, to, store=store, public=public, overrides=changes(overrides))
    if as_json:
        print_json(asdict(done))
        return
    for name, n in done.rows.items():
        typer.echo(f"{n:>10,} examples  {name}")
    typer.echo(f"written to {done.place}")
