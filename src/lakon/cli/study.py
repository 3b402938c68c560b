"""Commands for writing a study: what is shipped, what may stand in a file, and what is wrong with one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakon.cli.options import JsonOpt, SetOpt, StudyArg, complete_command, parse_changes
from lakon.cli.output import print_faults, print_json, print_unseen

if TYPE_CHECKING:
    from lakon.study.reference import Section


def studies(as_json: JsonOpt = False) -> None:
    """List the shipped studies."""
    from lakon import api

    titles = api.studies()
    if as_json:
        print_json(titles)
        return
    width = max(map(len, titles))
    for name, title in titles.items():
        typer.echo(f"{name:<{width}}  {title}")


def new(
    file: Annotated[Path, typer.Argument(help="The study file to write.")],
    source: Annotated[str, typer.Option("--from", help="The shipped study to copy.")] = "miniature",
) -> None:
    """Copy a shipped study to a file of your own, to edit."""
    from lakon import api

    path = api.new(file, source=source)
    typer.echo(f"wrote {path}: edit it, then `lakon check {path}`")


def check(study: StudyArg, overrides: SetOpt = None, as_json: JsonOpt = False) -> None:
    """List everything that is wrong with a study, before anything is paid for."""
    from lakon import api

    changed = parse_changes(overrides)
    faults = api.check(study, overrides=changed)
    if as_json:
        print_json([fault._asdict() for fault in faults])
    else:
        print_faults(study, faults)
        print_unseen(
            [row._replace(how=complete_command(row.how)) for row in api.list_unchecked(study, overrides=changed)]
        )
    if any(fault.level == "fault" for fault in faults):
        raise typer.Exit(1)


def fields(
    section: Annotated[str | None, typer.Argument(help="One table: teachers, curate, run ...")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="As the tables of docs/study.md.")] = False,
    as_json: JsonOpt = False,
) -> None:
    """List what a study file may contain: every field, its type, its default and what it means."""
    from lakon.study.reference import as_markdown, as_text, list_sections

    sections = list_sections(section)
    if as_json:
        print_json([_as_json(each) for each in sections])
    else:
        typer.echo(as_markdown(sections) if markdown else "\n".join(as_text(sections)), nl=False)


def _as_json(section: Section) -> dict[str, Any]:
    """A section of the reference with its rows, as plain values."""
    from dataclasses import asdict

    return {**asdict(section), "rows": [row._asdict() for row in section.rows]}
