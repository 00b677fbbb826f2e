"""Every parameter of the estimators, and every setting of NN, with values that make no sense."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

from cnn_core import NN, DivergenceError, MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore")

X = np.random.default_rng(0).random((24, 2))
Y = np.arange(24) % 2

HOSTILE: dict[str, Any] = {
    "huge": 10**400,
    "huge below 0": -(10**400),
    "long": 10**5000,
    "nan": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
    "least": 5e-324,
    "most": 1.7e308,
    "below 0": -1,
    "0": 0,
    "half": 0.5,
    "text": "hostile",
    "number as text": "1",
    "bytes": b"1",
    "None": None,
    "True": True,
    "empty list": [],
    "list": [0.5, "x"],
    "list of huge": [10**400],
    "list of long": [10**5000],
    "dict": {"a": 1},
    "dict of huge": {0: 10**400},
    "dict of text": {0: "1"},
    "object": object(),
    "complex": 1j,
    "array": np.arange(3.0),
    "no number": np.float64("nan"),
    "bool array": np.array([True, False]),
    "type": float,
    "NUL": "a\0b",
}
# Where an estimator is nothing but its parameters, and these say what the others mean.
USED: list[dict[str, Any]] = [
    {},
    {"solver": "sgd", "learning_rate": "invscaling"},
    {"solver": "adamw", "early_stopping": True, "validation_fraction": 0.4},
    {"normalization": "batch", "schedule": "cosine"},
]
PARAMETERS = {kind: sorted(kind().get_params(deep=False)) for kind in (MLPClassifier, MLPRegressor)}
# Whose errors may name another one, with which they do not go together.
TOGETHER = {"solver", "loss", "hidden_layer_sizes", "batch_size", "max_iter", "out_activation"}
# Values that make sense, or are functions of the user's, whose errors are his own.
SENSIBLE = {("alpha", "most"), ("scoring", "type")}


def usual(kind: Any) -> dict[str, Any]:
    return {"hidden_layer_sizes": (3,), "max_iter": 2, "random_state": 0, "batch_size": 3}


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("kind", PARAMETERS)
def test_a_value_that_makes_no_sense_is_refused_by_name(kind: Any, value: str) -> None:
    refusals = []
    for name in PARAMETERS[kind]:
        if (name, value) in SENSIBLE:
            continue
        for used in USED:
            estimator = kind(**{**usual(kind), **used, name: HOSTILE[value]})
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    estimator.fit(X, Y)
            except DivergenceError:
                # A number that is only far too large or too small.
                continue
            except (TypeError, ValueError) as error:
                refusals.append((name, str(error)))
    unnamed = [(name, text) for name, text in refusals if not (name in text or name in TOGETHER)]
    assert not unnamed
    assert all(len(text) < 600 for _, text in refusals)


@pytest.mark.parametrize("value", HOSTILE)
def test_a_setting_of_nn_that_makes_no_sense_is_refused_by_name(value: str) -> None:
    usual = {
        "input_neurons": 2,
        "hidden_neurons": 3,
        "output_neurons": 2,
        "learning_rate": 0.1,
        "epochs": 1,
    }
    further = ["batch_size", "rule", "dtype", "seed", "shuffle", "backend", "verbose"]
    refusals = []
    for name in [*usual, *further, "input_scale", "n_threads"]:
        if (name, value) == ("epochs", "most"):
            continue
        try:
            NN(**{**usual, name: HOSTILE[value]})
        except (TypeError, ValueError) as error:
            refusals.append((name, str(error)))
    assert not [(name, text) for name, text in refusals if name not in text]


@pytest.mark.parametrize(
    "parameter",
    ["epsilon", "input_scale", "alpha", "weight_decay", "clip_norm", "learning_rate_init"],
)
def test_a_number_that_is_lost_in_float32_is_refused(parameter: str) -> None:
    setting = {parameter: 1e-300, "solver": "adamw", "max_iter": 2}
    MLPClassifier((3,), dtype="float64", **setting).fit(X, Y)
    with pytest.raises(ValueError, match=f"{parameter}: .*0 in float32"):
        MLPClassifier((3,), dtype="float32", **setting).fit(X, Y)
