"""The product of the dense layer and its gradients."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from cnn_core import backends
from corpus import DENSE_SHAPES
from kernel_calls import normal, unset
from tolerances import assert_product_close

pytestmark = pytest.mark.covering

# Rows of weights that are a page or more apart, and so many samples that they are brought together.
FAR_APART = (30, 7, 1100)


class TestDense:
    @pytest.mark.parametrize("shape", [*DENSE_SHAPES, FAR_APART], ids=str)
    def test_forward_is_the_product_plus_the_bias(self, kernels, dtype, rng, shape):
        n, fan_in, fan_out = shape
        x, weights = normal(rng, (n, fan_in), dtype), normal(rng, (fan_in, fan_out), dtype)
        bias, out = normal(rng, fan_out, dtype), unset((n, fan_out), dtype)
        kernels.dense_forward(x, weights, bias, out)
        assert_product_close(out, x, weights, bias)

    @pytest.mark.compiled
    @pytest.mark.parametrize("shape", DENSE_SHAPES, ids=str)
    def test_the_plain_loop_computes_the_product_as_well(self, dtype, rng, shape):
        loops = backends.get("cython").unchecked_kernels(dtype).loops
        loop = importlib.import_module(loops.__name__.replace("kernels", "dense"))
        n, fan_in, fan_out = shape
        x, weights = normal(rng, (n, fan_in), dtype), normal(rng, (fan_in, fan_out), dtype)
        bias, out = normal(rng, fan_out, dtype), unset((n, fan_out), dtype)
        loop.dense_reference(x, weights, bias, out)
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
