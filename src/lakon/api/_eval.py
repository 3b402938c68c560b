"""Evaluating models without a study file: one is written, and run like any other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lakon.api._plan import Bill, bill
from lakon.core.errors import InputError
from lakon.standalone.eval_study.authors import read_authors
from lakon.standalone.eval_study.benchmarks import read_benchmarks
from lakon.standalone.eval_study.write import PROMPT, EvalSettings, make_study_text, write_study


class PreparedEval(NamedTuple):
    """A study that was written for an evaluation, and what it will take."""

    study: Path
    was_written: bool
    """False where the file was there as it is: the evaluation goes on."""
    bill: Bill


def prepare_eval(
    models: Sequence[str],
    *,
    on: Sequence[str],
    name: str = "eval",
    folder: str | Path = ".",
    samples: int = 8,
    sampling: dict[str, Any] | None = None,
    prompt: str | None = None,
    problems: int | None = None,
    prompt_field: str | None = None,
    reference_field: str | None = None,
    margin: float | None = None,
    tokenizer: str | None = None,
    key_env: str | None = None,
    concurrency: int | None = None,
    price: tuple[float, float] | None = None,
    tokens_per_answer: float | None = None,
    serving: dict[str, Any] | None = None,
    store: str | Path | None = None,
) -> PreparedEval:
    """Write `NAME.toml` for an evaluation of `models` (URLs, folders, names on the hub) on the benchmarks `on` (known
    ones, files); `api.run` runs it. The first model is the one that others are compared with.

    Raises `InputError` for a model or benchmark that is none, and `StudyError` for what else is wrong.
    """
    if not models:
        raise InputError("no model", "at least one", "name a URL, a folder or a model of the hub")
    key = os.environ.get(key_env) if key_env is not None else None
    authors = read_authors(models, key=key)
    benchmarks = read_benchmarks(on, count=problems, prompt_field=prompt_field, reference_field=reference_field)
    settings = EvalSettings(
        name=name,
        samples=samples,
        sampling={"temperature": 0.6, "top_p": 0.95, **(sampling or {})},
        prompt=prompt if prompt is not None else PROMPT,
        margin=margin,
        tokenizer=tokenizer,
        key_env=key_env,
        concurrency=concurrency,
        price=price,
        tokens_per_answer=tokens_per_answer,
        serving=serving,
    )
    path = Path(folder) / f"{name}.toml"
    was_written = write_study(path, make_study_text(authors, benchmarks, settings))
    return PreparedEval(path, was_written, bill(path, store=store))
