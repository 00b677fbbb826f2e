"""No fast path gives what the general path does not give, beyond rounding.

The compiled engine has several ways to one result, chosen by the sizes: which ones, and what each
is compared with, is said by the classes below.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cnn_core import backends
from cnn_core.optimizers import SGD
from corpus import HEADS, OPTIMIZERS
from fast_paths import PLAIN, compiled_engine, parameters_and_samples, relative_to_largest
from networks import HIDDEN, away_from_kinks, network
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
        # The last sum is `start * decay - step`, and a compiler fuses one of the two into it as it
        # likes, for whole vectors and for what is left of them. The other one is rounded first, by
        # half a unit of its own size: that of `start` or of the step, not of their difference,
        # which may be next to nothing. The gradient's share in the moments is rounded likewise.
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
