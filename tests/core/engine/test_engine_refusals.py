"""Every engine refuses what it cannot read or use."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_core import backends
from cnn_core.optimizers import Adam
from corpus import NOT_ARRAYS, REFUSED_LAYOUTS
from networks import network
from refusals import UNREADABLE, refusal


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
    def test_a_layout_that_it_cannot_read(self, engine, dtype, argument):
        order = np.arange(2, dtype=np.intp)
        for layout, change in REFUSED_LAYOUTS.items():
            arrays = {"x": np.ones((3, 4), dtype), "t": np.ones((3, 2), dtype)}
            arrays[argument] = change(arrays[argument])
            with refusal(ValueError, UNREADABLE, "train_epoch", layout):
                engine.train_epoch(**arrays, order=order, batch_size=2, learning_rate=0.1)
            with refusal(ValueError, UNREADABLE, "predict", layout):
                engine.predict(*arrays.values())
            with refusal(ValueError, UNREADABLE, "gradient", layout):
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
        ("moments", "error"),
        [
            (np.zeros((1, 37)), ValueError),
            (np.zeros((2, 36)), ValueError),
            (np.zeros((37, 2)), ValueError),
            (np.zeros(74), ValueError),
            (np.zeros((2, 37), np.float32), ValueError),
            (np.zeros((2, 74))[:, ::2], ValueError),
            (np.zeros((37, 2)).T, ValueError),
            (np.zeros((2, 37), ">f8"), ValueError),
            (np.broadcast_to(np.zeros(37), (2, 37)), ValueError),
            ([[0.0] * 37] * 2, TypeError),
        ],
        ids=str,
    )
    def test_moments_that_it_cannot_use(self, backend, moments, error):
        net = network([4, 5, 2], optimizer=Adam())
        with pytest.raises(error):
            backend.engine(net, np.zeros(37), moments=moments)

    @pytest.mark.parametrize("array", ["parameters", "moments"])
    def test_a_state_that_is_read_only(self, backend, dtype, array):
        net = network([4, 5, 2], optimizer=Adam())
        arrays = {"parameters": np.zeros(37, dtype), "moments": np.zeros((2, 37), dtype)}
        arrays[array].flags.writeable = False
        with pytest.raises(ValueError, match="read-only"):
            backend.engine(net, **arrays)

    @pytest.mark.parametrize("array", ["statistics", "average"])
    @pytest.mark.parametrize(
        ("change", "error"),
        [
            (lambda a: a[:-1].copy(), ValueError),
            (lambda a: np.append(a, a[:1]), ValueError),
            (lambda a: a[np.newaxis], ValueError),
            (lambda a: np.repeat(a, 2)[::2], ValueError),
            (lambda a: a.astype(np.float16), ValueError),
            (lambda a: a.astype(a.dtype.newbyteorder()), ValueError),
            (lambda a: a.tolist(), TypeError),
        ],
        ids=["short", "long", "matrix", "strided", "float16", "byte-swapped", "list"],
    )
    def test_statistics_and_an_average_that_it_cannot_use(
        self, backend, dtype, array, change, error
    ):
        net = network([4, 5, 2], normalization="batch", averaging=0.9)
        parameters = np.ones(net.n_parameters(), dtype)
        good = {"statistics": net.first_statistics(dtype), "average": parameters.copy()}
        backend.engine(net, parameters, **good)
        with pytest.raises(error):
            backend.engine(net, parameters, **{**good, array: change(good[array])})

    @pytest.mark.parametrize("array", ["statistics", "average"])
    def test_statistics_and_an_average_that_are_read_only(self, backend, dtype, array):
        net = network([4, 5, 2], normalization="batch", averaging=0.9)
        parameters = np.ones(net.n_parameters(), dtype)
        arrays = {"statistics": net.first_statistics(dtype), "average": parameters.copy()}
        arrays[array].flags.writeable = False
        with pytest.raises(ValueError, match="read-only"):
            backend.engine(net, parameters, **arrays)

    def test_an_average_for_a_network_without_averaging(self, backend, dtype):
        with pytest.raises(ValueError, match="average: expected none, since"):
            backend.engine(network([4, 5, 2]), np.ones(37, dtype), average=np.ones(37, dtype))

    @pytest.mark.parametrize(
        ("weights", "error"),
        [
            (np.ones(2), ValueError),
            (np.ones(4), ValueError),
            (np.ones((3, 1)), ValueError),
            (np.ones(6)[::2], ValueError),
            (np.ones(3, np.float16), ValueError),
            (np.ones(3, ">f8"), ValueError),
            (np.ones(3, np.intp), ValueError),
            ([1.0, 1.0, 1.0], TypeError),
            (1.0, TypeError),
        ],
        ids=repr,
    )
    def test_weights_that_it_cannot_use(self, backend, weights, error):
        engine = backend.engine(network([4, 5, 2]), np.zeros(37))
        x, t = np.zeros((3, 4)), np.zeros((3, 2))
        with pytest.raises(error):
            engine.train_epoch(x, t, None, 2, 0.1, weights)
        with pytest.raises(error):
            engine.gradient(x, t, np.empty(37), weights)

    @pytest.mark.parametrize(
        ("rates", "error"),
        [
            (np.ones(1), ValueError),
            (np.ones(3), ValueError),
            (np.ones((1, 2)), ValueError),
            (np.ones(4)[::2], ValueError),
            (np.ones(2, np.float32), ValueError),
            (np.ones(2, ">f8"), ValueError),
            ([0.1, 0.1], TypeError),
            (None, TypeError),
        ],
        ids=repr,
    )
    def test_learning_rates_that_it_cannot_use(self, engine, dtype, rates, error):
        x, t = np.zeros((3, 4), dtype), np.zeros((3, 2), dtype)
        with pytest.raises(error):
            engine.train_epoch(x, t, None, 2, rates)
        assert engine.steps == 0

    @pytest.mark.parametrize("steps", [-1, 2**63, 2**70])
    def test_steps_beyond_63_bits(self, engine, steps):
        with pytest.raises(ValueError, match="steps"):
            engine.steps = steps
        assert engine.steps == 0

    @pytest.mark.parametrize("seed", [-1, 2**64])
    def test_a_seed_beyond_64_bits(self, backend, dtype, seed):
        with pytest.raises(ValueError, match="seed"):
            backend.engine(network([4, 5, 2]), np.zeros(37, dtype), seed=seed)

    @pytest.mark.parametrize("value", [1.5, "1", None])
    def test_a_seed_and_steps_that_are_no_whole_numbers(self, backend, engine, dtype, value):
        with pytest.raises(TypeError):
            backend.engine(network([4, 5, 2]), np.zeros(37, dtype), seed=value)
        with pytest.raises(TypeError):
            engine.steps = value

    @pytest.mark.parametrize("kind", [np.int8, np.uint16, bool])
    def test_samples_of_other_whole_numbers_than_bytes(self, engine, dtype, kind):
        x, t = np.zeros((3, 4), kind), np.zeros((3, 2), dtype)
        with pytest.raises(ValueError, match="dtype"):
            engine.train_epoch(x, t, None, 2, 0.1)
        with pytest.raises(ValueError, match="dtype"):
            engine.predict(x, t)

    def test_bytes_as_targets_or_outputs(self, engine, dtype):
        x, t = np.zeros((3, 4), dtype), np.zeros((3, 2), np.uint8)
        with pytest.raises(ValueError, match="dtype"):
            engine.train_epoch(x, t, None, 2, 0.1)
        with pytest.raises(ValueError, match="dtype"):
            engine.predict(x, t)

    @pytest.mark.parametrize(
        "layout", ["transposed", "strided rows", "strided columns", "one dimension"]
    )
    def test_bytes_in_a_layout_that_it_cannot_read(self, engine, dtype, layout):
        x, t = np.zeros((3, 4), np.uint8), np.zeros((3, 2), dtype)
        with pytest.raises(ValueError, match=r"dimension|contiguous"):
            engine.train_epoch(REFUSED_LAYOUTS[layout](x), t, None, 2, 0.1)
        with pytest.raises(ValueError, match=r"dimension|contiguous"):
            engine.predict(REFUSED_LAYOUTS[layout](x), t)

    def test_a_gradient_of_another_length(self, engine, dtype):
        x, t = np.zeros((3, 4), dtype), np.zeros((3, 2), dtype)
        with pytest.raises(ValueError, match="expected"):
            engine.gradient(x, t, np.zeros(36, dtype))

    @pytest.mark.compiled
    def test_fewer_threads_than_one(self, dtype):
        net = network([4, 5, 2])
        with pytest.raises(ValueError, match="threads: expected at least 1, found 0"):
            backends.get("cython").engine(net, np.zeros(37, dtype), threads=0)

    def test_parameters_of_another_number(self, backend, dtype):
        with pytest.raises(ValueError, match=r"37 parameters.*found an array of 36"):
            backend.engine(network([4, 5, 2]), np.zeros(36, dtype))

    def test_the_articles_rule_takes_all_its_samples_or_none(self, backend, dtype):
        net = network([4, 5, 2], rule="article")
        engine = backend.engine(net, np.zeros(net.n_parameters(6), dtype))
        x, t = np.zeros((6, 4), dtype), np.zeros((6, 2), dtype)
        with pytest.raises(ValueError, match="all samples in one step"):
            engine.train_epoch(x, t, None, 5, 0.1)
        with pytest.raises(ValueError, match="all samples in one step"):
            engine.train_epoch(x, t, np.arange(6, dtype=np.intp), 6, 0.1)
        with pytest.raises(ValueError, match="weights"):
            engine.train_epoch(x, t, None, 6, 0.1, np.ones(6, dtype))
        with pytest.raises(ValueError, match="weights"):
            engine.gradient(x, t, np.empty(net.n_parameters(6), dtype), np.ones(6, dtype))
        with pytest.raises(ValueError, match="6 samples"):
            engine.predict(x[:5], t[:5])
