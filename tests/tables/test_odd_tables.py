"""Small and odd tables: a sensible result, or an error that says what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnn_core import TabularClassifier
from small_tables import classifier, regressor

RNG = np.random.default_rng(0)


def test_one_row_is_learned_by_heart() -> None:
    assert classifier().fit([[1, "a"]], ["x"]).predict([[2, "b"]]).tolist() == ["x"]
    learner = regressor().fit([[1, "a"]], [3.5])
    assert learner.predict([[2, None]]).tolist() == [3.5]
    assert np.isnan(learner.oof_score_)
    assert np.isnan(learner.oof_prediction_).all()
    with pytest.raises(ValueError, match="found none; fit more rows"):
        learner.predict_interval([[1, "a"]])


@pytest.mark.parametrize("groups", [None, [0] + [1] * 9], ids=["one row", "a fold of one row"])
def test_a_network_of_the_best_that_learns_from_one_row_normalizes_no_batch(groups: Any) -> None:
    n_rows = 1 if groups is None else 10
    learner = regressor(quality="best").fit(
        np.arange(n_rows)[:, None], [3.5] * n_rows, groups=groups
    )
    assert learner.predict([[7]]).tolist() == [3.5]


def test_two_classes_with_three_rows() -> None:
    learner = classifier().fit([[1], [2], [9]], ["low", "low", "high"])
    assert learner.predict([[1], [9]]).tolist() == ["low", "high"]
    assert learner.predict_set([[1]]).all()


def test_ten_rows_and_a_thousand_columns() -> None:
    X = RNG.normal(size=(10, 1000))
    learner = classifier().fit(X, [0, 1] * 5)
    assert np.isfinite(learner.predict_proba(X)).all()
    assert 0 <= learner.oof_score_ <= 1


@pytest.mark.slow
def test_many_columns_of_numbers_share_the_bins_that_a_step_has_time_for() -> None:
    X = RNG.normal(size=(12, 2048))
    few, many, all_of_them = (
        classifier(max_steps=1, n_members=1, n_bins=bins).fit(X[:, :columns], [0, 1] * 6)
        for bins, columns in ((None, 4), (None, 2048), (7, 2048))
    )
    bins = [learner._ensemble.bags[0].view.bins for learner in (few, many, all_of_them)]
    assert bins == [16, 4, 7]


def test_a_hundred_classes() -> None:
    y = np.arange(600) % 100
    learner = classifier(max_steps=600, n_bins=100).fit({"x": [f"c{label}" for label in y]}, y)
    assert learner.score({"x": [f"c{label}" for label in y]}, y) > 0.95
    assert learner.predict_proba({"x": ["c7"]}).shape == (1, 100)


@pytest.mark.parametrize(
    "y",
    [
        RNG.standard_cauchy(200) * 1e10,
        RNG.normal(size=200) * 1e300,
        RNG.choice([-1.7e308, 1.7e308], 200),
        RNG.normal(size=200) * 1e-300,
        RNG.choice([1.0, 2.0], 200),
        np.full(200, 5.0),
        np.zeros(200),
    ],
    ids=["heavy tails", "huge", "the largest", "the smallest", "two values", "constant", "zero"],
)
def test_targets_of_any_size(y: np.ndarray) -> None:
    X = np.column_stack([y, RNG.normal(size=200)])
    learner = regressor().fit(X, y)
    found = learner.predict(X)
    assert ((y.min() <= found) & (found <= y.max())).all()
    assert (np.diff(learner.predict_interval(X), axis=1) >= 0).all()


@pytest.mark.parametrize(
    "X",
    [
        np.ones((60, 3)),
        {"a": [None] * 60, "b": [np.nan] * 60},
        {"name": [f"n{row}" for row in range(60)]},
    ],
    ids=["constant", "missing", "all different"],
)
def test_without_anything_to_learn_from_the_prediction_is_the_share(X: Any) -> None:
    y = np.arange(60) % 4 == 0
    learner = classifier(max_steps=400).fit(X, y)
    np.testing.assert_allclose(learner.predict_proba(X)[:, 1], 0.25, atol=0.05)
    assert "dropped" in learner.describe_columns()


def test_a_single_class_is_certain() -> None:
    learner = classifier().fit(RNG.normal(size=(40, 2)), ["only"] * 40)
    assert learner.predict_proba([[0, 0]]).tolist() == [[1.0]]
    assert learner.oof_score_ == 1


def test_thousands_of_levels_have_weights_of_their_own() -> None:
    levels = [f"level {row % 1000}" for row in range(5000)]
    y = np.arange(5000) % 1000 < 300
    learner = classifier(max_steps=1000).fit({"x": levels}, y)
    assert learner.oof_score_ > 0.95


def test_no_hidden_layer_is_a_linear_model() -> None:
    x = RNG.normal(size=(200, 1))
    learner = classifier(hidden_layer_sizes=(), n_bins=0, max_steps=400).fit(x, x[:, 0] > 0)
    assert learner.score(x, x[:, 0] > 0) > 0.9


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"quality": "good"}, "quality: expected 'fast', 'balanced', 'best', found 'good'"),
        ({"n_members": 0}, "n_members: expected at least 1, found 0"),
        ({"max_steps": 1.5}, r"max_steps: expected a whole number, found 1\.5"),
        ({"n_bins": -1}, "n_bins: expected at least 0, found -1"),
        ({"hidden_layer_sizes": "wide"}, "hidden_layer_sizes: expected whole numbers"),
        ({"time_budget": 0}, "time_budget: expected a finite number above 0, found 0"),
        ({"cv": 1}, "cv: expected at least 2, found 1"),
        ({"cv": 2.5}, r"cv: expected a whole number, 'time' or folds, found 2\.5"),
        ({"calibrate": 2}, "calibrate: expected True or False, found 2"),
        ({"class_weight": "even"}, "class_weight: expected None, 'balanced' or a dict"),
        ({"random_state": "a"}, "random_state: expected a whole number, found 'a'"),
        ({"n_threads": 0}, "n_threads: expected at least 1, found 0"),
        ({"backend": "gpu"}, "backend: expected 'auto', 'cython' or 'numpy', found 'gpu'"),
        ({"callbacks": [print]}, "callbacks: expected objects that derive from"),
        ({"verbose": "yes"}, "verbose: expected a whole number, found 'yes'"),
        ({"categorical": ["z"]}, r"categorical: expected numbers from 0 to 0, found 'z'"),
    ],
)
def test_parameters_that_cannot_be_are_refused(parameters: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        classifier(**parameters).fit(np.arange(20.0)[:, None], np.arange(20) % 2)


@pytest.mark.parametrize(
    ("learner", "y", "message"),
    [
        (classifier, None, "the target y is None"),
        (classifier, [1.5, 2.5] * 10, "continuous, .*; fit a TabularRegressor to numbers"),
        (classifier, [[0, 1], [1, 0]] * 10, "one label for each row, found 2; fit one Tabular"),
        (regressor, [[0, 1], [1, 0]] * 10, "one number for each row, found 2; fit one Tabular"),
        (regressor, ["a", "b"] * 10, "expected real numbers, .*; fit a TabularClassifier to"),
        (regressor, [1, np.nan] * 10, "expected a value for every sample, found a missing one"),
        (regressor, [1, np.inf] * 10, "expected finite numbers, found inf"),
        (regressor, [1, 2], "expected one for each of the 20 samples, found 2"),
    ],
)
def test_targets_that_cannot_be_are_refused(learner: Any, y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        learner().fit(np.arange(20.0)[:, None], y)


def test_nothing_can_be_asked_before_the_fit() -> None:
    learner = TabularClassifier()
    for ask in (
        lambda: learner.predict([[1]]),
        lambda: learner.predict_set([[1]]),
        lambda: learner.score([[1]], [1]),
        learner.describe_columns,
        learner.summary,
        lambda: learner.save("nowhere"),
        lambda: regressor().predict_interval([[1]]),
    ):
        with pytest.raises(ValueError, match="is not fitted yet: call fit with a table"):
            ask()
