"""Grading a file of answers: the verifier without a study."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from lakon.core.errors import InputError
from lakon.core.protocols import VerifierOptions
from lakon.domains import registry
from lakon.progress.terminal import show_meter
from lakon.standalone.verify_file.grade import Fields, FileSummary, grade_file


def verify_file(
    file: str | Path,
    *,
    out: str | Path | None = None,
    gold: str = "gold",
    prediction: str = "prediction",
    finish: str | None = None,
    prefix: str = "",
    domain: str = "math",
    boxed_only: bool = False,
    workers: int | None = None,
    limit_s: float = 5.0,
    quiet: bool = True,
) -> FileSummary:
    """Grade every row of a JSONL file (`-` is standard input) into `out`, by default FILE.verified.jsonl; a second
    call goes on after the last whole row. `prefix` goes before the names of the verdict's fields.
    `domain` says what "correct" means; with `boxed_only` an answer that is not marked as final is `unparsed`.

    Raises `InputError` for a fault of the whole file, `RunStopped` when interrupted.
    """
    if not limit_s > 0 or (workers is not None and workers < 1):
        found = f"a limit of {limit_s:g} s and {workers or 'as many workers as cores'}"
        raise InputError(found, "some time a row and at least one worker", "change --limit or --workers")
    fields = Fields(gold=gold, prediction=prediction, finish=finish, prefix=prefix)
    verifier = registry.domain(domain).make_verifier(
        VerifierOptions(workers=workers or os.cpu_count() or 1, limit_s=limit_s, boxed_only=boxed_only)
    )
    with contextlib.closing(verifier), show_meter("verify", quiet=quiet) as meter:
        return grade_file(file, out=out, fields=fields, verifier=verifier, progress=meter)
