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

from lakon.cli.benchmarks import benchmarks
from lakon.cli.compare import compare
from lakon.cli.eval import evaluate
from lakon.cli.explain import explain
from lakon.cli.export import export
from lakon.cli.gc import gc
from lakon.cli.installation import version
from lakon.cli.miniature import pretrain
from lakon.cli.options import complete_command, json_is_wanted
from lakon.cli.output import escape_controls, print_json
from lakon.cli.plan import plan
from lakon.cli.run import report, run
from lakon.cli.show import show
from lakon.cli.status import status
from lakon.cli.study import check, fields, new, studies
from lakon.cli.verify import verify
from lakon.core import memory

if TYPE_CHECKING:
    from lakon.core.errors import LakonError

_COMMANDS = (
    studies,
    benchmarks,
    new,
    check,
    fields,
    plan,
    run,
    status,
    explain,
    show,
    export,
    report,
    verify,
    compare,
    gc,
    version,
)
"""In the order of the help."""

app = typer.Typer(
    name="lakon",
    help="Reasoning-trace studies: same answers, a quarter of the tokens.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in _COMMANDS:
    app.command()(_command)
app.command(name="eval")(evaluate)  # `eval` is taken in Python

_miniature = typer.Typer(help="The embedded study's own tools.", no_args_is_help=True)
_miniature.command()(pretrain)
app.add_typer(_miniature, name="miniature")


def _print_version(wanted: bool) -> None:
    if wanted:
        from lakon import __version__

        typer.echo(f"lakon {__version__}")
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
    memory.limit_heaps()
    sys.exit(_guarded(app))


def _guarded(command: Callable[[], Any]) -> int:
    """Run a command that ends with `SystemExit` by itself; what is the user's to mend becomes a message and a code."""
    from lakon.core.errors import BudgetSpent, LakonError, RunStopped

    try:
        command()
    except BudgetSpent as error:
        _tell("stopped", error)
        return 3
    except RunStopped as error:
        _tell("stopped", error)
        return 130
    except LakonError as error:
        _tell("error", error)
        return 1
    except KeyboardInterrupt:
        typer.echo("interrupted; run the same command again to go on", err=True)
        return 130
    except BrokenPipeError:
        return 0
    return 0


def _tell(how: str, error: LakonError) -> None:
    """What ended a command, to people; or its faults to a script that asked for JSON, in the shape that `check` has."""
    if json_is_wanted():
        print_json([fault._make(map(complete_command, fault))._asdict() for fault in error.faults])
    else:
        typer.echo(escape_controls(complete_command(f"{how}: {error}")), err=True)
