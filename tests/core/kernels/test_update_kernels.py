"""Every optimizer's update is its formula, and agrees with Keras."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from cnn_core.optimizers import SGD, Adam, Lion, Nadam, RMSprop, Rprop
from corpus import OPTIMIZERS, SIGN_OPTIMIZERS
from formulas import stepped
from kernel_calls import LENGTHS, normal
from paths import GOLDEN
from tolerances import KERAS_DIGITS, UPDATE_EPS, widened

pytestmark = pytest.mark.covering

EVERY_OPTIMIZER = OPTIMIZERS + SIGN_OPTIMIZERS


KERAS = json.loads((GOLDEN / "keras.json").read_text())


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
    def test_nadams_product_of_momenta_is_right_after_any_number_of_steps(
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

    @pytest.mark.parametrize("momentum_decay", [0.5, 1e3, 1e308])
    @pytest.mark.parametrize("step", [2**40, 2**62])
    def test_nadams_product_of_momenta_takes_no_time_however_slowly_it_falls(
        self, kernels, dtype, step, momentum_decay
    ):
        # The largest number below 1: a product of 2**62 of it is exp(-512), of 2**40 exp(-2**-13).
        beta_1 = 1 - 2.0**-53
        optimizer = Nadam(beta_1, 0.0, epsilon=1.0, momentum_decay=momentum_decay)
        p, moments = np.zeros(1, dtype), np.zeros((2, 1), dtype)
        kernels.update(optimizer, p, np.ones(1, dtype), moments, 1.0, step)
        first = math.prod(1 - 0.96 ** (t * momentum_decay) / 2 for t in range(1, 2000))
        product = first * math.exp(-(2.0**-53) * step)
        # All momenta from here on are beta_1; m is 1 - beta_1.
        expected = 2.0**-53 * (1 + 1) / (1 - product)
        assert -p[0] == pytest.approx(expected / 2, rel=1e-6, abs=0)

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
