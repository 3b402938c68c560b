"""Commands that take no study: grading a file, tidying a store, versions, and the embedded study's own tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from laconic.cli.options import JsonOpt, StoreOpt
from laconic.cli.prints import print_json, print_verified


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
    prefix: Annotated[
        str,
        typer.Option(help="Goes before the verdict's fields: `graded_` for rows that have an `outcome` of their own."),
    ] = "",
    workers: Annotated[int | None, typer.Option(help="Processes for algebra. Default: one a core.")] = None,
    limit: Annotated[float, typer.Option(metavar="SECONDS", help="What one row may take.")] = 5.0,
    as_json: JsonOpt = False,
) -> None:
    """Grade a file of answers against references, without a study; run it again to go on."""
    from dataclasses import asdict

    from laconic import api

    done = api.verify_file(
        file, out=out, gold=gold, prediction=prediction, finish=finish, prefix=prefix, workers=workers, limit_s=limit,
        quiet=as_json,
    )  # fmt: skip
    print_json(asdict(done)) if as_json else print_verified(done)


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


def pretrain(
    out: Annotated[Path, typer.Argument(help="Folder to write the base to.")],
    seed: Annotated[int, typer.Option()] = 0,
    steps: Annotated[int | None, typer.Option(help="Optimizer steps; the recipe's own number unless given.")] = None,
) -> None:
    """Make the tiny student's base from nothing: the recipe of the one that is shipped."""
    from laconic.miniature import pretrain as recipe

    def on_step(step: int, *figures: Any) -> None:
        if step % 50 == 0:
            typer.echo(
                f"step {step}  " + "  ".join(f"{f:.4g}" if isinstance(f, float) else str(f) for f in figures), err=True
            )

    facts = recipe.pretrain(out, seed=seed, steps=steps, on_step=on_step)
    print_json({key: value for key, value in facts.items() if key not in ("losses", "loss_curve")})
