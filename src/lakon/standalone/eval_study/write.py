"""The study file that `lakon eval` leaves: plain TOML, to be kept, edited and run like any other.

Its first line holds a digest of the rest, so that a file that somebody has edited is never written over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lakon.core.digest import digest
from lakon.core.errors import InputError
from lakon.standalone.eval_study.authors import EvaluatedAuthor
from lakon.standalone.eval_study.benchmarks import EvaluatedBenchmark

PROMPT = "{problem}\n\nReason step by step, and put the final answer within \\boxed{}."
_FIRST = "# Written by `lakon eval`, {digest}. Edit it as you like and run it with `lakon run`.\n"
_WRITTEN = re.compile(r"^# Written by `lakon eval`, ([0-9a-f]{16})\.")


class EvalSettings(NamedTuple):
    """How all models are asked and compared."""

    name: str
    samples: int
    sampling: dict[str, Any]
    """Fields of `sampling`; what is left out is as in any study."""
    prompt: str = PROMPT
    margin: float | None = None
    """Of non-inferiority; no such claim is prepared without it."""
    tokenizer: str | None = None
    key_env: str | None = None
    concurrency: int | None = None
    price: tuple[float, float] | None = None
    """Money for a million prompt and completion tokens, of every endpoint."""
    tokens_per_answer: float | None = None
    """Expected length of an answer, for the plan."""
    serving: dict[str, Any] | None = None
    """`run.serving`, for models in folders."""


def make_study_text(
    authors: Sequence[EvaluatedAuthor], benchmarks: Sequence[EvaluatedBenchmark], settings: EvalSettings
) -> str:
    """The study as TOML, its first line included."""
    evaluate: dict[str, Any] = {
        "benchmarks": [benchmark.name for benchmark in benchmarks],
        "samples": settings.samples,
        "baseline": authors[0].name,
        "sampling": settings.sampling,
    }
    if settings.margin is not None:
        evaluate["margin"] = settings.margin
    top: dict[str, Any] = {"name": settings.name, "prompt": settings.prompt}
    if settings.tokenizer is not None:
        top["tokenizer"] = settings.tokenizer
    tables: list[tuple[str, Mapping[str, Any]]] = [("", top), ("evaluate", evaluate)]
    tables += [(f"evaluate.authors.{_key(author.name)}", author.table) for author in authors]
    tables += [(f"benchmarks.{_key(each.name)}", each.table) for each in benchmarks if each.table is not None]
    run = _run_table(authors, settings)
    if run:
        tables.append(("run", run))
    body = "\n".join(_table(name, values) for name, values in tables)
    return _FIRST.format(digest=digest(body)[:16]) + body


def _run_table(authors: Sequence[EvaluatedAuthor], settings: EvalSettings) -> dict[str, Any]:
    run: dict[str, Any] = {}
    for author in authors:
        if author.url is None:
            continue
        endpoint: dict[str, Any] = {"url": author.url}
        if settings.key_env is not None:
            endpoint["api_key_env"] = settings.key_env
        if settings.concurrency is not None:
            endpoint["concurrency"] = settings.concurrency
        run[f"endpoints.{_key(author.name)}"] = endpoint
        price: dict[str, Any] = {}
        if settings.price is not None:
            price |= dict(zip(("input_per_million", "output_per_million"), settings.price, strict=True))
        if settings.tokens_per_answer is not None:
            price["tokens_per_trace"] = settings.tokens_per_answer
        if price:
            run[f"prices.{_key(author.name)}"] = price
    if settings.serving:
        run["serving"] = settings.serving
    return run


def write_study(path: Path, text: str) -> bool:
    """Write the study, unless it is there as it is; returns whether it was written. Raises `InputError` rather than
    write over a file of somebody's."""
    if path.exists():
        there = path.read_text(encoding="utf-8")
        if there == text:
            return False
        first, _, body = there.partition("\n")
        written = _WRITTEN.match(first)
        if written is None or digest(body)[:16] != written.group(1):
            raise InputError(
                f"a file {str(path)!r} that was written by hand or edited",
                "a new file, or one that `lakon eval` wrote",
                f"run it as it is with `lakon run {path}`, or choose another name with --name",
            )
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror}", "a folder that can be written", "choose another folder"
        ) from error
    return True


def _table(name: str, values: Mapping[str, Any]) -> str:
    heading = f"[{name}]\n" if name else ""
    return heading + "".join(f"{key} = {_value(value)}\n" for key, value in values.items())


def _value(value: Any) -> str:
    """A value of TOML; JSON's texts, numbers and lists are TOML's too."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)
