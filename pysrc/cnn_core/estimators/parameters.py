"""From an estimator's parameters to a network, its optimizer and its schedule.

An estimator stores its parameters unchanged; they are checked in `fit`.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Sequence
from typing import Any, get_args

import numpy as np

from cnn_core.estimators.task import Task
from cnn_core.layers import LayerDescription
from cnn_core.network import (
    HIDDEN_ACTIVATIONS,
    NORMALIZATIONS,
    Activation,
    Dense,
    Network,
    Normalization,
)
from cnn_core.optimizers import OPTIMIZERS, SGD, SOLVERS, WITH_DECAY, Optimizer
from cnn_core.training.lbfgs import require_smooth, scipy_minimize
from cnn_core.training.schedules import Constant, InverseScaling, Schedule, as_schedule
from cnn_core.validation import at_least_0, number, positive, share, shown, whole

LBFGS = "lbfgs"
AUTO = "auto"
# Activations with another name in scikit-learn.
_ACTIVATIONS: dict[str, Activation] = {
    "logistic": "sigmoid",
    **{name: name for name in HIDDEN_ACTIVATIONS},
}
_OUT_ACTIVATIONS: dict[str, Activation] = {**_ACTIVATIONS, "exp": "exp"}
_LEARNING_RATES = ("constant", "invscaling", "adaptive")


def name_of(activation: Activation) -> str:
    """Return scikit-learn's name of an activation."""
    return "logistic" if activation == "sigmoid" else activation


def hidden_sizes(value: Any) -> list[int]:
    """Return the units of each hidden layer.

    Raises
    ------
    TypeError, ValueError
        For anything but whole numbers above 0, or one of them.
    """
    sizes = list(value) if isinstance(value, Iterable) and not _is_scalar(value) else [value]
    for size in sizes:
        if isinstance(size, bool) or not isinstance(size, numbers.Integral):
            raise TypeError(f"hidden_layer_sizes: expected whole numbers, found {shown(value)}")
        if size <= 0:
            raise ValueError(f"hidden_layer_sizes must be > 0, got {shown(sizes)}.")
    return [whole("hidden_layer_sizes", size, 1) for size in sizes]


def out_activation(name: Any) -> Activation:
    """Return the activation of a regressor's last layer by its name.

    Raises
    ------
    ValueError
        For a name that is not known.
    """
    return _known("out_activation", name, _OUT_ACTIVATIONS)


def network_of(estimator: Any, n_inputs: int, task: Task) -> Network:
    """Return the network that an estimator's parameters describe.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
    n_inputs : int
    task : Task
        Determines the last layer and the loss.

    Raises
    ------
    TypeError, ValueError
        For a parameter of the wrong type or outside its range, and for incompatible parameters.
    """
    sizes = hidden_sizes(estimator.hidden_layer_sizes)
    activations = _each("activation", estimator.activation, len(sizes))
    dropouts = _each("dropout", estimator.dropout, len(sizes))
    normalizations = _each("normalization", estimator.normalization, len(sizes))
    layers = [
        Dense(
            fan_in,
            fan_out,
            _known("activation", activations[number_], _ACTIVATIONS),
            number("dropout", dropouts[number_]),
            _normalization(normalizations[number_]),
        )
        for number_, (fan_in, fan_out) in enumerate(zip([n_inputs, *sizes], sizes, strict=False))
    ]
    layers.append(Dense([n_inputs, *sizes][-1], task.n_outputs, task.activation))
    network = network_with(estimator, layers, task, number("input_scale", estimator.input_scale))
    if estimator.solver == LBFGS:
        require_smooth(network)
    return network


def network_with(
    estimator: Any, layers: Sequence[LayerDescription], task: Task, input_scale: float
) -> Network:
    """Return a network of these layers, with the loss of a task and the estimator's optimizer.

    Raises
    ------
    TypeError, ValueError
        As for `network_of`.
    """
    return Network(
        tuple(layers),
        task.loss,
        optimizer_of(estimator),
        input_scale=input_scale,
        l2=at_least_0("alpha", estimator.alpha),
        clip_value=_or_none("clip_value", estimator.clip_value),
        clip_norm=_or_none("clip_norm", estimator.clip_norm),
        averaging=number("averaging", estimator.averaging),
    )


def optimizer_of(estimator: Any) -> Optimizer:
    """Return the optimizer that `solver` names; for ``"lbfgs"`` one that is not used.

    Raises
    ------
    TypeError, ValueError
        For an unknown solver, settings outside their range, and a weight decay that it does not
        support.
    """
    solver = estimator.solver
    decay = _or_none("weight_decay", estimator.weight_decay)
    if isinstance(solver, OPTIMIZERS):
        if decay is not None:
            raise ValueError(
                f"weight_decay: expected None with an optimizer as the solver, found {decay}; "
                "say it to the optimizer"
            )
        return solver
    if not isinstance(solver, str) or solver not in (*SOLVERS, LBFGS):
        known = ", ".join(map(repr, (*SOLVERS, LBFGS)))
        raise ValueError(
            f"solver: expected one of {known}, or an optimizer of cnn_core.optimizers, "
            f"found {shown(solver)}"
        )
    if decay is not None and (solver == LBFGS or SOLVERS[solver].decay is None):
        raise ValueError(
            f"weight_decay: expected None for the solver {solver!r}, which has none, found "
            f"{decay}; {' and '.join(map(repr, WITH_DECAY))} have one"
        )
    momentum = number("momentum", estimator.momentum)
    settings = {
        "beta_1": number("beta_1", estimator.beta_1),
        "beta_2": number("beta_2", estimator.beta_2),
        "epsilon": number("epsilon", estimator.epsilon),
        "momentum": momentum,
        "nesterov": bool(estimator.nesterovs_momentum) and momentum > 0,
    }
    if solver == LBFGS:
        return SGD()
    optimizer: Optimizer = SOLVERS[solver].optimizer(settings, decay)
    return optimizer


def schedule_of(estimator: Any, *, incremental: bool = False) -> Schedule:
    """Return the schedule: `schedule` if it is set, else for "sgd" that of `learning_rate`.

    "adaptive" is a constant schedule here; `Monitor` divides the rate. "auto" means no schedule in
    a `partial_fit` (`incremental`).

    Raises
    ------
    TypeError, ValueError
        For an unknown name.
    """
    name = estimator.learning_rate
    if not isinstance(name, str) or name not in _LEARNING_RATES:
        raise ValueError(
            f"learning_rate: expected one of {', '.join(map(repr, _LEARNING_RATES))}, found "
            f"{shown(name)}; the number is learning_rate_init, other schedules are for schedule"
        )
    schedule = estimator.schedule
    if isinstance(schedule, str) and schedule == AUTO and estimator._usual_schedule is not None:
        schedule = None if incremental else estimator._usual_schedule
    if schedule is not None:
        return as_schedule(schedule)
    if estimator.solver == "sgd" and name == "invscaling":
        return InverseScaling(at_least_0("power_t", estimator.power_t))
    return Constant()


def rate_of(estimator: Any) -> float:
    """Return `learning_rate_init`, above 0.

    Raises
    ------
    TypeError, ValueError
        For anything else.
    """
    return positive("learning_rate_init", estimator.learning_rate_init)


def patience_of(estimator: Any) -> Any:
    """Return `n_iter_no_change`: a whole number of at least 1, or infinity.

    Raises
    ------
    TypeError, ValueError
        For anything else.
    """
    value = estimator.n_iter_no_change
    if isinstance(value, float) and value == math.inf:
        return value
    return whole("n_iter_no_change", value, 1)


def batch_size_of(estimator: Any, n_samples: int) -> int:
    """Return the samples of a step, at most `n_samples`.

    ``"auto"`` means 200, for images 64, and all samples for Rprop, which needs the full gradient.

    Raises
    ------
    TypeError, ValueError
        For anything but ``"auto"`` and a whole number of at least 1.
    """
    value = estimator.batch_size
    if isinstance(value, str):
        if value != "auto":
            raise ValueError(f"batch_size: expected 'auto' or a whole number, found {shown(value)}")
        usual: int = estimator._usual_batch
        return n_samples if _takes_whole_data(estimator.solver) else min(usual, n_samples)
    return min(whole("batch_size", value, 1), n_samples)


def _takes_whole_data(solver: Any) -> bool:
    if isinstance(solver, str):
        return solver in SOLVERS and SOLVERS[solver].whole_data
    return any(one.whole_data and isinstance(solver, one.kind) for one in SOLVERS.values())


def check_training(estimator: Any) -> None:
    """Check the parameters of the training, also those that would not be used.

    Raises
    ------
    TypeError, ValueError
        For a parameter of the wrong type or outside its range.
    ImportError
        If the solver is "lbfgs" and SciPy is not installed.
    """
    whole("max_iter", estimator.max_iter, 1)
    whole("max_fun", estimator.max_fun, 1)
    at_least_0("tol", estimator.tol)
    at_least_0("power_t", estimator.power_t)
    rate_of(estimator)
    patience_of(estimator)
    batch_size_of(estimator, 1)
    if estimator.time_budget is not None:
        positive("time_budget", estimator.time_budget)
    share("validation_fraction", estimator.validation_fraction)
    for name in ("shuffle", "early_stopping", "warm_start", "nesterovs_momentum"):
        value = getattr(estimator, name)
        if not isinstance(value, bool | np.bool_):
            raise TypeError(f"{name}: expected True or False, found {shown(value)}")
    if not isinstance(estimator.verbose, bool | np.bool_):
        whole("verbose", estimator.verbose, 0)
    optimizer_of(estimator)
    schedule_of(estimator)
    if estimator.solver == LBFGS:
        scipy_minimize()


def partial_fit_is_there(estimator: Any) -> None:
    """Refuse `partial_fit` for solvers that need all samples at once.

    Raises
    ------
    AttributeError
        For L-BFGS.
    """
    if isinstance(estimator.solver, str) and estimator.solver == "lbfgs":
        raise AttributeError(
            "partial_fit is there for solvers that take steps on batches, and 'lbfgs' is none"
        )


def random_state(value: Any) -> np.random.RandomState:
    """Return the generator for `random_state`.

    Parameters
    ----------
    value : None, int, RandomState or Generator
        None means NumPy's global generator, an int from 0 to below ``2**32`` seeds a new one, and a
        Generator draws such a seed.

    Raises
    ------
    TypeError, ValueError
        For anything else.
    """
    if value is None or value is np.random:
        # The global generator that functions like `numpy.random.rand` use.
        found: np.random.RandomState = np.random.mtrand._rand
        return found
    if isinstance(value, np.random.RandomState):
        return value
    if isinstance(value, np.random.Generator):
        value = value.integers(2**32)
    return np.random.RandomState(whole("random_state", value, 0, 2**32 - 1))


def _is_scalar(value: Any) -> bool:
    """Tell whether a value is an array without axes, which cannot be iterated over."""
    return isinstance(value, np.ndarray) and value.ndim == 0


def _each(name: str, value: Any, n_layers: int) -> list[Any]:
    """Return the setting of each hidden layer, from one value for all or a sequence."""
    is_sequence = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str)
    if not is_sequence or _is_scalar(value):
        return [value] * n_layers
    if len(value) != n_layers:
        raise ValueError(
            f"{name}: expected one, or {n_layers}, one for each hidden layer, found {len(value)}"
        )
    return list(value)


def _known(name: str, value: Any, table: dict[str, Activation]) -> Activation:
    if not isinstance(value, str) or value not in table:
        known = ", ".join(map(repr, table))
        raise ValueError(f"{name}: expected one of {known}, found {shown(value)}")
    return table[value]


def _normalization(value: Any) -> Normalization | None:
    if value is None:
        return None
    if not isinstance(value, str) or value not in get_args(Normalization):
        known = ", ".join(map(repr, NORMALIZATIONS))
        raise ValueError(f"normalization: expected None or one of {known}, found {shown(value)}")
    found: Normalization = value  # type: ignore[assignment]
    return found


def _or_none(name: str, value: Any) -> float | None:
    return None if value is None else number(name, value)
