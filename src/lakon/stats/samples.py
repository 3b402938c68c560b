"""One author's samples on one benchmark, grouped by problem, and the one rule that defines a cluster.

Invariant: a sample counts as correct only if it was graded and finished, so every figure built on `Samples`
has the same denominator: all samples of all problems. Every interval takes its clusters from `cluster_index`
and every comparison takes its pairs from `align_samples`. Read next: `intervals`.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lakon.core.columns import PackedStrings, PositionIndex, find_repeated, sort_positions
from lakon.core.errors import InputError
from lakon.stats.ragged import Ragged, Scalar, freeze_array

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
SampleRows = Sequence[ArrayLike]
"""One 1-D array for each problem; problem i has K_i samples, in the same order in every field."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """All samples of one author on one benchmark. Raises `InputError` when the fields do not match in shape.

    Fields may be any sequence of sequences; they are stored as read-only arrays.
    """

    problem_ids: Sequence[str]
    """n distinct ids."""
    correct: SampleRows | Ragged[np.bool_]
    """Whether each sample is correct. An unfinished or ungraded sample counts as wrong whatever stands here."""
    tokens: SampleRows | Ragged[np.int64] | None = None
    """Generated tokens in the study's common tokenizer; None where only accuracy is needed."""
    finished: SampleRows | Ragged[np.bool_] | None = None
    """False where the author ran out of tokens; all True by default."""
    graded: SampleRows | Ragged[np.bool_] | None = None
    """False where the verifier could not decide; all True by default."""
    seed_index: SampleRows | Ragged[np.int64] | None = None
    """The training seed of the student that wrote the sample, for students trained more than once."""
    clusters: tuple[str | None, ...] | None = None
    """A label for each problem (near-duplicate group, source document); None makes the problem its own cluster."""

    def __post_init__(self) -> None:
        _check_ids(self.problem_ids, self.clusters)
        correct = _ragged_field(self.correct, np.bool_, "correct", self.problem_ids)
        counts = correct.counts
        fields: dict[str, Ragged[Any]] = {}
        for name in ("finished", "graded"):
            value = getattr(self, name)
            all_true = Ragged(np.ones(len(correct.flat), np.bool_), counts)
            fields[name] = all_true if value is None else _ragged_field(value, np.bool_, name, self.problem_ids, counts)
        fields["correct"] = Ragged(correct.flat & fields["finished"].flat & fields["graded"].flat, counts)
        for name in ("tokens", "seed_index"):
            value = getattr(self, name)
            if value is not None:
                fields[name] = _ragged_field(value, np.int64, name, self.problem_ids, counts)
        for name, rows in fields.items():
            object.__setattr__(self, name, rows)

    @property
    def n_problems(self) -> int:
        """The number of problems, n."""
        return len(self.problem_ids)

    @property
    def counts(self) -> IntArray:
        """The number of samples of each problem, K_i, shape (n,)."""
        return self._field("correct").counts

    @property
    def n_samples(self) -> int:
        """The number of samples, sum K_i."""
        return len(self.flat_correct)

    @property
    def row(self) -> IntArray:
        """The problem's index of each sample, shape (sum K_i,): the order of the flat arrays below."""
        return np.repeat(np.arange(self.n_problems, dtype=np.int64), self.counts)

    @property
    def flat_correct(self) -> BoolArray:
        """Whether each sample is correct, finished and graded, shape (sum K_i,)."""
        return self._field("correct").flat

    @property
    def flat_finished(self) -> BoolArray:
        """Whether each sample is not truncated, shape (sum K_i,)."""
        return self._field("finished").flat

    @property
    def flat_graded(self) -> BoolArray:
        """Whether the verifier decided each sample, shape (sum K_i,)."""
        return self._field("graded").flat

    @property
    def flat_tokens(self) -> IntArray:
        """Tokens of each sample, shape (sum K_i,). Raises `InputError` when the samples carry no counts."""
        return self._field("tokens").flat

    @property
    def flat_seeds(self) -> IntArray:
        """Training seed of each sample, shape (sum K_i,). Raises `InputError` when the samples carry none."""
        return self._field("seed_index").flat

    @cached_property
    def cluster_numbers(self) -> IntArray:
        """The result of `cluster_index`, computed once."""
        index = np.full(self.n_problems, -1, dtype=np.int64)
        named: dict[str, int] = {}
        if self.clusters is not None:
            labelled = {label for label in self.clusters if label is not None}
            named = {label: i for i, label in enumerate(sorted(labelled))}
            labels = (-1 if label is None else named[label] for label in self.clusters)
            index = np.fromiter(labels, np.int64, self.n_problems)
        lone = np.flatnonzero(index < 0)
        ids = self.problem_ids if len(lone) == len(index) else PackedStrings(self.problem_ids[i] for i in lone.tolist())
        index[lone[sort_positions(ids)]] = np.arange(len(named), len(named) + len(lone))
        return freeze_array(index)

    @property
    def accuracies(self) -> FloatArray:
        """a_i, the share of correct samples of each problem, shape (n,)."""
        return self.problem_means(self.flat_correct)

    @property
    def token_means(self) -> FloatArray:
        """The mean number of tokens of each problem, shape (n,)."""
        return self.problem_means(self.flat_tokens)

    def problem_means(self, flat: NDArray[np.generic]) -> FloatArray:
        """The mean over each problem's samples of a flat array, shape (n,)."""
        sums = np.bincount(self.row, weights=flat.astype(np.float64), minlength=self.n_problems)
        return np.asarray(sums / self.counts, dtype=np.float64)

    def take(self, indices: Sequence[int]) -> Samples:
        """The problems at `indices`, in that order."""
        changes = {name: _take_rows(getattr(self, name), indices) for name in _ROW_FIELDS}
        return replace(self, **changes)

    def _field(self, name: str) -> Ragged[Any]:
        rows = getattr(self, name)
        if rows is None:
            raise InputError(
                f"samples without {name!r}",
                f"{name!r} for each sample",
                f"pass {name}= when building Samples",
            )
        return rows


_ROW_FIELDS = ("problem_ids", "correct", "tokens", "finished", "graded", "seed_index", "clusters")


class AlignedPair(NamedTuple):
    """Two authors' samples on the same problems in the same order, and the problem ids that only one of them has."""

    a: Samples
    b: Samples
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]


def align_samples(a: Samples, b: Samples) -> AlignedPair:
    """The samples on the problems that both authors have, in the order of `a`. Raises `InputError` when there are none.

    Cluster labels of one side apply to both; labels of both sides must agree.
    """
    if (a.problem_ids, a.clusters) == (b.problem_ids, b.clusters):
        return AlignedPair(a, b, (), ())
    positions_b = PositionIndex(b.problem_ids)
    where_b = array("q", (-1 if at is None else at for at in map(positions_b.find, a.problem_ids)))
    common = array("q", (i for i, at in enumerate(where_b) if at >= 0))
    if not common:
        raise InputError(
            f"no problem in common ({a.n_problems} against {b.n_problems} problems)",
            "two authors that were asked the same problems",
            "compare on the same benchmark at the same revision, so that the problem ids agree",
        )
    samples_a, samples_b = a.take(common), b.take(array("q", (where_b[i] for i in common)))
    labels = _common_clusters(samples_a, samples_b)
    only_a = tuple(a.problem_ids[i] for i, at in enumerate(where_b) if at < 0)
    shared_b = np.zeros(b.n_problems, dtype=np.bool_)
    shared_b[[where_b[i] for i in common]] = True
    only_b = tuple(b.problem_ids[i] for i in np.flatnonzero(~shared_b).tolist())
    return AlignedPair(replace(samples_a, clusters=labels), replace(samples_b, clusters=labels), only_a, only_b)


def cluster_index(samples: Samples) -> IntArray:
    """The cluster of each problem, shape (n,), numbered 0..G-1 in the order of the labels, not of the rows.

    A problem's cluster is its label where it has one, else the problem itself. Numbering by label makes every seeded
    resample independent of the order of the problems.
    """
    return samples.cluster_numbers


def _common_clusters(a: Samples, b: Samples) -> tuple[str | None, ...] | None:
    if a.clusters is None or b.clusters is None:
        return a.clusters or b.clusters
    if a.clusters != b.clusters:
        raise InputError(
            "the two authors' problems carry different cluster labels",
            "one label a problem, the same for every author",
            "take the labels of both from the same problem table",
        )
    return a.clusters


def _take_rows(rows: Sequence[object] | Ragged[Any] | None, indices: Sequence[int]) -> object:
    if rows is None or isinstance(rows, Ragged):
        return None if rows is None else rows.take(indices)
    if isinstance(rows, PackedStrings):
        return PackedStrings(rows[i] for i in indices)
    return tuple(rows[i] for i in indices)


def _check_ids(ids: Sequence[str], clusters: tuple[str | None, ...] | None) -> None:
    if not ids:
        raise InputError("samples of no problem", "at least one problem", "check the filter or the benchmark's name")
    if (repeated := find_repeated(ids)) is not None:
        raise InputError(f"problem {repeated!r} occurs twice", "each problem id once", "merge its samples into one row")
    if clusters is not None and len(clusters) != len(ids):
        raise InputError(
            f"{len(clusters)} cluster labels for {len(ids)} problems",
            "one label (or None) a problem",
            "pass clusters in the order of problem_ids",
        )


def _ragged_field(
    rows: SampleRows | Ragged[Any], dtype: type[Scalar], name: str, ids: Sequence[str], counts: IntArray | None = None
) -> Ragged[Scalar]:
    if len(rows) != len(ids):
        raise InputError(
            f"{len(rows)} rows of {name!r} for {len(ids)} problems", "one row a problem", "pass both in the same order"
        )
    if isinstance(rows, Ragged):
        ragged = cast("Ragged[Scalar]", rows)
    else:
        arrays = [np.asarray(row, dtype=dtype) for row in rows]
        for i, array in enumerate(arrays):
            if array.ndim != 1 or array.size == 0:
                raise _misfit(name, ids[i], array.shape, None)
        ragged = Ragged(np.concatenate(arrays), np.array([array.size for array in arrays], dtype=np.int64))
    if counts is not None:
        for i in np.flatnonzero(ragged.counts != counts).tolist():
            raise _misfit(name, ids[i], (int(ragged.counts[i]),), int(counts[i]))
    return ragged


def _misfit(name: str, problem_id: str, shape: tuple[int, ...], wanted: int | None) -> InputError:
    return InputError(
        f"problem {problem_id!r} has {name!r} of shape {shape}",
        f"shape ({wanted or 'at least 1'},), one value a sample",
        "leave a problem without samples out, and keep a failed call as an ungraded sample",
    )
