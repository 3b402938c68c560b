"""The judge errs too: its error rates from an audit, agreement beyond chance, and accuracy corrected by both.

Invariant: the audit samples accepts and rejects separately, so the rates here are conditional on the judge's
verdict and need no assumption about how often authors are right. Sources: Cohen 1960; Rogan and Gladen 1978
and, for a stratified audit, the post-stratified estimator of Cochran 1977, chapter 5A.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

import numpy as np

from lakon.core.errors import InputError
from lakon.stats.distributions import normal_quantile
from lakon.stats.intervals import Estimate, check_level, clopper_pearson


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Counts of a second, trusted look at a random sample of accepts and a random sample of rejects."""

    accepts_right: int
    """Accepted by the judge, and right to be."""
    accepts_wrong: int
    rejects_right: int
    """Rejected by the judge, though the answer was correct."""
    rejects_wrong: int
    """Rejected, and the answer was indeed wrong."""

    def __post_init__(self) -> None:
        counts = (self.accepts_right, self.accepts_wrong, self.rejects_right, self.rejects_wrong)
        if min(counts) < 0 or not self.n_accepts or not self.n_rejects:
            raise InputError(
                f"an audit of {self.n_accepts} accepts and {self.n_rejects} rejects",
                "at least one of each, no count negative",
                "audit a random sample of both: rejects can hide correct answers",
            )

    @property
    def n_accepts(self) -> int:
        """Audited accepts."""
        return self.accepts_right + self.accepts_wrong

    @property
    def n_rejects(self) -> int:
        """Audited rejects."""
        return self.rejects_right + self.rejects_wrong


def false_accept_rate(audit: Audit, *, level: float = 0.95) -> Estimate:
    """The share of the judge's accepts that are wrong, Clopper-Pearson."""
    return _share(audit.accepts_wrong, audit.n_accepts, level)


def false_reject_rate(audit: Audit, *, level: float = 0.95) -> Estimate:
    """The share of the judge's rejects that were correct answers, Clopper-Pearson."""
    return _share(audit.rejects_right, audit.n_rejects, level)


def judge_error_corrected(
    raw: Estimate, audit: Audit, *, accepts: float | None = None, rejects: float | None = None, level: float = 0.95
) -> Estimate:
    """Accuracy had the trusted look been taken at every sample: raw - accepts * false accepts + rejects * false
    rejects.

    `raw` is the accuracy by the judge with its interval at `level`; `accepts` and `rejects` are the shares of all
    samples that the audited accepts and rejects stand for (by default all that were accepted, and all others). The
    interval adds the audit's own noise (delta method; rates of exactly 0 or 1 enter with the Agresti-Coull
    correction, so the audit is never taken as perfect). Raises `InputError` for shares that are more than there is.
    """
    accepts = raw.value if accepts is None else accepts
    rejects = 1 - raw.value if rejects is None else rejects
    if not 0 <= accepts <= raw.value + 1e-9 or not 0 <= rejects <= 1 - raw.value + 1e-9:
        raise InputError(
            f"audited accepts that are {accepts:.4g} and rejects that are {rejects:.4g} of all, at an accuracy of"
            f" {raw.value:.4g}",
            "at most what was accepted, and what was not",
            "give shares of the samples that the accuracy is of",
        )
    wrong, missed = audit.accepts_wrong / audit.n_accepts, audit.rejects_right / audit.n_rejects
    value = raw.value - accepts * wrong + rejects * missed
    z = normal_quantile(0.5 + check_level(level) / 2)
    lost = accepts / raw.value * wrong if raw.value > 0 else 0.0
    slope = 1 - lost - (rejects / (1 - raw.value) * missed if raw.value < 1 else 0.0)
    audit_half = z * math.hypot(
        accepts * _rate_error(audit.accepts_wrong, audit.n_accepts, z),
        rejects * _rate_error(audit.rejects_right, audit.n_rejects, z),
    )
    low = value - math.hypot(audit_half, slope * (raw.value - raw.low))
    high = value + math.hypot(audit_half, slope * (raw.high - raw.value))
    audited = f"{audit.n_accepts} accepts and {audit.n_rejects} rejects"
    method = f"corrected by an audit of {audited}; {raw.method}"
    return Estimate(value, max(0.0, low), min(1.0, high), method, raw.n_problems, raw.n_samples)


def weighted_agreement(audit: Audit, *, accepts: int, rejects: int, level: float = 0.95) -> Estimate:
    """How often both graders agree over all samples, of which `accepts` were accepted and `rejects` rejected.

    Post-stratified: each audited share counts for as many as it stands for. Interval by the delta method, rates
    of exactly 0 or 1 with the Agresti-Coull correction. Raises `InputError` when the audit is larger than the whole.
    """
    if accepts < audit.n_accepts or rejects < audit.n_rejects:
        raise InputError(
            f"an audit of {audit.n_accepts} accepts and {audit.n_rejects} rejects out of {accepts} and {rejects}",
            "an audit of a part of them",
            "give the numbers of all accepts and rejects",
        )
    share = accepts / (accepts + rejects)
    wrong, missed = audit.accepts_wrong / audit.n_accepts, audit.rejects_right / audit.n_rejects
    value = share * (1 - wrong) + (1 - share) * (1 - missed)
    z = normal_quantile(0.5 + check_level(level) / 2)
    half = z * math.hypot(
        share * _rate_error(audit.accepts_wrong, audit.n_accepts, z),
        (1 - share) * _rate_error(audit.rejects_right, audit.n_rejects, z),
    )
    n = audit.n_accepts + audit.n_rejects
    return Estimate(value, max(0.0, value - half), min(1.0, value + half), f"post-stratified on {n} audited", n, n)


def cohen_kappa(first: Sequence[object], second: Sequence[object], *, level: float = 0.95) -> Estimate:
    """Agreement of two graders on the same samples beyond what chance would give (1 perfect, 0 chance).

    Interval by the asymptotic variance of Fleiss, Cohen and Everitt 1969 (statsmodels). When both always say
    the same one thing, chance agreement is total and kappa is undefined: NaN, with the whole range; when only
    one of them does, kappa is 0 whatever the other says, with the whole range. Raises `InputError` for sequences
    of different lengths, or empty ones.
    """
    if len(first) != len(second) or not first:
        raise InputError(
            f"{len(first)} and {len(second)} gradings",
            "as many of both, at least one",
            "pair them by trace id",
        )
    table = _table(first, second)
    n = len(first)
    if len(table) == 1:
        return Estimate(math.nan, -1.0, 1.0, "kappa undefined: one label throughout", n, n)
    if len({*first}) == 1 or len({*second}) == 1:
        return Estimate(0.0, -1.0, 1.0, "kappa is 0: one grader has one label throughout", n, n)
    result = import_module("statsmodels.stats.inter_rater").cohens_kappa(table)
    value, se = float(result.kappa), math.sqrt(max(0.0, float(result.var_kappa)))
    half = normal_quantile(0.5 + check_level(level) / 2) * se
    if half == 0.0:
        low, _ = clopper_pearson(n, n, level=level)
        return Estimate(value, min(value, 2 * low - 1), max(value, 1.0), "no disagreement: Clopper-Pearson on n", n, n)
    return Estimate(value, max(-1.0, value - half), min(1.0, value + half), "Fleiss-Cohen-Everitt", n, n)


def _table(first: Sequence[object], second: Sequence[object]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    labels = sorted({*first, *second}, key=repr)
    number = {label: i for i, label in enumerate(labels)}
    table = np.zeros((len(labels), len(labels)), dtype=np.int64)
    for one, other in zip(first, second, strict=True):
        table[number[one], number[other]] += 1
    return table


def _share(count: int, n: int, level: float) -> Estimate:
    low, high = clopper_pearson(count, n, level=level)
    return Estimate(count / n, low, high, f"Clopper-Pearson on {n} audited", n, n)


def _rate_error(count: int, n: int, z: float) -> float:
    rate = (count + z**2 / 2) / (n + z**2)
    return math.sqrt(rate * (1 - rate) / (n + z**2))
