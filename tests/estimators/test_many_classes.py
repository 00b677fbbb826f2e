"""A classifier of many classes: labels stay labels, so memory does not grow with the classes."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_core import NN, MLPClassifier, one_hot
from cnn_core.estimators.compat import ConvergenceWarning
from memory_peak import peak_of

SAMPLES, CLASSES = 8000, 1000
# Bytes that an array (samples, classes) of one-hot rows or outputs would take in float32.
ROWS = SAMPLES * CLASSES * 4


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(SAMPLES, 3)).astype(np.float32)
    return x, rng.permutation(np.arange(SAMPLES) % CLASSES)


def classifier(name, **parameters):
    settings = {"max_iter": 1, "schedule": "constant", "batch_size": 256, "random_state": 0}
    return MLPClassifier((4,), backend=name, **{**settings, **parameters})


@pytest.fixture(scope="module")
def fitted(data):
    return classifier("auto").fit(*data)


class TestMemory:
    @pytest.mark.parametrize(
        "parameters",
        [
            {},
            {"label_smoothing": 0.1, "class_weight": "balanced"},
            {"early_stopping": True, "validation_fraction": 0.5},
            {"solver": "sgd", "dtype": np.float64},
        ],
        ids=str,
    )
    def test_a_fit_has_no_row_for_each_sample(self, name, data, parameters):
        assert peak_of(lambda: classifier(name, **parameters).fit(*data)) < ROWS / 2

    def test_nor_has_an_evaluation_after_each_epoch(self, name, data):
        peak = peak_of(lambda: classifier(name).fit(*data, eval_set=[data, data]))
        assert peak < ROWS / 2

    def test_nor_has_a_checkpoint(self, name, data, tmp_path):
        path = tmp_path / "checkpoint"
        assert peak_of(lambda: classifier(name).fit(*data, checkpoint=path)) < ROWS / 2

    def test_nor_has_an_nn(self, name, data):
        net = NN(3, 4, CLASSES, learning_rate=0.1, epochs=1, batch_size=256, backend=name, seed=0)
        assert peak_of(lambda: net.fit(*data, validation=data)) < ROWS / 2

    @pytest.mark.parametrize("method", ["predict", "score"])
    def test_nor_has_a_prediction_of_classes(self, fitted, data, method):
        arguments = data if method == "score" else data[:1]
        assert peak_of(lambda: getattr(fitted, method)(*arguments)) < ROWS / 4


class TestAnswers:
    def test_are_the_classes_of_the_largest_probabilities(self, fitted, data):
        x, y = data
        predicted = fitted.predict(x)
        largest = fitted.predict_proba(x).argmax(axis=1)
        np.testing.assert_array_equal(predicted, fitted.classes_[largest])
        assert fitted.score(x, y) == pytest.approx(np.mean(predicted == y))
        weights = np.arange(SAMPLES)
        expected = np.average(predicted == y, weights=weights)
        assert fitted.score(x, y, weights) == pytest.approx(expected)

    def test_an_output_that_is_not_finite_scores_nan(self, data):
        x, y = data[0][:30], data[1][:30] % 3
        broken = classifier("auto", batch_size=16).fit(x, y)
        broken.coefs_[0][:] = 3e38
        assert np.isnan(broken.score(x, y))

    def test_a_value_that_is_not_finite_is_named_by_its_row(self, fitted, data):
        x = data[0].copy()
        x[7_000, 1] = np.nan
        with pytest.raises(ValueError, match="row 7000, column 1"):
            fitted.predict(x)


class TestSmoothing:
    def test_is_that_of_rows_which_spread_a_share_over_all_classes(self, name, rng):
        x, y = rng.normal(size=(50, 3)), rng.integers(0, 4, 50)
        smooth = classifier(
            name, label_smoothing=0.2, solver="lbfgs", max_iter=5, batch_size="auto"
        )
        with pytest.warns(ConvergenceWarning):
            fitted = smooth.fit(x, y)
        loss, _ = fitted.model_.evaluate(x, 0.8 * one_hot(y) + 0.05)
        term = fitted.alpha / 2 * sum((w**2).sum() for w in fitted.coefs_) / 50
        assert fitted.loss_ == pytest.approx(loss + term, rel=1e-12)
