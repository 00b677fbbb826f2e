"""Settings that change nothing, clipping by the norm, and samples that wait for their batch."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_core import backends
from cnn_core.optimizers import SGD, Adam
from fast_paths import compiled_engine, normalized, parameters_and_samples, relative_to_largest
from networks import network
from tolerances import GRADIENT_EPS, TRAJECTORY_EPS

pytestmark = pytest.mark.covering


@pytest.mark.compiled
class TestSamplesThatWait:
    """Where a layer is normalized over the batch all its samples come together, twice a step."""

    # Not two: normalized they are -1 and 1 whatever the weights, whose gradient is rounding alone.
    @pytest.mark.parametrize("samples", [1, 7, 48, 256, 257, 900])
    @pytest.mark.parametrize("units", [[30, 64, 5], [30, 70, 19, 65, 5]], ids=str)
    @pytest.mark.parametrize("threads", [1, 3])
    def test_have_the_references_gradient(self, dtype, rng, units, samples, threads):
        self.compare_gradients(normalized(units, "batch"), dtype, rng, samples, threads)

    @pytest.mark.parametrize(
        "kinds", [(None, None, "batch"), ("layer", "batch"), ("batch", None, "layer")], ids=str
    )
    def test_have_it_among_layers_whose_samples_do_not_wait(self, dtype, rng, kinds):
        net = normalized([20, 14, 33, 9, 26, 7, 4], *kinds)
        self.compare_gradients(net, dtype, rng, 60, 2)

    def compare_gradients(self, net, dtype, rng, samples, threads):
        parameters, x, t = parameters_and_samples(rng, net, samples, dtype)
        gradients, losses = [], []
        for name, real in (("cython", dtype), ("numpy", np.float64)):
            gradients.append(np.empty(parameters.size, real))
            engine = backends.get(name).engine(
                net, parameters.astype(real), seed=5, threads=threads
            )
            losses.append(engine.gradient(x.astype(real), t.astype(real), gradients[-1]))
        tolerance = GRADIENT_EPS * float(np.finfo(dtype).eps)
        assert losses[0] == pytest.approx(losses[1], rel=tolerance)
        for found, wanted in zip(*map(net.unflatten, gradients), strict=True):
            # What a bias before its normalization would get is nothing but rounding.
            for error in relative_to_largest(found, wanted):
                assert error <= tolerance

    @pytest.mark.parametrize("batch_size", [33, 300])
    def test_train_as_the_reference_does(self, dtype, rng, batch_size):
        net = normalized([30, 64, 33, 5], "batch", optimizer=Adam(epsilon=0.01))
        start, x, t = parameters_and_samples(rng, net, 700, dtype)
        results = []
        for name in ("cython", "numpy"):
            parameters = start.copy()
            engine = backends.get(name).engine(net, parameters, seed=5)
            losses = [engine.train_epoch(x, t, None, batch_size, 0.005)[0] for _ in range(2)]
            outputs = np.empty_like(t)
            engine.predict(x, outputs)
            results.append((parameters, engine.moments, engine.statistics, losses, outputs))
        tolerance = TRAJECTORY_EPS * float(np.finfo(dtype).eps)
        for own, reference in zip(*results, strict=True):
            np.testing.assert_allclose(own, reference, rtol=tolerance, atol=tolerance)

    def test_keep_their_averages_as_they_are_where_no_step_is_taken(self, dtype, rng):
        net = normalized([30, 64, 5], "batch")
        parameters, x, t = parameters_and_samples(rng, net, 40, dtype)
        engine = compiled_engine(net, parameters)
        engine.gradient(x, t, np.empty_like(parameters))
        engine.predict(x, t)
        assert np.array_equal(engine.statistics, net.first_statistics(dtype))


class TestClippedByNorm:
    """The whole gradient is there before the step, which otherwise it never is."""

    NET = ([30, 64, 19, 5], "tanh", "softmax", "cross_entropy", 0.25)

    @pytest.mark.parametrize("optimizer", [SGD(), Adam(epsilon=0.01)], ids=str)
    @pytest.mark.parametrize("samples", [5, 300])
    def test_a_gradient_that_is_shorter_is_left_alone(
        self, backend, dtype, rng, optimizer, samples
    ):
        found = []
        for limit in (None, 1e6):
            net = network(*self.NET, optimizer=optimizer, clip_norm=limit, l2=0.3)
            parameters, x, t = parameters_and_samples(np.random.default_rng(1), net, samples, dtype)
            backend.engine(net, parameters, seed=5).train_epoch(x, t, None, 100, 0.1)
            found.append(parameters)
        tolerance = TRAJECTORY_EPS * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(*found, rtol=tolerance, atol=tolerance)

    @pytest.mark.parametrize("samples", [5, 300])
    def test_a_longer_one_is_brought_to_the_limit(self, backend, dtype, rng, samples):
        net = network(*self.NET, clip_norm=1e-3, l2=0.3)
        parameters, x, t = parameters_and_samples(rng, net, samples, dtype)
        before, gradient = parameters.astype(np.float64), np.empty_like(parameters)
        engine = backend.engine(net, parameters, seed=5)
        engine.gradient(x, t, gradient)
        engine.train_epoch(x, t, None, samples, 100.0)
        wide = gradient.astype(np.float64)
        expected = before - 100.0 * 1e-3 * wide / np.linalg.norm(wide)
        tolerance = TRAJECTORY_EPS * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(parameters, expected, rtol=tolerance, atol=tolerance)


class TestSettingsThatChangeNothing:
    """What is general and what is fast meet where a setting has no effect."""

    @pytest.mark.parametrize("batch_size", [1, 16, 300])
    @pytest.mark.parametrize(
        "way",
        [
            {"rates": True},
            {"weights": 1.0},
            # All weights together decide, not their size.
            {"weights": 0.25},
            {"clip_value": 1e9},
            {"averaging": 0.5},
            {"l2": 1e-30},
        ],
        ids=str,
    )
    def test_gives_what_is_given_without_it(self, backend, dtype, rng, batch_size, way):
        results = []
        for settings in ({}, dict(way)):
            rng = np.random.default_rng(3)
            rates, weights = settings.pop("rates", False), settings.pop("weights", None)
            net = network([70, 60, 5], "tanh", "softmax", "cross_entropy", **settings)
            parameters, x, t = parameters_and_samples(rng, net, 600, dtype)
            order = rng.permutation(600).astype(np.intp)
            epochs = backend.engine(net, parameters).train_epoch(
                x,
                t,
                order,
                batch_size,
                np.full(-(-600 // batch_size), 0.01) if rates else 0.01,
                None if weights is None else np.full(600, weights, dtype),
            )
            results.append((parameters, *epochs))
        tolerance = TRAJECTORY_EPS * float(np.finfo(dtype).eps)
        for own, other in zip(*results, strict=True):
            np.testing.assert_allclose(own, other, rtol=tolerance, atol=tolerance)
