"""Which rows each network learns from, and which it is measured on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.model_selection import GroupKFold, KFold

from cnn_core.tables.folds import Fold, as_groups, folds_for, kept_of

THIRDS = np.arange(9) // 3


def folds(cv: Any, n_members: int, n_rows: int, **settings: Any) -> list[Fold]:
    return folds_for(cv, n_members, n_rows, np.random.RandomState(0), **settings)


def held_out_counts(found: list[Fold], n_rows: int) -> np.ndarray:
    return np.bincount(np.concatenate([fold.held_out for fold in found]), minlength=n_rows)


def test_every_row_is_held_out_once_and_learned_from_otherwise() -> None:
    found = folds(5, 5, 23)
    assert (held_out_counts(found, 23) == 1).all()
    assert sorted(len(fold.held_out) for fold in found) == [4, 4, 5, 5, 5]
    for fold in found:
        assert sorted([*fold.train, *fold.held_out]) == list(range(23))


def test_each_class_gives_its_share_to_each_fold() -> None:
    classes = np.repeat([0, 1, 2], [50, 20, 5])
    for fold in folds(5, 5, 75, classes=classes):
        assert np.bincount(classes[fold.held_out]).tolist() == [10, 4, 1]


def test_networks_beyond_the_folds_see_other_folds() -> None:
    found = folds(2, 6, 20)
    assert (held_out_counts(found, 20) == 3).all()
    assert found[0].held_out.tolist() != found[2].held_out.tolist()
    assert len(folds(5, 3, 20)) == 3


def test_rows_of_a_group_are_in_one_fold_and_folds_are_of_like_size() -> None:
    groups = np.repeat(np.arange(9), [30, 5, 5, 5, 5, 10, 10, 10, 10])
    found = folds(3, 3, 90, groups=groups)
    assert (held_out_counts(found, 90) == 1).all()
    for fold in found:
        assert not set(groups[fold.train]) & set(groups[fold.held_out])
        assert len(fold.held_out) == 30


def test_in_the_order_of_time_nothing_is_learned_from_what_comes_later() -> None:
    found = folds("time", 4, 100)
    assert [len(fold.train) for fold in found] == [50, 62, 75, 87]
    for fold in found:
        assert fold.train.max() < fold.held_out.min()
    assert held_out_counts(found, 100)[50:].tolist() == [1] * 50


@pytest.mark.parametrize(
    ("cv", "data"),
    [
        (KFold(3), (None, None)),
        (GroupKFold(3), (None, THIRDS)),
        (list(KFold(3).split(np.zeros(9))), (None, None)),
        (
            [(np.arange(9) // 3 != fold, np.arange(9) // 3 == fold) for fold in range(3)],
            (None, None),
        ),
    ],
)
def test_splitters_and_folds_of_ones_own_are_taken(cv: Any, data: Any) -> None:
    found = folds(cv, 4, 9, data=data)
    assert sorted(fold.held_out.tolist() for fold in found[:3]) == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert found[3].held_out.tolist() == found[0].held_out.tolist()


def test_rows_without_weight_leave_the_folds_and_the_others_are_renumbered() -> None:
    found = kept_of([Fold(np.array([0, 1, 2]), np.array([3, 4]))], np.array([1, 2, 4]), 5)
    assert [rows.tolist() for rows in found[0]] == [[0, 1], [2]]
    with pytest.raises(ValueError, match="a weight above 0 in every train"):
        kept_of([Fold(np.array([0]), np.array([1]))], np.array([1]), 2)


@pytest.mark.parametrize(
    ("cv", "settings", "message"),
    [
        (9, {}, "as many folds as rows, 8, found 9"),
        (3, {"groups": np.zeros(8, np.intp)}, "as many groups as folds, 3, found 1"),
        ("order", {}, "a number, 'time' or folds, found 'order'"),
        ("time", {"groups": np.zeros(8, np.intp)}, "expected None with cv='time'"),
        ([], {}, "at least one fold, found none"),
        ([([0, 1], [1])], {}, "no row in both train and test"),
        ([([0], [8])], {}, "fold 0, test: expected rows from 0 to 7, found 8 to 8"),
        ([([], [1])], {}, "fold 0, train: expected numbers of rows"),
        ([([0.5], [1])], {}, "fold 0, train: expected numbers of rows"),
        ([1, 2], {}, "expected pairs of arrays"),
    ],
)
def test_folds_that_cannot_be_are_refused(cv: Any, settings: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        folds(cv, 3, 8, **settings)


def test_time_needs_two_rows_for_each_network() -> None:
    with pytest.raises(ValueError, match="pass a smaller n_members"):
        folds("time", 5, 8)


def test_groups_are_of_any_kind_and_every_row_has_one() -> None:
    assert as_groups(["b", "a", "b"], 3).tolist() == [0, 1, 0]
    with pytest.raises(ValueError, match="a group for every row, found none in row 1"):
        as_groups(["b", None, "b"], 3)
    with pytest.raises(ValueError, match="group of each of the 3 rows"):
        as_groups(["b"], 3)
