"""The command line: parses, calls `api`, prints; no logic. Heavy imports happen inside the verbs.

Exit codes: 0 done, 1 a fault of the study, input, store or author, 2 wrong usage, 3 the budget is spent, 130
interrupted. With `--json` faults are JSON as well: on stdout a list of them, in the place of what was asked for. This
file is the list of commands and the guard around them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from laconic.cli.looking import explain, export, show
from laconic.cli.options import json_is_wanted, pasteable
from laconic.cli.prints import print_json, printable
from laconic.cli.running import plan, report, run, status
from laconic.cli.tools import gc, pretrain, verify, version
from laconic.cli.writing import check, fields, new, studies
from laconic.core import memory

if TYPE_CHECKING:
    from laconic.core.errors import LaconicError

_COMMANDS = (
    studies, new, check, fields, plan, run, status, explain, show, export, report, verify, gc, version,
)  # fmt: skip
"""In the order of the help."""

app = typer.Typer(
    name="laconic",
    help="Reasoning-trace studies: same answers, a quarter of the tokens.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in _COMMANDS:
    app.command()(_command)

_miniature = typer.Typer(help="The embedded study's own tools.", no_args_is_help=True)
_miniature.command()(pretrain)
app.add_typer(_miniature, name="miniature")


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
        _tell("stopped", error)
        return 3
    except RunStopped as error:
        _tell("stopped", error)
        return 130
    except LaconicError as error:
        _tell("error", error)
        return 1
    except KeyboardInterrupt:
        typer.echo("interrupted; run the same command again to go on", err=True)
        return 130
    except BrokenPipeError:
        return 0
    return 0


def _tell(how: str, error: LaconicError) -> None:
    """What ended a command, to people; or its faults to a script that asked for JSON, in the shape that `check` has."""
    if json_is_wanted():
        print_json([{key: pasteable(text) for key, text in fault._asdict().items()} for fault in error.faults])
    else:
        typer.echo(printable(pasteable(f"{how}: {error}")), err=True)
