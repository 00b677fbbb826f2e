"""Folds: the rows that each network learns from, and those that it holds out."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from cnn_core.containers import as_array
from cnn_core.tables.values import coded
from cnn_core.types import IndexArray
from cnn_core.validation import shown


class Fold(NamedTuple):
    """The rows of one network.

    Attributes
    ----------
    train, held_out : arrays of int
        Sorted and disjoint.
    """

    train: IndexArray
    held_out: IndexArray


def folds_for(
    cv: Any,
    n_members: int,
    n_rows: int,
    random: np.random.RandomState,
    *,
    classes: IndexArray | None = None,
    groups: IndexArray | None = None,
    data: tuple[Any, Any] = (None, None),
) -> list[Fold]:
    """Return the rows of each of `n_members` networks.

    Parameters
    ----------
    cv : int, "time", a splitter or iterable of (train, test)
        The number of folds; "time": held-out rows come after the training rows; or the folds.
    n_members : int
        If there are more networks than folds, further folds are drawn, or the same ones are
        repeated.
    n_rows : int
    random : RandomState
    classes : (n_rows,) array of int, optional
        The folds are stratified by these classes.
    groups : (n_rows,) array of int, optional
        Groups are not split between folds.
    data : tuple of y, groups
        Further arguments of a splitter; its X is zeros.

    Raises
    ------
    TypeError, ValueError
        For an invalid `cv`, more folds than rows or groups, and folds that do not fit the rows.
    """
    if isinstance(cv, str):
        if cv != "time":
            raise ValueError(f"cv: expected a number, 'time' or folds, found {shown(cv)}")
        if groups is not None:
            raise ValueError("groups: expected None with cv='time', whose folds go by the order")
        return _in_order_of_time(n_rows, n_members)
    if not isinstance(cv, int | np.integer):
        return _given(cv, n_rows, n_members, data)
    folds: list[Fold] = []
    while len(folds) < n_members:
        if groups is not None:
            numbers = _by_group(groups, int(cv), random)
        else:
            numbers = _at_random(n_rows, int(cv), random, classes)
        folds += [
            Fold(np.flatnonzero(numbers != fold), np.flatnonzero(numbers == fold))
            for fold in range(int(cv))
        ]
    return folds[:n_members]


def kept_of(folds: list[Fold], kept: IndexArray, n_rows: int) -> list[Fold]:
    """Restrict folds of all rows to the kept rows, with their new numbers.

    Raises
    ------
    ValueError
        If a network would have no training rows.
    """
    number = np.full(n_rows, -1, np.intp)
    number[kept] = np.arange(len(kept))
    found = [Fold(*(number[rows][number[rows] >= 0] for rows in fold)) for fold in folds]
    if not all(len(fold.train) for fold in found):
        raise ValueError("cv: expected a row with a weight above 0 in every train, found none")
    return found


def as_groups(values: Any, n_rows: int) -> IndexArray:
    """Return the group index of each row.

    Raises
    ------
    ValueError
        For another number of rows, and for a row without a group.
    """
    array = as_array(values, "groups")
    if array.shape != (n_rows,):
        raise ValueError(
            f"groups: expected the group of each of the {n_rows} rows, found the shape "
            f"{array.shape}"
        )
    codes = coded(array, "groups").codes
    if (codes < 0).any():
        raise ValueError(
            f"groups: expected a group for every row, found none in row {int(codes.argmin())}"
        )
    return codes


def _at_random(
    n_rows: int, n_folds: int, random: np.random.RandomState, classes: IndexArray | None
) -> IndexArray:
    """Return a random fold for each row, stratified by class."""
    if n_folds > n_rows:
        raise ValueError(f"cv: expected at most as many folds as rows, {n_rows}, found {n_folds}")
    order = random.permutation(n_rows)
    if classes is not None:
        order = order[np.argsort(classes[order], kind="stable")]
    numbers = np.empty(n_rows, np.intp)
    numbers[order] = np.arange(n_rows) % n_folds
    return numbers


def _by_group(groups: IndexArray, n_folds: int, random: np.random.RandomState) -> IndexArray:
    """Return a fold for each row: groups by decreasing size, each into the smallest fold so far."""
    sizes = np.bincount(groups)
    if n_folds > len(sizes):
        raise ValueError(
            f"groups: expected at least as many groups as folds, {n_folds}, found {len(sizes)}; "
            "pass a smaller cv"
        )
    fold_of_group = np.empty(len(sizes), np.intp)
    filled = np.zeros(n_folds)
    order = random.permutation(len(sizes))
    for group in order[np.argsort(-sizes[order], kind="stable")]:
        fold = int(filled.argmin())
        fold_of_group[group] = fold
        filled[fold] += sizes[group]
    numbers: IndexArray = fold_of_group[groups]
    return numbers


def _in_order_of_time(n_rows: int, n_members: int) -> list[Fold]:
    """Return folds of the second half of the rows; each network learns only from earlier rows."""
    if n_rows < 2 * n_members:
        raise ValueError(
            f"cv: expected at least 2 rows for each of the {n_members} networks with 'time', found "
            f"{n_rows} rows; pass a smaller n_members"
        )
    borders = np.linspace(n_rows // 2, n_rows, n_members + 1).astype(int).tolist()
    rows = np.arange(n_rows)
    return [Fold(rows[:begin], rows[begin:end]) for begin, end in pairwise(borders)]


def _given(cv: Any, n_rows: int, n_members: int, data: tuple[Any, Any]) -> list[Fold]:
    """Return the folds of a splitter, or the given folds."""
    pairs = cv.split(np.zeros((n_rows, 1)), *data) if hasattr(cv, "split") else cv
    if not isinstance(pairs, Iterable):
        raise TypeError(
            "cv: expected a number of folds, 'time', a splitter such as scikit-learn's KFold, or "
            f"pairs of arrays (train, test), found {shown(cv)}"
        )
    folds = []
    for number, pair in enumerate(pairs):
        try:
            train, held_out = pair
        except (TypeError, ValueError):
            raise ValueError(
                f"cv: expected pairs of arrays (train, test), found {shown(pair)}"
            ) from None
        place = f"cv, fold {number}"
        fold = Fold(
            _rows(train, n_rows, f"{place}, train"), _rows(held_out, n_rows, f"{place}, test")
        )
        if len(np.intersect1d(*fold)):
            raise ValueError(f"{place}: expected no row in both train and test, found some")
        folds.append(fold)
    if not folds:
        raise ValueError("cv: expected at least one fold, found none")
    return [folds[member % len(folds)] for member in range(n_members)]


def _rows(values: Any, n_rows: int, place: str) -> IndexArray:
    array = as_array(values, place)
    if array.dtype == bool and array.shape == (n_rows,):
        array = np.flatnonzero(array)
    if array.dtype.kind not in "iu" or array.ndim != 1 or not array.size:
        raise ValueError(f"{place}: expected numbers of rows, found {shown(values)}")
    if array.min() < 0 or array.max() >= n_rows:
        raise ValueError(
            f"{place}: expected rows from 0 to {n_rows - 1}, found {array.min()} to {array.max()}"
        )
    return np.unique(array).astype(np.intp)
