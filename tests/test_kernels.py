"""Every kernel of every backend computes its formula, refuses what it cannot, changes no input."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from cnn_core import backends
from cnn_core.contracts import Kernels
from corpus import DENSE_SHAPES, NOT_ARRAYS, REFUSED_LAYOUTS, REFUSED_VECTORS, special_values
from tolerances import (
    POINTWISE_ULPS,
    SIGMOID_ULPS,
    assert_product_close,
    assert_ulps_close,
    wider,
)

OPERATIONS = sorted(name for name in vars(Kernels) if not name.startswith("_"))


@pytest.fixture
def kernels(backend, dtype):
    return backend.kernels(dtype)


def normal(rng, shape, dtype):
    return rng.normal(size=shape).astype(dtype)


def unset(shape, dtype):
    """An output that shows every value that was not written."""
    return np.full(shape, np.nan, dtype)


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


class TestSigmoid:
    def reference(self, z):
        with np.errstate(under="ignore"):
            e = np.exp(-np.abs(z.astype(wider(z.dtype))))
            return np.where(z < 0, e, 1) / (1 + e)

    def test_is_accurate_over_its_whole_range(self, backend, kernels, dtype):
        z = (
            np.concatenate([np.linspace(-750, 750, 200_001), np.geomspace(1e-30, 1, 5001)])
            .reshape(1, -1)
            .astype(dtype)
        )
        out = unset(z.shape, dtype)
        kernels.sigmoid(z, out)
        assert_ulps_close(out, self.reference(z), SIGMOID_ULPS[backend.name])

    def test_takes_every_special_value_without_a_warning(self, backend, kernels, dtype):
        z = special_values(dtype)
        out = unset(z.shape, dtype)
        with np.errstate(all="raise", invalid="ignore"):
            kernels.sigmoid(z, out)
        assert_ulps_close(out, self.reference(z), SIGMOID_ULPS[backend.name])

    def test_known_values(self, kernels, dtype):
        z = np.array([[0.0, -0.0, np.inf, -np.inf, np.log(3)]], dtype)
        out = unset(z.shape, dtype)
        kernels.sigmoid(z, out)
        assert out[0, :4].tolist() == [0.5, 0.5, 1.0, 0.0]
        assert out[0, 4] == pytest.approx(0.75, abs=2 * float(np.finfo(dtype).eps))

    def test_is_monotonic_around_zero(self, kernels, dtype):
        z = np.linspace(-2, 2, 10_001, dtype=dtype).reshape(1, -1)
        out = unset(z.shape, dtype)
        kernels.sigmoid(z, out)
        assert (np.diff(out[0]) > -np.finfo(dtype).eps).all()

    def test_derivative_is_a_times_one_minus_a(self, kernels, dtype, rng):
        a = rng.random((13, 37)).astype(dtype)
        out = unset(a.shape, dtype)
        kernels.sigmoid_derivative(a, out)
        wide = a.astype(wider(dtype))
        assert_ulps_close(out, wide * (1 - wide), POINTWISE_ULPS)

    def test_derivative_agrees_with_finite_differences_of_the_sigmoid(self, backend):
        kernels = backend.kernels(np.float64)
        z = np.linspace(-6, 6, 101).reshape(1, -1)
        step = 1e-6
        above, below, a, slope = (np.empty_like(z) for _ in range(4))
        kernels.sigmoid(z + step, above)
        kernels.sigmoid(z - step, below)
        kernels.sigmoid(z, a)
        kernels.sigmoid_derivative(a, slope)
        np.testing.assert_allclose(slope, (above - below) / (2 * step), atol=1e-9)

    def test_backward_is_the_gradient_times_the_derivative(self, kernels, dtype, rng):
        a, grad_a = rng.random((13, 37)).astype(dtype), normal(rng, (13, 37), dtype)
        out = unset(a.shape, dtype)
        kernels.sigmoid_backward(a, grad_a, out)
        wide = a.astype(wider(dtype))
        assert_ulps_close(out, grad_a * wide * (1 - wide), POINTWISE_ULPS)

    @pytest.mark.parametrize("size", [0, 1, 3, 4, 15, 16, 17, 64, 1001])
    def test_works_in_place_at_every_length(self, kernels, dtype, rng, size):
        z = normal(rng, (1, size), dtype)
        apart, within = unset(z.shape, dtype), z.copy()
        kernels.sigmoid(z, apart)
        kernels.sigmoid(within, within)
        assert np.array_equal(apart, within)
        kernels.sigmoid_derivative(within, within)
        kernels.sigmoid_derivative(apart, apart)
        assert np.array_equal(apart, within)


class TestSquaredError:
    def test_is_half_the_squares_summed_over_outputs_averaged_over_samples(self, kernels, dtype):
        y = np.array([[1.0, 2.0], [3.0, 5.0]], dtype)
        t = np.array([[0.0, 2.0], [1.0, 1.0]], dtype)
        assert kernels.squared_error(y, t) == (1 + 0 + 4 + 16) / 2 / 2

    def test_no_samples_have_no_error(self, kernels, dtype):
        none = np.empty((0, 3), dtype)
        assert kernels.squared_error(none, none) == 0.0

    def test_a_million_small_errors_are_not_lost(self, kernels, dtype):
        y = np.full((1_000_000, 1), 0.1, dtype)
        expected = float(dtype.type(0.1)) ** 2 / 2
        assert kernels.squared_error(y, np.zeros_like(y)) == pytest.approx(expected, rel=1e-12)

    def test_delta_is_the_derivative_of_the_error(self, backend, rng):
        kernels = backend.kernels(np.float64)
        y, t = rng.random((5, 3)), rng.random((5, 3))
        delta = np.empty_like(y)
        kernels.squared_error_delta(y, t, delta)
        for index in np.ndindex(y.shape):
            step = np.zeros_like(y)
            step[index] = 1e-5
            slope = (kernels.squared_error(y + step, t) - kernels.squared_error(y - step, t)) / 2e-5
            assert delta[index] == pytest.approx(slope, abs=1e-9)


class TestGradientDescent:
    def test_moves_against_the_gradient_in_place(self, kernels, dtype):
        parameters = np.array([1.0, 2.0, 3.0], dtype)
        kernels.gradient_descent(parameters, np.array([2.0, 0.0, -4.0], dtype), 0.25)
        assert parameters.tolist() == [0.5, 2.0, 4.0]

    def test_takes_no_parameters(self, kernels, dtype):
        none = np.empty(0, dtype)
        kernels.gradient_descent(none, none, 0.1)
        assert none.size == 0


def well_formed_call(operation, dtype, rng):
    """The arguments of a correct call, by name, and which of them are outputs."""
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
        "sigmoid": {"z": units, "out": out},
        "sigmoid_derivative": {"a": units, "out": out},
        "sigmoid_backward": {"a": units, "grad_a": units.copy(), "out": out},
        "squared_error": {"y": units, "t": units.copy()},
        "squared_error_delta": {"y": units, "t": units.copy(), "out": out},
        "gradient_descent": {
            "parameters": units.ravel(),
            "gradient": units.ravel().copy(),
            "learning_rate": 0.1,
        },
    }[operation]


def outputs_of(operation):
    return {
        "dense_backward": ("grad_weights", "grad_bias", "grad_x"),
        "squared_error": (),
        "gradient_descent": ("parameters",),
    }.get(operation, ("out",))


ARGUMENTS = [
    (operation, argument)
    for operation in OPERATIONS
    for argument in well_formed_call(operation, np.float32, np.random.default_rng(0))
    if argument != "learning_rate"
]

LAYOUTS = [
    (operation, argument, layout)
    for operation, argument in ARGUMENTS
    for layout in (
        REFUSED_VECTORS
        if argument in ("bias", "grad_bias", "parameters", "gradient")
        else REFUSED_LAYOUTS
    )
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

    @pytest.mark.parametrize(("operation", "argument"), ARGUMENTS)
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
            guard = np.full(value.size + 200, 7, dtype)
            guard[100:-100] = value.ravel()
            arguments[name] = guard[100:-100].reshape(value.shape)
            guards[name] = guard
        getattr(kernels, operation)(**arguments)
        for guard in guards.values():
            assert (guard[:100] == 7).all()
            assert (guard[-100:] == 7).all()
