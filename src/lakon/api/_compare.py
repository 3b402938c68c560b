"""Comparing results that are there already: of studies, and files that other tools wrote."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from lakon.api._session import open_store
from lakon.core.errors import InputError, near_miss
from lakon.progress.terminal import show_meter
from lakon.standalone.compare.compare import (
    NEAR_DUPLICATES,
    ComparedResults,
    CompareRequest,
    check_sources,
    compare_results,
    needs_answers,
)
from lakon.standalone.compare.export import EXPORTS, export_results
from lakon.standalone.compare.figures import CompareOptions, Family
from lakon.standalone.compare.join import JoinBy
from lakon.standalone.compare.page import write_page
from lakon.standalone.compare.readers.values import parse_fields
from lakon.standalone.compare.sources import ReadOptions


def compare(
    sources: Sequence[str],
    *,
    fields: str | None = None,
    format: str | None = None,
    join: str | None = None,
    grade: str | None = None,
    cluster: str | None = None,
    family: str = "baseline",
    margin: float | None = None,
    confidence: float = 0.95,
    pass_at: Sequence[int] = (),
    tokenizer: str | None = None,
    report: str | Path | None = None,
    export: str | None = None,
    to: str | Path | None = None,
    store: str | Path | None = None,
    workers: int | None = None,
    limit_s: float = 5.0,
    quiet: bool = True,
) -> ComparedResults:
    """Compare the results of two authors or more, problem by problem; the first is the one that others are compared
    with. Each source is `[NAME=]PATH[,PATH...]` with a file, folder or pattern, or `STUDY.toml[#AUTHOR]`.

    `margin` is in accuracy (0.05 is five points); without it no claim about one is made. With `report` a page is
    written into that folder, with `export` all results in another tool's format into `to`. Raises `InputError`.
    """
    check_sources(sources)
    _check_choice("--family", family, get_args(Family))
    _check_choice("--join", join, get_args(JoinBy))
    _check_choice("--export", export, tuple(EXPORTS))
    _check_numbers(margin, confidence, pass_at)
    if (export is None) != (to is None):
        found = "--export without --to" if to is None else "--to without --export"
        raise InputError(found, "both", "write --export FORMAT --to FOLDER")
    names = parse_fields(fields)
    if cluster and cluster != NEAR_DUPLICATES:
        names = parse_fields(",".join(part for part in (fields, f"cluster={cluster}") if part))
    request = CompareRequest(
        sources=tuple(sources),
        read=ReadOptions(format=format, fields=names, keep_answers=needs_answers(grade, tokenizer, export)),
        options=CompareOptions(
            family="all" if family == "all" else "baseline",
            margin=margin,
            confidence=confidence,
            pass_at=tuple(pass_at),
        ),
        join_by=None if join is None else "id" if join == "id" else "text",
        grade=grade,
        tokenizer=tokenizer,
        near_duplicates=cluster == NEAR_DUPLICATES,
        workers=workers or os.cpu_count() or 1,
        limit_s=limit_s,
    )
    with show_meter("compare", quiet=quiet) as meter:
        comparison = compare_results(request, open_store=lambda study: open_store(study, store), progress=meter)
    if report is not None:
        write_page(comparison, Path(report))
    if export is not None and to is not None:
        export_results(comparison.joined, export, Path(to))
    return comparison


def _check_choice(option: str, value: str | None, known: Sequence[str]) -> None:
    if value is not None and value not in known:
        raise InputError(f"{option} {value}", near_miss(value, known), "name one of them")


def _check_numbers(margin: float | None, confidence: float, pass_at: Sequence[int]) -> None:
    if margin is not None and not 0 < margin < 1:
        raise InputError(f"a margin of {margin:g}", "a share between 0 and 1", "write --margin 0.05 for five points")
    if not 0.5 < confidence < 1:
        raise InputError(f"a confidence of {confidence:g}", "a share from 0.5 to 1", "write --confidence 0.95")
    if any(k < 1 for k in pass_at):
        raise InputError("a k below 1", "the k of pass@k, 1 or more", "write for instance --pass-at 4")
