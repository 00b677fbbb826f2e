"""A step whose loss is not finite is not taken."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_core.optimizers import Adam
from networks import data, network, parameters_for

pytestmark = pytest.mark.covering


class TestDivergence:
    @pytest.mark.parametrize(
        "settings",
        [
            {},
            {"optimizer": Adam(), "averaging": 0.9},
            {"normalization": "batch", "averaging": 0.9},
            {"normalization": "layer", "clip_norm": 1.0},
            {"clip_value": 0.1, "dropout": 0.3},
        ],
        ids=str,
    )
    @pytest.mark.parametrize(("batch_size", "bad"), [(1, 7), (4, 9), (4, 0), (4, 39), (16, 20)])
    @pytest.mark.parametrize("value", [np.inf, np.nan])
    def test_the_first_batch_without_a_finite_loss_and_all_after_it_are_not_learnt(
        self, backend, dtype, rng, settings, batch_size, bad, value
    ):
        units = [4, 6, 3]
        net = network(units, "tanh", "identity", **settings)
        x, t = data(rng, units, 40, dtype)
        t[bad, 1] = value
        steps = bad // batch_size
        states = []
        for rows in (40, steps * batch_size):
            parameters = parameters_for(np.random.default_rng(1), net, dtype)
            engine = backend.engine(net, parameters, seed=3)
            loss, _ = engine.train_epoch(x[:rows], t[:rows], None, batch_size, 0.05)
            assert np.isfinite(loss) == (rows != 40)
            assert engine.steps == steps
            average = parameters if engine.average is None else engine.average
            states.append((parameters, average, engine.moments, engine.statistics))
        for found, expected in zip(*states, strict=True):
            assert np.array_equal(found, expected)
            assert np.isfinite(found).all()

    def test_what_is_returned_is_the_loss_that_is_not_finite(self, backend, dtype):
        net = network([1, 1], output="identity")
        for value in (np.inf, np.nan):
            t = np.array([[0], [value], [0], [np.nan]], dtype)
            engine = backend.engine(net, np.ones(2, dtype))
            loss, _ = engine.train_epoch(np.ones((4, 1), dtype), t, None, 1, 0.1)
            np.testing.assert_equal(loss, value)

    def test_a_rate_that_is_too_high_leaves_finite_parameters(self, backend, dtype, rng):
        # The loss overflows before the parameters do.
        units = [4, 6, 3]
        net = network(units, "relu", "identity")
        x, t = data(rng, units, 400, dtype)
        parameters = parameters_for(rng, net, dtype)
        with np.errstate(all="raise"):
            loss, _ = backend.engine(net, parameters).train_epoch(x, t, None, 4, 3.0)
        assert not np.isfinite(loss)
