"""scikit-learn's pipelines with our estimators, converted by skl2onnx."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest

from cnn_core.export import register_skl2onnx
from small_estimators import NAMES, NUMBERS, X_NUMBERS, X, Y, classifier, regressor

sklearn_pipeline = pytest.importorskip("sklearn.pipeline")
skl2onnx = pytest.importorskip("skl2onnx")

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def converted(pipeline: Any, x: np.ndarray, **options: Any) -> list[Any]:
    register_skl2onnx()
    model = skl2onnx.to_onnx(pipeline, x[:1], **options)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {"X": x})


def pipeline(estimator: Any) -> Any:
    from sklearn.preprocessing import StandardScaler

    return sklearn_pipeline.make_pipeline(StandardScaler(), estimator)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("y", [NAMES, Y, Y == 1, np.stack([Y == 1, Y == 2], 1).astype(int)])
def test_classifiers(y: np.ndarray, dtype: Any) -> None:
    x = X.astype(dtype)
    model = pipeline(classifier(normalization="layer", dtype=np.dtype(dtype))).fit(x, y)
    labels, probabilities = converted(model, x, options={"zipmap": False})
    np.testing.assert_array_equal(labels, model.predict(x))
    np.testing.assert_allclose(probabilities, model.predict_proba(x), atol=1e-5)


def test_a_classifier_with_dicts_of_probabilities() -> None:
    x = X.astype(np.float32)
    model = pipeline(classifier()).fit(x, NAMES)
    _, probabilities = converted(model, x)
    assert list(probabilities[0]) == ["ash", "beech", "cedar"]


def test_regressors() -> None:
    x = X_NUMBERS.astype(np.float32)
    for y in (NUMBERS, np.stack([NUMBERS, -NUMBERS], 1)):
        model = pipeline(regressor(activation="gelu", normalization="batch")).fit(x, y)
        (numbers,) = converted(model, x)
        expected = model.predict(x)
        np.testing.assert_allclose(numbers.reshape(expected.shape), expected, atol=1e-5)


def test_bytes_with_their_scale() -> None:
    x = np.random.default_rng(0).integers(0, 256, (60, 5)).astype(np.uint8)
    model = classifier(input_scale=1 / 255).fit(x, x[:, 0] > 128)
    labels, _ = converted(model, x.astype(np.int64), options={"zipmap": False})
    np.testing.assert_array_equal(labels, model.predict(x))
