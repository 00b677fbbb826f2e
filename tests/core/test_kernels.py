"""Every kernel of every backend computes its formula, refuses what it cannot, changes no input."""

from __future__ import annotations

import inspect
import itertools
import json

import numpy as np
import pytest

from cnn_core import backends
from cnn_core.contracts import Kernels
from cnn_core.network import (
    ACTIVATIONS,
    EPSILON,
    NEEDED_ACTIVATION,
    NORMALIZATIONS,
    Huber,
    Pinball,
)
from cnn_core.optimizers import SGD, Adam, Lion, Nadam, RMSprop, Rprop
from corpus import (
    DENSE_SHAPES,
    HEADS,
    LOSSES,
    NOT_ARRAYS,
    OPTIMIZERS,
    REFUSED_LAYOUTS,
    REFUSED_VECTORS,
    SIGN_OPTIMIZERS,
    special_values,
)
from paths import GOLDEN
from tolerances import (
    DROPOUT_ULPS,
    FINITE_DIFFERENCE,
    KERAS_DIGITS,
    LOSS_EXP_EPS,
    LOSS_RELATIVE,
    MILLION_RELATIVE,
    NORMALIZATION_EPS,
    SOFTMAX_ULPS,
    UPDATE_EPS,
    assert_activation_close,
    assert_product_close,
    assert_terms_close,
    assert_ulps_close,
    assert_within,
    widened,
)

OPERATIONS = sorted(name for name in vars(Kernels) if not name.startswith("_"))

POINTWISE = [activation for activation in ACTIVATIONS if activation != "softmax"]
EVERY_OPTIMIZER = OPTIMIZERS + SIGN_OPTIMIZERS
# Rows of weights that are a page or more apart, and so many samples that they are brought together.
FAR_APART = (30, 7, 1100)
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


LEAK = 0.01
SCALE = np.longdouble("1.0507009873554804934193349852946")
CURVE = np.longdouble("1.7580993408473768599402175208123")
WIDTH = 2 * np.sqrt(2 / np.longdouble("3.14159265358979323846264338327950288"))
CUBE = np.longdouble("0.044715")


def constant(value, like):
    return like.dtype.type(value)


def gelu_exponent(z):
    """Twice what the tanh is taken of: 1 + tanh(v) is 2 * sigmoid(2 * v), and loses no digits."""
    return constant(WIDTH, z) * (z + constant(CUBE, z) * z**3)


def gate(z, exponent):
    """z * sigmoid(exponent), and 0 at minus infinity."""
    return np.where(np.isneginf(z), 0, z * sigmoid(exponent))


def gate_slope(z, exponent, rise):
    """The slope of that, and the sum of the magnitudes of its terms."""
    share = sigmoid(exponent)
    rest = z * rise * share * sigmoid(-exponent)
    return share + rest, (share + np.abs(rest)) * (1 + np.abs(exponent))


# The contract's formulas, to be taken in a wider type.
ACTIVATE = {
    "identity": lambda z: z,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "relu": lambda z: np.where(np.isnan(z) | (z > 0), z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, constant(np.longdouble("0.01"), z) * z),
    "elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    "selu": lambda z: np.where(
        z > 0, constant(SCALE, z) * z, constant(CURVE, z) * np.expm1(np.minimum(z, 0))
    ),
    "gelu": lambda z: gate(z, gelu_exponent(z)),
    "silu": lambda z: gate(z, z),
    "softplus": lambda z: np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))),
    "exp": np.exp,
    "softmax": softmax,
}


def gelu_backward(z, a, g):
    rise = constant(WIDTH, z) * (1 + 3 * constant(CUBE, z) * z**2)
    slope, magnitude = gate_slope(z, gelu_exponent(z), rise)
    return g * slope, np.abs(g) * magnitude


def silu_backward(z, a, g):
    slope, magnitude = gate_slope(z, z, 1)
    return g * slope, np.abs(g) * magnitude


# Each with the sum of the magnitudes of its terms.
BACKWARD = {
    "identity": lambda z, a, g: (g, np.abs(g)),
    "sigmoid": lambda z, a, g: (g * a * (1 - a), np.abs(g * a * (1 - a))),
    "tanh": lambda z, a, g: (g * (1 - a**2), np.abs(g) * (1 + a**2)),
    "relu": lambda z, a, g: (g * (a > 0), np.abs(g)),
    "leaky_relu": lambda z, a, g: (np.where(a > 0, g, constant(LEAK, g) * g), np.abs(g)),
    "elu": lambda z, a, g: (np.where(a > 0, g, g * (a + 1)), np.abs(g) * (1 + np.abs(a))),
    "selu": lambda z, a, g: (
        g * np.where(a > 0, constant(SCALE, g), a + constant(CURVE, g)),
        np.abs(g) * (2 + np.abs(a)),
    ),
    "gelu": gelu_backward,
    "silu": silu_backward,
    "softplus": lambda z, a, g: (g * -np.expm1(-a), np.abs(g * np.expm1(-a))),
    "exp": lambda z, a, g: (g * a, np.abs(g * a)),
    "softmax": lambda z, a, g: (
        a * (g - (a * g).sum(axis=1, keepdims=True)),
        a * (np.abs(g) + np.abs(a * g).sum(axis=1, keepdims=True)),
    ),
}


def loss_terms(loss, z, y, t):
    """The cost of each output, by the contract's formulas."""
    if isinstance(loss, Huber):
        size = np.abs(y - t)
        return np.where(size <= loss.delta, size**2 / 2, loss.delta * (size - loss.delta / 2))
    if isinstance(loss, Pinball):
        quantile = np.array(loss.quantiles(y.shape[1]), y.dtype)
        return np.where(y < t, quantile * (t - y), (1 - quantile) * (y - t))
    if loss == "poisson":
        with np.errstate(divide="ignore", invalid="ignore"):
            return y - t * z + np.where(t == 0, 0, t * np.log(t)) - t
    return {
        "squared_error": lambda: (y - t) ** 2 / 2,
        "absolute_error": lambda: np.abs(y - t),
        "binary_cross_entropy": lambda: np.maximum(z, 0) - z * t + np.log1p(np.exp(-np.abs(z))),
        "cross_entropy": lambda: t * (log_of_sum(z) - z),
    }[loss]()


def slope_terms(loss, y, t):
    """dloss/dy of the losses that go with any activation, and the magnitude of its terms."""
    error = y - t
    if loss == "absolute_error":
        return np.sign(error), np.ones_like(error)
    if isinstance(loss, Huber):
        return np.clip(error, -loss.delta, loss.delta), np.abs(y) + np.abs(t)
    if isinstance(loss, Pinball):
        quantile = np.array(loss.quantiles(y.shape[1]), y.dtype)
        return np.where(error < 0, -quantile, np.where(error > 0, 1 - quantile, 0)), 1
    return error, np.abs(y) + np.abs(t)


def normalization_of(normalization, u, gain, bias):
    """What `normalize` writes: normal, spread and z."""
    axis = NORMALIZATIONS.index(normalization)
    centred = u - u.mean(axis=axis, keepdims=True)
    spread = 1 / np.sqrt((centred**2).mean(axis=axis, keepdims=True) + EPSILON)
    return centred * spread, spread.ravel(), gain * (centred * spread) + bias


def stepped(optimizer, p, g, moments, learning_rate, step):
    """Parameters and moments after a step, by the formulas of `cnn_core.optimizers`."""
    if isinstance(optimizer, SGD):
        if not optimizer.momentum:
            return p - learning_rate * g, moments
        velocity = optimizer.momentum * moments[0] + g
        way = g + optimizer.momentum * velocity if optimizer.nesterov else velocity
        return p - learning_rate * way, velocity[np.newaxis]
    if isinstance(optimizer, RMSprop):
        v = optimizer.rho * moments[0] + (1 - optimizer.rho) * g**2
        change = g / (np.sqrt(v) + optimizer.epsilon)
        if not optimizer.momentum:
            return p - learning_rate * change, v[np.newaxis]
        velocity = optimizer.momentum * moments[1] + change
        return p - learning_rate * velocity, np.stack([v, velocity])
    if isinstance(optimizer, Lion):
        way = np.sign(optimizer.beta_1 * moments[0] + (1 - optimizer.beta_1) * g)
        m = optimizer.beta_2 * moments[0] + (1 - optimizer.beta_2) * g
        p = p * (1 - learning_rate * optimizer.weight_decay)
        return p - learning_rate * way, m[np.newaxis]
    if isinstance(optimizer, Rprop):
        length = np.full_like(p, learning_rate) if step == 1 else moments[1]
        kept = moments[0] * g
        factor = np.where(kept > 0, optimizer.increase, 1.0)
        factor = np.where(kept < 0, optimizer.decrease, factor)
        length = np.clip(length * factor, optimizer.least_step, optimizer.largest_step)
        g = np.where(kept < 0, 0, g)
        return p - np.sign(g) * length, np.stack([g, length])
    m = optimizer.beta_1 * moments[0] + (1 - optimizer.beta_1) * g
    v = optimizer.beta_2 * moments[1] + (1 - optimizer.beta_2) * g**2
    root = np.sqrt(v / (1 - optimizer.beta_2**step)) + optimizer.epsilon
    if isinstance(optimizer, Nadam):
        mu = [
            optimizer.beta_1 * (1 - 0.96 ** (t * optimizer.momentum_decay) / 2)
            for t in range(1, step + 2)
        ]
        mean = mu[-1] * m / (1 - np.prod(mu)) + (1 - mu[-2]) * g / (1 - np.prod(mu[:-1]))
        return p - learning_rate * mean / root, np.stack([m, v])
    p = p * (1 - learning_rate * optimizer.weight_decay)
    p = p - learning_rate * m / (1 - optimizer.beta_1**step) / root
    return p, np.stack([m, v])


KERAS = json.loads((GOLDEN / "keras.json").read_text())


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
    @pytest.mark.parametrize("shape", [*DENSE_SHAPES, FAR_APART], ids=str)
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
        parts = [np.linspace(-750, 750, 100_001), np.linspace(-30, 30, 50_001)]
        z = np.concatenate([*parts, near_zero, -near_zero]).reshape(1, -1).astype(dtype)
        out = unset(z.shape, dtype)
        kernels.activate(activation, z, out)
        with np.errstate(over="ignore"):
            expected = ACTIVATE[activation](widened(z))
        assert_activation_close(activation, backend.name, out, expected, z)

    @pytest.mark.parametrize("activation", POINTWISE)
    def test_takes_every_special_value_without_a_warning(self, backend, kernels, dtype, activation):
        z = special_values(dtype)
        out = unset(z.shape, dtype)
        with np.errstate(all="raise"):
            kernels.activate(activation, z, out)
        with np.errstate(over="ignore", invalid="ignore"):
            expected = ACTIVATE[activation](widened(z))
        assert_activation_close(activation, backend.name, out, expected, z)

    @pytest.mark.parametrize("activation", POINTWISE)
    def test_its_slope_at_every_special_value_is_a_number_and_no_warning(
        self, kernels, dtype, activation
    ):
        z = special_values(dtype)
        a, slope = unset(z.shape, dtype), unset(z.shape, dtype)
        kernels.activate(activation, z, a)
        with np.errstate(all="raise"):
            kernels.activation_backward(activation, z, a, np.ones_like(z), slope)
        if activation == "exp":
            assert np.array_equal(slope, a, equal_nan=True)
        else:
            assert np.isfinite(slope[~np.isnan(z)]).all()

    @pytest.mark.parametrize("activation", ["gelu", "silu"])
    def test_its_slope_far_from_zero_is_0_or_1(self, kernels, dtype, activation):
        far = np.array([1e3, 1e4, 1e20, np.finfo(dtype).max, np.inf], dtype)
        z = np.concatenate([-far, far]).reshape(1, -1)
        a, slope = unset(z.shape, dtype), unset(z.shape, dtype)
        kernels.activate(activation, z, a)
        kernels.activation_backward(activation, z, a, np.ones_like(z), slope)
        assert slope.tolist() == [[0.0] * len(far) + [1.0] * len(far)]

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
            ("leaky_relu", [0.0, 0.0, np.inf, -np.inf]),
            ("elu", [0.0, 0.0, np.inf, -1.0]),
            ("gelu", [0.0, 0.0, np.inf, 0.0]),
            ("silu", [0.0, 0.0, np.inf, 0.0]),
            ("exp", [1.0, 1.0, np.inf, 0.0]),
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
            ("leaky_relu", 1.5, 1.5),
            ("leaky_relu", -50.0, -0.5),
            ("elu", 1.5, 1.5),
            ("elu", -np.log(4), -0.75),
            # Those of the article, chosen so that mean 0 and variance 1 are kept.
            ("selu", 1.0, 1.0507009873554805),
            ("selu", -np.log(2), -1.0507009873554805 * 1.6732632423543772 / 2),
            # tanh(0.7978845608028654 * 1.044715) is 0.6823839812...
            ("gelu", 1.0, 0.8411919906082768),
            ("gelu", -1.0, -0.15880800939172324),
            ("silu", np.log(3), 0.75 * np.log(3)),
            ("silu", -np.log(3), -0.25 * np.log(3)),
            ("softplus", 0.0, np.log(2)),
            ("softplus", np.log(3), np.log(4)),
            ("exp", np.log(2), 2.0),
        ],
    )
    def test_values_found_by_hand(self, kernels, dtype, activation, z, expected):
        out = unset((1, 1), dtype)
        kernels.activate(activation, np.array([[z]], dtype), out)
        assert out[0, 0] == pytest.approx(expected, abs=2 * float(np.finfo(dtype).eps))

    @pytest.mark.parametrize("activation", ["sigmoid", "tanh", "elu", "selu", "softplus", "exp"])
    def test_is_monotonic_around_zero(self, kernels, dtype, activation):
        z = np.linspace(-2, 2, 10_001, dtype=dtype).reshape(1, -1)
        out = unset(z.shape, dtype)
        kernels.activate(activation, z, out)
        assert (np.diff(out[0]) > -np.finfo(dtype).eps * np.maximum(1, out[0, 1:])).all()

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
        kernels.activation_backward(activation, z, a, grad_a, delta)
        assert not np.isnan(delta).any()
        for place in range(3):
            arrays = [z.copy(), a.copy(), grad_a.copy()]
            kernels.activation_backward(activation, *arrays, arrays[place])
            assert np.array_equal(delta, arrays[place])

    @pytest.mark.parametrize(
        "activation", [name for name in ACTIVATIONS if name not in ("gelu", "silu")]
    )
    def test_the_way_back_needs_no_pre_activation(self, kernels, dtype, rng, activation):
        z, grad_a = normal(rng, (3, 21), dtype), normal(rng, (3, 21), dtype)
        a, with_z, without = (unset(z.shape, dtype) for _ in range(3))
        kernels.activate(activation, z, a)
        kernels.activation_backward(activation, z, a, grad_a, with_z)
        kernels.activation_backward(activation, a, a, grad_a, without)
        assert np.array_equal(with_z, without)

    @pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)], ids=str)
    @pytest.mark.parametrize("activation", ACTIVATIONS)
    def test_takes_nothing(self, kernels, dtype, activation, shape):
        nothing = np.empty(shape, dtype)
        kernels.activate(activation, nothing, nothing)
        others = nothing.copy(), nothing.copy()
        kernels.activation_backward(activation, nothing, *others, nothing)
        assert nothing.shape == shape

    @pytest.mark.parametrize("shape", [(1, 1), (13, 37), (3, 10), (2, 129)], ids=str)
    @pytest.mark.parametrize("activation", ACTIVATIONS)
    def test_backward_is_its_formula(self, kernels, dtype, rng, activation, shape):
        z, grad_a = normal(rng, shape, dtype) * 3, normal(rng, shape, dtype)
        a, out = unset(shape, dtype), unset(shape, dtype)
        kernels.activate(activation, z, a)
        a[0, 0], a[-1, -1] = 0, 1
        kernels.activation_backward(activation, z, a, grad_a, out)
        wide = (widened(array) for array in (z, a, grad_a))
        expected, magnitude = BACKWARD[activation](*wide)
        assert_terms_close(out, expected, magnitude, shape[1] if activation == "softmax" else 1)
        if activation in ("identity", "relu"):
            assert np.array_equal(out, expected)

    @pytest.mark.parametrize("activation", ACTIVATIONS)
    def test_backward_agrees_with_finite_differences(self, backend, rng, activation):
        kernels = backend.kernels(np.float64)
        z, grad_a = rng.normal(size=(3, 7)), rng.normal(size=(3, 7))
        a, moved, delta = (np.empty_like(z) for _ in range(3))
        kernels.activate(activation, z, a)
        kernels.activation_backward(activation, z, a, grad_a, delta)
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
        kernels.activation_backward(activation, a, a, grad_a, out)
        assert np.isnan(out[1, 17])
        assert not np.isnan(out[0]).any()

    @pytest.mark.parametrize("activation", ["gelu", "silu"])
    def test_backward_hands_on_the_nan_of_a_pre_activation(self, kernels, dtype, activation):
        z, ones = np.full((2, 20), 0.5, dtype), np.ones((2, 20), dtype)
        z[1, 17] = np.nan
        out = unset(z.shape, dtype)
        kernels.activation_backward(activation, z, ones, ones, out)
        assert np.argwhere(np.isnan(out)).tolist() == [[1, 17]]

    def test_relu_lets_no_gradient_through_where_it_is_zero(self, kernels, dtype):
        a = np.array([[0.0, -0.0, 1.0, 0.0]], dtype)
        grad_a = np.array([[5.0, 5.0, 5.0, np.inf]], dtype)
        out = unset(a.shape, dtype)
        kernels.activation_backward("relu", a, a, grad_a, out)
        assert out.tolist() == [[0, 0, 5, 0]]

    def test_leaky_relu_lets_a_hundredth_through_from_zero_on_down(self, kernels, dtype):
        a = np.array([[0.0, -0.0, 1.0, -3.0]], dtype)
        out = unset(a.shape, dtype)
        kernels.activation_backward("leaky_relu", a, a, np.full_like(a, 100), out)
        assert out.tolist() == [[1, 1, 100, 1]]


class TestLoss:
    @pytest.mark.parametrize("loss", LOSSES, ids=str)
    @pytest.mark.parametrize("shape", [(1, 1), (5, 3), (64, 10), (3, 129)], ids=str)
    @pytest.mark.parametrize("scale", [1.0, 50.0])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_is_its_formula_summed_in_float64(
        self, kernels, dtype, rng, loss, shape, scale, weighted
    ):
        z = normal(rng, shape, dtype) * dtype.type(scale)
        y = unset(shape, dtype)
        kernels.activate(NEEDED_ACTIVATION.get(loss, "tanh"), z, y)
        t = rng.random(shape).astype(dtype)
        weights = rng.random(shape[0]).astype(dtype) if weighted else None
        terms = loss_terms(loss, *(array.astype(np.longdouble) for array in (z, y, t)))
        each = np.ones(shape[0]) if weights is None else weights
        expected = each.astype(np.longdouble) @ terms.sum(axis=1) / each.sum(dtype=np.longdouble)
        found = kernels.loss(loss, z, y, t, weights)
        assert isinstance(found, float)
        relative = max(LOSS_RELATIVE, LOSS_EXP_EPS * float(np.finfo(dtype).eps))
        allowed = {"rel": relative, "abs": LOSS_RELATIVE * scale}
        assert found == pytest.approx(float(expected), **allowed)

    @pytest.mark.parametrize("loss", LOSSES, ids=str)
    def test_a_weight_is_the_number_of_times_a_sample_is_there(self, kernels, dtype, rng, loss):
        z, t = normal(rng, (4, 3), dtype), rng.random((4, 3)).astype(dtype)
        y = unset(z.shape, dtype)
        kernels.activate(NEEDED_ACTIVATION.get(loss, "tanh"), z, y)
        times = [1, 0, 3, 2]
        repeated = (np.repeat(array, times, axis=0) for array in (z, y, t))
        found = kernels.loss(loss, z, y, t, np.array(times, dtype))
        assert found == pytest.approx(kernels.loss(loss, *repeated), rel=LOSS_RELATIVE)

    @pytest.mark.parametrize("loss", LOSSES, ids=str)
    def test_samples_without_any_weight_have_no_loss(self, kernels, dtype, loss):
        ones = np.ones((3, 2), dtype)
        assert kernels.loss(loss, ones, ones, ones / 2, np.zeros(3, dtype)) == 0.0

    @pytest.mark.parametrize(
        ("loss", "expected"),
        [
            ("absolute_error", 1 + 2 + 0.5),
            (Huber(1.0), 0.5 + 1.5 + 0.125),
            (Huber(3.0), 0.5 + 2 + 0.125),
            (Pinball(0.75), 0.25 * 1 + 0.75 * 2 + 0.75 * 0.5),
            (Pinball((0.5, 0.25, 0.75)), 0.5 * 1 + 0.25 * 2 + 0.75 * 0.5),
        ],
        ids=str,
    )
    def test_robust_losses_by_hand(self, kernels, dtype, loss, expected):
        y, t = np.array([[3.0, 1.0, 0.0]], dtype), np.array([[2.0, 3.0, 0.5]], dtype)
        assert kernels.loss(loss, y, y, t) == expected

    def test_poisson_by_hand(self, kernels, dtype):
        # Half the deviance: nothing where y is t, y where t is 0.
        z = np.array([[0.0, np.log(2), -np.inf, 1e4]], dtype)
        y = np.array([[1.0, 2.0, 0.0, 5.0]], dtype)
        assert kernels.loss("poisson", z[:, :1], y[:, :1], y[:, :1]) == 0
        assert kernels.loss("poisson", z, y, np.zeros_like(y)) == 8
        found = kernels.loss("poisson", z[:, 1:2], y[:, 1:2], np.array([[4]], dtype))
        expected = 2 + 4 * np.log(4) - 4 * np.log(2) - 4
        assert found == pytest.approx(expected, rel=8 * float(np.finfo(dtype).eps))

    def test_quantiles_of_another_number_are_refused(self, kernels, dtype):
        ones = np.ones((2, 3), dtype)
        with pytest.raises(ValueError, match="expected 3 quantiles"):
            kernels.loss(Pinball((0.1, 0.9)), ones, ones, ones)
        with pytest.raises(ValueError, match="expected 3 quantiles"):
            kernels.output_delta(Pinball((0.1, 0.9)), "tanh", ones, ones, ones, ones.copy())

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

    @pytest.mark.parametrize("loss", LOSSES, ids=str)
    @pytest.mark.parametrize("shape", [(0, 3), (3, 0)], ids=str)
    def test_nothing_has_no_loss(self, kernels, dtype, loss, shape):
        nothing, weights = np.empty(shape, dtype), np.ones(shape[0], dtype)
        assert kernels.loss(loss, nothing, nothing.copy(), nothing.copy()) == 0.0
        assert kernels.loss(loss, nothing, nothing.copy(), nothing.copy(), weights) == 0.0

    @pytest.mark.parametrize("loss", LOSSES, ids=str)
    def test_a_million_small_terms_are_not_lost(self, kernels, dtype, loss):
        z = np.full((1_000_000, 1), 3.0, dtype)
        y, t = np.full_like(z, 0.1), np.full_like(z, 0.3)
        one = kernels.loss(loss, z[:1], y[:1], t[:1])
        assert kernels.loss(loss, z, y, t) == pytest.approx(one, rel=MILLION_RELATIVE)

    @pytest.mark.parametrize("loss", LOSSES, ids=str)
    @pytest.mark.parametrize("where", [0, 1, 16])
    def test_nan_is_not_hidden(self, kernels, dtype, loss, where):
        values = np.full((2, 17), 0.5, dtype)
        spoilt = values.copy()
        spoilt[1, where] = np.nan
        assert np.isnan(kernels.loss(loss, spoilt, spoilt, values))
        assert np.isnan(kernels.loss(loss, values, values, spoilt))


class TestOutputDelta:
    @pytest.mark.parametrize(("activation", "loss"), HEADS, ids=str)
    @pytest.mark.parametrize("shape", [(1, 1), (3, 2), (7, 17), (64, 10)], ids=str)
    @pytest.mark.parametrize("weighted", [False, True])
    def test_is_its_formula(self, kernels, dtype, rng, activation, loss, shape, weighted):
        z, t = normal(rng, shape, dtype), rng.random(shape).astype(dtype)
        y, out = unset(shape, dtype), unset(shape, dtype)
        kernels.activate(activation, z, y)
        weights = rng.random(shape[0]).astype(dtype) if weighted else None
        kernels.output_delta(loss, activation, z, y, t, out, weights)
        wide_z, wide_y, wide_t = (widened(array) for array in (z, y, t))
        if loss in NEEDED_ACTIVATION:
            total = wide_t.sum(axis=1, keepdims=True) if loss == "cross_entropy" else 1
            expected, magnitude = wide_y * total - wide_t, wide_y * total + wide_t
        else:
            slope, size = slope_terms(loss, wide_y, wide_t)
            expected, _ = BACKWARD[activation](wide_z, wide_y, slope)
            _, magnitude = BACKWARD[activation](wide_z, wide_y, size)
        share = np.full(shape[0], 1 / shape[0])
        if weighted:
            share = widened(weights) / widened(weights).sum()
        share = share[:, np.newaxis]
        # The sum of the weights is rounded as well, and a weight is a factor more.
        summed = (1 if activation in POINTWISE else shape[1]) + 2 * weighted
        assert_terms_close(out, expected * share, magnitude * share, summed)

    @pytest.mark.parametrize(("activation", "loss"), HEADS, ids=str)
    @pytest.mark.parametrize("weighted", [False, True])
    def test_is_the_slope_of_the_loss(self, backend, rng, activation, loss, weighted):
        kernels = backend.kernels(np.float64)
        z, t = rng.normal(size=(5, 3)), rng.random((5, 3))
        weights = rng.random(5) if weighted else None
        y, delta = np.empty_like(z), np.empty_like(z)
        kernels.activate(activation, z, y)
        kernels.output_delta(loss, activation, z, y, t, delta, weights)
        for index in np.ndindex(z.shape):
            values = []
            for step in (1e-5, -1e-5):
                shifted = z.copy()
                shifted[index] += step
                kernels.activate(activation, shifted, y)
                values.append(kernels.loss(loss, shifted, y, t, weights))
            slope = (values[0] - values[1]) / 2e-5
            assert delta[index] == pytest.approx(slope, abs=FINITE_DIFFERENCE)

    @pytest.mark.parametrize(("activation", "loss"), HEADS, ids=str)
    @pytest.mark.parametrize("size", LENGTHS)
    def test_works_in_place_at_every_length(self, kernels, dtype, rng, activation, loss, size):
        y, t = rng.random((3, size)).astype(dtype), rng.random((3, size)).astype(dtype)
        z = normal(rng, y.shape, dtype)
        apart = unset(y.shape, dtype)
        kernels.output_delta(loss, activation, z, y, t, apart)
        kernels.output_delta(loss, activation, z, y, t, y)
        assert not np.isnan(apart).any()
        assert np.array_equal(apart, y)

    @pytest.mark.parametrize(("activation", "loss"), HEADS, ids=str)
    def test_of_samples_without_any_weight_is_0(self, kernels, dtype, activation, loss):
        y, out = np.full((3, 2), 0.5, dtype), unset((3, 2), dtype)
        kernels.output_delta(loss, activation, y, y, y / 2, out, np.zeros(3, dtype))
        assert (out == 0).all()

    @pytest.mark.parametrize(("activation", "loss"), HEADS, ids=str)
    def test_takes_no_samples(self, kernels, dtype, activation, loss):
        none = np.empty((0, 3), dtype)
        kernels.output_delta(loss, activation, none.copy(), none, none.copy(), none)
        assert none.shape == (0, 3)

    @pytest.mark.parametrize("loss", ["absolute_error", Pinball(0.75)], ids=str)
    def test_an_error_of_0_has_no_slope(self, kernels, dtype, loss):
        y, t = np.array([[1.0, 2.0, 3.0]], dtype), np.array([[2.0, 2.0, 2.0]], dtype)
        out = unset(y.shape, dtype)
        kernels.output_delta(loss, "identity", y, y, t, out)
        assert out.tolist() == [[-1, 0, 1] if loss == "absolute_error" else [-0.75, 0, 0.25]]

    def test_every_output_has_its_own_quantile(self, kernels, dtype):
        y, t = np.array([[0.0, 0.0], [3.0, 3.0]], dtype), np.ones((2, 2), dtype)
        out = unset(y.shape, dtype)
        kernels.output_delta(Pinball((0.25, 0.75)), "identity", y, y, t, out)
        assert out.tolist() == [[-0.125, -0.375], [0.375, 0.125]]

    @pytest.mark.parametrize(("activation", "loss"), HEADS, ids=str)
    def test_nan_is_not_hidden(self, kernels, dtype, activation, loss):
        y, t = np.full((2, 5), 0.5, dtype), np.full((2, 5), 0.25, dtype)
        t[1, 4] = np.nan
        out = unset(y.shape, dtype)
        kernels.output_delta(loss, activation, y, y, t, out)
        assert np.isnan(out[1, 4])
        assert not np.isnan(out[0]).any()


SHAPES = [(1, 1), (1, 7), (2, 3), (5, 16), (31, 65), (64, 33), (300, 130)]


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
class TestNormalize:
    def call(self, kernels, dtype, rng, normalization, shape):
        """Everything that goes into the kernels and comes out of `normalize`."""
        u = (normal(rng, shape, dtype) * 2 + 1).astype(dtype)
        gain, bias = normal(rng, shape[1], dtype), normal(rng, shape[1], dtype)
        normed, z = unset(shape, dtype), unset(shape, dtype)
        spread = unset(shape[1 - NORMALIZATIONS.index(normalization)], dtype)
        kernels.normalize(normalization, u, gain, bias, normed, spread, z)
        return u, gain, bias, normed, spread, z

    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_is_its_formula(self, kernels, dtype, rng, normalization, shape):
        u, gain, bias, *found = self.call(kernels, dtype, rng, normalization, shape)
        expected = normalization_of(normalization, *(widened(a) for a in (u, gain, bias)))
        tolerance = NORMALIZATION_EPS * float(np.finfo(dtype).eps)
        for own, exact in zip(found, expected, strict=True):
            np.testing.assert_allclose(own, exact, rtol=tolerance, atol=tolerance)

    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_backward_is_its_formula(self, kernels, dtype, rng, normalization, shape):
        _, gain, _, normed, spread, _ = self.call(kernels, dtype, rng, normalization, shape)
        delta, out = normal(rng, shape, dtype), unset(shape, dtype)
        grad_gain, grad_bias = unset(shape[1], dtype), unset(shape[1], dtype)
        kernels.normalize_backward(
            normalization, normed, spread, gain, delta, grad_gain, grad_bias, out
        )
        wide = (widened(array) for array in (normed, spread, gain, delta))
        normed, spread, gain, delta = wide
        axis = NORMALIZATIONS.index(normalization)
        g = gain * delta
        product = (g * normed).mean(axis=axis, keepdims=True)
        expected = g - g.mean(axis=axis, keepdims=True) - normed * product
        expected *= np.expand_dims(spread, axis)
        tolerance = NORMALIZATION_EPS * float(np.finfo(dtype).eps)
        size = float(np.expand_dims(spread, axis).max())
        np.testing.assert_allclose(out, expected, rtol=tolerance, atol=tolerance * size)
        terms = np.abs(delta * normed).sum(axis=0) + np.abs(delta).sum(axis=0)
        allowed = tolerance * terms
        assert (np.abs(grad_gain - (delta * normed).sum(axis=0)) <= allowed).all()
        assert (np.abs(grad_bias - delta.sum(axis=0)) <= allowed).all()

    @pytest.mark.parametrize("shape", [(2, 3), (7, 5), (4, 1)], ids=str)
    def test_backward_agrees_with_finite_differences(self, backend, rng, normalization, shape):
        kernels, dtype = backend.kernels(np.float64), np.dtype(np.float64)
        u, gain, bias, normed, spread, z = self.call(kernels, dtype, rng, normalization, shape)
        delta, out = rng.normal(size=shape), np.empty(shape)
        grad_gain, grad_bias = np.empty(shape[1]), np.empty(shape[1])
        kernels.normalize_backward(
            normalization, normed, spread, gain, delta, grad_gain, grad_bias, out
        )
        for array, gradient in ((u, out), (gain, grad_gain), (bias, grad_bias)):
            for index in np.ndindex(array.shape):
                value, values = array[index], []
                for step in (1e-5, -1e-5):
                    array[index] = value + step
                    kernels.normalize(normalization, u, gain, bias, normed, spread, z)
                    values.append((z * delta).sum())
                array[index] = value
                slope = (values[0] - values[1]) / 2e-5
                assert gradient[index] == pytest.approx(slope, abs=FINITE_DIFFERENCE)

    def test_mean_and_variance_become_0_and_1(self, kernels, dtype, rng, normalization):
        normed = self.call(kernels, dtype, rng, normalization, (90, 70))[3]
        axis = NORMALIZATIONS.index(normalization)
        assert np.abs(normed.mean(axis=axis, dtype=np.float64)).max() < 1e-6
        np.testing.assert_allclose(normed.var(axis=axis, dtype=np.float64), 1, rtol=1e-4)

    def test_values_that_are_all_alike_become_the_bias(self, kernels, dtype, normalization):
        alike, z = np.full((4, 4), 7, dtype), unset((4, 4), dtype)
        gain, bias = np.full(4, 2, dtype), np.arange(4).astype(dtype)
        normed, spread = unset((4, 4), dtype), unset(4, dtype)
        kernels.normalize(normalization, alike, gain, bias, normed, spread, z)
        assert (normed == 0).all()
        assert z.tolist() == [bias.tolist()] * 4
        np.testing.assert_allclose(spread, EPSILON**-0.5, rtol=1e-6)

    def test_a_large_mean_takes_no_digits_but_those_of_the_values(
        self, kernels, dtype, normalization
    ):
        # The difference of two means of squares would be nothing but rounding.
        u = np.array([[1.0, 3.0], [3.0, 1.0]], dtype) + dtype.type(2.0**20)
        ones, normed = np.ones(2, dtype), unset((2, 2), dtype)
        kernels.normalize(
            normalization, u, ones, ones, normed, unset(2, dtype), unset((2, 2), dtype)
        )
        np.testing.assert_allclose(np.abs(normed), 1, rtol=1e-5)

    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_works_in_place(self, kernels, dtype, rng, normalization, shape):
        u, gain, bias, normed, spread, z = self.call(kernels, dtype, rng, normalization, shape)
        again = unset(shape, dtype)
        kernels.normalize(normalization, u, gain, bias, u, spread, again)
        assert np.array_equal(u, normed)
        assert np.array_equal(again, z)
        delta, apart = normal(rng, shape, dtype), unset(shape, dtype)
        sums = unset((4, shape[1]), dtype)
        kernels.normalize_backward(normalization, normed, spread, gain, delta, *sums[:2], apart)
        kernels.normalize_backward(normalization, normed, spread, gain, delta, *sums[2:], delta)
        assert np.array_equal(delta, apart)
        assert np.array_equal(sums[:2], sums[2:])
        assert not np.isnan(sums).any()

    @pytest.mark.parametrize("shape", [(0, 3), (3, 0)], ids=str)
    def test_takes_nothing(self, kernels, dtype, normalization, shape):
        nothing, vector = np.empty(shape, dtype), np.ones(shape[1], dtype)
        spread = np.ones(shape[1 - NORMALIZATIONS.index(normalization)], dtype)
        grad_gain, grad_bias = vector.copy(), vector.copy()
        kernels.normalize(normalization, nothing, vector, vector, nothing, spread, nothing.copy())
        kernels.normalize_backward(
            normalization, nothing, spread, vector, nothing, grad_gain, grad_bias, nothing.copy()
        )
        assert not grad_gain.any()
        assert not grad_bias.any()

    def test_nan_spoils_its_own_batch_of_a_unit_or_its_own_sample(
        self, kernels, dtype, normalization
    ):
        u, z = np.arange(12.0).reshape(3, 4).astype(dtype), unset((3, 4), dtype)
        u[1, 2] = np.nan
        spread = unset(4 if normalization == "batch" else 3, dtype)
        ones = np.ones(4, dtype)
        kernels.normalize(normalization, u, ones, ones, unset((3, 4), dtype), spread, z)
        spoilt = np.zeros((3, 4), bool)
        spoilt[(slice(None), 2) if normalization == "batch" else (1, slice(None))] = True
        assert np.array_equal(np.isnan(z), spoilt)


class TestNormalizeBy:
    @pytest.mark.parametrize("shape", [*SHAPES, (0, 3), (3, 0)], ids=str)
    def test_is_its_formula_in_place_as_well(self, kernels, dtype, rng, shape):
        u, z = normal(rng, shape, dtype), unset(shape, dtype)
        mean, gain, bias = (normal(rng, shape[1], dtype) for _ in range(3))
        variance = (rng.random(shape[1]) + 0.1).astype(dtype)
        kernels.normalize_by(mean, variance, gain, bias, u, z)
        wide = (widened(array) for array in (mean, variance, gain, bias, u))
        m, v, g, b, wide_u = wide
        expected = g * (wide_u - m) / np.sqrt(v + EPSILON) + b
        tolerance = NORMALIZATION_EPS * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(z, expected, rtol=tolerance, atol=tolerance)
        kernels.normalize_by(mean, variance, gain, bias, u, u)
        assert np.array_equal(u, z)

    def test_a_variance_of_0_is_no_division_by_0(self, kernels, dtype):
        zero, one, z = np.zeros(1, dtype), np.ones(1, dtype), unset((1, 1), dtype)
        with np.errstate(all="raise"):
            kernels.normalize_by(zero, zero, one, zero, np.ones((1, 1), dtype), z)
        assert z[0, 0] == pytest.approx(EPSILON**-0.5, rel=1e-6)


class TestUpdate:
    @pytest.mark.parametrize("size", LENGTHS)
    @pytest.mark.parametrize("optimizer", EVERY_OPTIMIZER, ids=str)
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

    @pytest.mark.parametrize("optimizer", [Adam(weight_decay=0.5), Lion(weight_decay=0.5)], ids=str)
    def test_weight_decay_alone_shrinks_the_parameters(self, kernels, dtype, optimizer):
        p, moments = np.array([8.0, -4.0], dtype), np.zeros((optimizer.n_moments, 2), dtype)
        kernels.update(optimizer, p, np.zeros(2, dtype), moments, 0.25, 1)
        assert p.tolist() == [7.0, -3.5]

    def test_rmsprop_by_hand(self, kernels, dtype):
        p, moments = np.array([1.0], dtype), np.array([[8.0]], dtype)
        kernels.update(RMSprop(rho=0.5, epsilon=1.0), p, np.array([8], dtype), moments, 0.25, 3)
        # v = 4 + 32, its root 6.
        assert moments.tolist() == [[36.0]]
        assert p[0] == pytest.approx(1 - 0.25 * 8 / 7, rel=4 * float(np.finfo(dtype).eps))

    def test_rmsprops_momentum_by_hand(self, kernels, dtype):
        p, moments = np.array([1.0], dtype), np.array([[8.0], [2.0]], dtype)
        optimizer = RMSprop(rho=0.5, momentum=0.5, epsilon=2.0)
        kernels.update(optimizer, p, np.array([8], dtype), moments, 0.25, 3)
        assert moments.tolist() == [[36.0], [2.0]]
        assert p.tolist() == [0.5]

    def test_nadam_by_hand(self, kernels, dtype):
        p, moments = np.array([1.0], dtype), np.array([[2.0], [4.0]], dtype)
        optimizer = Nadam(beta_1=0.5, beta_2=0.75, epsilon=1.0, momentum_decay=0.0)
        kernels.update(optimizer, p, np.array([6], dtype), moments, 0.25, 2)
        # Every mu is 1/4, the products 1/16 and 1/64; m = 4 and v = 12, as for Adam.
        mean = 0.25 * 4 / (1 - 1 / 64) + 0.75 * 6 / (1 - 1 / 16)
        expected = 1 - 0.25 * mean / ((12 * 16 / 7) ** 0.5 + 1)
        assert p[0] == pytest.approx(expected, rel=4 * float(np.finfo(dtype).eps))

    @pytest.mark.parametrize("settings", [{}, {"beta_1": 0.999, "momentum_decay": 1e3}], ids=str)
    @pytest.mark.parametrize("step", [1, 30, 1000, 2**32])
    def test_nadams_product_of_momenta_goes_on_however_many_there_are(
        self, kernels, dtype, step, settings
    ):
        optimizer = Nadam(beta_2=0.0, epsilon=1.0, **settings)
        p, moments = np.zeros(1, dtype), np.zeros((2, 1), dtype)
        kernels.update(optimizer, p, np.ones(1, dtype), moments, 1.0, step)
        exponents = np.arange(1, min(step + 2, 100_000)) * optimizer.momentum_decay
        mu = optimizer.beta_1 * (1 - 0.96**exponents / 2)
        last = np.array([step, step + 1]) * optimizer.momentum_decay
        now, then = optimizer.beta_1 * (1 - 0.96**last / 2)
        products = np.prod(mu[: min(step, len(mu))]), np.prod(mu)
        m = 1 - optimizer.beta_1
        expected = then * m / (1 - products[1]) + (1 - now) / (1 - products[0])
        assert -p[0] == pytest.approx(expected / 2, rel=8 * float(np.finfo(dtype).eps))

    def test_lion_by_hand(self, kernels, dtype):
        # The sign of m / 2 + g / 2, where m and g disagree or one of them is 0.
        p, moments = np.full(5, 1, dtype), np.array([[2.0, 2.0, 0.0, -2.0, 0.0]], dtype)
        gradient = np.array([-1.0, -4.0, 0.0, 1.0, 3.0], dtype)
        kernels.update(Lion(beta_1=0.5, beta_2=0.75), p, gradient, moments, 0.25, 1)
        assert p.tolist() == [0.75, 1.25, 1.0, 1.25, 0.75]
        assert moments.tolist() == [[1.25, 0.5, 0.0, -1.25, 0.75]]

    def test_rprop_by_hand(self, kernels, dtype):
        optimizer = Rprop(decrease=0.5, increase=1.5, least_step=0.25, largest_step=4.0)
        p, moments = np.zeros(4, dtype), np.zeros((2, 4), dtype)
        kernels.update(optimizer, p, np.array([1, -1, 0, 8], dtype), moments, 0.5, 1)
        assert p.tolist() == [-0.5, 0.5, 0.0, -0.5]
        assert moments.tolist() == [[1, -1, 0, 8], [0.5] * 4]
        # Kept, changed, and 0 before or now; the rate no longer matters.
        kernels.update(optimizer, p, np.array([2, 1, -3, 0], dtype), moments, 99.0, 2)
        assert p.tolist() == [-1.25, 0.5, 0.5, -0.5]
        assert moments.tolist() == [[2, 0, -3, 0], [0.75, 0.25, 0.5, 0.5]]
        # After a change of sign the step stays as it is once more.
        kernels.update(optimizer, p, np.array([-2, 1, -3, 0], dtype), moments, 99.0, 3)
        assert p.tolist() == [-1.25, 0.25, 1.25, -0.5]
        assert moments.tolist() == [[0, 1, -3, 0], [0.375, 0.25, 0.75, 0.5]]

    def test_rprop_keeps_its_steps_within_their_limits(self, kernels, dtype):
        optimizer = Rprop(least_step=0.125, largest_step=2.0)
        for rate, expected in ((0.0, 0.125), (99.0, 2.0)):
            p, moments = np.zeros(1, dtype), np.zeros((2, 1), dtype)
            kernels.update(optimizer, p, np.ones(1, dtype), moments, rate, 1)
            assert p.tolist() == [-expected]
        signs = [1, 1, 1, 1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1]
        lengths = []
        for step, sign in enumerate(signs, start=1):
            kernels.update(optimizer, p, np.array([sign], dtype), moments, 1.5, step)
            lengths.append(float(moments[1, 0]))
        assert max(lengths) == 2.0
        assert lengths[-1] == 0.125

    def test_rprop_sees_a_sign_in_the_smallest_gradient(self, kernels, dtype):
        p, moments = np.zeros(1, dtype), np.zeros((2, 1), dtype)
        small = np.array([np.finfo(dtype).tiny], dtype)
        for step, sign in ((1, 1), (2, 1)):
            kernels.update(Rprop(), p, dtype.type(sign) * small, moments, 1.0, step)
        assert moments[1, 0] == dtype.type(1.2)

    @pytest.mark.parametrize("optimizer", EVERY_OPTIMIZER, ids=str)
    def test_takes_no_parameters(self, kernels, dtype, optimizer):
        none, moments = np.empty(0, dtype), np.empty((optimizer.n_moments, 0), dtype)
        kernels.update(optimizer, none, none.copy(), moments, 0.1, 1)
        assert none.size == 0

    @pytest.mark.parametrize("optimizer", EVERY_OPTIMIZER, ids=str)
    def test_a_gradient_that_is_not_finite_spoils_only_its_own_parameter(
        self, kernels, dtype, optimizer
    ):
        p, gradient = np.ones(37, dtype), np.ones(37, dtype)
        gradient[[3, 36]] = np.nan, np.inf
        with np.errstate(all="raise"):
            kernels.update(optimizer, p, gradient, np.zeros((optimizer.n_moments, 37), dtype), 1, 1)
        # Of an infinite one a sign is left.
        spoilt = [3] if optimizer in SIGN_OPTIMIZERS else [3, 36]
        assert np.flatnonzero(~np.isfinite(p)).tolist() == spoilt

    @pytest.mark.parametrize("optimizer", EVERY_OPTIMIZER, ids=str)
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
        with pytest.raises(ValueError, match=r"expected one of SGD, Adam, RMSprop, .*'adam'"):
            kernels.update("adam", p, p.copy(), np.zeros((2, 3), dtype), 0.1, 1)


class TestAgainstKeras:
    """The values that Keras's own tests of its optimizers hold it to."""

    @pytest.mark.parametrize(
        ("name", "optimizer", "rate"),
        [
            ("SGD", lambda step: SGD(), 0.01),
            # There epsilon, 2, is added before the average is corrected for its start at 0.
            ("AdamW", lambda step: Adam(0.9, 0.999, 2 / (1 - 0.999**step) ** 0.5, 0.5), 1.0),
            # There the momentum grows by the step, not by a 250th of it.
            ("Nadam", lambda step: Nadam(0.5, 0.67, 1e-5, momentum_decay=1.0), 0.5),
            ("Lion", lambda step: Lion(), 0.001),
        ],
        ids=["SGD", "AdamW", "Nadam", "Lion"],
    )
    def test_five_steps_are_keras_s(self, backend, dtype, name, optimizer, rate):
        kernels = backend.kernels(dtype)
        parameters = np.ones(10, dtype)
        moments = np.zeros((optimizer(1).n_moments, 10), dtype)
        gradients = np.tile(np.arange(1, 11) / 10, (5, 1)).astype(dtype)
        gradients[0] = 0.01
        for step, (gradient, golden) in enumerate(
            zip(gradients, KERAS[name], strict=True), start=1
        ):
            kernels.update(optimizer(step), parameters, gradient, moments, rate, step)
            np.testing.assert_allclose(parameters, np.resize(golden, 10), atol=KERAS_DIGITS)


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

    # The longest ones take several goes at their numbers.
    @pytest.mark.parametrize(
        "shape", [(1, 1), (3, 7), (5, 64), (2, 131), (70, 10), (3, 257), (2, 700)], ids=str
    )
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
            "z": units,
            "a": units.copy(),
            "grad_a": units.copy(),
            "out": out,
        },
        "loss": {
            "loss": "cross_entropy",
            "z": units,
            "y": units.copy(),
            "t": units.copy(),
            "weights": rng.random(4).astype(dtype),
        },
        "output_delta": {
            "loss": "squared_error",
            "activation": "tanh",
            "z": units,
            "y": units.copy(),
            "t": units.copy(),
            "out": out,
            "weights": rng.random(4).astype(dtype),
        },
        "normalize": {
            "normalization": "batch",
            "u": units,
            "gain": normal(rng, 5, dtype),
            "bias": normal(rng, 5, dtype),
            "normal": unset((4, 5), dtype),
            "spread": unset(5, dtype),
            "z": out,
        },
        "normalize_backward": {
            "normalization": "layer",
            "normal": units,
            "spread": normal(rng, 4, dtype),
            "gain": normal(rng, 5, dtype),
            "delta": units.copy(),
            "grad_gain": unset(5, dtype),
            "grad_bias": unset(5, dtype),
            "out": out,
        },
        "normalize_by": {
            "mean": normal(rng, 5, dtype),
            "variance": rng.random(5).astype(dtype),
            "gain": normal(rng, 5, dtype),
            "bias": normal(rng, 5, dtype),
            "u": units,
            "z": out,
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
        "normalize": ("normal", "spread", "z"),
        "normalize_backward": ("grad_gain", "grad_bias", "out"),
        "normalize_by": ("z",),
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
            # None stands for a gradient that is not asked for, or for weights that are all 1.
            if not (thing == "None" and argument in (*outputs_of("dense_backward"), "weights"))
            or (operation, argument) == ("dense_forward", "weights")
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
            ("normalize", "normalization"),
            ("normalize_backward", "normalization"),
        ],
    )
    @pytest.mark.parametrize("name", ["mish", "", "Tanh", "mse"])
    def test_a_name_that_it_does_not_know_is_a_value_error(
        self, kernels, dtype, rng, operation, argument, name
    ):
        arguments = well_formed_call(operation, dtype, rng)
        arguments[argument] = name
        with pytest.raises(ValueError, match=f"{argument}: expected .*'{name}'"):
            getattr(kernels, operation)(**arguments)


@pytest.mark.parametrize("thing", [None, 1.0, Huber, object()], ids=str)
def test_what_is_no_loss_is_a_value_error(kernels, dtype, thing):
    ones = np.ones((2, 3), dtype)
    with pytest.raises(ValueError, match=r"loss: expected .*Huber"):
        kernels.loss(thing, ones, ones, ones)
    with pytest.raises(ValueError, match=r"loss: expected .*Huber"):
        kernels.output_delta(thing, "tanh", ones, ones, ones, ones.copy())


@pytest.mark.parametrize(
    "optimizer",
    [SGD(momentum=0.9), Adam(), RMSprop(), Nadam(), Lion(beta_2=0.9)],
    ids=lambda optimizer: type(optimizer).__name__,
)
def test_what_is_left_of_a_moment_below_the_least_normal_number_is_0(kernels, dtype, optimizer):
    least = np.finfo(dtype).tiny
    parameters, gradient = np.ones(3, dtype), np.zeros(3, dtype)
    moments = np.array([[least, 2 * least, np.nan]] * optimizer.n_moments, dtype)
    moments[0, 0] = -least
    kernels.update(optimizer, parameters, gradient, moments, 0.1, 5)
    assert (moments[:, 0] == 0).all()
    assert (moments[:, 1] >= least).all()
    assert np.isnan(moments[:, 2]).all()
