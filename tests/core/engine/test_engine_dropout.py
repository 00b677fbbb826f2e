"""An engine drops the units that the kernel's masks say, and none when it predicts."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_core.optimizers import Adam
from networks import data, masks_of, network, parameters_for
from tolerances import STEP_EPS


class TestDropout:
    def test_the_masks_are_those_of_the_kernel_for_seed_step_layer_and_row(
        self, backend, dtype, rng
    ):
        net = network([4, 30, 25, 3], "tanh", "identity", dropout=0.4)
        x, t = data(rng, [4, 3], 11, dtype)
        parameters = parameters_for(rng, net, dtype)
        engine = backend.engine(net, parameters, seed=2**33 + 7)
        engine.steps = 5
        gradient = np.empty_like(parameters)
        loss = engine.gradient(x, t, gradient)

        wide = [(w, b) for w, b, _ in net.unflatten(parameters.astype(np.float64))]
        masks = masks_of(backend, net, 2**33 + 7, 5, 11, dtype)
        first = np.tanh(x @ wide[0][0] + wide[0][1])
        second = np.tanh(first * masks[0] @ wide[1][0] + wide[1][1])
        y = second * masks[1] @ wide[2][0] + wide[2][1]
        delta = [None, None, (y - t) / 11]
        delta[1] = delta[2] @ wide[2][0].T * masks[1] * (1 - second**2)
        delta[0] = delta[1] @ wide[1][0].T * masks[0] * (1 - first**2)
        inputs = [x, first * masks[0], second * masks[1]]
        expected = [(a.T @ d, d.sum(axis=0)) for a, d in zip(inputs, delta, strict=True)]

        tolerance = STEP_EPS * float(np.finfo(dtype).eps)
        assert loss == pytest.approx(((y - t) ** 2).sum() / 22, rel=tolerance)
        for found, layer in zip(net.unflatten(gradient), expected, strict=True):
            for own, reference in zip(found[:2], layer, strict=True):
                np.testing.assert_allclose(own, reference, rtol=tolerance, atol=tolerance)

    def dropped(self, backend, seed, step, rate=0.3, units=4000):
        """Which units a step over one sample leaves out: their weights above learn nothing."""
        net = network([1, units, 1], output="identity", dropout=rate)
        parameters = np.ones(net.n_parameters())
        engine = backend.engine(net, parameters, seed=seed)
        engine.steps = step
        gradient = np.empty_like(parameters)
        engine.gradient(np.ones((1, 1)), np.zeros((1, 1)), gradient)
        return net.unflatten(gradient)[1][0].ravel() == 0

    @pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
    def test_the_share_that_is_dropped_is_the_rate(self, backend, rate):
        deviation = (rate * (1 - rate) / 4000) ** 0.5
        assert self.dropped(backend, 1, 0, rate).mean() == pytest.approx(rate, abs=5 * deviation)

    def test_every_step_and_every_seed_drops_others_and_the_same_again(self, backend):
        settings = [(0, 0), (0, 1), (0, 2**32 - 1), (1, 0), (2**64 - 1, 0)]
        masks = {tuple(self.dropped(backend, *setting).tolist()) for setting in settings}
        assert len(masks) == len(settings)
        again = {tuple(self.dropped(backend, *setting).tolist()) for setting in settings}
        assert again == masks

    def test_the_steps_of_a_training_are_those_of_the_masks(self, backend, dtype, rng):
        net = network([4, 30, 2], dropout=0.5)
        x, t = data(rng, [4, 2], 12, dtype)
        together = parameters_for(rng, net, dtype)
        apart = together.copy()
        backend.engine(net, together, seed=4).train_epoch(x, t, None, 4, 0.5)
        for step in range(3):
            engine = backend.engine(net, apart, seed=4)
            engine.steps = step
            rows = np.arange(4 * step, 4 * step + 4, dtype=np.intp)
            engine.train_epoch(x, t, rows, 4, 0.5)
        assert np.array_equal(together, apart)

    def test_a_prediction_drops_nothing(self, backend, dtype, rng):
        units = [6, 20, 3]
        x, _ = data(rng, units, 40, dtype)
        outputs = []
        for rate in (0.0, 0.7):
            net = network(units, "relu", dropout=rate)
            parameters = parameters_for(np.random.default_rng(1), net, dtype)
            outputs.append(np.empty((40, 3), dtype))
            backend.engine(net, parameters).predict(x, outputs[-1])
        assert np.array_equal(*outputs)

    def test_the_loss_falls_all_the_same(self, backend, dtype, rng):
        x = rng.normal(size=(200, 8)).astype(dtype)
        t = np.eye(2, dtype=dtype)[(x[:, 0] * x[:, 1] > 0).astype(int)]
        net = network([8, 64, 2], "relu", "softmax", "cross_entropy", 0.2, optimizer=Adam())
        engine = backend.engine(net, parameters_for(rng, net, dtype))
        losses = [engine.train_epoch(x, t, None, 10, 0.01)[0] for _ in range(40)]
        assert losses[-1] < losses[0] / 3
