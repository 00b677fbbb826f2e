"""Targets that an NN cannot meet: its outputs lie between 0 and 1."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from cnn_core import NN

X = np.random.default_rng(0).random((6, 3))


def nn(outputs: int) -> NN:
    return NN(3, 4, outputs, learning_rate=0.5, epochs=1, seed=0)


@pytest.mark.parametrize(
    "labels",
    [
        [0, 1, 2, 0, 1, 2],
        np.array([0.0, 1.0, 2.0, 0.0, 1.0, 2.0]),
        np.array([[0], [1], [2], [0], [1], [2]]),
        [-1, 1, -1, 1, 1, 1],
    ],
)
def test_labels_of_other_classes_than_0_and_1_are_no_targets_of_one_output(labels: Any) -> None:
    message = r"T: expected labels 0 and 1 .* found (2|-1) at index .* one output for each class"
    for call in (nn(1).fit, nn(1).backprop):
        with pytest.raises(ValueError, match=message):
            call(X, labels)
    good = [0, 1, 0, 1, 1, 1]
    with pytest.raises(ValueError, match="validation T: expected labels 0 and 1"):
        nn(1).fit(X, good, validation=(X, labels))


def test_targets_out_of_reach_are_reported() -> None:
    targets = np.linspace(0, 1.5, 12).reshape(6, 2)
    with pytest.warns(UserWarning, match="T: expected targets from 0 to 1, .* at row 4, column 0"):
        nn(2).fit(X, targets)


def test_targets_within_reach_are_taken_without_a_word() -> None:
    by_rounding = np.array([0, 0.5, 1 + 1e-9, -1e-9, 1, 0.25])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nn(1).fit(X, by_rounding, validation=(X, by_rounding * 1.1))
        nn(1).fit(X, [0, 1, 0, 1, 1, 1])
        nn(3).fit(X, [0, 1, 2, 0, 1, 2])


@pytest.mark.parametrize("labels", [[0, 1, None, 1, 0, 1], [0, 1, np.nan, 1, 0, 1]])
def test_a_missing_label_is_named_by_its_row(labels: Any) -> None:
    message = r"T: .* missing (one|value) \((None|nan).* at index 2.* leave such samples"
    with pytest.raises((TypeError, ValueError), match=message):
        nn(2).fit(X, labels)
