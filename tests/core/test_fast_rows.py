"""One row, several together, bytes and spaced rows: each gives the bits of the others."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from test_reproducibility import LEAST_SHARED_WORK

from cnn_core import backends
from cnn_core.optimizers import SGD, Adam
from corpus import HEADS
from fast_paths import compiled_engine, normalized, parameters_and_samples, relative_to_largest
from networks import HIDDEN, away_from_kinks, network, parameters_for
from tolerances import GRADIENT_EPS, TRAJECTORY_EPS

pytestmark = pytest.mark.covering

# Widths at which the rows of a batch are spaced apart, next to some at which they are not.
SPACED = [
    [64, 128, 32],
    [256, 64, 128, 16],
    [32, 32, 32],
    [16, 8, 16],
    [512, 256, 1],
    [31, 128, 33, 64],
]


# Widths on both sides of a strip's, and inputs beyond one block of a sum.
ONE_ROW = [
    [7, 1, 3],
    [33, 16, 15],
    [64, 128, 256, 10],
    [401, 129, 65],
    [30, 513, 127, 8],
    [1201, 31],
]


@pytest.mark.compiled
class TestOneRow:
    """A row alone is multiplied in wider strips than the rows of a batch, and its way back is the
    product of the transposes."""

    @pytest.mark.parametrize("units", ONE_ROW, ids=str)
    def test_is_predicted_with_the_same_bits_as_in_a_batch(self, dtype, rng, units):
        for hidden, (output, loss) in itertools.product(HIDDEN, HEADS):
            net = network(units, hidden, output, loss)
            parameters, x, _ = parameters_and_samples(rng, net, 23, dtype)
            engine = compiled_engine(net, parameters)
            together, alone = (np.empty((23, net.n_outputs), dtype) for _ in range(2))
            engine.predict(x, together)
            for row in range(23):
                engine.predict(x[row : row + 1], alone[row : row + 1])
            assert np.array_equal(alone, together)

    @pytest.mark.parametrize(
        ("fan_in", "fan_out"), [(1, 5), (129, 3), (64, 256), (513, 70), (17, 1201), (256, 128)]
    )
    def test_has_the_same_gradient_bits_as_in_a_batch(self, dtype, rng, fan_in, fan_out):
        kernels = backends.get("cython").kernels(dtype)
        weights = rng.normal(size=(fan_in, fan_out)).astype(dtype)
        delta = rng.normal(size=(9, fan_out)).astype(dtype)
        x = np.zeros((9, fan_in), dtype)
        together, alone = np.empty_like(x), np.empty_like(x)
        kernels.dense_backward(x, weights, delta, grad_x=together)
        for row in range(9):
            one = slice(row, row + 1)
            kernels.dense_backward(x[one], weights, delta[one], grad_x=alone[one])
        assert np.array_equal(alone, together)

    @pytest.mark.parametrize("units", ONE_ROW, ids=str)
    def test_has_the_references_gradient(self, dtype, rng, units):
        net = network(units, "tanh", "softmax", "cross_entropy")
        parameters, x, t = parameters_and_samples(rng, net, 1, dtype)
        gradients = []
        for name, array in (("cython", parameters), ("numpy", parameters.astype(np.float64))):
            gradients.append(np.empty_like(array))
            engine = backends.get(name).engine(net, array)
            engine.gradient(x.astype(array.dtype), t.astype(array.dtype), gradients[-1])
        tolerance = GRADIENT_EPS * float(np.finfo(dtype).eps)
        for found, wanted in zip(*map(net.unflatten, gradients), strict=True):
            for error in relative_to_largest(found, wanted):
                assert error <= tolerance


@pytest.mark.compiled
class TestPredictedTogether:
    """Many samples are predicted in parts, and each part by several threads."""

    @pytest.mark.parametrize("normalization", [None, "batch", "layer"])
    @pytest.mark.parametrize("threads", [1, 2, 3, 4])
    def test_gives_row_by_row_the_same_bits(self, dtype, rng, threads, normalization):
        net = normalized([150, 130, 64, 5], normalization)
        # From 40 samples on they are shared; why, see test_reproducibility.py.
        assert net.n_parameters() * 40 >= LEAST_SHARED_WORK
        parameters, x, _ = parameters_and_samples(rng, net, 700, dtype)
        engine = compiled_engine(net, parameters, threads=threads)
        alone = np.empty((700, 5), dtype)
        for row in range(700):
            engine.predict(x[row : row + 1], alone[row : row + 1])
        for samples in (1, 2, 5, 6, 7, 13, 40, 255, 256, 257, 700):
            together = np.empty((samples, 5), dtype)
            engine.predict(x[:samples], together)
            assert np.array_equal(together, alone[:samples])
            assert np.array_equal(engine.predictor(samples)(x[:samples]), together)

    @pytest.mark.parametrize("samples", [1, 60, 300])
    def test_reports_what_is_not_finite_among_those_samples_alone(self, dtype, rng, samples):
        net = network([5, 4, 3])
        parameters, x, _ = parameters_and_samples(rng, net, samples + 600, dtype)
        x[samples:] = np.nan
        out = np.empty((samples, 3), dtype)
        engine = compiled_engine(net, parameters)
        assert engine.predict(x[:samples], out)
        for row in range(samples):
            kept, x[row, row % 5] = x[row, row % 5], np.inf
            assert not engine.predict(x[:samples], out)
            x[row, row % 5] = kept


class TestBytes:
    """Samples are kept as bytes and become real numbers while they are gathered."""

    # Looked ahead, in one part, on several threads, in several parts.
    @pytest.mark.parametrize(
        ("samples", "batch_size", "threads"), [(45, 1, 1), (45, 7, 2), (200, 64, 3), (900, 600, 2)]
    )
    @pytest.mark.parametrize("optimizer", [SGD(), Adam()], ids=str)
    def test_train_with_the_bits_of_the_same_numbers(
        self, backend, dtype, rng, samples, batch_size, threads, optimizer
    ):
        scale = 1 / 255
        x = rng.integers(0, 256, (samples, 130), np.uint8)
        t = rng.random((samples, 10)).astype(dtype)
        order = rng.permutation(samples).astype(np.intp)
        real = x.astype(dtype)
        ways = []
        for array, scaled in ((x, scale), (real, scale), (real * dtype.type(scale), 1.0)):
            net = network(
                [130, 64, 10], "relu", dropout=0.2, optimizer=optimizer, input_scale=scaled
            )
            parameters = parameters_for(np.random.default_rng(1), net, dtype)
            engine = backend.engine(net, parameters, seed=8, threads=threads)
            epochs = [engine.train_epoch(array, t, order, batch_size, 0.01) for _ in range(2)]
            outputs = np.empty_like(t)
            engine.predict(array, outputs)
            arrays = (parameters, engine.moments, outputs)
            ways.append((epochs, *(values.tobytes() for values in arrays)))
        assert ways[0] == ways[1] == ways[2]


@pytest.mark.compiled
class TestSpacedRows:
    """Rows of an even number of cache lines are kept apart, so that no two share a place there."""

    @pytest.mark.parametrize("units", SPACED, ids=str)
    @pytest.mark.parametrize("batch_size", [1, 50, 300])
    @pytest.mark.parametrize("optimizer", [SGD(), Adam(epsilon=0.01)], ids=str)
    def test_train_as_the_reference_does(self, dtype, rng, units, batch_size, optimizer):
        net = network(units, "tanh", "sigmoid", dropout=0.1, optimizer=optimizer)
        x, t, start = away_from_kinks(rng, net, min(12 * batch_size, 320), dtype)
        results = []
        for name in ("cython", "numpy"):
            parameters = start.copy()
            engine = backends.get(name).engine(net, parameters, seed=2)
            losses = [engine.train_epoch(x, t, None, batch_size, 0.01)[0] for _ in range(2)]
            outputs = np.empty_like(t)
            engine.predict(x, outputs)
            results.append((parameters, engine.moments, losses, outputs))
        tolerance = TRAJECTORY_EPS * float(np.finfo(dtype).eps)
        for own, reference in zip(*results, strict=True):
            np.testing.assert_allclose(own, reference, rtol=tolerance, atol=tolerance)
