"""A figure of `stats` as a row of the scores table."""

from __future__ import annotations

import math

from lakon.core.records import Score
from lakon.stages.evaluate.answer_columns import AuthorResults
from lakon.stats import Estimate, Samples


def make_score(
    result: AuthorResults,
    metric: str,
    estimate: Estimate,
    samples: Samples,
    *,
    at: float | None = None,
    baseline: str | None = None,
    group: str | None = None,
    claim: str = "",
) -> Score:
    """The score of `result`'s author. `samples` are those behind the estimate: they are counted in the row."""
    return Score(
        benchmark=result.benchmark,
        author=result.author,
        metric=metric,
        at=at,
        baseline=baseline,
        group=group,
        estimate=estimate.value,
        low=_finite(estimate.low),
        high=_finite(estimate.high),
        p_value=estimate.p_value,
        method=estimate.method,
        n_problems=estimate.n_problems,
        n_samples=samples.n_samples,
        n_ungraded=int((~samples.flat_graded).sum()),
        claim=claim,
    )


def _finite(bound: float) -> float | None:
    return bound if math.isfinite(bound) else None
