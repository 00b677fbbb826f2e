"""Weights and settings that make no sense are refused by name; nothing is changed."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_core.estimators import MLPRegressor
from cnn_core.network import Dense, Huber, Network, Pinball
from cnn_core.optimizers import SGD, Adam, Lion, Nadam, RMSprop, Rprop
from cnn_core.training import Validation
from hostile_entries import RECIPE, fitted, model
from hostile_forms import SAMPLES, TARGETS, WEIGHTS

# Sample weights, and settings that are no numbers


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf, -np.inf])
def test_weights_that_no_sample_can_have_are_refused_by_index_and_the_model_stays(name, bad):
    made = model(name)
    before = made.parameters.tobytes()
    weights = WEIGHTS.copy()
    weights[4] = bad
    for use in (
        lambda: made.train(SAMPLES, TARGETS, RECIPE, weights=weights),
        lambda: made.minimize(SAMPLES, TARGETS, RECIPE, weights=weights),
        lambda: made.step(SAMPLES, TARGETS, 0.1, weights),
        lambda: made.evaluate(SAMPLES, TARGETS, weights),
        lambda: made.train(
            SAMPLES, TARGETS, RECIPE, validation=Validation(SAMPLES, TARGETS, weights)
        ),
    ):
        with pytest.raises(ValueError, match=r"weights: expected .*4"):
            use()
    assert made.parameters.tobytes() == before


@pytest.mark.parametrize("bad", ["a", None, [0.5], 1j, np.ones(2)], ids=repr)
@pytest.mark.parametrize(
    ("kind", "setting"),
    [
        (SGD, "momentum"),
        (Adam, "beta_1"),
        (Adam, "epsilon"),
        (Adam, "weight_decay"),
        (RMSprop, "rho"),
        (Nadam, "momentum_decay"),
        (Lion, "beta_2"),
        (Rprop, "increase"),
        (Rprop, "largest_step"),
        (Huber, "delta"),
        (Pinball, "quantile"),
        (lambda dropout: Dense(2, 3, dropout=dropout), "dropout"),
        (lambda l2: Network((Dense(2, 3),), l2=l2), "l2"),
        (lambda averaging: Network((Dense(2, 3),), averaging=averaging), "averaging"),
        (lambda input_scale: Network((Dense(2, 3),), input_scale=input_scale), "input_scale"),
    ],
)
def test_a_setting_that_is_no_number_is_a_type_error_that_names_it(kind, setting, bad):
    with pytest.raises(TypeError, match=f"{setting}: expected a number, found"):
        kind(**{setting: bad})


def test_one_bad_array_among_good_ones_leaves_all_the_weights_as_they_were(name):
    estimator = fitted(MLPRegressor, WEIGHTS)(name)
    before = estimator.model_.parameters.tobytes()
    good = estimator.coefs_[0] + 1
    for bad in (np.ones((4, 1)), np.full((5, 1), np.nan), np.ma.array(np.ones((5, 1))), "a"):
        with pytest.raises((TypeError, ValueError), match=r"coefs_\[1\]"):
            estimator.coefs_ = [good, bad]
    assert estimator.model_.parameters.tobytes() == before
