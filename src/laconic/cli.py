"""The command line: parses, calls `api`, prints; no logic. Heavy imports happen inside the verbs.

Exit codes: 0 done, 1 a fault of the study, input, store or author, 2 wrong usage, 3 the budget is spent, 130
interrupted.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from laconic.core import memory
from laconic.prints import (
    cell,
    print_faults,
    print_json,
    print_look,
    print_run,
    print_side_by_side,
    print_verified,
    printable,
)

app = typer.Typer(
    name="laconic",
    help="Reasoning-trace studies: same answers, a quarter of the tokens.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

_given: dict[str, str] = {}
"""The study and the store as they were typed, for the commands that messages name: those must work when pasted."""


def _remember(parameter: typer.CallbackParam, value: Any) -> Any:
    if value is not None:
        _given[str(parameter.name)] = shlex.quote(str(value))
    return value


def _pasteable(text: str) -> str:
    """`text` with the study that this command was given in the place of STUDY, and its store beside it."""
    store = f" --store {_given['store']}" if "store" in _given else ""
    return text.replace("STUDY", f"{_given['study']}{store}") if "study" in _given else text


_STUDY_HELP = "A study file (TOML), or the name of a shipped study (see `laconic studies`)."
_STORE_HELP = (
    "The store's folder. Default: LACONIC_STORE, else the study's run.store, else .laconic in the folder where the "
    "command is run."
)
StudyArg = Annotated[str, typer.Argument(metavar="STUDY", help=_STUDY_HELP, callback=_remember)]
StoreOpt = Annotated[Path | None, typer.Option("--store", help=_STORE_HELP, callback=_remember)]
JsonOpt = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
SetOpt = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a key that the file has: --set training.epochs=1"),
]
ReportsOpt = Annotated[Path, typer.Option("--reports", help="Where finished reports lie.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        from laconic import __version__

        typer.echo(f"laconic {__version__}")
        raise typer.Exit


@app.callback()
def _whole(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version, and end.")
    ] = False,
) -> None:
    del version  # its callback has ended the command


def _overrides(pairs: list[str] | None) -> dict[str, str]:
    from laconic.core.errors import InputError

    out: dict[str, str] = {}
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        if not equals:
            raise InputError(f"--set {pair}", "KEY=VALUE", "write for instance --set training.epochs=1")
        out[key.strip()] = value.strip()
    return out


@app.command()
def studies(as_json: JsonOpt = False) -> None:
    """List the shipped studies."""
    from laconic import api

    found = api.studies()
    if as_json:
        print_json(found)
        return
    width = max(map(len, found))
    for name, title in found.items():
        typer.echo(f"{name:<{width}}  {title}")


@app.command()
def new(
    file: Annotated[Path, typer.Argument(help="The study file to write.")],
    source: Annotated[str, typer.Option("--from", help="The shipped study to copy.")] = "miniature",
) -> None:
    """Copy a shipped study to a file of your own, to edit."""
    from laconic import api

    path = api.new(file, source=source)
    typer.echo(f"wrote {path}: edit it, then `laconic check {path}`")


@app.command()
def check(study: StudyArg, overrides: SetOpt = None, as_json: JsonOpt = False) -> None:
    """Say everything that is wrong with a study, before anything is paid for."""
    from laconic import api

    faults = api.check(study, overrides=_overrides(overrides))
    if as_json:
        print_json([fault._asdict() for fault in faults])
    else:
        print_faults(study, faults)
    if any(fault.level == "fault" for fault in faults):
        raise typer.Exit(1)


@app.command()
def fields(
    section: Annotated[str | None, typer.Argument(help="One table: teachers, curate, run ...")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="As the tables of docs/study.md.")] = False,
    as_json: JsonOpt = False,
) -> None:
    """Say what may stand in a study file: every field, its type, its default and what it means."""
    from dataclasses import asdict

    from laconic.fields import as_markdown, as_text, sections

    found = sections(section)
    if as_json:
        print_json([{**asdict(each), "rows": [row._asdict() for row in each.rows]} for each in found])
    else:
        typer.echo(as_markdown(found) if markdown else "\n".join(as_text(found)), nl=False)


@app.command()
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
    from laconic.plan_prints import print_plan

    changed = _overrides(overrides)
    tried = api.pilot(study, pilot, store=store, overrides=changed, quiet=quiet or as_json) if pilot else []
    print_plan(api.bill(study, store=store, overrides=changed), tried, as_json)


@app.command()
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
        study, store=store, mode=mode, steps=tuple(step or ()), until=until, overrides=_overrides(overrides),
        reports=reports, quiet=quiet or as_json,
    )  # fmt: skip
    print_run(done, as_json, _pasteable("laconic show STUDY funnel"))


@app.command()
def status(study: StudyArg, store: StoreOpt = None, as_json: JsonOpt = False) -> None:
    """Show where the present or last run of a study stands; works from another shell."""
    from laconic import api
    from laconic.watch import clock

    facts = api.status(study, store=store)
    if as_json:
        print_json(facts)
        return
    if facts["state"] == "never run":
        typer.echo(f"{facts['study']}: never run in this store\nstore: {facts['store']}")
        return
    done, spent = f"{len(facts['finished'])} of {facts['steps']} steps done", clock(facts["now"] - facts["began"])
    typer.echo(f"{facts['study']}: {facts['state']}, {done}, {spent}")
    if facts["why"]:
        typer.echo(f"  why: {printable(facts['why'])}")
    for row in facts["running"]:
        typer.echo(f"  {row['step']}: {row['text']}")
    typer.echo(f"store: {facts['store']}")


@app.command()
def explain(
    study: StudyArg,
    step: Annotated[str | None, typer.Argument(help="Only this step or stage.")] = None,
    store: StoreOpt = None,
    overrides: SetOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Say, field by field, why a step would run again."""
    from laconic import api

    rows = api.explain(study, step=step, store=store, overrides=_overrides(overrides))
    if as_json:
        print_json([{"step": r.step, "state": r.state, "reasons": r.reasons} for r in rows])
        return
    for row in rows:
        typer.echo(f"{row.state:<8} {row.step}")
        for reason in row.reasons:
            typer.echo(f"           {reason}")


@app.command()
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
    as_json: JsonOpt = False,
) -> None:
    """Show a look at the corpus, rows of a study's tables, or one problem with what every author wrote."""
    from laconic import api
    from laconic.core.wording import counted

    if view is not None:
        found = api.look(study, view, store=store, step=step, limit=limit)
        print_json(found) if as_json else print_look(found)
        return
    if problem is not None and table == "scores":
        value: Any = api.side_by_side(study, problem, store=store)
        print_json(value) if as_json else print_side_by_side(value)
        return
    rows = api.show(study, table=table, step=step, problem=problem, limit=limit, store=store)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        typer.echo("  ".join(f"{k}={cell(v)}" for k, v in row.items() if v not in (None, "", [], ())))
    typer.echo(counted(len(rows), "row") + (" (--limit for more)" if len(rows) == limit else ""))


@app.command()
def export(
    study: StudyArg,
    what: Annotated[str, typer.Argument(help="What to export: corpus.")],
    to: Annotated[str, typer.Option("--to", help="A new folder, or hf://user/name.")],
    public: Annotated[bool, typer.Option("--public", help="On the hub: for everybody to see; asks first.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    store: StoreOpt = None,
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
    done = api.export(study, to, store=store, public=public)
    if as_json:
        print_json(asdict(done))
        return
    for name, n in done.rows.items():
        typer.echo(f"{n:>10,} examples  {name}")
    typer.echo(f"written to {done.place}")


@app.command()
def report(
    study: StudyArg,
    store: StoreOpt = None,
    overrides: SetOpt = None,
    reports: ReportsOpt = Path("reports"),
    as_json: JsonOpt = False,
) -> None:
    """Put the report of a finished study at reports/STUDY/."""
    from laconic import api

    done = api.report(study, store=store, reports=reports, overrides=_overrides(overrides))
    print_run(done, as_json, _pasteable("laconic show STUDY funnel"))


@app.command()
def verify(
    file: Annotated[
        str, typer.Argument(metavar="FILE.jsonl", help="One JSON object a line, or .jsonl.gz; - is stdin.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Where graded rows go. Default: FILE.verified.jsonl beside it.")
    ] = None,
    gold: Annotated[
        str, typer.Option("--field-gold", help="The field of the right answer; dots lead inside.")
    ] = "gold",
    prediction: Annotated[str, typer.Option("--field-prediction", help="The field of what is graded.")] = "prediction",
    finish: Annotated[
        str | None, typer.Option("--field-finish", help="The field of the finish reason: `length` is truncated.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes for algebra. Default: one a core.")] = None,
    limit: Annotated[float, typer.Option(metavar="SECONDS", help="What one row may take.")] = 5.0,
    as_json: JsonOpt = False,
) -> None:
    """Grade a file of answers against references, without a study; run it again to go on."""
    from dataclasses import asdict

    from laconic import api

    done = api.verify_file(
        file, out=out, gold=gold, prediction=prediction, finish=finish, workers=workers, limit_s=limit, quiet=as_json
    )
    print_json(asdict(done)) if as_json else print_verified(done)


@app.command()
def gc(
    keep: Annotated[
        list[str] | None, typer.Option("--keep", help="Remove every artifact that these studies do not use.")
    ] = None,
    store: StoreOpt = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: JsonOpt = False,
) -> None:
    """Remove what interrupted steps left, and compact ledgers. Nothing that was paid for is lost."""
    from laconic import api

    facts = api.gc(store=store, keep=tuple(keep or ()), dry_run=dry_run)
    if as_json:
        print_json(facts)
        return
    for kind in ("torn", "unused"):
        for name in facts[kind]:
            typer.echo(f"{kind:<7} {name}")
    verb = "would free" if dry_run else "freed"
    typer.echo(f"{verb} {facts['bytes'] / 1e6:.1f} MB: {len(facts['torn'])} torn, {len(facts['unused'])} unused")


@app.command()
def version(as_json: JsonOpt = False) -> None:
    """Print the version of Laconic and of what it stands on."""
    import platform
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as version_of

    from laconic import __version__

    found = {"laconic": __version__, "python": platform.python_version()}
    for name in ("pyarrow", "pydantic", "math-verify", "torch", "transformers", "trl"):
        try:
            found[name] = version_of(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    print_json(found) if as_json else typer.echo("\n".join(f"{k} {v}" for k, v in found.items()))


miniature = typer.Typer(help="The embedded study's own tools.", no_args_is_help=True)
app.add_typer(miniature, name="miniature")


@miniature.command("pretrain")
def miniature_pretrain(
    out: Annotated[Path, typer.Argument(help="Folder to write the base to.")],
    seed: Annotated[int, typer.Option()] = 0,
    steps: Annotated[int | None, typer.Option(help="Optimizer steps; the recipe's own number unless given.")] = None,
) -> None:
    """Make the tiny student's base from nothing: the recipe of the one that is shipped."""
    from laconic.miniature.pretrain import pretrain

    def on_step(step: int, *figures: Any) -> None:
        if step % 50 == 0:
            typer.echo(
                f"step {step}  " + "  ".join(f"{f:.4g}" if isinstance(f, float) else str(f) for f in figures), err=True
            )

    facts = pretrain(out, seed=seed, steps=steps, on_step=on_step)
    print_json({key: value for key, value in facts.items() if key not in ("losses", "loss_curve")})


def main() -> None:
    """The entry point: faults print as three-part messages, without a traceback."""
    memory.settle()
    sys.exit(_guarded(app))


def _guarded(command: Callable[[], Any]) -> int:
    """Run a command that ends with `SystemExit` by itself; what is the user's to mend becomes a message and a code."""
    from laconic.core.errors import BudgetSpent, LaconicError, RunStopped

    try:
        command()
    except BudgetSpent as error:
        typer.echo(printable(_pasteable(f"stopped: {error}")), err=True)
        return 3
    except RunStopped as error:
        typer.echo(printable(_pasteable(f"stopped: {error}")), err=True)
        return 130
    except LaconicError as error:
        typer.echo(printable(_pasteable(f"error: {error}")), err=True)
        return 1
    except KeyboardInterrupt:
        typer.echo("interrupted; run the same command again to go on", err=True)
        return 130
    except BrokenPipeError:
        return 0
    return 0
