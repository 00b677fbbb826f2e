"""Samples of dtype uint8, which an `NN` scales itself."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from cnn_core import NN
from memory_peak import memory_peak
from small_nn import small_net


class TestBytes:
    """Samples of dtype uint8, which the network scales."""

    @pytest.fixture
    def images(self, rng):
        x = rng.integers(0, 256, (60, 6)).astype(np.uint8)
        return x, x[:, :3].argmax(axis=1)

    def net(self, name, **settings):
        return small_net(name, **{"input_scale": 1 / 255, **settings})

    def test_every_input_is_multiplied_by_the_scale(self, name, images):
        x, _ = images
        scaled = self.net(name, dtype=np.float64).predict(x)
        expected = small_net(name, dtype=np.float64).predict(x / 255)
        np.testing.assert_allclose(scaled, expected, rtol=1e-13)

    def test_bytes_and_the_same_numbers_as_floats_give_the_same_bits(self, name, dtype, images):
        x, labels = images
        as_bytes, as_floats = self.net(name, dtype=dtype), self.net(name, dtype=dtype)
        for values in (x, x.astype(dtype)):
            assert np.array_equal(as_bytes.predict(values), as_floats.predict(x))
        as_bytes.fit(x[:40], labels[:40], validation=(x[40:], labels[40:]))
        y = x.astype(dtype)
        as_floats.fit(y[:40], labels[:40], validation=(y[40:], labels[40:]))
        assert as_bytes.backprop(x, labels) == as_floats.backprop(y, labels)
        assert np.array_equal(as_bytes.predict(x), as_floats.predict(x))
        seconds = {"seconds": []}
        assert {**as_bytes.history, **seconds} == {**as_floats.history, **seconds}

    def test_the_articles_rule_takes_them_too(self, name, images):
        x, labels = images
        as_bytes = self.net(name, rule="article").fit(x, labels)
        as_floats = self.net(name, rule="article").fit(x.astype(float), labels)
        assert np.array_equal(as_bytes.predict(x), as_floats.predict(x))

    def test_any_layout_of_them_is_taken(self, name, images):
        x, labels = images
        expected = self.net(name).fit(x, labels).predict(x)
        read_only = x.copy()
        read_only.flags.writeable = False
        forms = {
            "columns first": np.asfortranarray(x),
            "every other": np.repeat(x, 2, axis=0)[::2],
            "backwards": x[::-1].copy()[::-1],
            "read-only": read_only,
            "unpickled": pickle.loads(pickle.dumps(x)),
            "another integer": x.astype(np.int16),
            "big-endian": x.astype(">u4"),
        }
        for form, values in forms.items():
            found = self.net(name).fit(values, labels).predict(values)
            assert np.array_equal(found, expected), form

    @pytest.mark.parametrize("sample_dtype", [np.uint8, np.float32])
    def test_what_fits_is_trained_on_without_a_copy(self, name, sample_dtype):
        x = np.zeros((40_000, 200), sample_dtype)
        labels = np.zeros(len(x), np.uint8)
        net = NN(200, 4, 3, 0.5, 1, batch_size=500, backend=name)
        with memory_peak() as peak:
            net.fit(x, labels, validation=(x, labels))
        assert peak.bytes < x.nbytes

    def test_one_value_of_another_dtype_is_still_checked(self, name):
        with pytest.raises(ValueError, match="not finite"):
            self.net(name).predict(np.full((1, 6), np.nan, np.float16))
