"""No fast path gives what the general path does not give, beyond rounding.

The compiled engine has several ways to one result, chosen by the sizes: which ones, and what each
is compared with, is said by the classes below.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from test_reproducibility import LEAST_SHARED_WORK

from cnn_core import backends
from cnn_core.network import Dense, Network
from cnn_core.optimizers import SGD, Adam
from corpus import HEADS, OPTIMIZERS
from networks import HIDDEN, away_from_kinks, data, network, parameters_for
from tolerances import FUSED_STEP_ULPS, GRADIENT_EPS, TRAJECTORY_EPS, assert_within

pytestmark = pytest.mark.covering

# Weights of the first layer from which on small steps of plain descent are taken in groups.
LEAST_LOOKED_AHEAD = 4096

# Units whose weights are that many; with the share dropped. One layer, two, deep ones, a number of
# inputs or units that is a multiple of no vector, and one that is a multiple of all.
LOOKED_AHEAD = [
    ([70, 60, 5], 0.0),
    ([410, 10], 0.0),
    ([128, 64, 32, 7], 0.3),
    ([65, 66, 20, 3], 0.2),
    ([784, 128, 10], 0.0),
    ([129, 37, 18, 33, 4], 0.0),
]
WIDE_HEADS = [
    (hidden, *head, LOOKED_AHEAD[number % len(LOOKED_AHEAD)])
    for number, (hidden, head) in enumerate(itertools.product(HIDDEN, HEADS))
]

# Inputs of a layer that are none, some and all of the rows of weights that are improved together.
PLAIN = [[5, 3], [33, 70, 17], [100, 64, 50, 10], [48, 47, 95, 96, 3]]

# Widths at which the rows of a batch are spaced apart, next to some at which they are not.
SPACED = [
    [64, 128, 32],
    [256, 64, 128, 16],
    [32, 32, 32],
    [16, 8, 16],
    [512, 256, 1],
    [31, 128, 33, 64],
]


def compiled_engine(net, parameters, **settings):
    return backends.get("cython").engine(net, parameters, **settings)


def parameters_and_samples(rng, net, samples, dtype):
    x, t = data(rng, [net.n_inputs, net.n_outputs], samples, dtype)
    return parameters_for(rng, net, dtype) * dtype.type(0.3), x, t


def relative_to_largest(found, wanted):
    """The largest error of each array of a layer, relative to the array's largest value."""
    for own, other in zip(found, wanted, strict=True):
        if own is not None:
            yield np.abs(own - other).max() / max(np.abs(other).max(), 1e-30)


class TestPlainDescent:
    """Descent without momentum changes the weights as it sums; else the gradient comes first."""

    @pytest.mark.parametrize("samples", [1, 9, 64, 256])
    @pytest.mark.parametrize("units", PLAIN, ids=str)
    def test_its_step_is_the_update_with_the_gradient(self, backend, dtype, rng, units, samples):
        net = network(units, "tanh", "softmax", "cross_entropy")
        parameters, x, t = parameters_and_samples(rng, net, samples, dtype)
        before, gradient = parameters.copy(), np.empty_like(parameters)
        engine = backend.engine(net, parameters)
        loss = engine.gradient(x, t, gradient)
        assert engine.train_epoch(x, t, None, samples, 0.7)[0] == loss
        expected = before.copy()
        moments = np.empty((0, before.size), dtype)
        backend.kernels(dtype).update(SGD(), expected, gradient, moments, 0.7, 1)
        size = np.abs(before) + 0.7 * np.abs(gradient)
        assert_within(parameters, expected, FUSED_STEP_ULPS * np.finfo(dtype).eps * size)
        assert not np.array_equal(parameters, before)

    def test_it_is_momentum_of_next_to_nothing(self, backend, dtype, rng):
        found = []
        for momentum in (0.0, 1e-30):
            net = network([33, 70, 17], optimizer=SGD(momentum=momentum))
            parameters, x, t = parameters_and_samples(np.random.default_rng(1), net, 50, dtype)
            backend.engine(net, parameters).train_epoch(x, t, None, 50, 0.7)
            found.append(parameters)
        assert_within(*found, FUSED_STEP_ULPS * np.finfo(dtype).eps * (np.abs(found[0]) + 1))


class TestParts:
    """A step on more samples than there is room for has parts, whose gradients add up."""

    SETTINGS = ("tanh", "softmax", "cross_entropy", 0.25)
    # A slope that is found from the pre-activations, also in the last layer.
    OF_Z = ("gelu", "silu", "squared_error", 0.25)

    @pytest.mark.parametrize("settings", [SETTINGS, OF_Z], ids=["softmax", "silu"])
    @pytest.mark.parametrize("samples", [256, 257, 513, 2100])
    def test_their_gradient_is_that_of_the_whole_batch(
        self, backend, dtype, rng, samples, settings
    ):
        net = network([30, 64, 19, 5], *settings)
        parameters, x, t = parameters_and_samples(rng, net, samples, dtype)
        wide = parameters.astype(np.float64)
        gradient, expected = np.empty_like(parameters), np.empty_like(wide)
        loss = backend.engine(net, parameters, seed=5).gradient(x, t, gradient)
        reference = backends.get("numpy").engine(net, wide, seed=5)
        expected_loss = reference.gradient(x.astype(np.float64), t.astype(np.float64), expected)
        tolerance = GRADIENT_EPS * float(np.finfo(dtype).eps)
        assert loss == pytest.approx(expected_loss, rel=tolerance)
        for found, wanted in zip(net.unflatten(gradient), net.unflatten(expected), strict=True):
            for error in relative_to_largest(found, wanted):
                assert error <= tolerance

    @pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
    def test_their_step_is_the_update_with_that_gradient(self, backend, dtype, rng, optimizer):
        net = network([30, 64, 19, 5], *self.SETTINGS, optimizer=optimizer)
        parameters, x, t = parameters_and_samples(rng, net, 700, dtype)
        moments = rng.random((optimizer.n_moments, parameters.size)).astype(dtype)
        start, expected, expected_moments = parameters.copy(), parameters.copy(), moments.copy()
        engine = backend.engine(net, parameters, moments=moments, seed=5)
        gradient = np.empty_like(parameters)
        engine.gradient(x, t, gradient)
        engine.train_epoch(x, t, None, 700, 0.1)
        backend.kernels(dtype).update(optimizer, expected, gradient, expected_moments, 0.1, 1)
        assert engine.steps == 1
        allowed = FUSED_STEP_ULPS * np.finfo(dtype).eps
        # A compiler may fuse the terms of the step in another order, and the step may cancel out.
        terms = np.abs(start) + np.abs(expected - start) + np.abs(gradient)
        assert_within(parameters, expected, allowed * terms)
        assert_within(moments, expected_moments, allowed * (np.abs(moments) + np.abs(gradient)))

    @pytest.mark.compiled
    @pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
    def test_a_training_in_parts_is_the_references(self, dtype, rng, optimizer):
        net = network([30, 64, 19, 5], *self.SETTINGS, optimizer=optimizer)
        start, x, t = parameters_and_samples(rng, net, 1300, dtype)
        results = []
        for name in ("cython", "numpy"):
            parameters = start.copy()
            engine = backends.get(name).engine(net, parameters, seed=5)
            epochs = [engine.train_epoch(x, t, None, size, 0.05)[0] for size in (600, 1300, 257)]
            results.append((parameters, engine.moments, epochs))
        tolerance = TRAJECTORY_EPS * float(np.finfo(dtype).eps)
        for own, reference in zip(*results, strict=True):
            np.testing.assert_allclose(own, reference, rtol=tolerance, atol=tolerance)


@pytest.mark.compiled
class TestLookahead:
    """Small steps of plain descent go through a wide first layer several at once.

    A call with a single batch has nothing to look ahead to, and takes the general path.
    """

    def both(self, net, start, x, t, order, batch_size, rate=0.01):
        """Return parameters, mean loss, hits and steps, looked ahead and batch after batch."""
        together, apart = start.copy(), start.copy()
        engine = compiled_engine(net, together, seed=3)
        engine.steps = 40
        loss, hits = engine.train_epoch(x, t, order, batch_size, rate)
        ahead = together, loss, hits, engine.steps
        engine = compiled_engine(net, apart, seed=3)
        engine.steps = 40
        loss, hits = 0.0, 0
        rows = np.arange(len(x), dtype=np.intp) if order is None else order
        for first in range(0, len(rows), batch_size):
            batch = rows[first : first + batch_size]
            batch_loss, batch_hits = engine.train_epoch(x, t, batch, batch_size, rate)
            loss += batch_loss * len(batch)
            hits += batch_hits
        return ahead, (apart, loss / len(rows), hits, engine.steps)

    def compare(self, ahead, general, dtype):
        tolerance = TRAJECTORY_EPS * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(ahead[0], general[0], rtol=tolerance, atol=tolerance)
        assert ahead[1] == pytest.approx(general[1], rel=tolerance)
        assert ahead[2:] == general[2:]

    @pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 8])
    @pytest.mark.parametrize(
        ("hidden", "output", "loss", "size"),
        WIDE_HEADS,
        ids=["-".join(map(str, combination)) for combination in WIDE_HEADS],
    )
    def test_is_batch_after_batch(self, dtype, rng, hidden, output, loss, size, batch_size):
        units, dropout = size
        assert units[0] * units[1] >= LEAST_LOOKED_AHEAD
        net = network(units, hidden, output, loss, dropout)
        # Groups of whole batches, one with fewer of them, and a last batch that is not full.
        x, t, start = away_from_kinks(rng, net, 43, dtype)
        order = rng.permutation(43).astype(np.intp)
        self.compare(*self.both(net, start, x, t, order, batch_size), dtype)

    @pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 5, 6, 7, 8])
    def test_is_so_for_every_remainder(self, dtype, rng, batch_size):
        net = network([70, 60, 18, 5], dropout=0.2)
        for samples in range(1, 36):
            x, t, start = away_from_kinks(rng, net, samples, dtype)
            self.compare(*self.both(net, start, x, t, None, batch_size), dtype)

    @pytest.mark.parametrize("batch_size", [1, 2, 8])
    @pytest.mark.parametrize("width", [255, 256, 257])
    def test_is_so_for_layers_whose_inputs_are_brought_together(
        self, dtype, rng, width, batch_size
    ):
        net = network([64, 70, width, 3])
        x, t, start = away_from_kinks(rng, net, 20, dtype)
        self.compare(*self.both(net, start, x, t, None, batch_size), dtype)

    @pytest.mark.parametrize("batch_size", [1, 3, 8])
    def test_is_so_for_bytes(self, dtype, rng, batch_size):
        net = network([784, 128, 10], input_scale=1 / 255)
        x = rng.integers(0, 256, (50, 784), np.uint8)
        _, t, start = away_from_kinks(rng, net, 50, dtype)
        order = rng.permutation(50).astype(np.intp)
        self.compare(*self.both(net, start, x, t, order, batch_size), dtype)

    def test_is_so_where_every_sample_is_the_same(self, dtype, rng):
        """Then every step of a group changes what the next ones find as much as it can."""
        net = network([70, 60, 5])
        x, t, start = away_from_kinks(rng, net, 48, dtype)
        x[:], t[:] = x[0], t[0]
        self.compare(*self.both(net, start, x, t, None, 1, rate=0.1), dtype)

    @pytest.mark.parametrize("batch_size", [1, 8])
    def test_is_used_where_this_file_says(self, rng, batch_size):
        """Otherwise the tests above would compare the general path with itself."""
        differ = []
        for units in ([64, 64, 3], [63, 65, 3]):
            net = network(units)
            x, t, start = away_from_kinks(rng, net, 48, np.float32)
            ahead, general = self.both(net, start, x, t, None, batch_size)
            differ.append(not np.array_equal(ahead[0], general[0]))
        assert differ == [True, False]

    def test_leaves_the_other_optimizers_alone(self, dtype, rng):
        for optimizer in OPTIMIZERS[1:]:
            net = network([70, 60, 5], optimizer=optimizer)
            x, t, start = away_from_kinks(rng, net, 40, dtype)
            ahead, general = self.both(net, start, x, t, None, 1)
            assert np.array_equal(ahead[0], general[0])

    @pytest.mark.parametrize("where", ["x", "t"])
    def test_what_is_not_finite_spoils_no_step_before_its_own(self, dtype, rng, where):
        net = network([70, 60, 5])
        x, t, start = away_from_kinks(rng, net, 20, dtype)
        {"x": x, "t": t}[where][10, 0] = np.nan
        parameters = start.copy()
        engine = compiled_engine(net, parameters)
        assert np.isnan(engine.train_epoch(x, t, None, 1, 0.1)[0])
        # With the sample that is spoilt as the last one, a whole group comes before it.
        order = np.r_[0:10, 11:17, 10].astype(np.intp)
        parameters[:] = start
        engine.train_epoch(x, t, order[:-1], 1, 0.1)
        assert np.isfinite(parameters).all()
        parameters[:] = start
        assert np.isnan(engine.train_epoch(x, t, order, 1, 0.1)[0])


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


def normalized(units, *kinds, **settings):
    """A network whose hidden layers are normalized, by turns."""
    sizes = list(itertools.pairwise(units))
    layers = [
        Dense(m, n, "tanh", 0.2, kind)
        for (m, n), kind in zip(sizes[:-1], itertools.cycle(kinds), strict=False)
    ]
    return Network((*layers, Dense(*sizes[-1], "softmax")), "cross_entropy", **settings)


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
