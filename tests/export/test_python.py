"""Python files run without packages, and give what the model itself gives."""

from __future__ import annotations

import datetime
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import small_tables as tables
from cnn_core import NN, Dense, Embedding, EncodedDense, MaxPool2D, Network
from cnn_core.export import ExportError
from cnn_core.network import ACTIVATIONS, HIDDEN_ACTIVATIONS
from exported import with_weights
from image_networks import STACKS, image_network
from small_estimators import NAMES, NUMBERS, X_NUMBERS, X, Y, classifier, regressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)


def imported(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("normalization", [None, "batch", "layer"])
def test_every_activation_and_normalization(tmp_path: Path, normalization: Any) -> None:
    hidden = [Dense(5, 5, name, 0.2, normalization) for name in HIDDEN_ACTIVATIONS]
    model = with_weights(Network((*hidden, Dense(5, 3, "identity")), input_scale=-0.7))
    assert model.to_python(tmp_path / "m.py", 3 * RNG.normal(size=(40, 5)).astype("f4"))


@pytest.mark.slow
def test_every_activation_of_the_last_layer(tmp_path: Path) -> None:
    rows = 20 * RNG.normal(size=(60, 3))
    for activation in ACTIVATIONS:
        model = with_weights(Network((Dense(3, 4, activation),)), np.float64)
        assert model.to_python(tmp_path / "m.py", rows).difference <= 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("name", STACKS)
def test_image_networks(tmp_path: Path, name: str) -> None:
    assert with_weights(image_network(name)).to_python(tmp_path / "m.py").difference <= 1e-5


def test_other_first_layers(tmp_path: Path) -> None:
    pool = MaxPool2D((4, 4, 2), normalization="batch")
    embedding = Embedding(4, (2, 0), (3, 5), (2, 4))
    encoded = EncodedDense(("number", "pieces", "codes"), (1, 8, 3), 6, "relu", 0.0, "batch")
    for layers, scale in (
        ((pool, Dense(8, 3, "tanh")), -1 / 255),
        ((embedding, Dense(8, 3, "tanh")), 1.0),
        ((encoded, Dense(6, 2, "sigmoid")), 1.0),
    ):
        assert with_weights(Network(layers, input_scale=scale)).to_python(tmp_path / "m.py")
    assert NN(4, 3, 2, 0.1, 1, seed=0).to_python(tmp_path / "m.py").same_labels is None


CLASSES = {
    "texts": np.array(['a"\\', "'''", "é€\n1"])[Y],
    "numbers": Y * 10 - 10,
    "two": np.array(["no", "yes"])[Y % 2],
    "booleans": Y == 1,
    "one": np.full(len(Y), "only"),
    "several labels": np.stack([Y % 2, Y == 1], axis=1).astype(int),
}


@pytest.mark.parametrize("name", CLASSES)
def test_labels_and_probabilities(tmp_path: Path, name: str) -> None:
    model = classifier().fit(X, CLASSES[name])
    assert model.to_python(tmp_path / "model.py", X).same_labels == 1
    module = imported(tmp_path / "model.py")
    found = [module.predict(row) for row in X.tolist()]
    np.testing.assert_array_equal(found, model.predict(X))
    np.testing.assert_allclose(module.predict_proba(X[0].tolist()), model.predict_proba(X[:1])[0])


def test_numbers(tmp_path: Path) -> None:
    model = regressor().fit(X_NUMBERS, NUMBERS)
    model.to_python(tmp_path / "one.py", X_NUMBERS)
    row = X_NUMBERS[0].tolist()
    assert imported(tmp_path / "one.py").predict(row) == pytest.approx(model.predict([row])[0])
    model.fit(X_NUMBERS, np.stack([NUMBERS, -NUMBERS], 1)).to_python(tmp_path / "two.py")
    assert len(imported(tmp_path / "two.py").predict(row)) == 2


@pytest.mark.parametrize("quality", ["fast", pytest.param("best", marks=pytest.mark.slow)])
def test_tables_with_their_preparation(tmp_path: Path, quality: str) -> None:
    for model, y in (
        (tables.classifier(quality=quality), tables.DEAR),
        (tables.regressor(quality=quality), tables.PRICES),
    ):
        model.fit(tables.TABLE, y)
        assert model.to_python(tmp_path / "house.py", tables.TABLE).difference <= 1e-6
        module = imported(tmp_path / "house.py")
        assert module.COLUMNS == ("size", "kind", "built", "garden")
        day = datetime.datetime(1969, 2, 28, 13, 30)
        row = {"size": "", "kind": " flat", "built": day, "garden": "true"}
        table = {**{name: [value] for name, value in row.items()}, "same": ["x"]}
        found, expected = module.predict(row), model.predict({**table, "size": [None]})[0]
        assert found == expected if y is tables.DEAR else found == pytest.approx(expected)


@pytest.mark.parametrize("zone", ["", "Z", "+05:30"])
def test_a_date_may_be_text_with_its_offset(tmp_path: Path, zone: str) -> None:
    days = [f"2024-0{1 + row % 9}-0{1 + row % 7}T0{row % 10}:30:00{zone}" for row in range(60)]
    model = tables.regressor().fit({"day": days}, np.arange(60.0) % 9)
    assert model.to_python(tmp_path / "days.py").difference <= 1e-6
    for day in days[:3]:
        found = imported(tmp_path / "days.py").predict({"day": day})
        assert found == pytest.approx(model.predict({"day": [day]})[0])


def test_what_does_not_agree_is_not_written(tmp_path: Path) -> None:
    model = classifier(dtype="float32").fit(X, NAMES)
    with pytest.raises(ExportError, match="no file was written"):
        model.to_python(tmp_path / "m.py", X, tolerance=1e-12)
    assert not list(tmp_path.iterdir())
