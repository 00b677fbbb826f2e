"""The engine of every backend trains as the formulas say, step after step."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import json
import signal
import threading
from pathlib import Path

import numpy as np
import pytest

from cnn_core import backends
from cnn_core.contracts import Engine
from cnn_core.network import Dense, Network
from corpus import NOT_ARRAYS, REFUSED_LAYOUTS
from tolerances import FINITE_DIFFERENCE, TRAJECTORY_EPS

GOLDEN = json.loads((Path(__file__).parent / "golden" / "autograd.json").read_text())["cases"]

# Units of each layer, samples, batch size: single, off every tile's edges, several layers, a batch
# larger than the data, a long sum, wider than a panel.
TRAJECTORIES = [
    ([1, 1, 1], 5, 1),
    ([3, 2, 2], 7, 3),
    ([20, 17, 4], 101, 16),
    ([20, 30, 17, 4], 101, 32),
    ([65, 130, 10], 64, 64),
    ([784, 128, 10], 50, 7),
    ([9, 33], 40, 40),
    ([300, 5, 70], 300, 1000),
]


def network(units, rule="exact"):
    layers = tuple(Dense(m, n) for m, n in itertools.pairwise(units))
    return Network(layers, rule=rule)


def data(rng, units, samples, dtype):
    x = rng.normal(size=(samples, units[0])).astype(dtype)
    t = rng.random((samples, units[-1])).astype(dtype)
    return x, t


def parameters_for(rng, net, dtype, bias_rows=1):
    parameters = rng.normal(size=net.n_parameters(bias_rows)) * 0.3
    return parameters.astype(dtype)


class TestContract:
    @pytest.mark.parametrize("method", ["train_epoch", "gradient", "predict"])
    def test_every_engine_has_the_method_with_the_same_parameters(self, backend, dtype, method):
        net = network([2, 2])
        engine = backend.engine(net, np.zeros(net.n_parameters(), dtype))
        expected = inspect.signature(getattr(Engine, method)).parameters.values()
        found = inspect.signature(getattr(type(engine), method)).parameters.values()
        assert [(p.name, p.default) for p in found] == [(p.name, p.default) for p in expected]


class TestAgainstAutograd:
    @pytest.mark.parametrize("case", GOLDEN)
    def test_the_gradient_is_autograds(self, backend, case):
        golden = GOLDEN[case]
        parameters = np.array(golden["parameters"])
        engine = backend.engine(network(golden["units"]), parameters)
        gradient = np.empty_like(parameters)
        loss = engine.gradient(np.array(golden["x"]), np.array(golden["t"]), gradient)
        assert loss == pytest.approx(golden["loss"], rel=1e-13)
        np.testing.assert_allclose(gradient, golden["gradient"], rtol=1e-12, atol=1e-15)

    @pytest.mark.parametrize("case", GOLDEN)
    def test_so_is_every_step_of_a_training(self, backend, case):
        golden = GOLDEN[case]
        parameters = np.array(golden["parameters"])
        engine = backend.engine(network(golden["units"]), parameters)
        x, t = np.array(golden["x"]), np.array(golden["t"])
        for order, expected in zip(golden["orders"], golden["epoch_losses"], strict=True):
            loss, _ = engine.train_epoch(
                x, t, np.array(order, np.intp), golden["batch_size"], golden["learning_rate"]
            )
            assert loss == pytest.approx(expected, rel=1e-12)
        np.testing.assert_allclose(parameters, golden["trained_parameters"], rtol=1e-11, atol=1e-14)


class TestAgainstFiniteDifferences:
    @pytest.mark.parametrize("units", [[3, 4, 2], [5, 17, 6, 3], [2, 1]], ids=str)
    def test_the_gradient_is_the_slope_of_the_loss(self, backend, rng, units):
        net = network(units)
        x, t = data(rng, units, 6, np.float64)
        parameters = parameters_for(rng, net, np.float64)
        engine = backend.engine(net, parameters)
        gradient, ignored = np.empty_like(parameters), np.empty_like(parameters)
        engine.gradient(x, t, gradient)
        for index in range(parameters.size):
            value = parameters[index]
            parameters[index] = value + 1e-5
            above = engine.gradient(x, t, ignored)
            parameters[index] = value - 1e-5
            below = engine.gradient(x, t, ignored)
            parameters[index] = value
            assert gradient[index] == pytest.approx((above - below) / 2e-5, abs=FINITE_DIFFERENCE)


class TestTrajectories:
    @pytest.mark.compiled
    @pytest.mark.parametrize(("units", "samples", "batch_size"), TRAJECTORIES)
    def test_both_backends_take_the_same_way(self, dtype, rng, units, samples, batch_size):
        net = network(units)
        x, t = data(rng, units, samples, dtype)
        start = parameters_for(rng, net, dtype)
        orders = [rng.permutation(samples).astype(np.intp) for _ in range(3)]
        results = []
        for name in ("cython", "numpy"):
            parameters = start.copy()
            engine = backends.get(name).engine(net, parameters)
            epochs = [engine.train_epoch(x, t, order, batch_size, 0.5) for order in orders]
            outputs = np.empty_like(t)
            engine.predict(x, outputs)
            results.append((parameters, outputs, epochs))
        (own, outputs, epochs), (reference, expected, expected_epochs) = results
        tolerance = TRAJECTORY_EPS * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(own, reference, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(outputs, expected, rtol=tolerance, atol=tolerance)
        for (loss, hits), (expected_loss, expected_hits) in zip(
            epochs, expected_epochs, strict=True
        ):
            assert loss == pytest.approx(expected_loss, rel=tolerance)
            assert hits == expected_hits

    def test_an_epoch_is_its_batches_one_after_the_other(self, backend, dtype, rng):
        units = [7, 9, 3]
        net = network(units)
        x, t = data(rng, units, 10, dtype)
        together = parameters_for(rng, net, dtype)
        apart = together.copy()
        order = rng.permutation(10).astype(np.intp)
        loss, hits = backend.engine(net, together).train_epoch(x, t, order, 4, 0.7)
        engine = backend.engine(net, apart)
        parts = [engine.train_epoch(x, t, order[i : i + 4], 4, 0.7) for i in (0, 4, 8)]
        assert np.array_equal(together, apart)
        sizes = (4, 4, 2)
        mean = sum(part[0] * size for part, size in zip(parts, sizes, strict=True)) / 10
        assert loss == pytest.approx(mean, rel=1e-14)
        assert hits == sum(part[1] for part in parts)

    def test_no_order_is_the_order_of_the_samples(self, backend, dtype, rng):
        units = [7, 9, 3]
        net = network(units)
        x, t = data(rng, units, 10, dtype)
        start = parameters_for(rng, net, dtype)
        ways = []
        for order in (None, np.arange(10, dtype=np.intp)):
            parameters = start.copy()
            result = backend.engine(net, parameters).train_epoch(x, t, order, 3, 0.7)
            ways.append((parameters.tolist(), result))
        assert ways[0] == ways[1]

    def test_a_thousand_layers_work(self, backend, dtype, rng):
        net = Network((Dense(1, 1),) * 1000)
        engine = backend.engine(net, parameters_for(rng, net, dtype))
        x, t = data(rng, [1, 1], 3, dtype)
        assert engine.train_epoch(x, t, None, 2, 0.1)[0] > 0

    def test_the_same_run_gives_the_same_bits(self, backend, dtype, rng):
        units = [30, 40, 5]
        net = network(units)
        x, t = data(rng, units, 60, dtype)
        start = parameters_for(rng, net, dtype)
        order = rng.permutation(60).astype(np.intp)
        ways = []
        for _ in range(2):
            parameters = start.copy()
            backend.engine(net, parameters).train_epoch(x, t, order, 16, 0.5)
            ways.append(parameters)
        assert np.array_equal(*ways)

    def test_the_loss_falls(self, backend, dtype, rng):
        units = [8, 16, 2]
        net = network(units)
        x = rng.normal(size=(200, 8)).astype(dtype)
        t = np.eye(2, dtype=dtype)[(x[:, 0] * x[:, 1] > 0).astype(int)]
        engine = backend.engine(net, parameters_for(rng, net, dtype))
        losses = [engine.train_epoch(x, t, None, 10, 2.0)[0] for _ in range(60)]
        assert losses[-1] < losses[0] / 3

    def test_hits_count_the_first_of_equal_outputs(self, backend, dtype):
        net = network([1, 3])
        engine = backend.engine(net, np.zeros(net.n_parameters(), dtype))
        x, t = np.zeros((3, 1), dtype), np.eye(3, dtype=dtype)[[0, 0, 2]]
        assert engine.train_epoch(x, t, None, 3, 1e-9)[1] == 2

    def test_an_epoch_over_nothing_changes_nothing(self, backend, dtype, rng):
        net = network([4, 3])
        parameters = parameters_for(rng, net, dtype)
        before = parameters.copy()
        x, t = np.empty((0, 4), dtype), np.empty((0, 3), dtype)
        assert backend.engine(net, parameters).train_epoch(x, t, None, 5, 0.1) == (0.0, 0)
        assert np.array_equal(parameters, before)

    def test_data_and_order_are_left_as_they_are_and_may_be_read_only(self, backend, dtype, rng):
        units = [5, 6, 2]
        net = network(units)
        x, t = data(rng, units, 9, dtype)
        order = rng.permutation(9).astype(np.intp)
        before = [a.copy() for a in (x, t, order)]
        for array in (x, t, order):
            array.flags.writeable = False
        engine = backend.engine(net, parameters_for(rng, net, dtype))
        engine.train_epoch(x, t, order, 4, 0.5)
        engine.train_epoch(x, t, None, 4, 0.5)
        for array, copy in zip((x, t, order), before, strict=True):
            assert np.array_equal(array, copy)


class TestPredict:
    @pytest.mark.parametrize("samples", [0, 1, 2, 127, 128, 129, 300])
    def test_gives_what_the_layers_give(self, backend, dtype, rng, samples):
        units = [12, 19, 6, 3]
        net = network(units)
        parameters = parameters_for(rng, net, dtype)
        x = rng.normal(size=(samples, 12)).astype(dtype)
        out = np.full((samples, 3), np.nan, dtype)
        backend.engine(net, parameters).predict(x, out)
        a = x.astype(np.float64)
        for weights, bias in net.unflatten(parameters.astype(np.float64)):
            a = 1 / (1 + np.exp(-(a @ weights + bias)))
        np.testing.assert_allclose(out, a, atol=50 * float(np.finfo(dtype).eps))

    def test_from_eight_threads_at_once_is_right_in_each(self, backend, rng):
        units = [50, 64, 10]
        net = network(units)
        engine = backend.engine(net, parameters_for(rng, net, np.float32))
        inputs = [rng.normal(size=(200, 50)).astype(np.float32) for _ in range(8)]
        alone = [np.empty((200, 10), np.float32) for _ in inputs]
        for x, out in zip(inputs, alone, strict=True):
            engine.predict(x, out)
        wrong = []

        def predict_often(x, expected):
            out = np.empty_like(expected)
            for _ in range(20):
                engine.predict(x, out)
                if not np.array_equal(out, expected):
                    wrong.append(out)

        threads = [
            threading.Thread(target=predict_often, args=pair)
            for pair in zip(inputs, alone, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong


@pytest.fixture
def soon():
    """Have a function called a twentieth of a second later, in the midst of what runs then."""
    before = signal.getsignal(signal.SIGALRM)

    def call_soon(function):
        signal.signal(signal.SIGALRM, lambda number, frame: function())
        signal.setitimer(signal.ITIMER_REAL, 0.05)

    yield call_soon
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timer signals")
class TestInterruption:
    @pytest.fixture
    def training(self, backend, rng):
        """Seconds of training: network, its parameters, samples, targets and a long order."""
        units = [200, 100, 10]
        net = network(units)
        x, t = data(rng, units, 320, np.float32)
        order = np.resize(np.arange(320, dtype=np.intp), 5_000_000)
        return net, parameters_for(rng, net, np.float32), x, t, order

    def test_an_interrupt_leaves_a_whole_number_of_steps_and_a_usable_engine(
        self, backend, training, soon
    ):
        net, parameters, x, t, order = training
        replayed = parameters.copy()
        engine = backend.engine(net, parameters)

        def interrupt():
            raise KeyboardInterrupt

        soon(interrupt)
        with pytest.raises(KeyboardInterrupt):
            engine.train_epoch(x, t, order, 32, 0.1)
        steps = 0
        engine_of_replay = backend.engine(net, replayed)
        while not np.array_equal(replayed, parameters):
            rows = order[32 * steps : 32 * (steps + 1)]
            engine_of_replay.train_epoch(x, t, rows, 32, 0.1)
            steps += 1
            assert steps < 200_000
        assert engine.train_epoch(x, t, None, 32, 0.1)[0] > 0

    def test_an_order_that_is_changed_meanwhile_does_no_harm(self, backend, training, soon):
        net, parameters, x, t, order = training
        order = order[:500_000].copy()

        def change_order():
            order[:] = 2**40

        soon(change_order)
        with contextlib.suppress(IndexError):
            backend.engine(net, parameters).train_epoch(x, t, order, 32, 0.1)
        assert np.isfinite(parameters).all()

    def test_a_second_training_of_one_network_at_the_same_time_is_refused(
        self, backend, training, soon
    ):
        net, parameters, x, t, order = training
        engine = backend.engine(net, parameters)

        def train_as_well():
            engine.train_epoch(x, t, None, 32, 0.1)

        soon(train_as_well)
        with pytest.raises(RuntimeError, match="being trained already"):
            engine.train_epoch(x, t, order, 32, 0.1)
        assert engine.train_epoch(x, t, None, 32, 0.1)[0] > 0


class TestRefusals:
    @pytest.fixture
    def engine(self, backend, dtype):
        net = network([4, 5, 2])
        return backend.engine(net, np.zeros(net.n_parameters(), dtype))

    @pytest.mark.parametrize(
        ("x_shape", "t_shape"), [((3, 5), (3, 2)), ((3, 4), (3, 3)), ((3, 4), (2, 2))], ids=str
    )
    def test_shapes_that_do_not_fit(self, engine, dtype, x_shape, t_shape):
        x, t = np.zeros(x_shape, dtype), np.zeros(t_shape, dtype)
        with pytest.raises(ValueError, match="expected"):
            engine.train_epoch(x, t, None, 2, 0.1)
        with pytest.raises(ValueError, match="expected"):
            engine.predict(x, t)
        with pytest.raises(ValueError, match="expected"):
            engine.gradient(x, t, np.zeros(37, dtype))

    @pytest.mark.parametrize("order", [[0, 3], [-1], [2**40]], ids=str)
    def test_an_index_outside_the_samples(self, engine, dtype, order):
        x, t = np.zeros((3, 4), dtype), np.zeros((3, 2), dtype)
        with pytest.raises(ValueError, match="indices from 0 to 2"):
            engine.train_epoch(x, t, np.array(order, np.intp), 2, 0.1)

    @pytest.mark.parametrize("batch_size", [0, -5])
    def test_a_batch_of_nothing(self, engine, dtype, batch_size):
        x, t = np.zeros((3, 4), dtype), np.zeros((3, 2), dtype)
        with pytest.raises(ValueError, match="batch_size: expected at least 1"):
            engine.train_epoch(x, t, None, batch_size, 0.1)

    @pytest.mark.parametrize("argument", ["x", "t"])
    @pytest.mark.parametrize("layout", REFUSED_LAYOUTS)
    def test_a_layout_that_it_cannot_read(self, engine, dtype, argument, layout):
        arrays = {"x": np.ones((3, 4), dtype), "t": np.ones((3, 2), dtype)}
        arrays[argument] = REFUSED_LAYOUTS[layout](arrays[argument])
        order = np.arange(2, dtype=np.intp)
        with pytest.raises(ValueError, match=r"dtype|dimension|contiguous|Big-endian|byte"):
            engine.train_epoch(**arrays, order=order, batch_size=2, learning_rate=0.1)
        with pytest.raises(ValueError, match=r"dtype|dimension|contiguous|Big-endian|byte"):
            engine.predict(*arrays.values())
        with pytest.raises(ValueError, match=r"dtype|dimension|contiguous|Big-endian|byte"):
            engine.gradient(**arrays, out=np.zeros(37, dtype))

    @pytest.mark.parametrize("thing", NOT_ARRAYS)
    def test_what_is_not_an_array(self, engine, dtype, thing):
        t = np.ones((3, 2), dtype)
        with pytest.raises(TypeError):
            engine.train_epoch(NOT_ARRAYS[thing], t, None, 2, 0.1)
        with pytest.raises(TypeError):
            engine.predict(NOT_ARRAYS[thing], t)

    @pytest.mark.parametrize(
        "order",
        [
            np.zeros(2, np.int32),
            np.zeros(2),
            np.zeros(2, bool),
            np.zeros((1, 2), np.intp),
            np.zeros(4, np.intp)[::2],
        ],
        ids=lambda order: f"{order.dtype} {order.shape} {order.strides}",
    )
    def test_an_order_that_it_cannot_read(self, engine, dtype, order):
        x, t = np.zeros((3, 4), dtype), np.zeros((3, 2), dtype)
        with pytest.raises(ValueError, match=r"dtype|dimension|contiguous"):
            engine.train_epoch(x, t, order, 2, 0.1)

    def test_an_order_that_is_no_array(self, engine, dtype):
        x, t = np.zeros((3, 4), dtype), np.zeros((3, 2), dtype)
        with pytest.raises(TypeError):
            engine.train_epoch(x, t, [0, 1], 2, 0.1)

    @pytest.mark.parametrize("method", ["predict", "gradient"])
    def test_an_output_that_is_read_only(self, engine, dtype, method):
        x, t = np.zeros((3, 4), dtype), np.zeros((3, 2), dtype)
        out = np.zeros(37, dtype) if method == "gradient" else t
        out.flags.writeable = False
        arguments = (x, t, out) if method == "gradient" else (x, out)
        with pytest.raises(ValueError, match="read-only"):
            getattr(engine, method)(*arguments)

    @pytest.mark.parametrize(
        "parameters",
        [np.zeros(37, np.float16), np.zeros(37, np.int64), np.zeros(74)[::2], np.zeros((37, 1))],
        ids=lambda p: f"{p.dtype} {p.shape} {p.strides}",
    )
    def test_parameters_that_it_cannot_read(self, backend, parameters):
        with pytest.raises(ValueError, match=r"dtype|dimension|contiguous"):
            backend.engine(network([4, 5, 2]), parameters)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"activation": "relu"}, "activation: expected 'sigmoid', found 'relu'"),
            ({"fan_in": 0}, "fan_in: expected a whole number of at least 1, found 0"),
            ({"fan_out": 2.5}, "fan_out"),
        ],
    )
    def test_a_layer_that_no_engine_knows(self, change, message):
        with pytest.raises(ValueError, match=message):
            Dense(**{"fan_in": 2, "fan_out": 3, **change})

    def test_a_network_that_no_engine_knows(self):
        with pytest.raises(ValueError, match="loss: expected 'squared_error', found 'hinge'"):
            Network((Dense(2, 1),), loss="hinge")
        with pytest.raises(ValueError, match="rule: expected 'exact' or 'article', found 'delta'"):
            Network((Dense(2, 1),), rule="delta")
        with pytest.raises(ValueError, match="at most 1000, found 1001"):
            Network((Dense(1, 1),) * 1001)

    def test_a_gradient_of_another_length(self, engine, dtype):
        x, t = np.zeros((3, 4), dtype), np.zeros((3, 2), dtype)
        with pytest.raises(ValueError, match="expected"):
            engine.gradient(x, t, np.zeros(36, dtype))

    def test_parameters_of_another_number(self, backend, dtype):
        with pytest.raises(ValueError, match=r"37 parameters.*found an array of 36"):
            backend.engine(network([4, 5, 2]), np.zeros(36, dtype))

    def test_layers_that_do_not_fit_together(self):
        with pytest.raises(ValueError, match="layer 1 expects 3 inputs, but layer 0 has 2 units"):
            Network((Dense(4, 2), Dense(3, 1)))
        with pytest.raises(ValueError, match="at least one layer and at most 1000, found 0"):
            Network(())

    def test_the_articles_rule_takes_all_its_samples_or_none(self, backend, dtype):
        net = network([4, 5, 2], rule="article")
        engine = backend.engine(net, np.zeros(net.n_parameters(6), dtype))
        x, t = np.zeros((6, 4), dtype), np.zeros((6, 2), dtype)
        with pytest.raises(ValueError, match="all samples in one step"):
            engine.train_epoch(x, t, None, 5, 0.1)
        with pytest.raises(ValueError, match="all samples in one step"):
            engine.train_epoch(x, t, np.arange(6, dtype=np.intp), 6, 0.1)
        with pytest.raises(ValueError, match="6 samples"):
            engine.predict(x[:5], t[:5])
