"""Each field of a model file, with a value of each other kind, is refused or does no harm.

What is loaded can be used: it predicts, is shown, copied and saved, and trains on. The
parameters of an estimator are as free as those of its constructor, and are refused by `fit`.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import itertools
import json
import pickle
import warnings

import numpy as np
import pytest

import cnn_core
from cnn_core import NN, MLPClassifier, Model, Recipe
from cnn_core.io.container import ModelFileError, read_tensors, write_tensors
from damage import tree_of, write_tree
from hostile import KINDS, read_or_refuse
from hostile_bytes import MIB
from json_fields import NUMBERS, VALUES, change, places_in
from memory_peak import memory_peak
from paths import GOLDEN

NAMES = ("nn", "model", "classifier", "regressor", "early stopping")
X = np.random.default_rng(0).normal(size=(12, 4))


@functools.cache
def early_stopping():
    """The texts and arrays of a classifier in the middle of a `partial_fit` with early stopping."""
    import tempfile
    from pathlib import Path

    estimator = MLPClassifier((3,), early_stopping=True, random_state=0, backend="numpy")
    estimator.partial_fit(X, np.arange(12) % 3, classes=[0, 1, 2], eval_set=(X, np.arange(12) % 3))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        estimator.save(path)
        return tree_of(path)


def contents(name):
    if name == "early stopping":
        return early_stopping()
    return tree_of(GOLDEN / f"{name}_version_1.safetensors")


def use(loaded, path):
    """Do with a model what its users do."""
    assert repr(loaded)
    copy.deepcopy(pickle.loads(pickle.dumps(loaded)))
    loaded.save(path)
    cnn_core.load(path, backend="numpy")
    n_inputs = getattr(loaded, "input_neurons", None) or getattr(loaded, "n_features_in_", None)
    x = np.resize(X, (12, n_inputs or loaded.network.n_inputs))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        if isinstance(loaded, Model):
            t = np.eye(loaded.network.n_outputs, dtype=loaded.dtype)[np.zeros(12, int)]
            loaded.train(x.astype(loaded.dtype), t, Recipe(1, 4, 0.01))
        elif isinstance(loaded, NN):
            loaded.epochs, loaded.batch_size = 1, min(loaded.batch_size, 4)
            loaded.fit(x, np.zeros((12, loaded.output_neurons)))
        else:
            y = np.resize(getattr(loaded, "classes_", [0.5]), 12)
            loaded.partial_fit(x, y)


def check(path, tensors, tree, place, value):
    """Change one field; see that the file is refused, or that what is loaded can be used."""
    if len(place) == 1 and value == VALUES["no text"]:
        # A text of the header, which is written in Unicode.
        return
    write_tree(path, tensors, change(tree, place, value))
    result = read_or_refuse(KINDS["model"], path)
    if isinstance(result, ModelFileError):
        return
    # Parameters are refused by `fit`, as if the user had set them; huge numbers may diverge.
    is_parameter = place[:2] == ("extra", "parameters")
    allowed = (TypeError, ValueError) if is_parameter else FloatingPointError
    with contextlib.suppress(allowed):
        use(result, path.with_name("again"))


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_field_is_refused_or_what_is_loaded_can_be_used(tmp_path, name):
    tensors, tree = contents(name)
    for place, value in zip(places_in(tree), itertools.cycle(VALUES.values()), strict=False):
        check(tmp_path / "file", tensors, tree, place, value)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", VALUES)
def test_each_field_with_each_value_is_refused_or_can_be_used(tmp_path, name, kind):
    tensors, tree = contents(name)
    for place in places_in(tree):
        check(tmp_path / "file", tensors, tree, place, VALUES[kind])


@pytest.mark.parametrize("name", NAMES[:4])
def test_no_number_takes_memory_that_the_file_does_not_have(tmp_path, name):
    tensors, tree = contents(name)
    path = tmp_path / "file.safetensors"
    read_or_refuse(KINDS["model"], GOLDEN / f"{name}_version_1.safetensors")
    for place, kind in zip(places_in(tree), itertools.cycle(NUMBERS), strict=False):
        write_tree(path, tensors, change(tree, place, VALUES[kind]))
        with memory_peak() as peak:
            read_or_refuse(KINDS["model"], path)
        assert peak.bytes < MIB, place


class TestClasses:
    """Names of classes take the room that they have in the file, not what it says of them."""

    def saved(self, path, classes, dtype, kind="multiclass"):
        tensors, tree = contents("classifier")
        tree["extra"]["task"] = {"kind": kind, "classes": {"values": classes, "dtype": dtype}}
        write_tree(path, tensors, tree)
        return path

    @pytest.mark.parametrize("dtype", ["<U100000000", ">U300000000", "<U1", "|O", "U"])
    def test_the_width_of_an_array_is_that_of_the_longest(self, tmp_path, dtype):
        path = self.saved(tmp_path / "file", ["lily", "rose", "tulip"], dtype)
        with memory_peak() as peak:
            classes = cnn_core.load(path, backend="numpy").classes_
        assert peak.bytes < MIB
        assert classes.tolist() == ["lily", "rose", "tulip"]
        assert classes.dtype == (object if dtype == "|O" else "<U5")

    def test_one_long_name_among_many_is_refused(self, tmp_path):
        names = ["a" * 400_000, *(f"b{number:05}" for number in range(20_000))]
        path = self.saved(tmp_path / "file", names, "<U5")
        refused = pytest.raises(ModelFileError, match="found 20001 names of up to 400000")
        with memory_peak() as peak, refused:
            cnn_core.load(path, backend="numpy")
        assert peak.bytes < 100 * MIB

    def test_what_could_not_be_loaded_is_not_saved(self, tmp_path):
        labels = np.array(["a" * 2**24, "b"], object)
        estimator = MLPClassifier((2,), max_iter=1000, tol=1.0, backend="numpy").fit(X[:2], labels)
        with pytest.raises(ValueError, match="use shorter names"):
            estimator.save(tmp_path / "file")
        assert not (tmp_path / "file").exists()

    @pytest.mark.parametrize(
        ("classes", "dtype"),
        [
            ([1, 2, 2], "<i8"),
            ([3, 2, 1], "<i8"),
            ([0.5, 1.5, 2.5], "<i8"),
            ([1, 2, 300], "|u1"),
            ([1, 2, 3], "<U5"),
            (["1", "2", "3"], "<i8"),
            ([[1], [2], [3]], "<i8"),
            ([True, 2, 3], "<i8"),
            (["a", "b", "c"], "<M8[s]"),
            (["a", "b", "c"], "V100000000"),
            (["a", "b", "c"], "3f8"),
            (["a", "b", None], "O"),
            ("abc", "<U1"),
            ([1, 2, float("nan")], "<f8"),
        ],
    )
    def test_what_is_no_list_of_classes_is_refused(self, tmp_path, classes, dtype):
        with pytest.raises(ModelFileError, match="classes"):
            cnn_core.load(self.saved(tmp_path / "file", classes, dtype), backend="numpy")

    @pytest.mark.parametrize(
        "labels",
        [[1, 2, 3], [0.0, 1.0, 5.0], [False, True, True], ["é", "b", "c"], [7, 7, 7]],
        ids=repr,
    )
    @pytest.mark.parametrize("dtype", [None, object])
    def test_every_kind_of_classes_comes_back(self, tmp_path, labels, dtype):
        y = np.array(labels, dtype if isinstance(labels[0], str) else None)
        estimator = MLPClassifier((2,), max_iter=1000, tol=1.0, random_state=0, backend="numpy")
        estimator.fit(X[:3], y).save(tmp_path / "file")
        loaded = cnn_core.load(tmp_path / "file", backend="numpy")
        assert loaded.classes_.dtype == estimator.classes_.dtype
        np.testing.assert_array_equal(loaded.predict(X), estimator.predict(X))


def test_the_biases_of_the_articles_rule_are_compared_before_memory_is_taken(tmp_path):
    """Of a network 1-1-n the file has n weights; n columns of biases would take n * n numbers."""
    path, n = tmp_path / "file", 20_000
    net = NN(1, 1, n, learning_rate=0.1, epochs=1, rule="article", seed=0, backend="numpy")
    net.save(path)
    tensors, texts = read_tensors(path)
    dtype = tensors["wih"].dtype
    for bias in (np.zeros((1, n), dtype), np.zeros(1, dtype), np.zeros((1, 1, n), dtype)):
        write_tensors(path, {**tensors, "bih": bias}, texts)
        with memory_peak() as peak, pytest.raises(ModelFileError, match=r"bih|bho"):
            cnn_core.load(path, backend="numpy")
        assert peak.bytes < 4 * MIB


@pytest.mark.parametrize("kind", ["nn", "model"])
def test_a_seed_of_the_largest_size_comes_back(tmp_path, kind):
    tensors, texts = read_tensors(GOLDEN / f"{kind}_version_1.safetensors")
    part, name, most = {
        "nn": ("network", "seed", 2**32 - 1),
        "model": ("state", "seed", 2**64 - 1),
    }[kind]
    values = json.loads(texts[part])
    for seed in (most, most + 1):
        write_tensors(
            tmp_path / "file", tensors, {**texts, part: json.dumps({**values, name: seed})}
        )
        if seed == most:
            assert cnn_core.load(tmp_path / "file", backend="numpy").seed == seed
        else:
            with pytest.raises(ModelFileError, match="seed"):
                cnn_core.load(tmp_path / "file", backend="numpy")
