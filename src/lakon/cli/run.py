"""`lakon run` and `lakon report`: run a study, and put its report where people look."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lakon.cli.options import JsonOpt, ReportsOpt, SetOpt, StoreOpt, StudyArg, complete_command, parse_changes
from lakon.cli.output import print_run


def run(
    study: StudyArg,
    store: StoreOpt = None,
    mode: Annotated[
        str, typer.Option(help="cached, force (execute again) or retry (ask failed rows again).")
    ] = "cached",
    step: Annotated[
        list[str] | None, typer.Option("--step", help="With --mode force: only this step or stage.")
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--until", help="Stop after this step or stage: `--until curate` builds the corpus only."),
    ] = None,
    overrides: SetOpt = None,
    reports: ReportsOpt = Path("reports"),
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    as_json: JsonOpt = False,
) -> None:
    """Run what is missing of a study, then say where its report lies."""
    from lakon import api
    from lakon.core.errors import InputError, near_miss

    if mode not in ("cached", "force", "retry"):
        raise InputError(f"--mode {mode}", near_miss(mode, ("cached", "force", "retry")), "use one of the three")
    summary = api.run(
        study,
        store=store,
        mode=mode,
        steps=tuple(step or ()),
        until=until,
        overrides=parse_changes(overrides),
        reports=reports,
        quiet=quiet or as_json,
    )
    print_run(summary, as_json, complete_command("lakon show STUDY funnel"))


def report(
    study: StudyArg,
    store: StoreOpt = None,
    overrides: SetOpt = None,
    reports: ReportsOpt = Path("reports"),
    as_json: JsonOpt = False,
) -> None:
    """Put the report of a finished study at reports/STUDY/."""
    from lakon import api

    summary = api.report(study, store=store, reports=reports, overrides=parse_changes(overrides))
    print_run(summary, as_json, complete_command("lakon show STUDY funnel"))
