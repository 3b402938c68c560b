"""A comparison as plain values, for `--json`: all that the tables show, and every row and problem that was left out."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from lakon.standalone.compare.compare import Comparison
from lakon.standalone.compare.figures import AuthorFigures, PairFigures
from lakon.standalone.compare.words import describe_pair, list_remarks
from lakon.stats import Estimate, MarginTest

_MOST_ROWS = 1_000
"""Bad rows and problems that are listed of a side; all are counted."""


def summarise_comparison(comparison: Comparison) -> dict[str, Any]:
    """Plain values; an infinite or undefined number is null."""
    figures = comparison.figures
    return {
        "joined_by": comparison.joined.by,
        "family": {"which": figures.family, "size": figures.family_size},
        "confidence": figures.options.confidence,
        "margin": figures.options.margin,
        "tokenizer": comparison.tokenizer,
        "authors": [_author(each) for each in figures.authors],
        "pairs": [{**_pair(each), "sentence": describe_pair(each, figures)} for each in figures.pairs],
        "sides": [_side(comparison, side) for side in range(len(comparison.joined.sets))],
        "remarks": list_remarks(comparison),
    }


def _side(comparison: Comparison, side: int) -> dict[str, Any]:
    one, alone = comparison.joined.sets[side], comparison.joined.list_alone(side)
    return {
        "author": one.name,
        "format": one.format,
        "files": list(one.files),
        "grades": asdict(comparison.accounts[one.name]),
        "n_bad_rows": len(one.bad_rows),
        "bad_rows": [bad._asdict() for bad in one.bad_rows[:_MOST_ROWS]],
        "n_alone": len(alone),
        "alone": alone[:_MOST_ROWS],
    }


def _author(author: AuthorFigures) -> dict[str, Any]:
    plain = author._asdict()
    for name in ("accuracy", "truncated", "tokens", "tokens_per_correct"):
        plain[name] = _estimate(plain[name])
    return {**plain, "pass_at": {str(k): _estimate(estimate) for k, estimate in author.pass_at.items()}}


def _pair(pair: PairFigures) -> dict[str, Any]:
    plain = {name: getattr(pair, name) for name in PairFigures.__dataclass_fields__}
    for name in ("difference", "token_ratio", "cost_ratio"):
        plain[name] = _estimate(plain[name])
    for name in ("not_worse", "equivalent"):
        plain[name] = _margin(plain[name])
    return {**plain, "detectable": _number(pair.detectable)}


def _margin(test: MarginTest | None) -> dict[str, Any] | None:
    if test is None:
        return None
    plain = {name: getattr(test, name) for name in ("holds", "p_value", "power", "n_needed")}
    return {**plain, "difference": _estimate(test.difference)}


def _estimate(estimate: Estimate | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    plain = asdict(estimate)
    for name in ("value", "low", "high"):
        plain[name] = _number(plain[name])
    return plain


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
