"""Numbers, flags and names that are none are refused by name, wherever they are given."""

from __future__ import annotations

import json
import math
from fractions import Fraction

import numpy as np
import pytest

from cnn_core.callbacks import EarlyStopping, SaveModel, TimeBudget
from cnn_core.model import Model
from cnn_core.network import Dense, Huber, Network, Pinball
from cnn_core.optimizers import SGD, SOLVERS, Adam, Lion, Nadam, RMSprop, Rprop
from cnn_core.schedules import (
    Cosine,
    Exponential,
    InverseScaling,
    OneCycle,
    Plateau,
    StepDecay,
    WarmUp,
)
from cnn_core.training import Recipe

LAYERS = (Dense(2, 3), Dense(3, 1))


def network(**settings):
    return Network(LAYERS, **settings)


def recipe(**settings):
    return Recipe(**{"epochs": 1, "batch_size": 1, "learning_rate": 0.1, **settings})


# Whoever takes a number that need not be whole, with the names of such numbers.
TAKES_NUMBERS = [
    (SGD, ("momentum",)),
    (Adam, ("beta_1", "beta_2", "epsilon", "weight_decay")),
    (RMSprop, ("rho", "momentum", "epsilon")),
    (Nadam, ("beta_1", "beta_2", "epsilon", "momentum_decay")),
    (Lion, ("beta_1", "beta_2", "weight_decay")),
    (Rprop, ("decrease", "increase", "least_step", "largest_step")),
    (Huber, ("delta",)),
    (Pinball, ("quantile",)),
    (network, ("input_scale", "l2", "clip_value", "clip_norm", "averaging")),
    (lambda **dropout: Dense(2, 3, **dropout), ("dropout",)),
    (StepDecay, ("factor",)),
    (Exponential, ("factor",)),
    (InverseScaling, ("power",)),
    (Cosine, ("least",)),
    (OneCycle, ("pct_start", "div", "final_div")),
    (Plateau, ("factor", "tol", "least")),
    (WarmUp, ("epochs",)),
    (recipe, ("learning_rate", "tol", "time_budget")),
    (lambda **tol: EarlyStopping(**tol), ("tol",)),
    (lambda **seconds: TimeBudget(**seconds), ("seconds",)),
]
NUMBERS = [(takes, name) for takes, names in TAKES_NUMBERS for name in names]
WHOLE = [
    (StepDecay, "every_epochs"),
    (Plateau, "patience"),
    (WarmUp, "steps"),
    (recipe, "epochs"),
    (recipe, "batch_size"),
    (recipe, "patience"),
    (EarlyStopping, "patience"),
    (lambda **every: SaveModel("model", **every), "every"),
    (lambda **size: Dense(**{"fan_in": 2, "fan_out": 2, **size}), "fan_in"),
]


@pytest.mark.parametrize(("takes", "name"), NUMBERS)
class TestNumbers:
    def test_what_is_none_is_refused_by_name(self, takes, name):
        for value in ("0.5", True, np.True_, 0.5j, [0.5], object()):
            with pytest.raises(TypeError, match=f"^{name}: expected a number, found "):
                takes(**{name: value})

    def test_what_no_float_can_hold_is_refused_by_name(self, takes, name):
        for value in (math.nan, 10**400, -(10**400), 10**5000):
            with pytest.raises(ValueError, match=f"^{name}[^:]*: expected .*, found .{{1,100}}$"):
                takes(**{name: value})

    def test_numbers_of_other_libraries_become_pythons(self, takes, name):
        value = 2.0 if name == "increase" else 0.5
        for number in (np.float32(value), Fraction(value)):
            made = takes(**{name: number})
            assert type(getattr(made, name)) is float
            assert getattr(made, name) == value
            json.dumps(getattr(made, name))


@pytest.mark.parametrize(("takes", "name"), WHOLE)
def test_what_is_no_whole_number_is_refused_by_name(takes, name):
    message = f"^{name}: expected .*, found .{{1,100}}$"
    for value in ("1", True, 1.5, 10**400, -(10**5000)):
        with pytest.raises((TypeError, ValueError), match=message):
            takes(**{name: value})


@pytest.mark.parametrize(
    ("takes", "name"),
    [(SGD, "nesterov"), (Plateau, "stop"), (recipe, "shuffle"), (recipe, "restore_best")],
)
@pytest.mark.parametrize("value", ["yes", 1, None])
def test_what_is_neither_true_nor_false_is_refused_by_name(takes, name, value):
    with pytest.raises(TypeError, match=f"^{name}: expected True or False, found "):
        takes(**{name: value})


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"optimizer": Adam(epsilon=1e-300)}, "epsilon"),
        ({"optimizer": RMSprop(epsilon=1e-60)}, "epsilon"),
        ({"optimizer": Rprop(least_step=1e-50)}, "least_step"),
        ({"optimizer": Rprop(largest_step=10**39)}, "largest_step"),
        ({"loss": Huber(1e-50)}, "delta"),
        ({"clip_norm": 1e-46}, "clip_norm"),
        ({"clip_value": 1e39}, "clip_value"),
        ({"input_scale": 1e-50}, "input_scale"),
    ],
)
def test_a_number_that_the_dtype_cannot_hold_is_refused(settings, name):
    with pytest.raises(ValueError, match=f"^{name}: expected a number that is .* in float32"):
        Model(network(**settings), backend="numpy")
    Model(network(**settings), dtype=np.float64, backend="numpy")


def test_a_learning_rate_that_the_dtype_cannot_hold_is_refused():
    x, t = np.zeros((2, 2), np.float32), np.zeros((2, 1), np.float32)
    with pytest.raises(ValueError, match="learning_rate: expected a number that is not 0"):
        Model(network(), backend="numpy").train(x, t, recipe(learning_rate=1e-60))


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=lambda solver: solver.name)
def test_every_solver_makes_its_optimizer(solver):
    settings = {"beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-5, "momentum": 0.5, "nesterov": True}
    optimizer = solver.optimizer(settings)
    assert type(optimizer) is solver.kind
    assert all(getattr(optimizer, name) == settings[name] for name in solver.takes)
    if solver.decay is not None:
        assert optimizer.weight_decay == solver.decay
        assert solver.optimizer(settings, 0.25).weight_decay == 0.25
