"""Features of a table as the matrix that a network reads."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from cnn_core.tables.columns import Feature
from cnn_core.tables.encoder import Encoder
from cnn_core.tables.scaling import scale_of
from cnn_core.tables.views import View

VIEW = View(bins=4)


def matrix_of(values: Any, view: View = VIEW, later: Any = None) -> np.ndarray:
    first = [Feature("x", np.asarray(values, np.float64))]
    encoder = Encoder.of(first, view)
    return encoder.encode(first if later is None else [Feature("x", np.asarray(later, float))])


def test_a_number_is_scaled_by_its_quartiles_and_clipped_smoothly() -> None:
    values = np.arange(9.0)  # median 4, interquartile range 4
    z = (values - 4) / 4
    np.testing.assert_allclose(matrix_of(values)[:, 0], z / np.sqrt(1 + (z / 3) ** 2), rtol=1e-6)
    far = matrix_of(values, later=[1e9, np.inf, -np.inf, 4, 1e308])
    np.testing.assert_allclose(far[:, 0], [3, 3, -3, 0, 3], rtol=1e-6)


def test_a_missing_number_is_the_median_and_is_marked() -> None:
    found = matrix_of([0, 1, 2, 3, 4, np.nan, np.nan])
    assert found[:, 0].tolist()[-2:] == [0, 0]
    assert found[:, 1].tolist() == [0, 0, 0, 0, 0, 1, 1]
    # What was never missing has no mark, and is the median if it comes to be missing.
    assert matrix_of(np.arange(5), later=[np.nan])[:, 0] == 0
    assert matrix_of(np.arange(5)).shape == (5, 2)


def test_a_place_among_the_bins_is_a_bin_and_the_share_of_it() -> None:
    found = matrix_of(np.arange(0, 101), later=[0, 12.5, 25, 60, 100, 1e9, -np.inf, np.nan])
    np.testing.assert_allclose(found[:, 1], [0, 0.5, 1, 2.4, 4, 4, 0, 2], rtol=1e-6)


def test_equal_quantiles_are_one_edge_and_two_values_need_no_bins() -> None:
    assert scale_of(np.array([0.0] * 90 + [1, 2, 3]), 4, marks_missing=True).n_bins == 3
    assert scale_of(np.array([0.0, 1] * 9), 4, marks_missing=True).n_bins == 0
    mostly_zero = np.append(np.zeros(800), np.arange(90.0))
    many = scale_of(mostly_zero, 8, marks_missing=True)
    assert (np.diff(many.edges) > 0).all()


@pytest.mark.parametrize(
    "values",
    [
        [1e308, -1e308, 0, 1, 2, 3],
        [5e-324, 0, 1e-323, 2e-323],
        [np.inf, -np.inf, np.nan, 1.0],
        [np.inf, np.inf, np.nan],
        [np.nan, np.nan],
        [7.0],
        [3, 3, 3, 3, 3, 3, 3, 3, 9],
        [1e300] * 5 + [1],
    ],
)
def test_whatever_the_numbers_what_the_network_sees_is_finite(values: Any) -> None:
    with np.errstate(all="raise", under="ignore"):
        found = matrix_of(values, View(bins=4))
    assert np.isfinite(found).all()
    assert np.abs(found[:, 0]).max() <= 3.1


def test_categories_are_columns_of_codes() -> None:
    features = [Feature("c", np.array([0, 2, -1, 1]), 3), Feature("x", np.arange(4.0))]
    encoder = Encoder.of(features, View(bins=2))
    assert encoder.encodings == ("codes", "number", "pieces")
    assert encoder.sizes == (3, 1, 2)
    assert encoder.encode(features)[:, 0].tolist() == [0, 2, -1, 1]


def test_an_encoder_in_json_writes_the_same_matrix() -> None:
    rng = np.random.default_rng(1)
    features = [
        Feature("x", np.where(rng.random(50) < 0.2, np.nan, rng.lognormal(size=50))),
        Feature("c", rng.integers(-1, 3, 50), 3),
    ]
    encoder = Encoder.of(features, View())
    text = json.dumps(encoder.to_json(), allow_nan=False)
    again = Encoder.from_json(json.loads(text), "encoder")
    np.testing.assert_array_equal(again.encode(features), encoder.encode(features))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spread": 0}, "spread: expected a number above 0"),
        ({"edges": [1, 1, 2]}, "edges: expected numbers in rising order"),
        ({"edges": [1]}, "edges: expected numbers in rising order"),
        ({"centre": None}, "centre: expected a number"),
        ({"marked": 1}, "marked: expected True or False"),
    ],
)
def test_a_scale_that_does_not_go_together_is_refused(change: dict, message: str) -> None:
    scale = scale_of(np.arange(9.0), 4, marks_missing=True).to_json()
    with pytest.raises((TypeError, ValueError), match=message):
        Encoder.from_json([scale | change], "encoder")


def test_a_frequent_value_is_an_edge_and_so_are_its_neighbours() -> None:
    mostly_zero = np.append(np.zeros(800), np.arange(-20, 80) + 0.5)
    scale = scale_of(mostly_zero, 8, marks_missing=True)
    assert {-0.5, 0, 0.5, -19.5, 79.5} <= set(scale.edges.tolist())
    assert scale.n_bins <= 8
