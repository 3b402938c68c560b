"""How what `api` returns looks on a terminal: lines for people, JSON for scripts.

Invariant: what models or servers wrote goes through `escape_controls` before it is shown.
"""

from __future__ import annotations

import json
from typing import Any

import typer

from lakon.core.score_text import format_duration, pluralise

_LISTED = 8
_WIDE = 240


def print_json(value: Any) -> None:
    """A value as JSON that a script can read."""
    typer.echo(json.dumps(value, indent=2, default=str))


def print_faults(study: str, faults: list[Any]) -> None:
    """Faults, then warnings, numbered; to stderr, so that a pipe gets none of them."""
    if all(fault.level == "warning" for fault in faults):
        typer.echo(f"{study}: no fault found")
    for level in ("fault", "warning"):
        of_level = [fault for fault in faults if fault.level == level]
        if of_level:
            typer.echo(f"{study} has {len(of_level)} {level}{'s' if len(of_level) != 1 else ''}:", err=True)
        for number, fault in enumerate(of_level, 1):
            typer.echo(escape_controls(f"  {number}. {fault.render()}"), err=True)


def print_unseen(rows: list[Any]) -> None:
    """What a check left to a pilot or a run, and which command looks at it."""
    if rows:
        typer.echo("not checked (this command makes no network requests):")
    for row in rows:
        typer.echo(escape_controls(f"  {row.what} ({', '.join(row.names)}): {row.how}"))


def print_run(summary: Any, as_json: bool, look: str) -> None:
    """The verdict of a run, what it did, and where report and store lie; without a report, the command `look`."""
    if as_json:
        names = ("study", "report", "executed", "steps", "seconds", "store", "notes")
        print_json({name: getattr(summary, name) for name in names})
        return
    for line in summary.summary:
        typer.echo(line)
    for note in summary.notes:
        typer.echo(f"warning: {escape_controls(note)}", err=True)
    did = (
        f"executed {len(summary.executed)} of {summary.steps} steps in {summary.seconds:.1f} s"
        if summary.executed
        else f"nothing to do: all {summary.steps} steps are in the store"
    )
    where = f"report: {summary.report}" if summary.report else f"summary: {look}"
    typer.echo(f"\n{did}\nstore: {summary.store}\n{where}")


def print_status(facts: dict[str, Any]) -> None:
    """Where a run of the study stands; where there was none, the last run of another study of its name."""
    if facts["state"] != "never run":
        _print_standing(facts)
    elif facts["of_its_name"] is None:
        typer.echo(f"{facts['study']}: never run in this store")
    else:
        typer.echo(f"{facts['study']}: this version has never been run; the last run of a study with this name:")
        _print_standing(facts["of_its_name"])
    typer.echo(f"store: {facts['store']}")


def _print_standing(facts: dict[str, Any]) -> None:
    of = "" if facts["what"] == "run" else f" of `{facts['what']}`"
    progress, spent = f"{len(facts['finished'])} of {facts['steps']} steps{of} done", facts["now"] - facts["began"]
    typer.echo(f"{facts['study']}: {facts['state']}, {progress}, {format_duration(spent)}")
    if facts["why"]:
        typer.echo(f"  why: {escape_controls(facts['why'])}")
    for row in facts["running"]:
        typer.echo(f"  {row['step']}: {row['text']}")
    if facts["left"] and facts["state"] != "running":
        more = len(facts["left"]) - _LISTED
        named = ", ".join(facts["left"][:_LISTED]) + (f" and {more} more" if more > 0 else "")
        typer.echo(f"  not done: {pluralise(len(facts['left']), 'step')} of the study: {named}")


def print_look(rows: list[dict[str, Any]]) -> None:
    """Rows of a view: the first value as a heading, the others below it."""
    for row in rows:
        name, *rest = row.items()
        typer.echo(name[1])
        for key, value in rest:
            if value not in (None, "", [], {}):
                typer.echo(f"  {key}: {escape_controls(_look_value(value))}")


def _look_value(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {n:,}" for key, n in value.items())
    if isinstance(value, list):
        mean, low, high = value
        return f"{mean:,.4g} [{low:,.4g}, {high:,.4g}]"
    return f"{value:,.6g}" if isinstance(value, (int, float)) else str(value)


def format_cell(value: object) -> str:
    """A value of a table, at most 60 characters of it."""
    text = f"{value:.4g}" if isinstance(value, float) else escape_controls(str(value)).replace("\n", " ")
    return text if len(text) <= 60 else f"{text[:57]}..."


def escape_controls(text: str) -> str:
    """What models write may hold terminal escapes: control characters but newline and tab are shown, not sent."""
    return "".join(c if c in "\n\t" or c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def print_side_by_side(value: dict[str, Any]) -> None:
    """One problem with what every author wrote, in panels."""
    from rich.columns import Columns
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    console = Console()
    problem = value["problem"]
    if value["matches"] > 1:
        typer.echo(
            f"{value['matches']:,} problem ids begin like this; the first is shown: give more characters of the id"
        )
    console.print(
        Panel(
            Text(f"{escape_controls(problem['prompt'])}\n\nreference: {escape_controls(problem['reference'])}"),
            title=problem["problem_id"],
        )
    )
    panels = [
        Panel(
            Text(escape_controls(f"{t['reasoning']}\n---\n{t['answer']}" if t["reasoning"] else t["answer"])),
            title=f"{t['author']}: {t['outcome']}, {t['n_reasoning'] + t['n_answer']} tokens",
            width=max(40, console.width // 2 - 2),
        )
        for t in value["traces"]
    ]
    console.print(Columns(panels))


def print_verified(summary: Any) -> None:
    """Outcomes and methods of a graded file, as tables."""
    width = max(map(len, ("outcome", *summary.outcomes, *summary.methods)))
    for title, counts in (("outcome", summary.outcomes), ("method", summary.methods)):
        typer.echo(f"{title:<{width}}  {'rows':>12}   share")
        for name, n in counts.items():
            typer.echo(f"{name:<{width}}  {n:>12,}  {n / summary.rows:>6.1%}")
        typer.echo("")
    new = summary.rows - summary.kept
    before = f", {summary.kept:,} were graded before" if summary.kept else ""
    typer.echo(
        f"{summary.rows:,} rows: {new:,} graded in {summary.seconds:.1f} s, {summary.rows_per_s:,.0f} rows/s{before}"
    )
    typer.echo(f"{summary.ungraded:,} ungraded (unparsed, timeout or error): whether these are right is not known")
    typer.echo(f"written to {summary.out}")


def print_comparison(comparison: Any) -> None:
    """Tables, what they rest on, then a sentence a pair."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from lakon.standalone.compare.words import build_tables, list_remarks, list_sentences

    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDE)  # a file has no edge at which to fold cells
    for shown in build_tables(comparison):
        table = Table(title=shown.caption, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for at, column in enumerate(shown.columns):
            table.add_column(column, justify="left" if at < shown.n_text else "right", overflow="fold")
        for group in shown.groups:
            if group.heading:
                table.add_row(Text(escape_controls(group.heading), style="bold"))
            for row in group.rows:
                table.add_row(*(Text(escape_controls(cell)) for cell in row.cells))
        console.print(table)
        typer.echo(f"{shown.note}\n")
    for remark in list_remarks(comparison):
        typer.echo(f"note: {escape_controls(remark)}")
    for sentence in list_sentences(comparison):
        typer.echo(f"\n{escape_controls(sentence)}")
