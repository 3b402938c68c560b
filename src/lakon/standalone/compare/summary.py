"""A comparison as plain values, for `--json`: all that the tables show, and every row and problem that was left out."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from lakon.standalone.compare.compare import ComparedResults
from lakon.standalone.compare.figures import AuthorFigures, PairFigures
from lakon.standalone.compare.words import describe_pair, list_remarks
from lakon.stats import Estimate, MarginTest

_MOST_ROWS = 1_000
"""Bad rows and problems that are listed of a side; all are counted."""


def summarise_comparison(comparison: ComparedResults) -> dict[str, Any]:
    """Plain values; an infinite or undefined number is null."""
    figures = comparison.figures
    pairs: list[dict[str, Any]] = []
    for pair in figures.pairs:
        plain = _pair(pair, with_margin=figures.options.margin is not None)
        pairs.append({**plain, "sentence": describe_pair(pair, figures)})
    return {
        "joined_by": comparison.joined.by,
        "family": {"which": figures.family, "size": figures.family_size},
        "confidence": figures.options.confidence,
        "margin": figures.options.margin,
        "tokenizer": comparison.tokenizer,
        "authors": [_author(each) for each in figures.authors],
        "pairs": pairs,
        "sides": [_side(comparison, side) for side in range(len(comparison.joined.sets))],
        "remarks": list_remarks(comparison),
    }


def _side(comparison: ComparedResults, side: int) -> dict[str, Any]:
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


def _pair(pair: PairFigures, *, with_margin: bool) -> dict[str, Any]:
    compared = pair.comparison
    plain: dict[str, Any] = {name: getattr(pair, name) for name in ("name", "baseline", "benchmark", "n_problems")}
    plain |= {"claim": str(pair.claim), "family_size": compared.family_size, "adjusted_p": compared.adjusted_p}
    plain |= {"only_name": compared.only_a, "only_baseline": compared.only_b, "n_seeds": list(compared.n_seeds)}
    for name in ("difference", "token_ratio", "tokens_per_correct_ratio"):
        plain[name] = _estimate(getattr(compared, name))
    plain["simultaneous"] = [_number(compared.simultaneous.low), _number(compared.simultaneous.high)]
    plain["detectable"] = _number(compared.detectable)
    if with_margin:
        for name in ("non_inferiority", "equivalence", "inferiority"):
            plain[name] = _margin(getattr(compared, name))
    return plain


def _margin(test: MarginTest) -> dict[str, Any]:
    plain = {"holds": test.holds, "p_value": test.p_value, "power": _number(test.power), "n_needed": test.n_needed}
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
