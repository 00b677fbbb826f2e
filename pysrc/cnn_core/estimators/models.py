"""The model of an estimator: a new one, or one that continues from the last fit."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from cnn_core.estimators.views import set_biases, set_weights
from cnn_core.initializers import initialize
from cnn_core.io.checkpoint import Checkpoint, seed_in
from cnn_core.model import Model
from cnn_core.network import Network
from cnn_core.training.snapshot import Snapshot


def first_model(
    estimator: Any, network: Network, dtype: np.dtype[Any], random: np.random.RandomState
) -> Model:
    """Return a model with first weights, drawn from `random` or set by the user.

    The weights are drawn first, so that they equal those of scikit-learn's MLP for the same
    `random_state`. Then comes the seed of the order of the samples, of the dropout and of the
    validation split.

    Raises
    ------
    TypeError, ValueError
        For an unknown initializer, backend or number of threads, and for weights of the user that
        do not fit.
    """
    parameters = np.zeros(network.n_parameters(), dtype)
    initialize(network, parameters, estimator.initializer, random)
    seed = int(random.randint(0, 2**32, dtype=np.uint64))
    model = _model(estimator, network, dtype, seed)
    model.parameters[...] = parameters
    if model.average is not None:
        model.average[...] = model.parameters
    for name, set_arrays in (("coefs_", set_weights), ("intercepts_", set_biases)):
        given = vars(estimator).get(f"_given_{name}")
        if given is not None:
            set_arrays(model, given, name)
    if model.average is not None:
        model.parameters[...] = model.average
    return model


def model_going_on(estimator: Any, network: Network, before: Model, incremental: bool) -> Model:
    """Return the model for a fit that continues another fit.

    For `partial_fit` with unchanged parameters it is the same model with its optimizer. A `fit`
    with `warm_start` has a new optimizer.

    Raises
    ------
    ValueError
        If the layers have changed.
    """
    sizes, known = _sizes(network), _sizes(before.network)
    if sizes != known or _kinds(network) != _kinds(before.network):
        raise ValueError(
            f"{estimator._described_by}: expected the layers of the fit before, (inputs, "
            f"units, normalization) {known}, found {sizes}; set warm_start=False to start anew"
        )
    if incremental and network == before.network:
        return before
    model = _model(estimator, network, before.dtype, before.seed)
    model.parameters[...] = before.parameters
    model.statistics[...] = before.statistics
    if model.average is not None:
        model.average[...] = before.parameters if before.average is None else before.average
    if incremental and type(network.optimizer) is type(before.network.optimizer):
        if model.moments.shape == before.moments.shape:
            model.moments[...] = before.moments
        model.steps = before.steps
    model.epochs_done = before.epochs_done
    model.samples_done = before.samples_done
    model.history = {key: list(values) for key, values in before.history.items()}
    return model


def _sizes(network: Network) -> list[tuple[Any, ...]]:
    return [(layer.fan_in, layer.fan_out, layer.normalization) for layer in network.layers]


def _kinds(network: Network) -> list[tuple[Any, ...]]:
    """Return the other settings of layers that must not change between fits."""
    return [(type(layer), layer.weights_shape) for layer in network.layers]


def best_going_on(model: Model, best: Snapshot) -> Snapshot:
    """Return the best weights so far, in a snapshot with the model's optimizer."""
    now = model.snapshot()
    weights = {name: best.arrays.get(name, best.arrays["parameters"]) for name in model.weights()}
    return now._replace(arrays={**now.arrays, **weights})


def take_seed(model: Model, checkpoint: Checkpoint | str | os.PathLike[str]) -> None:
    """Give a model without a user's seed the seed of an existing checkpoint."""
    seed = seed_in(checkpoint)
    if seed is not None:
        model.take_seed(seed)


def _model(estimator: Any, network: Network, dtype: np.dtype[Any], seed: int) -> Model:
    return Model(
        network,
        dtype=dtype,
        seed=seed,
        backend=estimator.backend,
        n_threads=estimator.n_threads,
    )
