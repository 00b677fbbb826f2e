"""State dicts for PyTorch: its names, its shapes, its order of values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

import small_tables as tables
from cnn_core import Dense, Embedding, Network, load
from cnn_core.network import HIDDEN_ACTIVATIONS
from exported import with_weights
from image_networks import STACKS, image_network
from small_estimators import NAMES, NUMBERS, X_NUMBERS, X, classifier, regressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_two_lines_that_load_a_classifier(tmp_path: Path) -> None:
    model = classifier(activation="gelu", normalization="batch").fit(X, NAMES)
    found = model.to_safetensors(tmp_path / "m.safetensors", X)
    assert found.same_labels == 1
    lines = (
        "net = torch.nn.Sequential(torch.nn.Linear(4, 8), "
        'torch.nn.GELU("tanh"), torch.nn.Linear(8, 3), torch.nn.Softmax(1))\n'
        'net.load_state_dict(safetensors.torch.load_file("m.safetensors"), strict=True)'
    )
    assert found.notes == lines
    with safe_open(tmp_path / "m.safetensors", "numpy") as file:
        assert file.metadata()["torch"] == lines
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert {name: array.shape for name, array in tensors.items()} == {
        "0.weight": (8, 4),
        "0.bias": (8,),
        "2.weight": (3, 8),
        "2.bias": (3,),
    }
    z = X @ tensors["0.weight"].T + tensors["0.bias"]
    a = 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))
    scores = a @ tensors["2.weight"].T + tensors["2.bias"]
    np.testing.assert_array_equal(model.classes_[scores.argmax(axis=1)], model.predict(X))
    with pytest.raises(ValueError, match="to_safetensors"):
        load(tmp_path / "m.safetensors")


@pytest.mark.parametrize("normalization", [None, "batch", "layer"])
def test_every_activation(tmp_path: Path, normalization: str | None) -> None:
    hidden = [Dense(5, 5, name, 0.2, normalization) for name in HIDDEN_ACTIVATIONS]
    model = with_weights(Network((*hidden, Dense(5, 3, "softmax")), "cross_entropy"))
    assert model.to_safetensors(tmp_path / "m.safetensors").difference <= 1e-5
    model = regressor().fit(X_NUMBERS, NUMBERS)
    assert model.to_safetensors(tmp_path / "m.safetensors", X_NUMBERS).difference <= 1e-12


@pytest.mark.parametrize("name", STACKS)
def test_image_networks(tmp_path: Path, name: str) -> None:
    model = with_weights(image_network(name))
    by_layer = any(layer.normalization == "layer" for layer in STACKS[name].layers)
    if by_layer or name == "above a dense layer":
        with pytest.raises(TypeError, match="PyTorch"):
            model.to_safetensors(tmp_path / "m.safetensors")
        assert not list(tmp_path.iterdir())
        return
    found = model.to_safetensors(tmp_path / "m.safetensors")
    assert found.difference <= 1e-5
    height, width, channels = STACKS[name].layers[0].input_shape
    assert f"(n, {channels}, {height}, {width})" in found.notes


def test_what_pytorch_has_no_module_for(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    embedding = Embedding(4, (2, 0), (3, 5), (2, 4))
    for model in (
        with_weights(Network((embedding, Dense(8, 3, "tanh")))),
        with_weights(Network((Dense(2, 1, "exp"),), "poisson")),
        tables.classifier(max_steps=5).fit(tables.TABLE, tables.DEAR),
    ):
        with pytest.raises(TypeError, match="safetensors: "):
            model.to_safetensors(path)
    assert not path.exists()
