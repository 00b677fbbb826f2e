"""Every kernel of every backend computes its formula, refuses what it cannot, changes no input."""

from __future__ import annotations

import inspect
import itertools

import numpy as np
import pytest

from cnn_core import backends
from cnn_core.contracts import Kernels
from cnn_core.network import ACTIVATIONS, LOSSES, SGD, Adam
from corpus import (
    DENSE_SHAPES,
    HEADS,
    NOT_ARRAYS,
    OPTIMIZERS,
    REFUSED_LAYOUTS,
    REFUSED_VECTORS,
    special_values,
)
from tolerances import (
    ACTIVATION_ULPS,
    DROPOUT_ULPS,
    FINITE_DIFFERENCE,
    LOSS_EXP_EPS,
    LOSS_RELATIVE,
    MILLION_RELATIVE,
    SOFTMAX_ULPS,
    UPDATE_EPS,
    assert_product_close,
    assert_terms_close,
    assert_ulps_close,
    assert_within,
    widened,
)

OPERATIONS = sorted(name for name in vars(Kernels) if not name.startswith("_"))

POINTWISE = [activation for activation in ACTIVATIONS if activation != "softmax"]
# Empty, single, around the vectors of every level, long.
LENGTHS = [0, 1, 3, 4, 15, 16, 17, 64, 1001]


@pytest.fixture
def kernels(backend, dtype):
    return backend.kernels(dtype)


def normal(rng, shape, dtype):
    return rng.normal(size=shape).astype(dtype)


def unset(shape, dtype):
    """An output that shows every value that was not written."""
    return np.full(shape, np.nan, dtype)


def sigmoid(z):
    e = np.exp(-np.abs(z))
    return np.where(z < 0, e, 1) / (1 + e)


def softmax(z):
    with np.errstate(invalid="ignore", over="ignore"):
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)


def log_of_sum(z):
    largest = z.max(axis=1, keepdims=True)
    return largest + np.log(np.exp(z - largest).sum(axis=1, keepdims=True))


# The contract's formulas, to be taken in a wider type.
ACTIVATE = {
    "identity": lambda z: z,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "relu": lambda z: np.where(np.isnan(z) | (z > 0), z, 0),
    "softmax": softmax,
}
# Each with the sum of the magnitudes of its terms.
BACKWARD = {
    "identity": lambda a, g: (g, np.abs(g)),
    "sigmoid": lambda a, g: (g * a * (1 - a), np.abs(g * a * (1 - a))),
    "tanh": lambda a, g: (g * (1 - a**2), np.abs(g) * (1 + a**2)),
    "relu": lambda a, g: (g * (a > 0), np.abs(g)),
    "softmax": lambda a, g: (
        a * (g - (a * g).sum(axis=1, keepdims=True)),
        a * (np.abs(g) + np.abs(a * g).sum(axis=1, keepdims=True)),
    ),
}
LOSS = {
    "squared_error": lambda z, y, t: (y - t) ** 2 / 2,
    "binary_cross_entropy": lambda z, y, t: np.maximum(z, 0) - z * t + np.log1p(np.exp(-np.abs(z))),
    "cross_entropy": lambda z, y, t: t * (log_of_sum(z) - z),
}


def stepped(optimizer, p, g, moments, learning_rate, step):
    """Parameters and moments after a step, by the formulas of `SGD` and `Adam`."""
    if isinstance(optimizer, SGD):
        if not optimizer.momentum:
            return p - learning_rate * g, moments
        velocity = optimizer.momentum * moments[0] + g
        way = g + optimizer.momentum * velocity if optimizer.nesterov else velocity
        return p - learning_rate * way, velocity[np.newaxis]
    m = optimizer.beta_1 * moments[0] + (1 - optimizer.beta_1) * g
    v = optimizer.beta_2 * moments[1] + (1 - optimizer.beta_2) * g**2
    p = p * (1 - learning_rate * optimizer.weight_decay)
    root = np.sqrt(v / (1 - optimizer.beta_2**step))
    p = p - learning_rate * m / (1 - optimizer.beta_1**step) / (root + optimizer.epsilon)
    return p, np.stack([m, v])


class TestContract:
    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_every_backend_has_the_operation_with_the_same_parameters(self, kernels, operation):
        contract = inspect.signature(getattr(Kernels, operation))
        expected = [(p.name, p.default) for p in list(contract.parameters.values())[1:]]
        found = inspect.signature(getattr(kernels, operation)).parameters.values()
        assert [(p.name, p.default) for p in found] == expected

    def test_no_backend_has_an_operation_that_the_contract_lacks(self, kernels):
        public = {
            name
            for name, value in vars(kernels).items()
            if callable(value) and getattr(value, "__module__", None) == kernels.__name__
        }
        assert {name for name in public if not name.startswith("_")} == set(OPERATIONS)

    @pytest.mark.compiled
    def test_the_two_backends_are_not_one_and_the_same(self, dtype):
        compiled = backends.get("cython").kernels(dtype)
        reference = backends.get("numpy").kernels(dtype)
        assert compiled.__file__.endswith((".so", ".pyd"))
        assert reference.__file__.endswith(".py")
        for operation in OPERATIONS:
            assert getattr(compiled, operation) is not getattr(reference, operation)


class TestDense:
    @pytest.mark.parametrize("shape", DENSE_SHAPES, ids=str)
    def test_forward_is_the_product_plus_the_bias(self, kernels, dtype, rng, shape):
        n, fan_in, fan_out = shape
        x, weights = normal(rng, (n, fan_in), dtype), normal(rng, (fan_in, fan_out), dtype)
        bias, out = normal(rng, fan_out, dtype), unset((n, fan_out), dtype)
        kernels.dense_forward(x, weights, bias, out)
        assert_product_close(out, x, weights, bias)

    @pytest.mark.parametrize("shape", DENSE_SHAPES, ids=str)
    def test_backward_gives_the_three_gradients(self, kernels, dtype, rng, shape):
        n, fan_in, fan_out = shape
        x, weights = normal(rng, (n, fan_in), dtype), normal(rng, (fan_in, fan_out), dtype)
        delta = normal(rng, (n, fan_out), dtype)
        grad_weights, grad_x = unset(weights.shape, dtype), unset(x.shape, dtype)
        grad_bias = unset(fan_out, dtype)
        kernels.dense_backward(x, weights, delta, grad_weights, grad_bias, grad_x)
        assert_product_close(grad_weights, x.T, delta)
        assert_product_close(grad_bias[np.newaxis], np.ones((1, n)), delta)
        assert_product_close(grad_x, delta, weights.T)

    @pytest.mark.parametrize("wanted", ["grad_weights", "grad_bias", "grad_x"])
    def test_backward_computes_only_what_is_asked_for(self, kernels, dtype, rng, wanted):
        x, weights = normal(rng, (9, 20), dtype), normal(rng, (20, 7), dtype)
        delta = normal(rng, (9, 7), dtype)
        every = {
            "grad_weights": unset((20, 7), dtype),
            "grad_bias": unset(7, dtype),
            "grad_x": unset((9, 20), dtype),
        }
        kernels.dense_backward(x, weights, delta, **every)
        alone = np.full_like(every[wanted], np.nan)
        kernels.dense_backward(x, weights, delta, **{wanted: alone})
        assert np.array_equal(alone, every[wanted])

    def test_large_terms_that_cancel_leave_the_small_ones(self, kernels, dtype):
        x = np.array([[1e6, 1.0, -1e6]], dtype)
        weights, bias = np.ones((3, 2), dtype), np.zeros(2, dtype)
        out = unset((1, 2), dtype)
        kernels.dense_forward(x, weights, bias, out)
        assert out.tolist() == [[1.0, 1.0]]

    def test_a_value_that_is_not_finite_reaches_only_its_own_outputs(self, kernels, dtype):
        x = np.ones((8, 5), dtype)
        x[3, 2] = np.nan
        x[4, 0] = np.inf
        out = unset((8, 70), dtype)
        kernels.dense_forward(x, np.ones((5, 70), dtype), np.zeros(70, dtype), out)
        assert np.isnan(out[3]).all()
        assert np.isposinf(out[4]).all()
        assert (np.delete(out, [3, 4], axis=0) == 5).all()

    def test_a_single_row_gives_the_same_bits_as_in_a_batch(self, kernels, dtype, rng, backend):
        # NumPy's BLAS takes another way for one row; ours takes the same.
        tolerance = 64 * np.finfo(dtype).eps if backend.name == "numpy" else 0
        x, weights = normal(rng, (23, 300), dtype), normal(rng, (300, 77), dtype)
        bias, together = normal(rng, 77, dtype), unset((23, 77), dtype)
        kernels.dense_forward(x, weights, bias, together)
        for row in range(len(x)):
            alone = unset((1, 77), dtype)
            kernels.dense_forward(x[row : row + 1], weights, bias, alone)
            np.testing.assert_allclose(alone[0], together[row], rtol=tolerance, atol=tolerance * 20)


class TestActivations:
    @pytest.mark.parametrize("activation", POINTWISE)
    def test_is_accurate_over_its_whole_range(self, backend, kernels, dtype, activation):
        near_zero = np.geomspace(1e-30, 1, 5001)
        z = (
            np.concatenate([np.linspace(-750, 750, 200_001), near_zero, -near_zero])
            .reshape(1, -1)
            .astype(dtype)
        )
        out = unset(z.shape, dtype)
        kernels.activate(activation, z, out)
        assert_ulps_close(
            out, ACTIVATE[activation](widened(z)), ACTIVATION_ULPS[activation][backend.name]
        )

    @pytest.mark.parametrize("activation", POINTWISE)
    def test_takes_every_special_value_without_a_warning(self, backend, kernels, dtype, activation):
        z = special_values(dtype)
        out = unset(z.shape, dtype)
        with np.errstate(all="raise"):
            kernels.activate(activation, z, out)
        assert_ulps_close(
            out, ACTIVATE[activation](widened(z)), ACTIVATION_ULPS[activation][backend.name]
        )

    @pytest.mark.parametrize("units", [1, 2, 3, 10, 17, 128, 1001])
    @pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
    def test_softmax_is_accurate(self, kernels, dtype, rng, units, scale):
        z = normal(rng, (13, units), dtype) * dtype.type(scale)
        out = unset(z.shape, dtype)
        kernels.activate("softmax", z, out)
        wide = widened(z)
        expected = ACTIVATE["softmax"](wide)
        distance = wide.max(axis=1, keepdims=True) - wide
        info = np.finfo(dtype)
        allowed = info.eps * (distance + units + SOFTMAX_ULPS) * expected + info.tiny
        assert_within(out, expected, allowed)

    def test_softmax_takes_every_special_value_without_a_warning(self, kernels, dtype):
        z = np.zeros((special_values(dtype).size, 3), dtype)
        z[:, 1] = special_values(dtype)
        z[:, 2] = 1
        out = unset(z.shape, dtype)
        with np.errstate(all="raise"):
            kernels.activate("softmax", z, out)
        expected = ACTIVATE["softmax"](widened(z))
        assert np.array_equal(np.isnan(out), np.isnan(expected))
        defined = ~np.isnan(out)
        info = np.finfo(dtype)
        np.testing.assert_allclose(
            out[defined], expected[defined], rtol=200 * float(info.eps), atol=float(info.tiny)
        )

    @pytest.mark.parametrize("size", [1e4, 1e30])
    def test_softmax_of_one_unit_far_above_the_others_is_all_its_own(self, kernels, dtype, size):
        z = np.array([[0, size, -size, size / 2], [-size, -size, -size, -size]], dtype)
        out = unset(z.shape, dtype)
        kernels.activate("softmax", z, out)
        assert out.tolist() == [[0, 1, 0, 0], [0.25, 0.25, 0.25, 0.25]]

    @pytest.mark.parametrize(
        ("activation", "expected"),
        [
            ("identity", [0.0, 0.0, np.inf, -np.inf]),
            ("sigmoid", [0.5, 0.5, 1.0, 0.0]),
            ("tanh", [0.0, 0.0, 1.0, -1.0]),
            ("relu", [0.0, 0.0, np.inf, 0.0]),
        ],
    )
    def test_known_values(self, kernels, dtype, activation, expected):
        z = np.array([[0.0, -0.0, np.inf, -np.inf]], dtype)
        out = unset(z.shape, dtype)
        kernels.activate(activation, z, out)
        assert out.tolist() == [expected]

    @pytest.mark.parametrize(
        ("activation", "z", "expected"),
        [
            ("sigmoid", np.log(3), 0.75),
            ("sigmoid", -np.log(3), 0.25),
            ("tanh", np.log(2), 0.6),
            ("tanh", -np.log(2), -0.6),
            ("relu", 1.5, 1.5),
            ("relu", -1.5, 0.0),
        ],
    )
    def test_values_found_by_hand(self, kernels, dtype, activation, z, expected):
        out = unset((1, 1), dtype)
        kernels.activate(activation, np.array([[z]], dtype), out)
        assert out[0, 0] == pytest.approx(expected, abs=2 * float(np.finfo(dtype).eps))

    @pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
    def test_is_monotonic_around_zero(self, kernels, dtype, activation):
        z = np.linspace(-2, 2, 10_001, dtype=dtype).reshape(1, -1)
        out = unset(z.shape, dtype)
        kernels.activate(activation, z, out)
        assert (np.diff(out[0]) > -np.finfo(dtype).eps).all()

    @pytest.mark.parametrize("activation", POINTWISE)
    def test_nan_stays_where_it_is(self, kernels, dtype, activation):
        z = np.ones((3, 40), dtype)
        z[1, 33] = np.nan
        out = unset(z.shape, dtype)
        kernels.activate(activation, z, out)
        assert np.argwhere(np.isnan(out)).tolist() == [[1, 33]]

    @pytest.mark.parametrize("units", [1, 5, 33, 40])
    def test_nan_spoils_the_softmax_of_its_whole_sample_and_no_other(self, kernels, dtype, units):
        z = np.ones((3, units), dtype)
        z[1, units - 1] = np.nan
        out = unset(z.shape, dtype)
        kernels.activate("softmax", z, out)
        assert np.isnan(out[1]).all()
        assert not np.isnan(out[[0, 2]]).any()

    @pytest.mark.parametrize("size", LENGTHS)
    @pytest.mark.parametrize("activation", ACTIVATIONS)
    def test_works_in_place_at_every_length(self, kernels, dtype, rng, activation, size):
        z, grad_a = normal(rng, (2, size), dtype), normal(rng, (2, size), dtype)
        apart, within = unset(z.shape, dtype), z.copy()
        kernels.activate(activation, z, apart)
        kernels.activate(activation, within, within)
        assert np.array_equal(apart, within)
        a = apart
        delta = unset(a.shape, dtype)
        kernels.activation_backward(activation, a, grad_a, delta)
        in_grad_a, in_a = grad_a.copy(), a.copy()
        kernels.activation_backward(activation, a, in_grad_a, in_grad_a)
        kernels.activation_backward(activation, in_a, grad_a, in_a)
        assert not np.isnan(delta).any()
        assert np.array_equal(delta, in_grad_a)
        assert np.array_equal(delta, in_a)

    @pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)], ids=str)
    @pytest.mark.parametrize("activation", ACTIVATIONS)
    def test_takes_nothing(self, kernels, dtype, activation, shape):
        nothing = np.empty(shape, dtype)
        kernels.activate(activation, nothing, nothing)
        kernels.activation_backward(activation, nothing, nothing.copy(), nothing)
        assert nothing.shape == shape

    @pytest.mark.parametrize("shape", [(1, 1), (13, 37), (3, 10), (2, 129)], ids=str)
    @pytest.mark.parametrize("activation", ACTIVATIONS)
    def test_backward_is_its_formula(self, kernels, dtype, rng, activation, shape):
        a, grad_a = rng.random(shape).astype(dtype), normal(rng, shape, dtype)
        if activation == "tanh":
            a = 2 * a - 1
        a[0, 0], a[-1, -1] = 0, 1
        out = unset(shape, dtype)
        kernels.activation_backward(activation, a, grad_a, out)
        expected, magnitude = BACKWARD[activation](widened(a), widened(grad_a))
        assert_terms_close(out, expected, magnitude, shape[1] if activation == "softmax" else 1)
        if activation in ("identity", "relu"):
            assert np.array_equal(out, expected)

    @pytest.mark.parametrize("activation", ACTIVATIONS)
    def test_backward_agrees_with_finite_differences(self, backend, rng, activation):
        kernels = backend.kernels(np.float64)
        z, grad_a = rng.normal(size=(3, 7)), rng.normal(size=(3, 7))
        a, moved, delta = (np.empty_like(z) for _ in range(3))
        kernels.activate(activation, z, a)
        kernels.activation_backward(activation, a, grad_a, delta)
        for index in np.ndindex(z.shape):
            values = []
            for step in (1e-5, -1e-5):
                shifted = z.copy()
                shifted[index] += step
                kernels.activate(activation, shifted, moved)
                values.append((moved * grad_a).sum())
            slope = (values[0] - values[1]) / 2e-5
            assert delta[index] == pytest.approx(slope, abs=FINITE_DIFFERENCE)

    @pytest.mark.parametrize("activation", ACTIVATIONS)
    def test_backward_hands_nan_on(self, kernels, dtype, activation):
        a, grad_a = np.full((2, 20), 0.5, dtype), np.ones((2, 20), dtype)
        grad_a[1, 17] = np.nan
        out = unset(a.shape, dtype)
        kernels.activation_backward(activation, a, grad_a, out)
        assert np.isnan(out[1, 17])
        assert not np.isnan(out[0]).any()

    def test_relu_lets_no_gradient_through_where_it_is_zero(self, kernels, dtype):
        a = np.array([[0.0, -0.0, 1.0, 0.0]], dtype)
        grad_a = np.array([[5.0, 5.0, 5.0, np.inf]], dtype)
        out = unset(a.shape, dtype)
        kernels.activation_backward("relu", a, grad_a, out)
        assert out.tolist() == [[0, 0, 5, 0]]


class TestLoss:
    @pytest.mark.parametrize("loss", LOSSES)
    @pytest.mark.parametrize("shape", [(1, 1), (5, 3), (64, 10), (3, 129)], ids=str)
    @pytest.mark.parametrize("scale", [1.0, 50.0])
    def test_is_its_formula_summed_in_float64(self, kernels, dtype, rng, loss, shape, scale):
        z = normal(rng, shape, dtype) * dtype.type(scale)
        y = unset(shape, dtype)
        kernels.activate(LOSSES[loss] or "tanh", z, y)
        t = rng.random(shape).astype(dtype)
        terms = LOSS[loss](*(array.astype(np.longdouble) for array in (z, y, t)))
        expected = terms.sum() / shape[0]
        found = kernels.loss(loss, z, y, t)
        assert isinstance(found, float)
        relative = max(LOSS_RELATIVE, LOSS_EXP_EPS * float(np.finfo(dtype).eps))
        allowed = {"rel": relative, "abs": LOSS_RELATIVE * scale}
        assert found == pytest.approx(float(expected), **allowed)

    def test_squared_error_by_hand(self, kernels, dtype):
        y = np.array([[1.0, 2.0], [3.0, 5.0]], dtype)
        t = np.array([[0.0, 2.0], [1.0, 1.0]], dtype)
        z = np.full_like(y, 9)
        assert kernels.loss("squared_error", z, y, t) == (1 + 0 + 4 + 16) / 2 / 2

    def test_cross_entropies_by_hand(self, kernels, dtype):
        z, y = np.zeros((2, 4), dtype), np.full((2, 4), 0.5, dtype)
        t = np.array([[1, 0, 0, 0], [0, 0, 0.5, 0.5]], dtype)
        assert kernels.loss("cross_entropy", z, y / 2, t) == pytest.approx(
            np.log(4), rel=LOSS_RELATIVE
        )
        of_one = 4 * np.log(2)
        assert kernels.loss("binary_cross_entropy", z, y, t) == pytest.approx(
            of_one, rel=LOSS_RELATIVE
        )

    @pytest.mark.parametrize("size", [1e4, 1e30])
    def test_cross_entropies_are_exact_where_the_output_is_all_but_0_or_1(
        self, kernels, dtype, size
    ):
        size = float(dtype.type(size))
        z = np.array([[size, -size], [size, -size]], dtype)
        y = np.array([[1, 0], [1, 0]], dtype)
        right = np.array([[1, 0], [1, 0]], dtype)
        with np.errstate(all="raise"):
            assert kernels.loss("binary_cross_entropy", z, y, right) == 0
            assert kernels.loss("binary_cross_entropy", z, y, 1 - right) == 2 * size
            assert kernels.loss("cross_entropy", z, y, right) == 0
            assert kernels.loss("cross_entropy", z, y, 1 - right) == 2 * size

    def test_cross_entropies_keep_what_is_small(self, kernels, dtype):
        one = np.ones((1, 1), dtype)
        found = kernels.loss("binary_cross_entropy", 30 * one, one, one)
        assert found == pytest.approx(np.exp(-30.0), rel=1e-6, abs=0)
        z, t = np.array([[13.0, 0.0]], dtype), np.array([[1.0, 0.0]], dtype)
        found = kernels.loss("cross_entropy", z, t.copy(), t)
        assert found == pytest.approx(np.exp(-13.0), rel=1e-5, abs=0)

    @pytest.mark.parametrize("loss", LOSSES)
    @pytest.mark.parametrize("shape", [(0, 3), (3, 0)], ids=str)
    def test_nothing_has_no_loss(self, kernels, dtype, loss, shape):
        nothing = np.empty(shape, dtype)
        assert kernels.loss(loss, nothing, nothing.copy(), nothing.copy()) == 0.0

    @pytest.mark.parametrize("loss", LOSSES)
    def test_a_million_small_terms_are_not_lost(self, kernels, dtype, loss):
        z = np.full((1_000_000, 1), 3.0, dtype)
        y, t = np.full_like(z, 0.1), np.full_like(z, 0.3)
        one = kernels.loss(loss, z[:1], y[:1], t[:1])
        assert kernels.loss(loss, z, y, t) == pytest.approx(one, rel=MILLION_RELATIVE)

    @pytest.mark.parametrize("loss", LOSSES)
    @pytest.mark.parametrize("where", [0, 1, 16])
    def test_nan_is_not_hidden(self, kernels, dtype, loss, where):
        values = np.full((2, 17), 0.5, dtype)
        spoilt = values.copy()
        spoilt[1, where] = np.nan
        assert np.isnan(kernels.loss(loss, spoilt, spoilt, values))
        assert np.isnan(kernels.loss(loss, values, values, spoilt))


class TestOutputDelta:
    @pytest.mark.parametrize(("activation", "loss"), HEADS)
    @pytest.mark.parametrize("shape", [(1, 1), (3, 2), (7, 17), (64, 10)], ids=str)
    def test_is_its_formula(self, kernels, dtype, rng, activation, loss, shape):
        y, t = rng.random(shape).astype(dtype), rng.random(shape).astype(dtype)
        out = unset(shape, dtype)
        kernels.output_delta(loss, activation, y, t, out)
        wide_y, wide_t = widened(y), widened(t)
        if loss == "squared_error":
            expected, _ = BACKWARD[activation](wide_y, wide_y - wide_t)
            _, magnitude = BACKWARD[activation](wide_y, wide_y + wide_t)
        else:
            total = wide_t.sum(axis=1, keepdims=True) if loss == "cross_entropy" else 1
            expected, magnitude = wide_y * total - wide_t, wide_y * total + wide_t
        summed = 1 if activation in POINTWISE else shape[1]
        assert_terms_close(out, expected / shape[0], magnitude / shape[0], summed)

    @pytest.mark.parametrize(("activation", "loss"), HEADS)
    def test_is_the_slope_of_the_loss(self, backend, rng, activation, loss):
        kernels = backend.kernels(np.float64)
        z, t = rng.normal(size=(5, 3)), rng.random((5, 3))
        y, delta = np.empty_like(z), np.empty_like(z)
        kernels.activate(activation, z, y)
        kernels.output_delta(loss, activation, y, t, delta)
        for index in np.ndindex(z.shape):
            values = []
            for step in (1e-5, -1e-5):
                shifted = z.copy()
                shifted[index] += step
                kernels.activate(activation, shifted, y)
                values.append(kernels.loss(loss, shifted, y, t))
            slope = (values[0] - values[1]) / 2e-5
            assert delta[index] == pytest.approx(slope, abs=FINITE_DIFFERENCE)

    @pytest.mark.parametrize(("activation", "loss"), HEADS)
    @pytest.mark.parametrize("size", LENGTHS)
    def test_works_in_place_at_every_length(self, kernels, dtype, rng, activation, loss, size):
        y, t = rng.random((3, size)).astype(dtype), rng.random((3, size)).astype(dtype)
        apart = unset(y.shape, dtype)
        kernels.output_delta(loss, activation, y, t, apart)
        kernels.output_delta(loss, activation, y, t, y)
        assert not np.isnan(apart).any()
        assert np.array_equal(apart, y)

    @pytest.mark.parametrize(("activation", "loss"), HEADS)
    def test_takes_no_samples(self, kernels, dtype, activation, loss):
        none = np.empty((0, 3), dtype)
        kernels.output_delta(loss, activation, none, none.copy(), none)
        assert none.shape == (0, 3)

    @pytest.mark.parametrize(("activation", "loss"), HEADS)
    def test_nan_is_not_hidden(self, kernels, dtype, activation, loss):
        y, t = np.full((2, 5), 0.5, dtype), np.full((2, 5), 0.25, dtype)
        t[1, 4] = np.nan
        out = unset(y.shape, dtype)
        kernels.output_delta(loss, activation, y, t, out)
        assert np.isnan(out[1, 4])
        assert not np.isnan(out[0]).any()


class TestUpdate:
    @pytest.mark.parametrize("size", LENGTHS)
    @pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
    def test_six_steps_are_those_of_the_formula(self, kernels, dtype, rng, optimizer, size):
        p, moments = normal(rng, size, dtype), np.zeros((optimizer.n_moments, size), dtype)
        wide, wide_moments = widened(p), widened(moments)
        for step in range(1, 7):
            gradient = normal(rng, size, dtype)
            kernels.update(optimizer, p, gradient, moments, 0.1, step)
            wide, wide_moments = stepped(
                optimizer, wide, widened(gradient), wide_moments, 0.1, step
            )
        allowed = UPDATE_EPS * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(p, wide, rtol=allowed, atol=allowed)
        np.testing.assert_allclose(moments, wide_moments, rtol=allowed, atol=allowed)

    def test_plain_descent_by_hand(self, kernels, dtype):
        p = np.array([1.0, 2.0, 3.0], dtype)
        kernels.update(SGD(), p, np.array([2, 0, -4], dtype), np.empty((0, 3), dtype), 0.25, 1)
        assert p.tolist() == [0.5, 2.0, 4.0]

    def test_momentum_by_hand(self, kernels, dtype):
        p, moments = np.array([1.0], dtype), np.array([[2.0]], dtype)
        kernels.update(SGD(momentum=0.5), p, np.array([4], dtype), moments, 0.25, 1)
        assert moments.tolist() == [[5.0]]
        assert p.tolist() == [1 - 0.25 * 5]

    def test_nesterovs_momentum_by_hand(self, kernels, dtype):
        p, moments = np.array([1.0], dtype), np.array([[2.0]], dtype)
        optimizer = SGD(momentum=0.5, nesterov=True)
        kernels.update(optimizer, p, np.array([4], dtype), moments, 0.25, 1)
        assert moments.tolist() == [[5.0]]
        assert p.tolist() == [1 - 0.25 * (4 + 0.5 * 5)]

    def test_adam_by_hand(self, kernels, dtype):
        p, moments = np.array([1.0], dtype), np.array([[2.0], [4.0]], dtype)
        optimizer = Adam(beta_1=0.5, beta_2=0.75, epsilon=1.0)
        kernels.update(optimizer, p, np.array([6], dtype), moments, 0.25, 2)
        # m = 1 + 3 and v = 3 + 9, corrected 4 / (3 / 4) and 12 / (7 / 16).
        assert moments.tolist() == [[4.0], [12.0]]
        expected = 1 - 0.25 * (16 / 3) / ((12 * 16 / 7) ** 0.5 + 1)
        assert p[0] == pytest.approx(expected, rel=4 * float(np.finfo(dtype).eps))

    def test_adams_first_step_has_the_length_of_the_learning_rate(self, kernels, dtype):
        gradient = np.array([1e-3, -1.0, 1e3], dtype)
        p, moments = np.zeros(3, dtype), np.zeros((2, 3), dtype)
        kernels.update(Adam(), p, gradient, moments, 0.01, 1)
        np.testing.assert_allclose(p, [-0.01, 0.01, -0.01], rtol=2e-5)

    def test_the_correction_of_adam_fades_with_the_steps(self, kernels, dtype):
        ends = []
        for step in (1, 10, 10_000, 2**32):
            p, moments = np.zeros(1, dtype), np.zeros((2, 1), dtype)
            kernels.update(Adam(), p, np.ones(1, dtype), moments, 1.0, step)
            ends.append(-p[0])
        correct = [(1 - 0.999**n) ** 0.5 / (1 - 0.9**n) * 0.1 / 0.001**0.5 for n in (1, 10)]
        assert ends[:2] == pytest.approx(correct, rel=1e-5)
        assert ends[2:] == pytest.approx([0.1 / 0.001**0.5] * 2, rel=1e-4)

    def test_weight_decay_alone_shrinks_the_parameters(self, kernels, dtype):
        p, moments = np.array([8.0, -4.0], dtype), np.zeros((2, 2), dtype)
        kernels.update(Adam(weight_decay=0.5), p, np.zeros(2, dtype), moments, 0.25, 1)
        assert p.tolist() == [7.0, -3.5]

    @pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
    def test_takes_no_parameters(self, kernels, dtype, optimizer):
        none, moments = np.empty(0, dtype), np.empty((optimizer.n_moments, 0), dtype)
        kernels.update(optimizer, none, none.copy(), moments, 0.1, 1)
        assert none.size == 0

    @pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
    def test_a_gradient_that_is_not_finite_spoils_only_its_own_parameter(
        self, kernels, dtype, optimizer
    ):
        p, gradient = np.ones(37, dtype), np.ones(37, dtype)
        gradient[[3, 36]] = np.nan, np.inf
        with np.errstate(all="raise"):
            kernels.update(optimizer, p, gradient, np.zeros((optimizer.n_moments, 37), dtype), 1, 1)
        assert np.flatnonzero(~np.isfinite(p)).tolist() == [3, 36]

    @pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
    @pytest.mark.parametrize("change", [-1, 1])
    def test_refuses_moments_of_another_number(self, kernels, dtype, optimizer, change):
        rows = optimizer.n_moments + change
        p = np.ones(3, dtype)
        if rows < 0:
            rows = 4
        with pytest.raises(ValueError, match="moments"):
            kernels.update(optimizer, p, p.copy(), np.zeros((rows, 3), dtype), 0.1, 1)
        assert p.tolist() == [1, 1, 1]

    @pytest.mark.parametrize("step", [0, -3])
    def test_refuses_a_step_before_the_first(self, kernels, dtype, step):
        p = np.ones(3, dtype)
        with pytest.raises(ValueError, match="step"):
            kernels.update(Adam(), p, p.copy(), np.zeros((2, 3), dtype), 0.1, step)

    def test_refuses_an_optimizer_that_it_does_not_know(self, kernels, dtype):
        p = np.ones(3, dtype)
        with pytest.raises(ValueError, match="SGD or Adam"):
            kernels.update("adam", p, p.copy(), np.zeros((2, 3), dtype), 0.1, 1)


class TestRandomBits:
    # The known answers of Random123, from its tests/kat_vectors.
    @pytest.mark.parametrize(
        ("key", "counter", "answer"),
        [
            (
                0,
                (0, 0, 0, 0),
                [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8],
            ),
            (
                0xFFFFFFFF_FFFFFFFF,
                (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF),
                [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD],
            ),
            (
                0x299F31D0_A4093822,
                (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
                [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
            ),
        ],
        ids=["zeros", "ones", "pi"],
    )
    def test_known_answers(self, kernels, key, counter, answer):
        out = np.zeros(4, np.uint32)
        kernels.random_bits(key, counter, out)
        assert out.tolist() == answer

    @pytest.mark.parametrize("size", [*LENGTHS, 5, 6, 7, 8])
    def test_the_first_word_counts_on_from_block_to_block(self, kernels, size):
        key, counter = 0x0123456789ABCDEF, (5, 6, 7, 8)
        out = np.zeros(size, np.uint32)
        kernels.random_bits(key, counter, out)
        blocks = []
        for block in range(-(-size // 4)):
            blocks.append(np.zeros(4, np.uint32))
            kernels.random_bits(key, (5 + block, 6, 7, 8), blocks[-1])
        expected = np.concatenate(blocks)[:size] if blocks else out
        assert np.array_equal(out, expected)

    def test_the_first_word_counts_on_without_a_carry(self, kernels):
        out, after = np.zeros(8, np.uint32), np.zeros(4, np.uint32)
        kernels.random_bits(9, (2**32 - 1, 6, 7, 8), out)
        kernels.random_bits(9, (0, 6, 7, 8), after)
        assert np.array_equal(out[4:], after)

    def test_every_word_of_counter_and_key_matters(self, kernels):
        drawn = set()
        keys = (0, 1, 1 << 31, 1 << 32, 1 << 63)
        counters = [(0, 0, 0, 0), *np.eye(4, dtype=int).tolist()]
        for key, counter in itertools.product(keys, counters):
            out = np.zeros(4, np.uint32)
            kernels.random_bits(key, tuple(counter), out)
            drawn.add(tuple(out.tolist()))
        assert len(drawn) == len(keys) * len(counters)

    def test_every_bit_is_set_half_the_time(self, kernels):
        out = np.zeros(40_000, np.uint32)
        kernels.random_bits(3, (0, 0, 0, 0), out)
        shares = [(out >> np.uint32(bit) & np.uint32(1)).mean() for bit in range(32)]
        # Five standard deviations.
        assert max(abs(share - 0.5) for share in shares) < 5 * 0.5 / 200

    @pytest.mark.parametrize("key", [-1, 2**64])
    def test_refuses_a_key_beyond_64_bits(self, kernels, key):
        with pytest.raises(ValueError, match="key"):
            kernels.random_bits(key, (0, 0, 0, 0), np.zeros(4, np.uint32))

    @pytest.mark.parametrize("counter", [(0, 0, 0, -1), (2**32, 0, 0, 0), (0, 0, 0), (0,) * 5])
    def test_refuses_a_counter_that_is_not_four_words(self, kernels, counter):
        with pytest.raises(ValueError, match="counter"):
            kernels.random_bits(0, counter, np.zeros(4, np.uint32))


class TestDropout:
    def kept(self, kernels, rate, key, step, layer, shape):
        """Which units the contract keeps, from `random_bits` row by row."""
        rows, units = shape
        kept = np.empty(shape, bool)
        bits = np.zeros(units, np.uint32)
        for row in range(rows):
            kernels.random_bits(key, (0, row, layer, step), bits)
            kept[row] = bits.astype(np.int64) >= round(rate * 2**32)
        return kept

    @pytest.mark.parametrize("shape", [(1, 1), (3, 7), (5, 64), (2, 131), (70, 10)], ids=str)
    @pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
    def test_keeps_what_the_contract_keeps_and_scales_it(self, kernels, dtype, rng, shape, rate):
        a, out = normal(rng, shape, dtype), unset(shape, dtype)
        kernels.dropout(rate, 2**40 + 5, 3, 2, a, out)
        kept = self.kept(kernels, rate, 2**40 + 5, 3, 2, shape)
        assert (out[~kept] == 0).all()
        assert_ulps_close(out[kept], widened(a[kept]) / (1 - rate), DROPOUT_ULPS)

    def test_a_number_that_equals_the_threshold_is_kept(self, kernels, dtype):
        bits, ones = np.zeros(40, np.uint32), np.ones((1, 40), dtype)
        kernels.random_bits(1, (0, 0, 3, 2), bits)
        for unit in (0, 17, 39):
            out = unset(ones.shape, dtype)
            kernels.dropout(int(bits[unit]) / 2**32, 1, 2, 3, ones, out)
            assert out[0, unit] != 0
            kernels.dropout((int(bits[unit]) + 1) / 2**32, 1, 2, 3, ones, out)
            assert out[0, unit] == 0

    def test_the_share_that_is_kept_is_one_minus_the_rate(self, kernels, dtype):
        ones = np.ones((200, 500), dtype)
        for rate in (0.05, 0.3, 0.5, 0.9):
            out = unset(ones.shape, dtype)
            kernels.dropout(rate, 1, 0, 0, ones, out)
            deviation = (rate * (1 - rate) / ones.size) ** 0.5
            assert (out != 0).mean() == pytest.approx(1 - rate, abs=5 * deviation)

    def test_every_key_step_layer_and_row_has_its_own_mask(self, kernels, dtype):
        ones = np.ones((2, 64), dtype)
        masks = set()
        settings = [(0, 0, 0), (1, 0, 0), (1 << 32, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1)]
        for key, step, layer in settings:
            out = unset(ones.shape, dtype)
            kernels.dropout(0.5, key, step, layer, ones, out)
            masks.update(tuple(row.tolist()) for row in out)
        assert len(masks) == 2 * len(settings)

    def test_the_mask_of_a_row_is_the_same_in_a_batch_of_another_size(self, kernels, dtype, rng):
        a = normal(rng, (9, 33), dtype)
        whole, part = unset(a.shape, dtype), unset((4, 33), dtype)
        kernels.dropout(0.4, 7, 8, 9, a, whole)
        kernels.dropout(0.4, 7, 8, 9, a[:4].copy(), part)
        assert np.array_equal(whole[:4], part)

    @pytest.mark.parametrize("size", LENGTHS)
    def test_works_in_place_at_every_length(self, kernels, dtype, rng, size):
        a = normal(rng, (3, size), dtype)
        apart = unset(a.shape, dtype)
        kernels.dropout(0.5, 1, 2, 3, a, apart)
        kernels.dropout(0.5, 1, 2, 3, a, a)
        assert not np.isnan(apart).any()
        assert np.array_equal(apart, a)

    @pytest.mark.parametrize("rate", [0.0, 2.0**-40])
    def test_a_rate_of_nothing_keeps_every_bit(self, kernels, dtype, rng, rate):
        a = normal(rng, (4, 21), dtype)
        out = unset(a.shape, dtype)
        kernels.dropout(rate, 1, 2, 3, a, out)
        assert_ulps_close(out, widened(a) / (1 - rate), DROPOUT_ULPS if rate else 0)

    def test_the_highest_rate_keeps_nothing(self, kernels, dtype):
        out = unset((4, 21), dtype)
        kernels.dropout(1 - 2.0**-53, 1, 2, 3, np.ones((4, 21), dtype), out)
        assert (out == 0).all()

    def test_what_is_dropped_is_zero_whatever_it_was(self, kernels, dtype):
        kept = self.kept(kernels, 0.5, 1, 2, 3, (4, 21))
        for value in (np.nan, np.inf, -np.inf):
            out = unset(kept.shape, dtype)
            kernels.dropout(0.5, 1, 2, 3, np.full(kept.shape, value, dtype), out)
            assert (out[~kept] == 0).all()
            assert not np.isfinite(out[kept]).any()

    def test_step_and_layer_count_modulo_two_to_the_32(self, kernels, dtype):
        ones = np.ones((2, 40), dtype)
        first, second = unset(ones.shape, dtype), unset(ones.shape, dtype)
        kernels.dropout(0.5, 1, 2, 3, ones, first)
        kernels.dropout(0.5, 1, 2 + 2**32, 3 + 2**32, ones, second)
        assert np.array_equal(first, second)

    @pytest.mark.parametrize("shape", [(0, 3), (3, 0)], ids=str)
    def test_takes_nothing(self, kernels, dtype, shape):
        nothing = np.empty(shape, dtype)
        kernels.dropout(0.5, 1, 2, 3, nothing, nothing)
        assert nothing.shape == shape

    @pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan")])
    def test_refuses_a_rate_that_is_no_share(self, kernels, dtype, rate):
        a = np.ones((2, 2), dtype)
        with pytest.raises(ValueError, match="rate"):
            kernels.dropout(rate, 1, 2, 3, a, a)

    @pytest.mark.parametrize("key", [-1, 2**64])
    def test_refuses_a_key_beyond_64_bits(self, kernels, dtype, key):
        a = np.ones((2, 2), dtype)
        with pytest.raises(ValueError, match="key"):
            kernels.dropout(0.5, key, 2, 3, a, a)

    @pytest.mark.compiled
    def test_both_backends_keep_the_same(self, dtype):
        ones = np.ones((65, 131), dtype)
        masks = []
        for name in ("cython", "numpy"):
            out = unset(ones.shape, dtype)
            backends.get(name).kernels(dtype).dropout(0.3, 2**63 + 1, 2**32 - 1, 999, ones, out)
            masks.append(out != 0)
        assert np.array_equal(*masks)


def well_formed_call(operation, dtype, rng):
    """The arguments of a correct call, by name."""
    x, weights = normal(rng, (4, 6), dtype), normal(rng, (6, 5), dtype)
    units = rng.random((4, 5)).astype(dtype)
    out = unset((4, 5), dtype)
    return {
        "dense_forward": {"x": x, "weights": weights, "bias": normal(rng, 5, dtype), "out": out},
        "dense_backward": {
            "x": x,
            "weights": weights,
            "delta": units,
            "grad_weights": unset((6, 5), dtype),
            "grad_bias": unset(5, dtype),
            "grad_x": unset((4, 6), dtype),
        },
        "activate": {"activation": "tanh", "z": units, "out": out},
        "activation_backward": {
            "activation": "tanh",
            "a": units,
            "grad_a": units.copy(),
            "out": out,
        },
        "loss": {"loss": "cross_entropy", "z": units, "y": units.copy(), "t": units.copy()},
        "output_delta": {
            "loss": "squared_error",
            "activation": "tanh",
            "y": units,
            "t": units.copy(),
            "out": out,
        },
        "update": {
            "optimizer": Adam(),
            "parameters": units.ravel(),
            "gradient": units.ravel().copy(),
            "moments": np.zeros((2, 20), dtype),
            "learning_rate": 0.1,
            "step": 1,
        },
        "random_bits": {"key": 1, "counter": (0, 0, 0, 0), "out": np.zeros(10, np.uint32)},
        "dropout": {"rate": 0.5, "key": 1, "step": 0, "layer": 0, "a": units, "out": out},
    }[operation]


def outputs_of(operation):
    return {
        "dense_backward": ("grad_weights", "grad_bias", "grad_x"),
        "loss": (),
        "update": ("parameters", "moments"),
    }.get(operation, ("out",))


def arrays_of(operation):
    call = well_formed_call(operation, np.dtype(np.float32), np.random.default_rng(0))
    return {name: value for name, value in call.items() if isinstance(value, np.ndarray)}


ARGUMENTS = [(operation, argument) for operation in OPERATIONS for argument in arrays_of(operation)]

LAYOUTS = [
    (operation, argument, layout)
    for operation in OPERATIONS
    for argument, array in arrays_of(operation).items()
    for layout in (REFUSED_VECTORS if array.ndim == 1 else REFUSED_LAYOUTS)
]


class TestRefusals:
    @pytest.mark.parametrize(("operation", "argument", "layout"), LAYOUTS)
    def test_a_layout_that_it_cannot_read_is_a_value_error(
        self, kernels, dtype, rng, operation, argument, layout
    ):
        arguments = well_formed_call(operation, dtype, rng)
        refused = REFUSED_LAYOUTS if arguments[argument].ndim == 2 else REFUSED_VECTORS
        arguments[argument] = refused[layout](arguments[argument])
        with pytest.raises(ValueError, match=r"dtype|dimension|contiguous|Big-endian|byte"):
            getattr(kernels, operation)(**arguments)

    @pytest.mark.parametrize(
        ("operation", "argument", "thing"),
        [
            (operation, argument, thing)
            for operation, argument in ARGUMENTS
            for thing in NOT_ARRAYS
            # None stands for a gradient that is not asked for.
            if not (thing == "None" and argument in outputs_of("dense_backward"))
        ],
    )
    def test_what_is_not_an_array_is_a_type_error(
        self, kernels, dtype, rng, operation, argument, thing
    ):
        arguments = well_formed_call(operation, dtype, rng)
        arguments[argument] = NOT_ARRAYS[thing]
        with pytest.raises(TypeError):
            getattr(kernels, operation)(**arguments)

    # Random numbers are drawn in any number.
    @pytest.mark.parametrize(
        ("operation", "argument"), [pair for pair in ARGUMENTS if pair[0] != "random_bits"]
    )
    @pytest.mark.parametrize("change", ["a row more", "a column less", "none at all"])
    def test_a_shape_that_does_not_fit_is_a_value_error(
        self, kernels, dtype, rng, operation, argument, change
    ):
        arguments = well_formed_call(operation, dtype, rng)
        good = arguments[argument]
        if change == "a row more":
            bad = np.concatenate([good, good[:1]])
        elif change == "a column less":
            bad = np.ascontiguousarray(good[..., :-1])
        else:
            bad = np.ascontiguousarray(good[:0])
        arguments[argument] = bad
        with pytest.raises(ValueError, match="expected"):
            getattr(kernels, operation)(**arguments)

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_a_read_only_output_is_a_value_error_and_a_read_only_input_is_fine(
        self, kernels, dtype, rng, operation
    ):
        arguments = well_formed_call(operation, dtype, rng)
        outputs = outputs_of(operation)
        for name, value in arguments.items():
            if isinstance(value, np.ndarray) and name not in outputs:
                value.flags.writeable = False
        getattr(kernels, operation)(**arguments)
        for output in outputs:
            arguments[output].flags.writeable = False
            with pytest.raises(ValueError, match="read-only"):
                getattr(kernels, operation)(**arguments)
            arguments[output].flags.writeable = True

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_inputs_are_left_as_they_are(self, kernels, dtype, rng, operation):
        arguments = well_formed_call(operation, dtype, rng)
        inputs = {
            name: value.copy()
            for name, value in arguments.items()
            if isinstance(value, np.ndarray) and name not in outputs_of(operation)
        }
        getattr(kernels, operation)(**arguments)
        for name, before in inputs.items():
            assert np.array_equal(arguments[name], before), name

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_nothing_beside_an_output_is_written(self, kernels, dtype, rng, operation):
        arguments = well_formed_call(operation, dtype, rng)
        guards = {}
        for name in outputs_of(operation):
            value = arguments[name]
            guard = np.full(value.size + 200, 7, value.dtype)
            guard[100:-100] = value.ravel()
            arguments[name] = guard[100:-100].reshape(value.shape)
            guards[name] = guard
        getattr(kernels, operation)(**arguments)
        for guard in guards.values():
            assert (guard[:100] == 7).all()
            assert (guard[-100:] == 7).all()

    @pytest.mark.parametrize(
        ("operation", "argument"),
        [
            ("activate", "activation"),
            ("activation_backward", "activation"),
            ("loss", "loss"),
            ("output_delta", "loss"),
            ("output_delta", "activation"),
        ],
    )
    @pytest.mark.parametrize("name", ["gelu", "", "Tanh", "mse"])
    def test_a_name_that_it_does_not_know_is_a_value_error(
        self, kernels, dtype, rng, operation, argument, name
    ):
        arguments = well_formed_call(operation, dtype, rng)
        arguments[argument] = name
        with pytest.raises(ValueError, match=f"{argument}: expected .*'{name}'"):
            getattr(kernels, operation)(**arguments)


@pytest.mark.parametrize("optimizer", [SGD(momentum=0.9), Adam()], ids=["momentum", "Adam"])
def test_what_is_left_of_a_moment_below_the_least_normal_number_is_0(kernels, dtype, optimizer):
    least = np.finfo(dtype).tiny
    parameters, gradient = np.ones(3, dtype), np.zeros(3, dtype)
    moments = np.array([[least, 2 * least, np.nan]] * optimizer.n_moments, dtype)
    moments[0, 0] = -least
    kernels.update(optimizer, parameters, gradient, moments, 0.1, 5)
    assert (moments[:, 0] == 0).all()
    assert (moments[:, 1] >= least).all()
    assert np.isnan(moments[:, 2]).all()
