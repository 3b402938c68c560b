"""What an audit says about a grader: its error rates, agreement beyond chance, and accuracy corrected for its errors.

The graded side is audited (in a study: the rules); the auditor (a judge or a person) looks at a random sample of the
grader's accepts and at one of its rejects, and upholds or overturns each.

Invariant: accepts and rejects are sampled separately, so the rates are conditional on the grader's verdict and need no
assumption about how often authors are right. Sources: Cohen 1960; Rogan and Gladen 1978 and, for a stratified audit,
the post-stratified estimator of Cochran 1977, chapter 5A.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lakon.core.errors import InputError
from lakon.stats.distributions import normal_quantile
from lakon.stats.intervals import Estimate, check_level, clopper_pearson_interval
from lakon.stats.samples import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """An auditor's verdicts on a random sample of a grader's accepts and on one of its rejects."""

    upheld_accepts: int
    """Accepted by the grader; the auditor agrees."""
    overturned_accepts: int
    """Accepted by the grader; the auditor calls the answer wrong."""
    upheld_rejects: int
    """Rejected by the grader; the auditor agrees."""
    overturned_rejects: int
    """Rejected by the grader; the auditor calls the answer correct."""

    def __post_init__(self) -> None:
        counts = (self.upheld_accepts, self.overturned_accepts, self.upheld_rejects, self.overturned_rejects)
        if min(counts) < 0 or not self.n_accepts or not self.n_rejects:
            raise InputError(
                f"an audit of {self.n_accepts} accepts and {self.n_rejects} rejects",
                "at least one of each, no count negative",
                "audit a random sample of both: rejects can hide correct answers",
            )

    @property
    def n_accepts(self) -> int:
        """Audited accepts."""
        return self.upheld_accepts + self.overturned_accepts

    @property
    def n_rejects(self) -> int:
        """Audited rejects."""
        return self.upheld_rejects + self.overturned_rejects


def false_accept_rate(audit: Audit, *, level: float = 0.95) -> Estimate:
    """The share of the grader's accepts that the auditor overturned, Clopper-Pearson."""
    return _share(audit.overturned_accepts, audit.n_accepts, level)


def false_reject_rate(audit: Audit, *, level: float = 0.95) -> Estimate:
    """The share of the grader's rejects that the auditor overturned, Clopper-Pearson."""
    return _share(audit.overturned_rejects, audit.n_rejects, level)


def correct_accuracy(
    raw: Estimate, audit: Audit, *, accepts: float | None = None, rejects: float | None = None, level: float = 0.95
) -> Estimate:
    """The accuracy that the auditor would find on all samples: raw - accepts * false accepts + rejects * false rejects.

    `raw` is the accuracy by the grader with its interval at `level`. `accepts` and `rejects` are the shares of all
    samples that the audited accepts and rejects were drawn from (by default all accepts, and everything else). The
    interval includes the audit's own noise (delta method; rates of exactly 0 or 1 enter with the Agresti-Coull
    correction, so no audit counts as perfect). Raises `InputError` for shares larger than those of the samples.
    """
    accepts = raw.value if accepts is None else accepts
    rejects = 1 - raw.value if rejects is None else rejects
    if not 0 <= accepts <= raw.value + 1e-9 or not 0 <= rejects <= 1 - raw.value + 1e-9:
        raise InputError(
            f"audited accepts that are {accepts:.4g} and rejects that are {rejects:.4g} of all, at an accuracy of"
            f" {raw.value:.4g}",
            "accepts up to the accuracy, and rejects up to the remainder",
            "pass shares of the samples behind this accuracy",
        )
    false_accepts = audit.overturned_accepts / audit.n_accepts
    false_rejects = audit.overturned_rejects / audit.n_rejects
    value = raw.value - accepts * false_accepts + rejects * false_rejects
    z = normal_quantile(0.5 + check_level(level) / 2)
    # How far the corrected accuracy moves with the raw one, the error rates held fixed.
    slope = 1.0
    if raw.value > 0:
        slope -= accepts / raw.value * false_accepts
    if raw.value < 1:
        slope -= rejects / (1 - raw.value) * false_rejects
    audit_half = z * math.hypot(
        accepts * _rate_error(audit.overturned_accepts, audit.n_accepts, z),
        rejects * _rate_error(audit.overturned_rejects, audit.n_rejects, z),
    )
    low = value - math.hypot(audit_half, slope * (raw.value - raw.low))
    high = value + math.hypot(audit_half, slope * (raw.high - raw.value))
    audited = f"{audit.n_accepts} accepts and {audit.n_rejects} rejects"
    method = f"corrected by an audit of {audited}; {raw.method}"
    return Estimate(value, max(0.0, low), min(1.0, high), method, raw.n_problems, raw.n_samples)


def weighted_agreement(audit: Audit, *, accepts: int, rejects: int, level: float = 0.95) -> Estimate:
    """How often grader and auditor agree over all samples, of which the grader accepted `accepts`, rejected `rejects`.

    Post-stratified: each audited share is weighted by the number it was drawn from. Interval by the delta method,
    rates of exactly 0 or 1 with the Agresti-Coull correction. Raises `InputError` when the audit is larger than those.
    """
    if accepts < audit.n_accepts or rejects < audit.n_rejects:
        raise InputError(
            f"an audit of {audit.n_accepts} accepts and {audit.n_rejects} rejects out of {accepts} and {rejects}",
            "at least as many accepts and rejects as were audited",
            "pass the numbers of all accepts and all rejects",
        )
    share = accepts / (accepts + rejects)
    false_accepts = audit.overturned_accepts / audit.n_accepts
    false_rejects = audit.overturned_rejects / audit.n_rejects
    value = share * (1 - false_accepts) + (1 - share) * (1 - false_rejects)
    z = normal_quantile(0.5 + check_level(level) / 2)
    half = z * math.hypot(
        share * _rate_error(audit.overturned_accepts, audit.n_accepts, z),
        (1 - share) * _rate_error(audit.overturned_rejects, audit.n_rejects, z),
    )
    n = audit.n_accepts + audit.n_rejects
    return Estimate(value, max(0.0, value - half), min(1.0, value + half), f"post-stratified on {n} audited", n, n)


def cohen_kappa(first: Sequence[object], second: Sequence[object], *, level: float = 0.95) -> Estimate:
    """Agreement of two graders on the same samples beyond chance (1 is perfect, 0 is chance).

    Interval by the asymptotic variance of Fleiss, Cohen and Everitt 1969. When both give one and the same label
    throughout, kappa is undefined: NaN, with the whole range. When only one of them gives a single label, kappa is 0,
    with the whole range. Raises `InputError` for empty sequences or different lengths.
    """
    if len(first) != len(second) or not first:
        raise InputError(
            f"{len(first)} and {len(second)} gradings",
            "the same number of both, at least one",
            "pair them by trace id",
        )
    table = _table(first, second)
    n = len(first)
    if len(table) == 1:
        return Estimate(math.nan, -1.0, 1.0, "kappa undefined: one label throughout", n, n)
    if len({*first}) == 1 or len({*second}) == 1:
        return Estimate(0.0, -1.0, 1.0, "kappa is 0: one grader has one label throughout", n, n)
    value, variance = _kappa_and_variance(table / n, n)
    half = normal_quantile(0.5 + check_level(level) / 2) * math.sqrt(max(0.0, variance))
    if half == 0.0:
        low, _ = clopper_pearson_interval(n, n, level=level)
        return Estimate(value, min(value, 2 * low - 1), max(value, 1.0), "no disagreement: Clopper-Pearson on n", n, n)
    return Estimate(value, max(-1.0, value - half), min(1.0, value + half), "Fleiss-Cohen-Everitt", n, n)


def _kappa_and_variance(shares: FloatArray, n: int) -> tuple[float, float]:
    """Kappa and its asymptotic variance from the shares of all pairs of labels, shape (labels, labels)."""
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    observed, chance = float(np.trace(shares)), float(rows @ columns)
    kappa = (observed - chance) / (1 - chance)
    on_diagonal = np.diag(shares) * (1 - (rows + columns) * (1 - kappa)) ** 2
    off_diagonal = shares * (columns[:, None] + rows[None, :]) ** 2
    np.fill_diagonal(off_diagonal, 0.0)
    spread = on_diagonal.sum() + (1 - kappa) ** 2 * off_diagonal.sum() - (kappa - chance * (1 - kappa)) ** 2
    return kappa, float(spread / ((1 - chance) ** 2 * n))


def _table(first: Sequence[object], second: Sequence[object]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    labels = sorted({*first, *second}, key=repr)
    number = {label: i for i, label in enumerate(labels)}
    table = np.zeros((len(labels), len(labels)), dtype=np.int64)
    for one, other in zip(first, second, strict=True):
        table[number[one], number[other]] += 1
    return table


def _share(count: int, n: int, level: float) -> Estimate:
    low, high = clopper_pearson_interval(count, n, level=level)
    return Estimate(count / n, low, high, f"Clopper-Pearson on {n} audited", n, n)


def _rate_error(count: int, n: int, z: float) -> float:
    rate = (count + z**2 / 2) / (n + z**2)
    return math.sqrt(rate * (1 - rate) / (n + z**2))
