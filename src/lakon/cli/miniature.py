"""`lakon miniature`: the embedded study's own tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lakon.cli.output import print_json


def pretrain(
    out: Annotated[Path, typer.Argument(help="Folder to write the base to.")],
    seed: Annotated[int, typer.Option()] = 0,
    steps: Annotated[int | None, typer.Option(help="Optimizer steps; the recipe's own number unless given.")] = None,
) -> None:
    """Make the tiny student's base from nothing: the recipe of the one that is shipped."""
    from lakon.miniature import pretrain as recipe

    def on_step(step: int, *figures: Any) -> None:
        if step % 50 == 0:
            typer.echo(
                f"step {step}  " + "  ".join(f"{f:.4g}" if isinstance(f, float) else str(f) for f in figures), err=True
            )

    facts = recipe.pretrain(out, seed=seed, steps=steps, on_step=on_step)
    print_json({key: value for key, value in facts.items() if key not in ("losses", "loss_curve")})
