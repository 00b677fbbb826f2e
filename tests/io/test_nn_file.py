"""An `NN` in a file, copied and pickled."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest

import cnn_core
from cnn_core.model_file import ModelFileError, read_tensors, write_tensors
from learnable import labelled
from small_nn import small_net


@pytest.fixture
def data(rng):
    return labelled(rng)


class TestFiles:
    def test_a_loaded_network_trains_on_like_the_saved_one(self, name, data, tmp_path):
        net = small_net(name).fit(*data)
        net.save(tmp_path / "net")
        again = cnn_core.load(tmp_path / "net", backend=name)
        assert np.array_equal(again.predict(data[0]), net.predict(data[0]))
        assert again.history == net.history
        assert repr(again) == repr(net)
        assert np.array_equal(again.fit(*data).predict(data[0]), net.fit(*data).predict(data[0]))

    def test_a_schedule_over_all_samples_seen_continues_from_a_file(self, name, data, tmp_path):
        net = small_net(name).fit(*data, schedule="inverse_scaling")
        net.save(tmp_path / "net")
        again = cnn_core.load(tmp_path / "net", backend=name)
        for one in (net, again):
            one.fit(*data, schedule="inverse_scaling")
        assert again.history["learning_rate"] == net.history["learning_rate"]
        assert np.array_equal(again.wih, net.wih)

    @pytest.mark.parametrize("fitted", [False, True])
    def test_the_articles_biases_are_kept(self, name, data, tmp_path, fitted):
        net = small_net(name, rule="article")
        if fitted:
            net.fit(*data)
        net.save(tmp_path / "net")
        again = cnn_core.load(tmp_path / "net", backend=name)
        assert np.array_equal(again.predict(data[0]), net.predict(data[0]))
        assert np.array_equal(again.bih, net.bih)

    def test_the_scale_of_the_inputs_is_kept(self, name, data, tmp_path):
        net = small_net(name, input_scale=1 / 255)
        net.save(tmp_path / "net")
        again = cnn_core.load(tmp_path / "net", backend=name)
        assert again.input_scale == 1 / 255
        assert np.array_equal(again.predict(data[0]), net.predict(data[0]))

    def test_a_file_from_before_there_was_a_scale_has_none(self, name, data, tmp_path):
        net = small_net(name)
        net.save(tmp_path / "net")
        tensors, metadata = read_tensors(tmp_path / "net")
        settings = json.loads(metadata["network"])
        del settings["input_scale"]
        write_tensors(tmp_path / "net", tensors, {"network": json.dumps(settings)})
        again = cnn_core.load(tmp_path / "net", backend=name)
        assert again.input_scale == 1
        assert np.array_equal(again.predict(data[0]), net.predict(data[0]))

    def test_loading_leaves_the_global_generator_alone(self, name, tmp_path):
        small_net(name, seed=None).save(tmp_path / "net")
        np.random.seed(3)
        expected = np.random.random_sample()
        np.random.seed(3)
        assert cnn_core.load(tmp_path / "net").seed is None
        assert np.random.random_sample() == expected

    def test_tensors_have_the_names_and_shapes_of_the_attributes(self, name, tmp_path):
        net = small_net(name)
        net.save(tmp_path / "net")
        tensors, _ = read_tensors(tmp_path / "net")
        assert set(tensors) == {"wih", "who", "bih", "bho"}
        for key, tensor in tensors.items():
            assert np.array_equal(tensor, getattr(net, key))

    def test_a_hundred_thousand_epochs_of_history_are_kept(self, name, tmp_path):
        net = small_net(name)
        net.history = {key: [0.1] * 100_000 for key in ("loss", "accuracy", "seconds")}
        net.save(tmp_path / "net")
        assert cnn_core.load(tmp_path / "net").history == net.history

    def test_a_wrong_backend_is_no_error_of_the_file(self, name, tmp_path):
        small_net(name).save(tmp_path / "net")
        with pytest.raises(ValueError, match="found 'cuda'") as caught:
            cnn_core.load(tmp_path / "net", backend="cuda")
        assert not isinstance(caught.value, ModelFileError)

    def test_sizes_are_compared_before_memory_is_taken(self, name, tmp_path):
        small_net(name).save(tmp_path / "net")
        tensors, metadata = read_tensors(tmp_path / "net")
        settings = json.loads(metadata["network"])
        settings["network"] = [10**9, 10**9, 1]
        write_tensors(tmp_path / "net", tensors, {"network": json.dumps(settings)})
        with pytest.raises(ModelFileError, match="wih: expected the shape"):
            cnn_core.load(tmp_path / "net")

    def test_settings_nested_without_end_are_refused(self, name, tmp_path):
        small_net(name).save(tmp_path / "net")
        tensors, _ = read_tensors(tmp_path / "net")
        write_tensors(tmp_path / "net", tensors, {"network": "[" * 100_000})
        with pytest.raises(ModelFileError):
            cnn_core.load(tmp_path / "net")

    def test_a_file_that_is_no_network_is_refused(self, tmp_path):
        (tmp_path / "text").write_text("not a model")
        with pytest.raises(ModelFileError):
            cnn_core.load(tmp_path / "text")
        with pytest.raises(FileNotFoundError):
            cnn_core.load(tmp_path / "nothing")
        write_tensors(tmp_path / "other", {"w": np.zeros((2, 2))}, {"made": "by someone else"})
        with pytest.raises(ModelFileError, match="settings and weights of an NN"):
            cnn_core.load(tmp_path / "other")

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("class", "Forest"),
            ("network", [6, 5]),
            ("network", [6, 4, 3]),
            ("network", [-6, 5, 3]),
            ("learning_rate", "0.5"),
            ("epochs", None),
            ("rule", "article"),
            ("dtype", "float64"),
            ("dtype", "object"),
            ("shuffle_key", -1),
            ("input_scale", 0),
            ("input_scale", "1"),
        ],
    )
    def test_settings_that_do_not_fit_are_refused(self, name, tmp_path, key, value):
        small_net(name).save(tmp_path / "net")
        tensors, metadata = read_tensors(tmp_path / "net")
        settings = json.loads(metadata["network"])
        settings[key] = value
        write_tensors(tmp_path / "net", tensors, {"network": json.dumps(settings)})
        with pytest.raises(ModelFileError, match="settings and weights of an NN"):
            cnn_core.load(tmp_path / "net")

    @pytest.mark.parametrize("rule", ["exact", "article"])
    @pytest.mark.parametrize("shape", [(), (4,), (0, 10**12), (5, 2, 2), (1,)], ids=str)
    def test_biases_of_another_shape_are_refused(self, name, tmp_path, rule, shape):
        small_net(name, rule=rule).save(tmp_path / "net")
        tensors, metadata = read_tensors(tmp_path / "net")
        tensors["bih"] = np.zeros(shape, tensors["wih"].dtype)
        write_tensors(tmp_path / "net", tensors, metadata)
        with pytest.raises(ModelFileError, match="bih"):
            cnn_core.load(tmp_path / "net", backend=name)

    @pytest.mark.parametrize(
        "way", [copy.copy, copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))]
    )
    def test_copies_are_equal_and_independent(self, name, data, way):
        net = small_net(name).fit(*data)
        twin = way(net)
        before = net.predict(data[0])
        assert np.array_equal(twin.predict(data[0]), before)
        twin.fit(*data)
        assert np.array_equal(net.predict(data[0]), before)
        assert len(net.history["loss"]) == 3
        assert np.array_equal(net.fit(*data).predict(data[0]), twin.predict(data[0]))
