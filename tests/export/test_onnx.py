"""ONNX files give what the model itself gives, in onnxruntime."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import small_tables as tables
from cnn_core import NN, Adam, Dense, Embedding, EncodedDense, MaxPool2D, Network, load
from cnn_core.export import ExportError, onnx_feed
from cnn_core.network import ACTIVATIONS, HIDDEN_ACTIVATIONS
from exported import with_weights
from image_networks import STACKS, image_network
from small_estimators import NAMES, NUMBERS, X_NUMBERS, X, Y, classifier, regressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)


def run(path: Path, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
    onnx.checker.check_model(str(path), full_check=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, feed)


def assert_alike(model: Any, path: Path, rows: Any = None) -> None:
    """The file written agrees to 1e-5, on the rows given and on generated ones."""
    assert model.to_onnx(path, rows).difference <= 1e-5
    assert model.to_onnx(path).difference <= 1e-5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("normalization", [None, "batch", "layer"])
@pytest.mark.parametrize("activation", HIDDEN_ACTIVATIONS)
def test_every_activation_and_normalization(
    tmp_path: Path, activation: Any, normalization: Any, dtype: Any
) -> None:
    layers = (Dense(5, 7, activation, 0.2, normalization), Dense(7, 3, "identity"))
    network = Network(layers, optimizer=Adam(), averaging=0.9, input_scale=-0.7)
    model = with_weights(network, dtype)
    rows = (RNG.normal(size=(50, 5)) * 3).astype(dtype)
    tight = 1e-5 if dtype == np.float32 else 1e-12
    assert model.to_onnx(tmp_path / "m.onnx", rows).difference <= tight
    (outputs,) = run(tmp_path / "m.onnx", {"X": rows})
    np.testing.assert_allclose(outputs, model.predict(rows), atol=10 * tight)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_of_the_last_layer(tmp_path: Path, activation: Any) -> None:
    model = with_weights(Network((Dense(5, 4, activation),)))
    assert_alike(model, tmp_path / "m.onnx", 5 * RNG.normal(size=(60, 5)).astype(np.float32))


@pytest.mark.parametrize("name", STACKS)
def test_image_networks(tmp_path: Path, name: str) -> None:
    assert_alike(with_weights(image_network(name)), tmp_path / "m.onnx")


def test_a_pool_sees_scaled_pixels_also_where_the_scale_is_negative(tmp_path: Path) -> None:
    layers = (MaxPool2D((4, 4, 2), normalization="batch"), Dense(8, 3, "softmax"))
    network = Network(layers, "cross_entropy", input_scale=-1 / 255)
    pixels = RNG.integers(0, 256, (20, 32)).astype(np.uint8)
    model = with_weights(network)
    assert_alike(model, tmp_path / "m.onnx", pixels)
    model.to_onnx(tmp_path / "m.onnx", pixels)
    (outputs,) = run(tmp_path / "m.onnx", {"X": pixels})
    np.testing.assert_allclose(outputs, model.predict(pixels), atol=1e-6)


def test_layers_that_read_columns(tmp_path: Path) -> None:
    embedding = Embedding(4, (2, 0), (3, 5), (2, 4))
    assert_alike(with_weights(Network((embedding, Dense(8, 3, "tanh")))), tmp_path / "m.onnx")
    encoded = EncodedDense(("number", "pieces", "codes"), (1, 8, 3), 6, "relu", 0.0, "batch")
    assert_alike(with_weights(Network((encoded, Dense(6, 2, "sigmoid")))), tmp_path / "m.onnx")


def test_nn_and_the_rule_that_cannot_be_exported(tmp_path: Path) -> None:
    assert_alike(NN(4, 3, 2, 0.1, 1, seed=0, input_scale=1 / 255), tmp_path / "m.onnx")
    with pytest.raises(ValueError, match="rule='exact'"):
        NN(4, 3, 2, 0.1, 1, rule="article").to_onnx(tmp_path / "none.onnx")
    assert not (tmp_path / "none.onnx").exists()


TWO = Y % 2
CLASSES = {
    "text": NAMES,
    "objects": NAMES.astype(object),
    "numbers": Y * 10 - 10,
    "floats": Y.astype(float),
    "two texts": np.array(["no", "yes"])[TWO],
    "booleans": TWO.astype(bool),
    "one class": np.full(len(Y), "only"),
    "several labels": np.stack([TWO, Y == 1, Y == 2], axis=1).astype(int),
}


@pytest.mark.parametrize("name", CLASSES)
def test_labels_and_probabilities_are_named_as_skl2onnx_does(tmp_path: Path, name: str) -> None:
    y = CLASSES[name]
    model = classifier(normalization="batch").fit(X, y)
    assert_alike(model, tmp_path / "m.onnx", X)
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"))
    assert [one.name for one in session.get_outputs()] == ["label", "probabilities"]
    labels, probabilities = session.run(None, onnx_feed(model, X))
    np.testing.assert_array_equal(labels, model.predict(X))
    np.testing.assert_allclose(probabilities, model.predict_proba(X), atol=1e-6)


def test_numbers_one_several_and_quantiles(tmp_path: Path) -> None:
    for model, y in (
        (regressor(), NUMBERS),
        (regressor(loss="pinball", quantile=[0.1, 0.5, 0.9]), NUMBERS),
        (regressor(dtype="float32"), np.stack([NUMBERS, 2 * NUMBERS], axis=1)),
        (regressor(loss="poisson"), NUMBERS - NUMBERS.min()),
    ):
        model.fit(X_NUMBERS, y)
        assert_alike(model, tmp_path / "m.onnx", X_NUMBERS)
        (found,) = run(tmp_path / "m.onnx", onnx_feed(model, X_NUMBERS))
        expected = model.predict(X_NUMBERS)
        np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-5)


def strange_rows() -> dict[str, Any]:
    """Rows with what a table has at its edges: missing, unknown, infinite, before 1970, leap."""
    dates = ["1600-02-29", "1969-12-31T23:59:59", "2000-02-29T12", "NaT", "2100-03-01"]
    return {
        "size": np.array([np.nan, np.inf, -np.inf, 1e300, 0.0]),
        "kind": [None, "castle", " flat ", "house", "nan"],
        "built": np.array(dates, "datetime64[us]"),
        "garden": [True, None, False, True, False],
        "same": ["y"] * 5,
    }


@pytest.mark.parametrize("quality", ["fast", pytest.param("best", marks=pytest.mark.slow)])
def test_tables_with_their_preparation(tmp_path: Path, quality: str) -> None:
    path = tmp_path / "m.onnx"
    for model, y in (
        (tables.classifier(quality=quality), tables.DEAR),
        (tables.regressor(quality=quality), tables.PRICES),
    ):
        model.fit(tables.TABLE, y)
        assert_alike(model, path, tables.TABLE)
        assert model.to_onnx(path, strange_rows()).difference <= 1e-5
        names = {one.name for one in onnxruntime.InferenceSession(str(path)).get_inputs()}
        assert names == {"size", "kind", "built", "garden"}
        label, *_ = run(path, onnx_feed(model, strange_rows()))
        if y is tables.DEAR:
            np.testing.assert_array_equal(label, model.predict(strange_rows()))


def test_tables_of_one_class_of_three_and_without_names(tmp_path: Path) -> None:
    rows = [[1.5, "a"], [2.5, "b"], [float("nan"), "a"]] * 10
    for y in (["only"] * 30, list("xyz") * 10):
        assert_alike(tables.classifier(n_members=2).fit(rows, y), tmp_path / "m.onnx", rows)


def test_what_does_not_agree_is_not_written(tmp_path: Path) -> None:
    model = classifier(dtype="float32").fit(X, Y)
    with pytest.raises(ExportError, match=r"difference of .* in row \d+ \(yours\); no file"):
        model.to_onnx(tmp_path / "m.onnx", X.astype(np.float32) * 100, tolerance=1e-30)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="at least one sample"):
        model.to_onnx(tmp_path / "m.onnx", X[:0])
    with pytest.raises(ValueError, match="tolerance: expected a number above 0"):
        model.to_onnx(tmp_path / "m.onnx", tolerance=0)
    with pytest.raises(ValueError, match="input_dtype"):
        model.to_onnx(tmp_path / "m.onnx", input_dtype="int64")
    with pytest.raises(ValueError, match="4 features"):
        model.to_onnx(tmp_path / "m.onnx", X[:, :2])
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = classifier().fit(X, Y)
    for name in ("onnxruntime", "onnx.helper"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, None)
            with pytest.raises(ImportError, match=r"pip install \"cnn-core\[onnx\]\""):
                model.to_onnx(tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_a_loaded_model_is_exported_alike(tmp_path: Path) -> None:
    model = tables.classifier().fit(tables.TABLE, tables.DEAR)
    model.save(tmp_path / "m.safetensors")
    model.to_onnx(tmp_path / "a.onnx")
    load(tmp_path / "m.safetensors").to_onnx(tmp_path / "b.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
