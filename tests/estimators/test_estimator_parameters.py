"""Every parameter: its range, what it changes, and what goes with what."""

from __future__ import annotations

import copy
import math
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.neural_network
from sklearn.exceptions import ConvergenceWarning

import cnn_core
from cnn_core import MLPClassifier, MLPRegressor
from cnn_core.callbacks import Callback
from cnn_core.schedules import StepDecay, WarmUp
from installation import BACKENDS
from small_estimators import (
    CLASSES,
    NAMES,
    NUMBERS,
    X_NUMBERS,
    X,
    Y,
    classifier,
    regressor,
    weights_of,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_every_parameter_of_scikit_learns_is_there_with_its_default() -> None:
    for kind in ("MLPClassifier", "MLPRegressor"):
        theirs = getattr(sklearn.neural_network, kind)().get_params()
        ours = getattr(cnn_core, kind)().get_params()
        assert {name: ours[name] for name in theirs} == theirs


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"hidden_layer_sizes": (8, 0)}, ValueError, "hidden_layer_sizes must be > 0"),
        ({"hidden_layer_sizes": (8.5,)}, TypeError, "hidden_layer_sizes: expected whole numbers"),
        ({"activation": "softmax"}, ValueError, "activation: expected one of 'logistic'"),
        ({"activation": ["relu", "tanh"]}, ValueError, "activation: expected one, or 1"),
        ({"dropout": [0.1, 0.2]}, ValueError, "dropout: expected one, or 1"),
        ({"dropout": 1.0}, ValueError, "dropout: expected 0 up to below 1"),
        ({"normalization": "group"}, ValueError, "normalization: expected None or one of"),
        ({"solver": "newton"}, ValueError, "solver: expected one of 'sgd'"),
        ({"solver": "lbfgs", "dropout": 0.1}, ValueError, "L-BFGS .* no dropout"),
        ({"solver": "lbfgs", "clip_norm": 1.0}, ValueError, "L-BFGS .* no clip_norm"),
        ({"solver": "adam", "weight_decay": 0.1}, ValueError, "weight_decay: expected None"),
        ({"solver": cnn_core.SGD(), "weight_decay": 0.1}, ValueError, "say it to the optimizer"),
        ({"alpha": -1}, ValueError, "alpha: expected at least 0"),
        ({"batch_size": "all"}, ValueError, "batch_size: expected 'auto'"),
        ({"batch_size": 0}, ValueError, "batch_size: expected at least 1"),
        ({"learning_rate": 0.1}, ValueError, "the number is learning_rate_init"),
        ({"learning_rate_init": 0}, ValueError, "learning_rate_init: expected a finite"),
        ({"max_iter": 0}, ValueError, "max_iter: expected at least 1"),
        ({"n_iter_no_change": 0.5}, TypeError, "n_iter_no_change: expected a whole number"),
        ({"validation_fraction": 1}, ValueError, "validation_fraction: expected 0 up to below 1"),
        ({"shuffle": 1}, TypeError, "shuffle: expected True or False"),
        ({"random_state": -1}, ValueError, "random_state: expected at least 0"),
        ({"momentum": 1.5, "solver": "sgd"}, ValueError, "momentum: expected 0 up to below 1"),
        ({"schedule": "zigzag"}, ValueError, "schedule: expected one of"),
        ({"initializer": "random"}, ValueError, "initializer: expected one of"),
        ({"time_budget": 0}, ValueError, "time_budget: expected a finite number above 0"),
        ({"input_scale": 0}, ValueError, "input_scale: expected"),
        ({"averaging": 1}, ValueError, "averaging: expected 0 up to below 1"),
        ({"backend": "fortran"}, ValueError, "backend: expected"),
        ({"n_threads": 0}, ValueError, "n_threads: expected at least 1"),
        ({"clip_norm": 1.0, "clip_value": 1.0}, ValueError, "at most one of them"),
        ({"callbacks": [print]}, TypeError, "callbacks: expected objects that derive from"),
    ],
)
def test_a_parameter_outside_its_range_is_named(
    parameters: dict[str, Any], error: type[Exception], message: str
) -> None:
    # Not before the fit: scikit-learn's tools set parameters as they please.
    for make in (classifier, regressor):
        estimator = make(**parameters)
        with pytest.raises(error, match=message):
            estimator.fit(X, Y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"loss": "poisson", "out_activation": "identity"}, "needs 'exp' in the last layer"),
        ({"loss": "hinge"}, "loss: expected one of 'squared_error'"),
        ({"loss": "huber", "huber_delta": 0.0}, "delta: expected a number above 0"),
        ({"loss": "pinball", "quantile": 1.0}, "quantile: expected numbers above 0 and below 1"),
        ({"out_activation": "softmax"}, "out_activation: expected one of"),
    ],
)
def test_a_parameter_of_the_regressor_outside_its_range_is_named(
    parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        regressor(**parameters).fit(X, Y)


def test_counts_are_at_least_0() -> None:
    with pytest.raises(ValueError, match=r"loss 'poisson', found -1\.0 at index 1"):
        regressor(loss="poisson").fit(X, -Y)


# Networks and trainings


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "parameters",
    [
        *({"solver": name} for name in ("sgd", "adamw", "nadam", "rmsprop", "lion", "rprop")),
        {"solver": "lbfgs"},
        {"solver": cnn_core.RMSprop(rho=0.9, momentum=0.5)},
        *(
            {"activation": name}
            for name in ("identity", "sigmoid", "tanh", "leaky_relu", "elu", "selu", "gelu")
        ),
        {"activation": "silu"},
        {"activation": "softplus"},
        {"normalization": "batch"},
        {"normalization": "layer"},
        {"dropout": 0.1},
        {"averaging": 0.9},
        {"clip_norm": 1.0},
        {"clip_value": 0.5},
        {"initializer": "he_normal"},
        {"schedule": "one_cycle"},
        {"schedule": WarmUp(epochs=2, then=StepDecay(10))},
        {
            "hidden_layer_sizes": (10, 6),
            "activation": ["relu", "tanh"],
            "dropout": [0.1, 0.0],
            "normalization": [None, "layer"],
            "initializer": ["he_uniform", "glorot_normal", "lecun_normal"],
        },
        {"hidden_layer_sizes": ()},
    ],
    ids=lambda parameters: "-".join(map(str, parameters.values())),
)
def test_it_learns_with_any_setting_and_comes_back_from_a_file(
    parameters: dict[str, Any], backend: str, tmp_path: Path
) -> None:
    fitted = classifier(**{"max_iter": 40, "batch_size": 25, "backend": backend, **parameters})
    assert fitted.fit(X, NAMES).score(X, NAMES) > 0.9
    assert fitted.predict(X).tolist() == [
        CLASSES[place] for place in fitted.predict_proba(X).argmax(axis=1)
    ]

    fitted.save(tmp_path / "model")
    loaded = cnn_core.load(tmp_path / "model", backend=backend)
    assert isinstance(loaded, MLPClassifier)
    assert repr(loaded) == repr(fitted)
    for copied in (loaded, pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        np.testing.assert_array_equal(copied.predict_proba(X), fitted.predict_proba(X))
        assert copied.loss_curve_ == fitted.loss_curve_


@pytest.mark.parametrize("backend", BACKENDS)
def test_quantiles_are_predicted_all_at_once(backend: str, tmp_path: Path) -> None:
    several = MLPRegressor(
        "pinball",
        (20,),
        quantile=[0.1, 0.5, 0.9],
        max_iter=300,
        learning_rate_init=0.01,
        random_state=0,
        backend=backend,
    ).fit(X_NUMBERS, NUMBERS)
    predicted = several.predict(X_NUMBERS)
    assert predicted.shape == (len(X_NUMBERS), 3)
    below = (NUMBERS[:, None] < predicted).mean(axis=0)
    np.testing.assert_allclose(below, [0.1, 0.5, 0.9], atol=0.1)
    assert several.score(X_NUMBERS, NUMBERS) > 0.8
    several.save(tmp_path / "model")
    loaded = cnn_core.load(tmp_path / "model", backend=backend)
    np.testing.assert_array_equal(loaded.predict(X_NUMBERS), predicted)
    with pytest.raises(ValueError, match="several quantiles are for one target"):
        several.fit(X_NUMBERS, np.column_stack([NUMBERS, NUMBERS]))


def test_losses_differ_in_what_they_make_of_outliers() -> None:
    y = np.full(200, 1.0)
    y[:40] = 101.0
    samples = np.ones((200, 1))
    common = {"hidden_layer_sizes": (), "alpha": 0.0, "tol": 1e-9}
    mean = regressor(**common, solver="lbfgs", max_iter=200).fit(samples, y)
    huber = regressor(**common, solver="lbfgs", loss="huber", max_iter=200).fit(samples, y)
    median = regressor(
        **common, loss="absolute_error", max_iter=300, schedule="cosine", n_iter_no_change=math.inf
    ).fit(samples, y)
    assert mean.predict(samples)[0] == pytest.approx(21.0, abs=0.01)
    # Where the slopes of both sides are in balance: 160 * (p - 1) = 40.
    assert huber.predict(samples)[0] == pytest.approx(1.25, abs=0.01)
    assert median.predict(samples)[0] == pytest.approx(1.0, abs=0.05)


def test_an_activation_of_the_last_layer_keeps_numbers_in_its_range() -> None:
    assert (regressor(out_activation="softplus").fit(X, Y).predict(10 * X) > 0).all()
    bounded = regressor(out_activation="logistic").fit(X, Y / 2).predict(10 * X)
    assert bounded.min() >= 0
    assert bounded.max() <= 1
    assert regressor(loss="poisson").fit(X, Y).out_activation_ == "exp"


def test_the_same_random_state_gives_the_same_and_another_one_something_else() -> None:
    same = [weights_of(classifier(random_state=5, dropout=0.1).fit(X, Y)) for _ in range(2)]
    np.testing.assert_array_equal(*same)
    generator = np.random.RandomState(5)
    drawn = [weights_of(classifier(random_state=generator).fit(X, Y)) for _ in range(2)]
    assert not np.array_equal(*drawn)
    np.random.seed(5)
    np.testing.assert_array_equal(weights_of(classifier(random_state=None).fit(X, Y)), drawn[0])


@pytest.mark.compiled
def test_threads_change_no_bit() -> None:
    wide = {"hidden_layer_sizes": (200,), "batch_size": 150, "backend": "cython"}
    one, two = (classifier(**wide, n_threads=n).fit(X, Y) for n in (1, 2))
    np.testing.assert_array_equal(weights_of(one), weights_of(two))


# Presets


@pytest.mark.parametrize("name", ["fast", "balanced", "best"])
def test_presets_are_for_bytes_and_can_be_changed(name: str) -> None:
    preset = MLPClassifier.preset(name, max_iter=2, random_state=0)
    images = np.random.default_rng(0).integers(0, 256, size=(600, 784), dtype=np.uint8)
    labels = images[:, :392].mean(axis=1) > images[:, 392:].mean(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        preset.fit(images, labels)
    assert preset.n_iter_ == 2
    assert preset.coefs_[0].dtype == np.float32


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ValueError, match="preset: expected one of 'fast', 'balanced', 'best'"):
        MLPClassifier.preset("fastest")


def test_lbfgs_keeps_a_time_budget() -> None:
    fitted = regressor(solver="lbfgs", time_budget=1e-9, max_iter=500, tol=0.0).fit(X, X[:, 0])
    assert fitted.n_iter_ == 1
    assert "budget" in fitted.stopped_because_


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("callbacks", Callback()), ("initializer", 3)],
    ids=["callbacks", "initializer"],
)
def test_what_is_no_list_is_said_to_be_none(parameter: str, value: object) -> None:
    with pytest.raises(TypeError, match=f"{parameter}: expected"):
        classifier(**{parameter: value}).fit(X, Y)


def test_batch_normalization_refuses_batches_of_one_sample() -> None:
    with pytest.raises(ValueError, match="at least 2 samples in a batch"):
        classifier(normalization="batch", batch_size=1).fit(X, Y)


def test_a_last_batch_of_one_sample_does_not_spoil_batch_normalization() -> None:
    """Counted with its variance of 0 it would bring the score down to 0.8."""
    samples = 3 * np.random.RandomState(0).normal(size=(120, 5))
    fitted = regressor(
        hidden_layer_sizes=(20,),
        normalization="batch",
        batch_size=119,
        max_iter=400,
        learning_rate_init=0.01,
        n_iter_no_change=10**6,
    )
    with pytest.warns(ConvergenceWarning):
        fitted.fit(samples, samples[:, 0])
    assert fitted.score(samples, samples[:, 0]) > 0.99
