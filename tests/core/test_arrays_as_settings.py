"""An array in the place of any setting is refused by the setting's name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnn_core import NN, MLPClassifier, MLPRegressor
from cnn_core.model import Model
from cnn_core.network import Dense, Network
from cnn_core.schedules import Plateau
from cnn_core.training import Recipe

X = np.linspace(0, 1, 12).reshape(6, 2)
Y = np.arange(6) % 2
LAYERS = (Dense(2, 3), Dense(3, 1))
FOREIGN: dict[str, Any] = {
    "two numbers": np.array([1.0, 2.0]),
    "two names": np.array(["sgd", "adam"]),
    "one name": np.array(["lbfgs"]),
    "nothing": np.array([]),
    "rows": np.ones((2, 2)),
    "objects": np.array([None, "a"], object),
    "no axes": np.array("lbfgs"),
}
USED = {"learning_rate": 0.1, "epochs": 1}


def estimator(kind: Any) -> Any:
    def fit(**setting: Any) -> None:
        kind(**{"hidden_layer_sizes": (3, 3, 3), "max_iter": 1, **setting}).fit(X, Y)

    return fit


def nn(**setting: Any) -> None:
    NN(**{"input_neurons": 2, "hidden_neurons": 3, "output_neurons": 2, **USED, **setting})


def nn_fit(**setting: Any) -> None:
    NN(2, 3, 2, 0.1, 1).fit(X, np.eye(2)[Y], **setting)


def recipe(**setting: Any) -> None:
    Recipe(**{"epochs": 1, "batch_size": 1, "learning_rate": 0.1, **setting})


NAMES = "activation solver learning_rate schedule normalization backend verbose dtype"
PLACES: list[tuple[str, Any, str]] = [
    ("MLPClassifier", estimator(MLPClassifier), f"{NAMES} scoring callbacks shuffle"),
    ("MLPRegressor", estimator(MLPRegressor), f"{NAMES} loss out_activation scoring"),
    ("NN", nn, "input_neurons learning_rate epochs batch_size rule dtype shuffle backend verbose"),
    ("NN.fit", nn_fit, "schedule on_epoch"),
    ("Dense", lambda **one: Dense(**{"fan_in": 2, "fan_out": 3, **one}), "fan_in activation"),
    ("Dense", lambda **one: Dense(2, 3, **one), "dropout normalization"),
    ("Network", lambda **one: Network(**{"layers": LAYERS, **one}), "layers loss optimizer rule"),
    ("Recipe", recipe, "epochs schedule shuffle patience monitor restore_best"),
    ("Plateau", lambda **one: Plateau(**one), "factor patience tol least stop"),
    ("Model", lambda **one: Model(Network(LAYERS), **one), "dtype seed backend bias_rows"),
]


@pytest.mark.parametrize("value", FOREIGN)
@pytest.mark.parametrize(
    ("call", "name"),
    [
        pytest.param(call, name, id=f"{where}-{name}")
        for where, call, names in PLACES
        for name in names.split()
    ],
)
def test_an_array_is_refused_by_the_name_of_the_setting(call: Any, name: str, value: str) -> None:
    with pytest.raises((TypeError, ValueError), match=rf"^{name}: expected"):
        call(**{name: FOREIGN[value]})


@pytest.mark.parametrize("value", [3, np.array("a"), [3], np.ones(2), print], ids=repr)
def test_what_is_no_callback_is_refused_as_such(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^callbacks: expected"):
        nn_fit(callbacks=value)


@pytest.mark.parametrize("value", FOREIGN)
def test_partial_fit_with_an_array_as_the_solver_is_refused_by_its_name(value: str) -> None:
    with pytest.raises(ValueError, match=r"^solver: expected"):
        MLPRegressor(solver=FOREIGN[value]).partial_fit(X, Y)


@pytest.mark.parametrize("value", [10**400, [3, 10**400], np.array(2**64 - 1)], ids=lambda _: "")
def test_a_size_beyond_every_array_is_refused_by_its_name(value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^hidden_layer_sizes: expected"):
        MLPClassifier(value).fit(X, Y)
