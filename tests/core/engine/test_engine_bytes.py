"""Samples of bytes train with the bits of the same numbers as floats."""

from __future__ import annotations

import numpy as np
import pytest

from memory_peak import memory_peak
from networks import network, parameters_for

pytestmark = pytest.mark.covering


class TestBytes:
    """Samples as bytes are what the same numbers are as real ones, multiplied by the scale."""

    SCALE = 1 / 255

    def both(self, backend, dtype, rng, **settings):
        """An engine that takes bytes, one that takes real samples, and what each takes."""
        units = [35, 21, 4]
        x = rng.integers(0, 256, (45, 35), np.uint8)
        t = rng.random((45, 4)).astype(dtype)
        scaled = x.astype(dtype) * dtype.type(self.SCALE)
        engines, parameters = [], []
        for scale in (self.SCALE, 1.0):
            net = network(units, "relu", "softmax", "cross_entropy", input_scale=scale, **settings)
            parameters.append(parameters_for(np.random.default_rng(1), net, dtype))
            engines.append(backend.engine(net, parameters[-1]))
        return engines, parameters, (x, scaled), t

    @pytest.mark.parametrize("batch_size", [1, 2, 7, 16, 64])
    @pytest.mark.parametrize("ordered", [False, True])
    def test_train_with_the_same_bits(self, backend, dtype, rng, batch_size, ordered):
        engines, parameters, samples, t = self.both(backend, dtype, rng, dropout=0.2)
        order = rng.permutation(45).astype(np.intp) if ordered else None
        results = [
            engine.train_epoch(x, t, order, batch_size, 0.1)
            for engine, x in zip(engines, samples, strict=True)
        ]
        assert results[0] == results[1]
        assert np.array_equal(*parameters)

    def test_give_the_same_gradient_and_the_same_outputs(self, backend, dtype, rng):
        engines, parameters, samples, t = self.both(backend, dtype, rng)
        gradients, outputs = [], []
        for engine, x in zip(engines, samples, strict=True):
            gradients.append(np.empty_like(parameters[0]))
            outputs.append(np.empty_like(t))
            engine.gradient(x, t, gradients[-1])
            engine.predict(x, outputs[-1])
        assert np.array_equal(*gradients)
        assert np.array_equal(*outputs)

    def test_real_samples_are_scaled_as_well(self, backend, dtype, rng):
        engines, parameters, (x, scaled), t = self.both(backend, dtype, rng)
        engines[0].train_epoch(x.astype(dtype), t, None, 7, 0.1)
        engines[1].train_epoch(scaled, t, None, 7, 0.1)
        assert np.array_equal(*parameters)

    def test_need_no_scale(self, backend, dtype, rng):
        _, parameters, (x, _), t = self.both(backend, dtype, rng)
        net = network([35, 21, 4])
        outputs = [np.empty_like(t), np.empty_like(t)]
        engine = backend.engine(net, parameters[0])
        engine.predict(x, outputs[0])
        engine.predict(x.astype(dtype), outputs[1])
        assert np.array_equal(*outputs)

    def test_the_articles_rule_takes_them(self, backend, dtype, rng):
        x = rng.integers(0, 256, (9, 5), np.uint8)
        t = rng.random((9, 2)).astype(dtype)
        ways = []
        for scale, samples in ((0.25, x), (1.0, x.astype(dtype) * dtype.type(0.25))):
            net = network([5, 4, 2], rule="article", input_scale=scale)
            parameters = parameters_for(np.random.default_rng(1), net, dtype, bias_rows=9)
            outputs = np.empty_like(t)
            engine = backend.engine(net, parameters)
            result = engine.train_epoch(samples, t, None, 9, 0.1)
            engine.predict(samples, outputs)
            ways.append((result, parameters.tolist(), outputs.tolist()))
        assert ways[0] == ways[1]

    @pytest.mark.parametrize("ordered", [False, True])
    @pytest.mark.parametrize("kind", [np.uint8, np.float32])
    def test_no_samples_are_copied_as_a_whole(self, backend, rng, kind, ordered):
        samples = 20_000
        x = rng.integers(0, 2, (samples, 400)).astype(kind)
        t = np.zeros((samples, 2), np.float32)
        net = network([400, 3, 2], input_scale=1 / 255 if kind == np.uint8 else 1)
        engine = backend.engine(net, parameters_for(rng, net, np.float32))
        order = rng.permutation(samples).astype(np.intp) if ordered else None
        with memory_peak() as peak:
            engine.train_epoch(x, t, order, 100, 0.1)
            engine.predict(x, t)
        assert peak.bytes < samples * 400 / 2
