"""Files of models: what is in them, that training continues from them, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

import cnn_core
from cnn_core import NN
from cnn_core.io.model_state import ModelFile, read_state, write_model
from cnn_core.io.network_json import network_from_json, network_to_json
from cnn_core.loading import READERS
from cnn_core.model import Model
from cnn_core.model_file import ModelFileError, read_tensors, write_tensors
from cnn_core.network import ACTIVATIONS, Dense, Huber, Network, Pinball
from cnn_core.optimizers import SGD, Adam, Lion, Nadam, RMSprop, Rprop
from cnn_core.training import Recipe
from learnable import one_hot_rows


@pytest.fixture
def data(rng):
    return one_hot_rows(rng)


LAYERS = (
    Dense(6, 8, "relu", dropout=0.2, normalization="batch"),
    Dense(8, 7, "tanh", normalization="layer"),
    Dense(7, 3, "softmax"),
)


def model_of(name="numpy", dtype=np.float32, **settings):
    network = Network(LAYERS, "cross_entropy", **{"optimizer": Adam(), **settings})
    model = Model(network, dtype=dtype, seed=2**63 + 5, backend=name)
    return model.initialize("auto", np.random.RandomState(0))


class TestDescriptions:
    NETWORKS = (
        *(
            Network((Dense(4, 3), Dense(3, 2, "identity")), "squared_error", optimizer)
            for optimizer in (
                SGD(),
                SGD(0.9, True),
                Adam(weight_decay=0.1),
                RMSprop(momentum=0.5),
                Nadam(epsilon=1e-6),
                Lion(0.8),
                Rprop(increase=1.5),
            )
        ),
        *(
            Network((Dense(4, 3, activation), Dense(3, 2)))
            for activation in ACTIVATIONS
            if activation not in ("softmax", "exp")
        ),
        Network((Dense(4, 2, "identity"),), Huber(0.5)),
        Network((Dense(4, 2, "identity"),), Pinball((0.1, 0.9))),
        Network((Dense(4, 2, "identity"),), Pinball(0.3), l2=0.1, clip_norm=1.0),
        Network((Dense(4, 2, "exp"),), "poisson", clip_value=2, averaging=0.99),
        Network(LAYERS, "cross_entropy", input_scale=1 / 255),
    )

    @pytest.mark.parametrize("network", NETWORKS, ids=str)
    def test_what_was_written_is_what_is_read(self, network):
        text = json.dumps(network_to_json(network), allow_nan=False)
        assert network_from_json(json.loads(text)) == network

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"loss": "hinge"}, "loss: expected"),
            ({"loss": {"kind": "Hinge"}}, "kind: expected .*'Huber'"),
            ({"loss": {"kind": "Huber", "delta": "1"}}, "delta: expected a finite number"),
            ({"loss": {"kind": "Huber", "delta": float("nan")}}, "delta"),
            ({"optimizer": {"kind": "SGD", "momentum": 0.0, "nesterov": 1}}, "nesterov"),
            ({"optimizer": {"kind": "SGD", "speed": 1}}, "SGD has no 'speed'; a newer cnn_core"),
            ({"optimizer": {"kind": "dict"}}, "kind: expected"),
            ({"optimizer": "SGD"}, r"\w"),
            ({"layers": []}, "at least one layer"),
            ({"layers": "ab"}, r"\w"),
            ({"layers": [{"fan_in": 2}]}, "fan_out"),
            ({"layers": [{"fan_in": 2, "fan_out": True}]}, "fan_out"),
            ({"layers": [{"fan_in": 2, "fan_out": 2, "dropout": None}]}, "dropout"),
            ({"layers": [{"fan_in": 2, "fan_out": 2, "activation": ["relu"]}]}, "activation"),
            ({"l2": True}, "l2: expected a finite number, found True"),
            ({"l2": 1e999}, "l2"),
            ({"clip_norm": "1"}, "clip_norm"),
            ({"depth": 3}, "Network has no 'depth'"),
        ],
    )
    def test_anything_else_is_refused(self, change, message):
        values = network_to_json(Network((Dense(4, 2),)))
        with pytest.raises((TypeError, ValueError, AttributeError), match=message):
            network_from_json({**values, **change})


class TestFiles:
    @pytest.mark.parametrize("averaging", [0.0, 0.9])
    def test_a_training_continues_from_a_file_without_a_difference(
        self, name, dtype, data, tmp_path, averaging
    ):
        x, t = (array.astype(dtype) for array in data)
        model = model_of(name, dtype, averaging=averaging)
        model.train(x, t, Recipe(3, 16, 0.02), are_classes=True)
        model.save(tmp_path / "model")
        found = cnn_core.load(tmp_path / "model", backend=name)
        assert isinstance(found, Model)
        assert found.network == model.network
        assert found.history == model.history
        assert (found.seed, found.dtype) == (model.seed, model.dtype)
        assert (found.steps, found.epochs_done, found.samples_done) == (12, 3, 180)
        assert np.array_equal(found.predict(x), model.predict(x))
        for one in (model, found):
            one.train(x, t, Recipe(2, 16, 0.02))
        for key, array in model.arrays().items():
            assert np.array_equal(array, found.arrays()[key]), key

    def test_tensors_have_readable_names(self, tmp_path):
        model = model_of(averaging=0.9)
        model.save(tmp_path / "model")
        tensors, metadata = read_tensors(tmp_path / "model")
        assert list(tensors) == [
            "layers.0.weights",
            "layers.0.bias",
            "layers.0.gain",
            "layers.0.mean",
            "layers.0.variance",
            "layers.1.weights",
            "layers.1.bias",
            "layers.1.gain",
            "layers.2.weights",
            "layers.2.bias",
            "moments",
            "average",
        ]
        assert np.array_equal(tensors["layers.1.weights"], model.layers[1].weights)
        assert set(metadata) == {"kind", "network", "state"}
        assert json.loads(metadata["network"])["layers"][0]["activation"] == "relu"

    def test_a_thousand_layers_fit(self, tmp_path):
        network = Network((Dense(2, 2, "relu", normalization="batch"),) * 999 + (Dense(2, 1),))
        model = Model(network, backend="numpy")
        model.save(tmp_path / "model")
        assert cnn_core.load(tmp_path / "model", backend="numpy").network == network

    def test_a_face_adds_what_it_needs(self, tmp_path):
        extra = {"classes": ["cat", "dog"], "n": 3}
        write_model(tmp_path / "model", model_of().state(), kind="MLPClassifier", extra=extra)
        tensors, metadata = read_tensors(tmp_path / "model")
        file = ModelFile(tmp_path / "model", tensors, metadata, "numpy", None)
        assert read_state(file)[1] == extra
        with pytest.raises((TypeError, ValueError)):
            write_model(tmp_path / "model", model_of().state(), extra={"x": float("nan")})

    def test_what_is_not_finite_is_kept_as_it_is(self, tmp_path):
        model = model_of()
        model.parameters[3] = np.nan
        model.save(tmp_path / "model")
        found = cnn_core.load(tmp_path / "model", backend="numpy")
        assert np.array_equal(found.parameters, model.parameters, equal_nan=True)

    def test_the_articles_rule_is_for_an_nn_to_save(self, tmp_path):
        model = Model(Network((Dense(2, 2), Dense(2, 1)), rule="article"), dtype=np.float64)
        with pytest.raises(ValueError, match=r"NN\.save"):
            model.save(tmp_path / "model")
        assert not list(tmp_path.iterdir())

    def test_every_kind_has_a_reader_that_is_there(self):
        assert set(READERS) == {"NN", "Model", "MLPClassifier", "MLPRegressor"} | {
            "ImageClassifier",
            "TabularClassifier",
            "TabularRegressor",
        }


class TestRefusals:
    def file_with(self, tmp_path, change):
        """A file of which something was changed, with a checksum that is right."""
        path = tmp_path / "model"
        model_of(averaging=0.5).save(path)
        tensors, metadata = read_tensors(path)
        change(tensors, metadata)
        write_tensors(path, tensors, metadata)
        return path

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("dtype", "float64"),
            ("dtype", "int8"),
            ("seed", -1),
            ("seed", 2**64),
            ("steps", -1),
            ("steps", 2**63),
            ("steps", "3"),
            ("epochs_done", None),
            ("samples_done", 1.5),
        ],
    )
    def test_states_that_make_no_sense(self, tmp_path, key, value):
        def change(tensors, metadata):
            state = json.loads(metadata["state"])
            metadata["state"] = json.dumps({**state, key: value})

        path = self.file_with(tmp_path, change)
        with pytest.raises(ModelFileError, match="settings and weights of a Model"):
            cnn_core.load(path)

    @pytest.mark.parametrize("key", ["network", "state"])
    @pytest.mark.parametrize("text", ["", "3", "null", "[]", "{}", "[" * 100_000])
    def test_metadata_of_another_kind(self, tmp_path, key, text):
        path = self.file_with(tmp_path, lambda tensors, metadata: metadata.update({key: text}))
        with pytest.raises(ModelFileError):
            cnn_core.load(path)

    def test_metadata_that_are_missing(self, tmp_path):
        path = self.file_with(tmp_path, lambda tensors, metadata: metadata.pop("state"))
        with pytest.raises(ModelFileError, match="state"):
            cnn_core.load(path)

    @pytest.mark.parametrize("kind", ["Forest", "", "os.system"])
    def test_kinds_that_this_version_does_not_know(self, tmp_path, kind):
        path = self.file_with(tmp_path, lambda tensors, metadata: metadata.update(kind=kind))
        with pytest.raises(ModelFileError, match=f"found '{kind}'; a newer cnn_core may read it"):
            cnn_core.load(path)

    @pytest.mark.parametrize(
        ("name", "array"),
        [
            ("layers.0.weights", np.zeros((8, 6), np.float32)),
            ("layers.0.weights", np.zeros((6, 8), np.float64)),
            ("layers.0.mean", np.zeros(9, np.float32)),
            ("moments", np.zeros((1, 10), np.float32)),
            ("average", np.zeros((), np.float32)),
            ("layers.3.bias", np.zeros(3, np.float32)),
        ],
        ids=lambda value: str(getattr(value, "shape", value)),
    )
    def test_arrays_that_are_not_those_of_the_network(self, tmp_path, name, array):
        path = self.file_with(tmp_path, lambda tensors, metadata: tensors.update({name: array}))
        with pytest.raises(ModelFileError, match="settings and weights of a Model"):
            cnn_core.load(path)

    def test_an_array_under_another_name(self, tmp_path):
        def change(tensors, metadata):
            tensors["layers.2.tilt"] = tensors.pop("layers.2.bias")

        with pytest.raises(ModelFileError, match=r"layers\.2\.bias, layers\.2\.tilt"):
            cnn_core.load(self.file_with(tmp_path, change))

    def test_sizes_are_compared_before_memory_is_taken(self, tmp_path):
        def change(tensors, metadata):
            network = json.loads(metadata["network"])
            network["layers"][0]["fan_in"] = 10**15
            metadata["network"] = json.dumps(network)

        with pytest.raises(ModelFileError, match=r"the network takes \d+ numbers, the file has"):
            cnn_core.load(self.file_with(tmp_path, change))

    @pytest.mark.parametrize("part", [0.01, 0.5, 0.99])
    def test_a_truncated_file(self, tmp_path, part):
        path = tmp_path / "model"
        model_of().save(path)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * part)])
        with pytest.raises(ModelFileError):
            cnn_core.load(path)

    def test_a_byte_that_was_changed(self, tmp_path):
        path = tmp_path / "model"
        model_of().save(path)
        content = bytearray(path.read_bytes())
        content[-100] ^= 1
        path.write_bytes(content)
        with pytest.raises(ModelFileError, match="damaged"):
            cnn_core.load(path)

    def test_a_wrong_backend_is_no_error_of_the_file(self, tmp_path):
        model_of().save(tmp_path / "model")
        with pytest.raises(ValueError, match="found 'cuda'") as caught:
            cnn_core.load(tmp_path / "model", backend="cuda")
        assert not isinstance(caught.value, ModelFileError)


class TestAnOlderFile:
    """It was written by version 1 of the format, and is kept in the sources as it was."""

    SAMPLES = ((1, 2, 3), (-1, 0, 1))

    @pytest.fixture
    def net(self, source_tree, name):
        return cnn_core.load(
            source_tree / "tests" / "golden" / "nn_version_1.safetensors", backend=name
        )

    def test_is_read(self, net):
        assert isinstance(net, NN)
        np.testing.assert_allclose(
            net.predict(self.SAMPLES),
            [[0.3920104205608368, 0.5899150371551514], [0.37489965558052063, 0.5732831954956055]],
            rtol=1e-6,
        )
        np.testing.assert_allclose(
            net.history["loss"], [0.24318324814569, 0.23568143088853244, 0.2311914408073273]
        )
        assert (net.lr, net.epochs, net.batch_size, net.seed) == (0.5, 3, 5, 7)
        assert net.input_scale == 0.5

    def test_is_trained_on_as_the_version_that_wrote_it_did(self, net):
        x = np.random.RandomState(0).normal(size=(20, 3))
        net.fit(x, (x[:, 0] > 0).astype(int))
        np.testing.assert_allclose(
            net.predict(self.SAMPLES),
            [[0.37303054332733154, 0.6353648900985718], [0.35975566506385803, 0.6156188249588013]],
            rtol=1e-5,
        )
        np.testing.assert_allclose(
            net.history["loss"][3:],
            [0.22697317582833287, 0.22453115734917847, 0.22396833745908618],
            rtol=1e-6,
        )
