"""How familiar a base is with each teacher's style: means with intervals, and the paired differences between teachers.

Invariant: a problem is one observation, whatever the length of its traces, and near-duplicates are one cluster. Figures
of single tokens come as they were binned, without intervals.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lakon.core.digest import derive_seed
from lakon.core.records import LossBin, TraceLoss
from lakon.core.report_data import Familiarity, LossGap, MeasuredValue, StyleLoss
from lakon.stats import Estimate, estimate_difference, estimate_mean, holm_adjust

_Values = NDArray[np.float64]
_Clusters = NDArray[np.int64]


def summarise_familiarity(
    losses: Sequence[TraceLoss],
    bins: Sequence[LossBin],
    labels: Mapping[str, str],
    clusters: Mapping[str, str],
    *,
    student: str,
    left_out: Mapping[str, int],
    context: int | None,
    level: float,
    seed: int,
) -> Familiarity:
    """The figures of one base.

    `labels` are the teachers' by name, in the order of the study: the others are compared with the first one.
    `clusters` has the cluster of each problem, `left_out` the traces that were left out, by rule. Every teacher has one
    trace of each problem.
    """
    problems = sorted({row.problem_id for row in losses})
    numbers = _number_clusters([clusters[problem_id] for problem_id in problems])
    values: dict[str, _Values] = {}
    for name in labels:
        of_teacher = {row.problem_id: row.loss for row in losses if row.teacher == name}
        values[name] = np.asarray([of_teacher[problem_id] for problem_id in problems], dtype=np.float64)
    styles: list[StyleLoss] = []
    for name, label in labels.items() if problems else ():
        mean = _measured_value(estimate_mean(values[name], numbers, level=level))
        own_bins = tuple(row for row in bins if row.teacher == name)
        styles.append(StyleLoss(teacher=label, n_traces=len(problems), loss=mean, bins=own_bins))
    return Familiarity(
        student=student,
        n_problems=len(problems),
        n_left_out=sum(left_out.values()) // len(labels),
        n_too_long=left_out.get("longer_than_context", 0),
        n_not_finite=left_out.get("loss_not_finite", 0),
        context=context,
        styles=tuple(styles),
        gaps=tuple(_compare(values, labels, numbers, level=level, seed=seed)) if problems else (),
    )


def _number_clusters(names: Sequence[str]) -> _Clusters:
    known = {name: number for number, name in enumerate(sorted(set(names)))}
    return np.asarray([known[name] for name in names], dtype=np.int64)


def _compare(
    values: Mapping[str, _Values], labels: Mapping[str, str], clusters: _Clusters, *, level: float, seed: int
) -> Iterator[LossGap]:
    baseline, *others = labels
    gaps = [
        estimate_difference(
            values[name],
            values[baseline],
            clusters,
            seed=derive_seed(seed, "familiarity", labels[name]) % 2**32,
            level=level,
        )
        for name in others
    ]
    adjusted, _ = holm_adjust([gap.p_value if gap.p_value is not None else 1.0 for gap in gaps], level=level)
    for name, gap, p_value in zip(others, gaps, adjusted, strict=True):
        yield LossGap(teacher=labels[name], baseline=labels[baseline], difference=_measured_value(gap), p_value=p_value)


def _measured_value(estimate: Estimate) -> MeasuredValue:
    return MeasuredValue(value=estimate.value, low=estimate.low, high=estimate.high)
