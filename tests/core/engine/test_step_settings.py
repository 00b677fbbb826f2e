"""Normalization, sample weights, L2, clipping, averaging and rates do what they say to a step."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_core.network import NORMALIZATIONS, STATISTICS_MOMENTUM, Huber
from cnn_core.optimizers import Adam
from networks import data, network, parameters_for
from tolerances import STEP_EPS

pytestmark = pytest.mark.covering


class TestNormalization:
    def engine(self, backend, rng, dtype, normalization="batch", **settings):
        net = network([4, 6, 3], "tanh", "identity", normalization=normalization, **settings)
        parameters = parameters_for(rng, net, dtype)
        return net, parameters, backend.engine(net, parameters)

    @pytest.mark.parametrize("samples", [2, 9])
    def test_a_step_moves_the_running_averages_towards_the_batch(
        self, backend, dtype, rng, samples
    ):
        net, parameters, engine = self.engine(backend, rng, dtype)
        x, t = data(rng, [4, 3], samples, dtype)
        engine.statistics[:] = rng.random(12)
        before = net.unflatten_statistics(engine.statistics.copy())[0]
        u = x.astype(float) @ net.unflatten(parameters)[0].weights.astype(float)
        batch = u.mean(axis=0), u.var(axis=0, ddof=1)
        engine.train_epoch(x, t, None, samples, 0.1)
        after = net.unflatten_statistics(engine.statistics)[0]
        for old, new, now in zip(before, after, batch, strict=True):
            expected = old + STATISTICS_MOMENTUM * (now - old)
            np.testing.assert_allclose(new, expected, rtol=1e-5, atol=1e-6)

    def test_neither_a_gradient_nor_a_prediction_moves_anything(self, backend, dtype, rng):
        _, parameters, engine = self.engine(backend, rng, dtype, averaging=0.9)
        x, t = data(rng, [4, 3], 9, dtype)
        arrays = (parameters, engine.statistics, engine.average)
        before = [array.copy() for array in arrays]
        engine.gradient(x, t, np.empty_like(parameters))
        engine.predict(x, t)
        engine.predictor(9)(x)
        assert all(map(np.array_equal, arrays, before))

    @pytest.mark.parametrize("samples", [1, 5, 1300])
    def test_a_prediction_goes_by_the_running_averages(self, backend, dtype, rng, samples):
        net, parameters, engine = self.engine(backend, rng, dtype)
        engine.statistics[:] = rng.random(12) + 0.1
        x, out = data(rng, [4, 3], samples, dtype)
        engine.predict(x, out)
        first, second = net.unflatten(parameters.astype(float))
        mean, variance = net.unflatten_statistics(engine.statistics.astype(float))[0]
        normal = (x @ first.weights - mean) / np.sqrt(variance + 1e-5)
        a = np.tanh(first.gain * normal + first.bias)
        expected = a @ second.weights + second.bias
        tolerance = STEP_EPS * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(out, expected, rtol=tolerance, atol=tolerance)
        alone = [engine.predictor(1)(row).copy() for row in x[:50]]
        np.testing.assert_allclose(np.concatenate(alone), out[:50], rtol=0, atol=tolerance)

    def test_by_the_layer_each_sample_is_normalized_by_itself(self, backend, dtype, rng):
        _, parameters, engine = self.engine(backend, rng, dtype, "layer")
        x, t = data(rng, [4, 3], 7, dtype)
        out, gradient, whole = (
            np.empty_like(t),
            np.empty_like(parameters),
            np.empty_like(parameters),
        )
        engine.predict(x, out)
        engine.gradient(x, t, whole)
        total = np.zeros_like(parameters)
        for row in range(7):
            one = slice(row, row + 1)
            alone = np.empty_like(t[one])
            engine.predict(x[one], alone)
            np.testing.assert_allclose(alone, out[one], rtol=1e-5, atol=1e-6)
            engine.gradient(x[one], t[one], gradient)
            total += gradient / 7
        np.testing.assert_allclose(whole, total, rtol=1e-5, atol=1e-5)

    def test_a_batch_of_one_sample_has_a_gradient_for_the_bias_alone(self, backend, dtype, rng):
        net, parameters, engine = self.engine(backend, rng, dtype)
        x, t = data(rng, [4, 3], 1, dtype)
        gradient = np.empty_like(parameters)
        engine.gradient(x, t, gradient)
        first = net.unflatten(gradient)[0]
        assert not first.weights.any()
        assert not first.gain.any()
        assert first.bias.all()

    def test_a_batch_of_one_sample_leaves_mean_and_variance(self, backend, dtype, rng):
        net, _, engine = self.engine(backend, rng, dtype)
        x, t = data(rng, [4, 3], 5, dtype)
        engine.train_epoch(x[:4], t[:4], None, 4, 0.1)
        known = engine.statistics.copy()
        assert not np.array_equal(known, net.first_statistics(dtype))
        engine.train_epoch(x[4:], t[4:], None, 4, 0.1)
        assert np.array_equal(engine.statistics, known)


class TestWeights:
    NETWORKS = (
        {},
        {"normalization": "layer"},
        {"loss": Huber(0.2), "output": "identity", "l2": 0.7},
        {"loss": "cross_entropy", "output": "softmax"},
    )

    @pytest.mark.parametrize("settings", NETWORKS, ids=str)
    def test_are_numbers_of_repetitions(self, backend, dtype, rng, settings):
        net = network([4, 6, 3], "tanh", **settings)
        x, t = data(rng, [4, 3], 6, dtype)
        times = np.array([1, 0, 3, 2, 0, 1])
        parameters = parameters_for(rng, net, dtype)
        engine = backend.engine(net, parameters)
        found, expected = np.empty_like(parameters), np.empty_like(parameters)
        loss = engine.gradient(x, t, found, times.astype(dtype))
        wanted = engine.gradient(np.repeat(x, times, axis=0), np.repeat(t, times, axis=0), expected)
        tolerance = STEP_EPS * float(np.finfo(dtype).eps)
        assert loss == pytest.approx(wanted, rel=tolerance)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)

    @pytest.mark.parametrize("batch_size", [1, 4, 30])
    def test_that_are_all_one_change_next_to_nothing(self, backend, dtype, rng, batch_size):
        units = [4, 6, 3]
        net = network(units, "relu", "softmax", "cross_entropy", l2=0.1)
        x, t = data(rng, units, 13, dtype)
        ways, losses = [], []
        for weights in (None, np.ones(13, dtype)):
            ways.append(parameters_for(np.random.default_rng(1), net, dtype))
            engine = backend.engine(net, ways[-1])
            losses.append(engine.train_epoch(x, t, None, batch_size, 0.1, weights))
        tolerance = STEP_EPS * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(*ways, rtol=tolerance, atol=tolerance)
        assert losses[0] == pytest.approx(losses[1], rel=tolerance)

    def test_follow_their_samples_in_any_order_and_weight_the_loss(self, backend, dtype, rng):
        units = [4, 6, 3]
        net = network(units)
        x, t = data(rng, units, 10, dtype)
        weights = rng.random(10).astype(dtype)
        order = rng.permutation(10).astype(np.intp)[:8]
        together = parameters_for(rng, net, dtype)
        apart = together.copy()
        loss, _ = backend.engine(net, together).train_epoch(x, t, order, 3, 0.7, weights)
        engine = backend.engine(net, apart)
        cost = 0.0
        for rows in (order[:3], order[3:6], order[6:]):
            part, _ = engine.train_epoch(x[rows], t[rows], None, 3, 0.7, weights[rows])
            cost += part * weights[rows].sum(dtype=float)
        assert np.array_equal(together, apart)
        assert loss == pytest.approx(cost / weights[order].sum(dtype=float), rel=1e-12)

    def test_that_are_all_zero_change_nothing(self, backend, dtype, rng):
        units = [4, 6, 3]
        net = network(units, l2=0.5)
        x, t = data(rng, units, 10, dtype)
        parameters = parameters_for(rng, net, dtype)
        before, gradient = parameters.copy(), np.empty_like(parameters)
        engine = backend.engine(net, parameters)
        nothing = np.zeros(10, dtype)
        assert engine.gradient(x, t, gradient, nothing) == 0
        assert not gradient.any()
        assert engine.train_epoch(x, t, None, 4, 0.7, nothing)[0] == 0
        assert np.array_equal(parameters, before)
        assert engine.steps == 3


class TestAdditions:
    """What a step can have beside the gradient of the loss and the optimizer's formula."""

    UNITS = (4, 6, 5, 3)

    def gradient_of(self, backend, dtype, **settings):
        rng = np.random.default_rng(1)
        net = network(self.UNITS, "tanh", "softmax", "cross_entropy", **settings)
        x, t = data(rng, self.UNITS, 9, dtype)
        parameters = parameters_for(rng, net, dtype)
        engine = backend.engine(net, parameters)
        gradient = np.empty_like(parameters)
        loss = engine.gradient(x, t, gradient)
        return net, parameters, gradient, loss, engine, (x, t)

    @pytest.mark.parametrize("normalization", [None, *NORMALIZATIONS])
    def test_l2_pulls_at_the_weights_and_at_nothing_else(self, backend, dtype, normalization):
        net, parameters, plain, loss, *_ = self.gradient_of(
            backend, dtype, normalization=normalization
        )
        _, _, found, with_term, *_ = self.gradient_of(
            backend, dtype, normalization=normalization, l2=0.9
        )
        squares = 0.0
        for layer in net.unflatten(parameters):
            squares += (layer.weights.astype(float) ** 2).sum()
        for layer, own in zip(net.unflatten(plain), net.unflatten(parameters), strict=True):
            layer.weights[:] += dtype.type(0.1) * own.weights
        tolerance = STEP_EPS * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(found, plain, rtol=tolerance, atol=tolerance)
        assert with_term == pytest.approx(loss + 0.05 * squares, rel=1e-6)

    def step_of(self, backend, dtype, **settings):
        """How far a plain step with the rate 1 goes, and the gradient that it is made of."""
        _, parameters, gradient, _, engine, (x, t) = self.gradient_of(backend, dtype, **settings)
        before = parameters.copy()
        engine.train_epoch(x, t, None, 9, 1.0)
        return before - parameters, gradient

    @pytest.mark.parametrize("l2", [0.0, 2.0])
    def test_clip_value_limits_every_value_after_the_term_of_l2(self, backend, dtype, l2):
        step, gradient = self.step_of(backend, dtype, l2=l2, clip_value=0.01)
        assert (np.abs(gradient) > 0.02).any()
        assert (np.abs(gradient) < 0.005).any()
        tolerance = STEP_EPS * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(step, np.clip(gradient, -0.01, 0.01), rtol=0, atol=tolerance)

    @pytest.mark.parametrize("l2", [0.0, 2.0])
    @pytest.mark.parametrize("share", [0.3, 0.999, 1.001])
    def test_clip_norm_limits_the_length_of_the_whole_gradient(self, backend, dtype, l2, share):
        _, gradient = self.step_of(backend, dtype, l2=l2)
        norm = float(np.linalg.norm(gradient.astype(float)))
        step, _ = self.step_of(backend, dtype, l2=l2, clip_norm=share * norm)
        tolerance = STEP_EPS * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(step, gradient * min(share, 1), rtol=0, atol=tolerance)

    @pytest.mark.parametrize("settings", [{}, {"optimizer": Adam()}, {"l2": 0.1}], ids=str)
    def test_the_average_follows_the_parameters(self, backend, dtype, rng, settings):
        net = network(self.UNITS, averaging=0.3, **settings)
        x, t = data(rng, self.UNITS, 20, dtype)
        parameters = parameters_for(rng, net, dtype)
        engine = backend.engine(net, parameters)
        expected = parameters.astype(float)
        for step in range(1, 11):
            engine.train_epoch(x, t, None, 20, 0.5)
            # 2 / 11, 3 / 12, then 0.3.
            decay = min(0.3, (1 + step) / (10 + step))
            expected += (1 - decay) * (parameters - expected)
        tolerance = STEP_EPS * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(engine.average, expected, rtol=tolerance, atol=tolerance)

    def test_averaging_does_not_change_the_parameters(self, backend, dtype, rng):
        x, t = data(rng, self.UNITS, 20, dtype)
        ways = []
        for averaging in (0.0, 0.9):
            net = network(self.UNITS, averaging=averaging, optimizer=Adam())
            ways.append(parameters_for(np.random.default_rng(1), net, dtype))
            backend.engine(net, ways[-1]).train_epoch(x, t, None, 3, 0.1)
        assert np.array_equal(*ways)

    @pytest.mark.parametrize("settings", [{}, {"optimizer": Adam()}, {"clip_norm": 0.1}], ids=str)
    @pytest.mark.parametrize("batch_size", [1, 3, 32])
    def test_every_step_can_have_its_own_rate(self, backend, dtype, rng, settings, batch_size):
        net = network(self.UNITS, **settings)
        x, t = data(rng, self.UNITS, 20, dtype)
        order = rng.permutation(20).astype(np.intp)
        rates = rng.random(-(-20 // batch_size))
        together = parameters_for(rng, net, dtype)
        apart = together.copy()
        backend.engine(net, together).train_epoch(x, t, order, batch_size, rates)
        engine = backend.engine(net, apart)
        for step, rate in enumerate(rates):
            rows = order[step * batch_size : (step + 1) * batch_size]
            engine.train_epoch(x, t, rows, batch_size, float(rate))
        assert np.array_equal(together, apart)

    @pytest.mark.parametrize("batch_size", [1, 3, 32])
    def test_rates_that_are_all_the_same_are_one_rate(self, backend, dtype, rng, batch_size):
        net = network(self.UNITS, optimizer=Adam())
        x, t = data(rng, self.UNITS, 20, dtype)
        ways = []
        for rates in (0.25, np.full(-(-20 // batch_size), 0.25)):
            ways.append(parameters_for(np.random.default_rng(1), net, dtype))
            backend.engine(net, ways[-1]).train_epoch(x, t, None, batch_size, rates)
        assert np.array_equal(*ways)
