"""`lakon compare`: results that are there already, of studies and of other tools, compared problem by problem."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lakon.cli.options import JsonOpt, StoreOpt
from lakon.cli.output import print_comparison, print_json


def compare(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="A B [C...]",
            help="Each a file, folder or pattern of lm-eval, inspect, NeMo-Skills, lighteval, JSONL, CSV or Parquet, "
            "or STUDY.toml#AUTHOR; NAME=PATH,PATH names an author. The first is the one that others are compared with.",
        ),
    ],
    margin: Annotated[
        float | None,
        typer.Option(help="Equivalence margin in accuracy, 0.05 for five points; without it none is claimed."),
    ] = None,
    family: Annotated[
        str,
        typer.Option(help="Which pairs p values are adjusted over: `baseline`, others against the first, or `all`."),
    ] = "baseline",
    grade: Annotated[
        str | None, typer.Option(help="Grade all responses anew: math, or package.module:name of a Domain.")
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(metavar="FIELD", help="The field that groups problems, or near-duplicates.")
    ] = None,
    fields: Annotated[
        str | None, typer.Option(metavar="NAME=FIELD,...", help="Of files: id, problem, answer, correct, tokens ...")
    ] = None,
    format: Annotated[str | None, typer.Option(help="Of all files, where their content does not tell.")] = None,
    join: Annotated[str | None, typer.Option(help="Join problems by `id` or by `text`.")] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="Count the tokens of all responses anew: words, a folder, or a hub id.")
    ] = None,
    pass_at: Annotated[list[int] | None, typer.Option("--pass-at", min=1, help="A k of pass@k.")] = None,
    confidence: Annotated[float, typer.Option(help="Of every interval.")] = 0.95,
    report: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Write a page and Markdown there.")] = None,
    export: Annotated[str | None, typer.Option(help="Write all results as inspect, lm-eval or csv.")] = None,
    to: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where the export goes.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes for algebra. Default: one a core.")] = None,
    store: StoreOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Compare results that are there already, of studies and of other tools, problem by problem."""
    from lakon import api

    comparison = api.compare(
        sources,
        margin=margin,
        family=family,
        grade=grade,
        cluster=cluster,
        fields=fields,
        format=format,
        join=join,
        tokenizer=tokenizer,
        pass_at=pass_at or (),
        confidence=confidence,
        report=report,
        export=export,
        to=to,
        workers=workers,
        store=store,
        quiet=as_json,
    )
    if as_json:
        from lakon.standalone.compare.summary import summarise_comparison

        print_json(summarise_comparison(comparison))
    else:
        print_comparison(comparison)
        for place in (report, to):
            if place is not None:
                typer.echo(f"written to {place}")
