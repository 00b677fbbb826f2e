"""Normalization over the batch, over the layer and by running averages."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_core.network import EPSILON, NORMALIZATIONS
from formulas import normalization_of
from kernel_calls import normal, unset
from tolerances import FINITE_DIFFERENCE, NORMALIZATION_EPS, widened

pytestmark = pytest.mark.covering

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
    def test_empty_arrays_are_accepted(self, kernels, dtype, normalization, shape):
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
