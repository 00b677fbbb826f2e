"""Every activation and its slope are their formulas, also at the ends of the range."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_core.network import ACTIVATIONS
from corpus import special_values
from formulas import ACTIVATE, BACKWARD
from kernel_calls import LENGTHS, POINTWISE, normal, unset
from tolerances import (
    FINITE_DIFFERENCE,
    SOFTMAX_ULPS,
    assert_activation_close,
    assert_terms_close,
    assert_within,
    widened,
)

pytestmark = pytest.mark.covering


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
    def test_values_by_hand(self, kernels, dtype, activation, z, expected):
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
    def test_backward_needs_no_pre_activation(self, kernels, dtype, rng, activation):
        z, grad_a = normal(rng, (3, 21), dtype), normal(rng, (3, 21), dtype)
        a, with_z, without = (unset(z.shape, dtype) for _ in range(3))
        kernels.activate(activation, z, a)
        kernels.activation_backward(activation, z, a, grad_a, with_z)
        kernels.activation_backward(activation, a, a, grad_a, without)
        assert np.array_equal(with_z, without)

    @pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)], ids=str)
    @pytest.mark.parametrize("activation", ACTIVATIONS)
    def test_empty_arrays_are_accepted(self, kernels, dtype, activation, shape):
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
