"""C headers compile without a warning, and give what the model itself gives."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnn_core import NN, Adam, Dense, Embedding, EncodedDense, MaxPool2D, Network
from cnn_core.export import ExportError, c_compiled, c_header
from cnn_core.network import ACTIVATIONS, HIDDEN_ACTIVATIONS
from exported import with_weights
from image_networks import STACKS, image_network
from small_estimators import NAMES, NUMBERS, X_NUMBERS, X, Y, classifier, regressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
needs_compiler = pytest.mark.skipif(
    c_compiled.compiler_named(None) is None, reason="there is no C compiler"
)
ARM = ["arm-linux-gnueabihf-gcc", "-static"]


@needs_compiler
def test_a_classifier_with_its_budget(tmp_path: Path) -> None:
    model = classifier(dtype="float32").fit(X, NAMES)
    found = model.to_c(tmp_path / "trees.h", X)
    assert found.n_rows == len(X)
    assert found.difference <= 1e-6
    assert found.same_labels == 1
    assert "compiled by" in found.computed_by
    # (4 + 1) * 8 + (8 + 1) * 3 weights and biases; the hidden layer, the last one and a sample.
    assert found.sizes["flash, constants"] == 4 * 67
    assert found.sizes["RAM, work and sample"] == 4 * (8 + 3 + 4)
    text = (tmp_path / "trees.h").read_text()
    assert "#define TREES_INPUTS 4" in text
    assert '"ash"' in text
    # Nothing but its own functions: no library, no memory.
    for word in ("math.h", "malloc", "stdlib", "expf", "double"):
        assert word not in text
    assert "trees_predict(x, work)" in str(found)


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("normalization", [None, "batch", "layer"])
def test_every_activation_and_normalization(tmp_path: Path, normalization: Any, int8: bool) -> None:
    rows = (RNG.normal(size=(50, 5)) * 3).astype(np.float32)
    hidden = [Dense(5, 5, name, 0.2, normalization) for name in HIDDEN_ACTIVATIONS]
    for layers in (hidden[:5], hidden[5:]):
        settings = {"optimizer": Adam(), "averaging": 0.9, "input_scale": -0.7}
        model = with_weights(Network((*layers, Dense(5, 3, "identity")), **settings))
        found = model.to_c(tmp_path / "m.h", rows, int8=int8)
        assert found.difference <= (0.3 if int8 else 1e-5)


@pytest.mark.slow
@needs_compiler
def test_every_activation_of_the_last_layer(tmp_path: Path) -> None:
    rows = 20 * RNG.normal(size=(200, 3)).astype(np.float32)
    for activation in ACTIVATIONS:
        model = with_weights(Network((Dense(3, 4, activation),)))
        assert model.to_c(tmp_path / "m.h", rows).difference <= 1e-5


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("name", STACKS)
def test_image_networks(tmp_path: Path, name: str) -> None:
    model = with_weights(image_network(name))
    int8 = name in ("stride 3, groups", "pool first")
    assert model.to_c(tmp_path / "m.h", int8=int8).difference <= (0.3 if int8 else 1e-5)


@pytest.mark.slow
@needs_compiler
def test_other_first_layers(tmp_path: Path) -> None:
    pool = MaxPool2D((4, 4, 2), normalization="batch")
    embedding = Embedding(4, (2, 0), (3, 5), (2, 4))
    encoded = EncodedDense(("number", "pieces", "codes"), (1, 8, 3), 6, "relu", 0.0, "batch")
    for layers, scale in (
        ((pool, Dense(8, 3, "tanh")), -1 / 255),
        ((embedding, Dense(8, 3, "tanh")), 1.0),
        ((encoded, Dense(6, 2, "sigmoid")), 1.0),
    ):
        model = with_weights(Network(layers, input_scale=scale))
        assert model.to_c(tmp_path / "m.h").difference <= 1e-5
    assert NN(4, 3, 2, 0.1, 1, seed=0).to_c(tmp_path / "m.h").difference <= 1e-6


CLASSES = {
    "texts that C would read otherwise": np.array(['a"\\', "??/", "é€\n1"])[Y],
    "numbers": Y * 10 - 10,
    "two": np.array(["no", "yes"])[Y % 2],
    "one": np.full(len(Y), "only"),
    "several labels": np.stack([Y % 2, Y == 1], axis=1).astype(int),
}


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_labels(tmp_path: Path, name: str, compiler: str) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    model = classifier(hidden_layer_sizes=(8, 6)).fit(X, CLASSES[name])
    for int8 in (False, True):
        found = model.to_c(tmp_path / "m.h", X, int8=int8, compiler=compiler)
        assert found.same_labels is not None
        assert found.same_labels >= (0.9 if int8 else 1)


@pytest.mark.slow
def test_numbers(tmp_path: Path) -> None:
    several = np.stack([NUMBERS, -NUMBERS], 1)
    for y in (NUMBERS, several):
        assert regressor().fit(X_NUMBERS, y).to_c(tmp_path / "m.h", X_NUMBERS).difference <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("int8", [False, True])
def test_on_arm_under_emulation(int8: bool) -> None:
    if shutil.which(ARM[0]) is None or shutil.which("qemu-arm") is None:
        pytest.skip("gcc-arm-linux-gnueabihf or qemu-user is not installed")
    for name in ("pool first", "layer"):
        model = with_weights(image_network(name))
        program = model.as_program()
        rows = RNG.normal(size=(20, program.n_inputs)).astype(np.float32)
        text = c_header.CHeader(program, "model", int8=int8).text()
        budget = c_compiled.Budget(0, 0)
        values, _, _ = c_compiled.outputs_in_c(
            program, text, "model", rows, ARM, budget, runner=["qemu-arm"]
        )
        atol = 0.3 if int8 else 1e-5
        np.testing.assert_allclose(values, model.predict(rows), atol=atol)


def test_int8_takes_a_quarter_and_says_what_it_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(c_header, "compiler_named", lambda wish: None)
    model = classifier(hidden_layer_sizes=(64, 64), max_iter=60, dtype="float32").fit(X, NAMES)
    whole = model.to_c(tmp_path / "whole.h", X)
    small = model.to_c(tmp_path / "small.h", X, int8=True)
    assert "no C compiler" in small.computed_by
    assert small.sizes["flash, constants"] < 0.35 * whole.sizes["flash, constants"]
    assert 1e-5 < small.difference < 0.1
    assert small.same_labels is not None
    assert small.same_labels > 0.95
    assert "int8_t" in (tmp_path / "small.h").read_text()


def test_what_cannot_be_a_header_is_refused(tmp_path: Path) -> None:
    model = classifier(dtype="float32").fit(X, NAMES)
    for name in ("2fast", "a b", "int", ""):
        with pytest.raises(ValueError, match="name: expected a name"):
            model.to_c(tmp_path / "m.h", name=name)
    with pytest.raises(FileNotFoundError, match="no 'tcc-of-nowhere'"):
        model.to_c(tmp_path / "m.h", compiler="tcc-of-nowhere")
    with pytest.raises(TypeError, match="int8: expected True or False"):
        model.to_c(tmp_path / "m.h", int8="yes")
    assert not list(tmp_path.iterdir())


# NumPy alone computes float32 as the header is checked without a compiler: they agree to the bit.
@pytest.mark.compiled
def test_what_does_not_agree_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = classifier(dtype="float32").fit(X, NAMES)
    monkeypatch.setattr(c_header, "compiler_named", lambda wish: None)
    with pytest.raises(ExportError, match="no file was written"):
        model.to_c(tmp_path / "m.h", X, tolerance=1e-12)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("file", "prefix"), [("my model.h", "my_model"), ("2.h", "model_2")])
def test_names_are_made_of_the_name_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, prefix: str
) -> None:
    monkeypatch.setattr(c_header, "compiler_named", lambda wish: None)
    classifier().fit(X, NAMES).to_c(tmp_path / file)
    assert f"{prefix}_predict(" in (tmp_path / file).read_text()
