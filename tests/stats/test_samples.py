"""Ragged samples, pairing and clusters: what fits, what is refused, and what never counts as right."""

from __future__ import annotations

import numpy as np
import pytest

from lakon.core.errors import InputError
from lakon.stats import Samples
from lakon.stats.samples import align_samples, cluster_index


def test_truncated_and_ungraded_samples_are_never_right(make):
    s = make.rows([[1, 1, 1]], finished=[[1, 0, 1]], graded=[[1, 1, 0]])
    assert s.flat_correct.tolist() == [True, False, False]
    assert s.accuracies.tolist() == pytest.approx([1 / 3])


def test_ragged_rows_give_per_problem_means(make):
    s = make.rows([[1, 0], [1, 1, 1, 0]], tokens=[[10, 30], [1, 2, 3, 6]])
    assert s.counts.tolist() == [2, 4]
    assert s.accuracies.tolist() == [0.5, 0.75]
    assert s.token_means.tolist() == [20.0, 3.0]
    assert s.n_samples == 6


def test_problems_are_taken_in_any_order_with_all_their_samples(make):
    s = make.rows([[1, 0], [1, 1, 1, 0], [0]], tokens=[[10, 30], [1, 2, 3, 6], [9]], graded=[[1, 1], [1, 1, 0, 1], [1]])
    part = s.take([2, 1, 0]).take([0, 1])
    assert [row.tolist() for row in part.tokens] == [[9], [1, 2, 3, 6]]
    assert part.flat_correct.tolist() == [False, True, True, False, False]
    assert part.flat_graded.tolist() == [True, True, True, False, True]
    assert part.counts.tolist() == [1, 4]


def test_arrays_cannot_be_changed_afterwards(make):
    given = np.array([1, 0])
    s = make.rows([given])
    given[1] = 1
    assert s.flat_correct.tolist() == [True, False]
    with pytest.raises(ValueError, match="read-only"):
        s.correct[0][0] = False


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"problem_ids": (), "correct": []}, "no problem"),
        ({"problem_ids": ("a", "a"), "correct": [[1], [1]]}, "'a' occurs twice"),
        ({"problem_ids": ("a", "b"), "correct": [[1]]}, "1 rows of 'correct' for 2"),
        ({"problem_ids": ("a", "b"), "correct": [[1], []]}, "'b' has 'correct' of shape"),
        ({"problem_ids": ("a",), "correct": [[1, 0]], "tokens": [[5]]}, "'tokens' of shape"),
        ({"problem_ids": ("a",), "correct": [[[1, 0]]]}, "shape"),
        ({"problem_ids": ("a",), "correct": [[1]], "clusters": ("x", "y")}, "2 cluster labels for 1"),
    ],
)
def test_fields_that_do_not_fit_are_refused(fields, words):
    with pytest.raises(InputError) as caught:
        Samples(**fields)
    assert words in str(caught.value)
    assert "to do:" in str(caught.value)


def test_tokens_that_were_not_given_are_asked_for(make):
    with pytest.raises(InputError, match="tokens"):
        _ = make.rows([[1]]).flat_tokens


def test_align_pairs_by_id_in_the_order_of_the_first():
    a = Samples(problem_ids=("x", "y", "z"), correct=[[1], [0], [1, 1]], tokens=[[1], [2], [3, 4]])
    b = Samples(problem_ids=("z", "w", "x"), correct=[[0], [1], [1, 0]], clusters=("g", None, "g"))
    pair = align_samples(a, b)
    assert pair.a.problem_ids == pair.b.problem_ids == ("x", "z")
    assert pair.a.flat_tokens.tolist() == [1, 3, 4]
    assert pair.b.accuracies.tolist() == [0.5, 0.0]
    assert (pair.only_a, pair.only_b) == (("y",), ("w",))
    assert pair.a.clusters == pair.b.clusters == ("g", "g")


def test_align_of_the_same_problems_takes_labels_from_either_side():
    a = Samples(problem_ids=("x", "y"), correct=[[1], [0]], clusters=("g", None))
    b = Samples(problem_ids=("x", "y"), correct=[[0], [0]])
    assert align_samples(a, b).b.clusters == align_samples(b, a).a.clusters == ("g", None)
    assert align_samples(b, b).only_a == ()


def test_align_refuses_what_cannot_be_paired(make):
    a = make.rows([[1]], clusters=("g",))
    with pytest.raises(InputError, match="no problem in common"):
        align_samples(a, Samples(problem_ids=("other",), correct=[[1]]))
    with pytest.raises(InputError, match="different cluster labels"):
        align_samples(a, make.rows([[1]], clusters=("h",)))


def test_clusters_are_labels_or_else_problems():
    s = Samples(problem_ids=("c", "b", "a", "d"), correct=[[1]] * 4, clusters=("g", None, "g", "b"))
    # a label 'b' is not the problem 'b'; labels come first, each kind in its own order, and seeded draws rest on that
    assert cluster_index(s).tolist() == [1, 2, 1, 0]


def test_cluster_numbers_do_not_depend_on_the_order_of_problems(make):
    s = make.drawn(7, 2, 0)
    order = [3, 1, 6, 0, 2, 5, 4]
    assert cluster_index(s.take(order)).tolist() == cluster_index(s)[order].tolist()
