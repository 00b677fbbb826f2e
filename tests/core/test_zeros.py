"""Inputs that are zeros for the most part are skipped in the products, and nothing else changes.

Whether the compiled engine looks for zeros is decided by a few of the samples that it is given, in
their order in memory. So the same samples go the general way if others without zeros, which the
order of the epoch leaves out, stand around them.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cnn_core import backends
from cnn_core.network import Dense, Network
from cnn_core.optimizers import SGD, Adam
from guard_pages import HAS_GUARD_PAGES, guarded
from networks import parameters_for

pytestmark = pytest.mark.covering

ROWS = 330
INPUTS = 211
# What the zeros look like; all of these are found to be worth looking for.
KINDS = ("pictures", "one of many", "empty", "minus zero", "here and there", "none of the first")


def inputs_of(kind, rng, rows=ROWS, inputs=INPUTS):
    """Samples of one kind of sparseness, without any other regularity."""
    x = rng.uniform(0.1, 1, (rows, inputs)) * rng.choice([-1, 1], (rows, inputs))
    if kind == "pictures":
        start, end = rng.integers(0, inputs // 2, (2, rows, 1))
        column = np.arange(inputs)
        x[(column < start) | (column >= inputs - end) | (column % 28 < 9)] = 0
    elif kind == "one of many":
        x[np.arange(inputs) != rng.integers(0, inputs, (rows, 1))] = 0
    elif kind == "empty":
        x[:] = 0
    elif kind == "minus zero":
        x[:, : inputs // 2] = -0.0
    elif kind == "here and there":
        x[rng.random((rows, inputs)) < 0.9] = 0
    elif kind == "none of the first":
        x[rows // 3 :, 7:-1] = 0
    return x


def network_of(units, optimizer=None, **settings):
    """ReLU layers below a softmax; settings of the first layer by name, others of the network."""
    of_first = {key: settings.pop(key) for key in ("dropout", "normalization") if key in settings}
    *hidden, last = itertools.pairwise(units)
    layers = [Dense(*sizes, "relu") for sizes in hidden] + [Dense(*last, "softmax")]
    layers[0] = Dense(*units[:2], layers[0].activation, **of_first)
    return Network(tuple(layers), optimizer=optimizer or SGD(), loss="cross_entropy", **settings)


def targets_of(rng, rows, classes, dtype):
    return np.eye(classes, dtype=dtype)[rng.integers(0, classes, rows)]


def learned(net, start, x, t, order, batch_size, threads=1):
    """The parameters, moments and losses of two epochs."""
    parameters = start.copy()
    engine = backends.get("cython").engine(net, parameters, seed=3, threads=threads)
    losses = [engine.train_epoch(x, t, order, batch_size, 0.05)[0] for _ in range(2)]
    return parameters, engine.moments, losses


def among_others(x, t, rng):
    """The same samples as every twelfth of many without zeros; and where they stand."""
    places = np.arange(len(x)) * 12 + 5
    wide_x = rng.uniform(0.5, 1, (len(x) * 12, x.shape[1])).astype(x.dtype)
    wide_t = np.zeros((len(wide_x), t.shape[1]), t.dtype)
    wide_x[places], wide_t[places] = x, t
    return wide_x, wide_t, places


@pytest.mark.compiled
class TestTraining:
    def assert_same(self, net, dtype, rng, x, batch_size, threads=1):
        t = targets_of(rng, len(x), net.n_outputs, dtype)
        start = parameters_for(rng, net, dtype) * dtype.type(0.3)
        order = rng.permutation(len(x))
        skipping = learned(net, start, x, t, order, batch_size, threads)
        wide_x, wide_t, places = among_others(x, t, rng)
        general = learned(net, start, wide_x, wide_t, places[order], batch_size, threads)
        for found, expected in zip(skipping, general, strict=True):
            np.testing.assert_array_equal(found, expected)
        assert np.isfinite(skipping[0]).all()
        assert not np.array_equal(skipping[0], start)

    @pytest.mark.parametrize("batch_size", [1, 3, 16, 64, 257, 330])
    @pytest.mark.parametrize("kind", KINDS)
    def test_has_the_bits_of_the_general_way(self, dtype, rng, kind, batch_size):
        x = inputs_of(kind, rng).astype(dtype)
        self.assert_same(network_of([INPUTS, 70, 5]), dtype, rng, x, batch_size)

    @pytest.mark.parametrize("batch_size", [7, 50, 300])
    @pytest.mark.parametrize(
        "settings",
        [
            {"optimizer": Adam()},
            {"optimizer": SGD(momentum=0.9, nesterov=True)},
            {"clip_norm": 0.1},
            {"clip_value": 0.01},
            {"l2": 0.1},
            {"averaging": 0.9},
            {"dropout": 0.3},
            {"normalization": "batch"},
            {"normalization": "layer"},
        ],
        ids=str,
    )
    def test_has_them_with_every_kind_of_step(self, dtype, rng, settings, batch_size):
        x = inputs_of("pictures", rng).astype(dtype)
        self.assert_same(network_of([INPUTS, 66, 9, 5], **settings), dtype, rng, x, batch_size)

    @pytest.mark.parametrize(
        "units",
        [
            [12, 64, 3],
            [48, 3],
            [49, 130, 3],
            [53, 64, 3],
            [95, 70, 3],
            [784, 128, 10],
            [801, 33, 4],
            [100, 300, 2],
            [7, 200, 3],
        ],
        ids=str,
    )
    @pytest.mark.parametrize("batch_size", [4, 48, 100])
    def test_has_them_at_any_width(self, dtype, rng, units, batch_size):
        x = inputs_of("here and there", rng, 200, units[0]).astype(dtype)
        self.assert_same(network_of(units), dtype, rng, x, batch_size)

    @pytest.mark.parametrize("threads", [1, 2, 3])
    def test_has_them_on_any_number_of_threads(self, dtype, rng, threads):
        x = inputs_of("pictures", rng, 600, 400).astype(dtype)
        self.assert_same(network_of([400, 256, 10]), dtype, rng, x, 150, threads)

    @pytest.mark.slow
    @pytest.mark.parametrize("batch_size", [500, 700])
    def test_has_them_where_no_cache_holds_the_weights(self, dtype, rng, batch_size):
        x = inputs_of("pictures", rng, 700, 600).astype(dtype)
        self.assert_same(network_of([600, 7_100, 3]), dtype, rng, x, batch_size)

    def test_has_the_bits_of_floats_on_bytes(self, dtype, rng):
        numbers = (np.abs(inputs_of("pictures", rng)) * 255).astype(np.uint8)
        t = targets_of(rng, ROWS, 5, dtype)
        order = rng.permutation(ROWS)
        net = network_of([INPUTS, 70, 5], input_scale=1 / 255)
        start = parameters_for(rng, net, dtype) * dtype.type(0.3)
        for found, expected in zip(
            learned(net, start, numbers, t, order, 64),
            learned(net, start, numbers.astype(dtype), t, order, 64),
            strict=True,
        ):
            np.testing.assert_array_equal(found, expected)

    def test_a_value_that_is_no_number_is_not_skipped(self, dtype, rng):
        x = inputs_of("one of many", rng).astype(dtype)
        x[100, 3] = np.nan
        net = network_of([INPUTS, 70, 5])
        start = parameters_for(rng, net, dtype)
        _, _, losses = learned(net, start, x, targets_of(rng, ROWS, 5, dtype), None, ROWS)
        assert np.isnan(losses[0])


@pytest.mark.compiled
class TestPrediction:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("rows", [8, 61, 330])
    def test_has_the_bits_of_one_row_at_a_time(self, dtype, rng, kind, rows):
        x = inputs_of(kind, rng, rows).astype(dtype)
        net = network_of([INPUTS, 150, 5])
        engine = backends.get("cython").engine(net, parameters_for(rng, net, dtype))
        together, alone = (np.empty((rows, 5), dtype) for _ in range(2))
        engine.predict(x, together)
        for row in range(rows):
            engine.predict(x[row : row + 1], alone[row : row + 1])
        np.testing.assert_array_equal(together, alone)

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_reports_a_value_that_is_not_a_number(self, dtype, rng, value):
        x = inputs_of("one of many", rng).astype(dtype)
        net = network_of([INPUTS, 70, 5])
        engine = backends.get("cython").engine(net, parameters_for(rng, net, dtype))
        out = np.empty((ROWS, 5), dtype)
        assert engine.predict(x, out)
        x[200, 100] = value
        assert not engine.predict(x, out)
        assert np.isnan(out[200]).all()

    @pytest.mark.skipif(not HAS_GUARD_PAGES, reason="needs mprotect")
    @pytest.mark.parametrize("inputs", [48, 49, 63, 64, 211])
    @pytest.mark.parametrize("rows", [48, 49, 51])
    def test_reads_nothing_behind_the_samples(self, dtype, rng, rows, inputs):
        x = inputs_of("here and there", rng, rows, inputs).astype(dtype)
        net = network_of([inputs, 70, 5])
        engine = backends.get("cython").engine(net, parameters_for(rng, net, dtype))
        expected, found = (np.empty((rows, 5), dtype) for _ in range(2))
        engine.predict(x, expected)
        engine.predict(guarded(x, "behind"), found)
        np.testing.assert_array_equal(found, expected)
