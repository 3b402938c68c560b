"""Commands that plan and run a study, and say how far it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from laconic.cli.options import JsonOpt, ReportsOpt, SetOpt, StoreOpt, StudyArg, changes, pasteable
from laconic.cli.prints import print_json, print_run, print_status


def plan(
    study: StudyArg,
    pilot: Annotated[
        int | None,
        typer.Option("--pilot", min=1, metavar="N", help="First really ask every endpoint N of the problems."),
    ] = None,
    store: StoreOpt = None,
    overrides: SetOpt = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress of the pilot.")] = False,
    as_json: JsonOpt = False,
) -> None:
    """Show every step of a study: in the store, would run, or waits for others; and what it would take.

    Offline, unless there is a pilot: its replies stay in the ledger, so that they are not paid for again.
    """
    from laconic import api
    from laconic.cli.plan_prints import print_plan

    changed = changes(overrides)
    tried = api.pilot(study, pilot, store=store, overrides=changed, quiet=quiet or as_json) if pilot else []
    print_plan(api.bill(study, store=store, overrides=changed), tried, as_json)


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
        str | None, typer.Option("--until", help="Only this step or stage and what it stands on: curate is the corpus.")
    ] = None,
    overrides: SetOpt = None,
    reports: ReportsOpt = Path("reports"),
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    as_json: JsonOpt = False,
) -> None:
    """Run what is missing of a study, then say where its report lies."""
    from laconic import api
    from laconic.core.errors import InputError, near_miss

    if mode not in ("cached", "force", "retry"):
        raise InputError(f"--mode {mode}", near_miss(mode, ("cached", "force", "retry")), "use one of the three")
    done = api.run(
        study, store=store, mode=mode, steps=tuple(step or ()), until=until, overrides=changes(overrides),
        reports=reports, quiet=quiet or as_json,
    )  # fmt: skip
    print_run(done, as_json, pasteable("laconic show STUDY funnel"))


def status(study: StudyArg, store: StoreOpt = None, overrides: SetOpt = None, as_json: JsonOpt = False) -> None:
    """Show where the present or last run of a study stands; works from another shell."""
    from laconic import api

    facts = api.status(study, store=store, overrides=changes(overrides))
    print_json(facts) if as_json else print_status(facts)


def report(
    study: StudyArg,
    store: StoreOpt = None,
    overrides: SetOpt = None,
    reports: ReportsOpt = Path("reports"),
    as_json: JsonOpt = False,
) -> None:
    """Put the report of a finished study at reports/STUDY/."""
    from laconic import api

    done = api.report(study, store=store, reports=reports, overrides=changes(overrides))
    print_run(done, as_json, pasteable("laconic show STUDY funnel"))
