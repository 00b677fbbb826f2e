"""Every loss is its formula, and its slope with each activation of a last layer too."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_core.network import NEEDED_ACTIVATION, Huber, Pinball
from corpus import HEADS, LOSSES
from formulas import BACKWARD, loss_terms, slope_terms
from kernel_calls import LENGTHS, POINTWISE, normal, unset
from tolerances import (
    FINITE_DIFFERENCE,
    LOSS_EXP_EPS,
    LOSS_RELATIVE,
    MILLION_RELATIVE,
    assert_terms_close,
    widened,
)

pytestmark = pytest.mark.covering


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
    def test_a_weight_is_a_number_of_repetitions(self, kernels, dtype, rng, loss):
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
    def test_no_samples_have_no_loss(self, kernels, dtype, loss, shape):
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


@pytest.mark.parametrize(
    "thing", [None, 1.0, Huber, object()], ids=["none", "number", "class", "object"]
)
def test_what_is_no_loss_is_a_value_error(kernels, dtype, thing):
    ones = np.ones((2, 3), dtype)
    with pytest.raises(ValueError, match=r"loss: expected .*Huber"):
        kernels.loss(thing, ones, ones, ones)
    with pytest.raises(ValueError, match=r"loss: expected .*Huber"):
        kernels.output_delta(thing, "tanh", ones, ones, ones, ones.copy())
