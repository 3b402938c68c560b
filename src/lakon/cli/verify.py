"""`lakon verify`: a file of answers, graded without a study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lakon.cli.options import JsonOpt
from lakon.cli.output import print_json, print_verified


def verify(
    file: Annotated[
        str, typer.Argument(metavar="FILE.jsonl", help="One JSON object a line, or .jsonl.gz; - is stdin.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Where graded rows go. Default: FILE.verified.jsonl beside it.")
    ] = None,
    gold: Annotated[
        str, typer.Option("--field-gold", help="The field of the reference answer; dots reach into nested objects.")
    ] = "gold",
    prediction: Annotated[
        str, typer.Option("--field-prediction", help="The field of the answer to grade.")
    ] = "prediction",
    finish: Annotated[
        str | None, typer.Option("--field-finish", help="The field of the finish reason: `length` is truncated.")
    ] = None,
    prefix: Annotated[
        str,
        typer.Option(help="Prefix of the verdict's fields: `graded_` for rows that have an `outcome` already."),
    ] = "",
    domain: Annotated[
        str, typer.Option(help='What "correct" means: math, or package.module:name of a Domain of one\'s own.')
    ] = "math",
    boxed_only: Annotated[
        bool,
        typer.Option(
            "--boxed-only", help="Grade only answers marked as final, such as boxed ones; others are `unparsed`."
        ),
    ] = False,
    workers: Annotated[int | None, typer.Option(help="Processes for algebra. Default: one a core.")] = None,
    limit: Annotated[float, typer.Option(metavar="SECONDS", help="The longest that one row may take.")] = 5.0,
    as_json: JsonOpt = False,
) -> None:
    """Grade a file of answers against references, without a study; run it again to go on."""
    from dataclasses import asdict

    from lakon import api

    summary = api.verify_file(
        file,
        out=out,
        gold=gold,
        prediction=prediction,
        finish=finish,
        prefix=prefix,
        domain=domain,
        boxed_only=boxed_only,
        workers=workers,
        limit_s=limit,
        quiet=as_json,
    )
    print_json(asdict(summary)) if as_json else print_verified(summary)
