"""Train the networks of an ensemble, and predict the held-out rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.layers import EncodedDense
from cnn_core.members import Member, TrainedMember, train_members
from cnn_core.model import Model
from cnn_core.network import Network
from cnn_core.tables.blending import shares_for
from cnn_core.tables.columns import Feature
from cnn_core.tables.encoder import Encoder
from cnn_core.tables.ensemble import Bag, Ensemble, network_of
from cnn_core.tables.folds import Fold
from cnn_core.tables.recipe import LEAST_PATIENCE, batch_size_for
from cnn_core.tables.tasks import Predictions, TableTask
from cnn_core.tables.views import View
from cnn_core.training import Recipe
from cnn_core.training.callbacks import Callback
from cnn_core.training.schedules import OneCycle
from cnn_core.types import FloatArray


@dataclass(frozen=True, eq=False)
class TrainingTable:
    """Training data of an ensemble.

    Attributes
    ----------
    features : list of Feature
    y : (n,) array
        As the task reads it.
    weights : (n,) array of float32, or None
    folds : list of Fold
        One for each network of a bag.
    """

    features: list[Feature]
    y: npt.NDArray[Any]
    weights: FloatArray | None
    folds: list[Fold]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Out-of-fold predictions.

    Attributes
    ----------
    predictions : (n, k) array
        NaN for rows that were never held out.
    known : (n,) array of bool
        Whether a row has a prediction.
    """

    predictions: Predictions
    known: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Settings:
    """How an ensemble is trained.

    Attributes
    ----------
    seed : int
    callbacks : sequence of Callback
    calibrate : bool
    time_budget : float or None
        Seconds, for all networks together.
    checkpoint : path-like or None
        A folder.
    backend : str
    n_threads : int or None
    train_members : callable
        `cnn_core.members.train_members`, or a replacement that trains elsewhere.
    """

    seed: int
    callbacks: Sequence[Callback] = ()
    calibrate: bool = True
    time_budget: float | None = None
    checkpoint: Any = None
    backend: str = "auto"
    n_threads: int | None = None
    train_members: Callable[..., list[TrainedMember]] = train_members


def train(
    table: TrainingTable, task: TableTask, views: tuple[View, ...], settings: Settings
) -> tuple[Ensemble, HeldOut]:
    """Train an ensemble.

    Returns
    -------
    ensemble : Ensemble
    held_out : HeldOut
        Its final predictions for the held-out rows.
    """
    # Views with the same number of bins share an encoder and a matrix.
    unlike = {view.bins: view for view in views}
    encoders = {bins: Encoder.of(table.features, view) for bins, view in unlike.items()}
    matrices = {bins: encoder.encode(table.features) for bins, encoder in encoders.items()}
    networks = [network_of(view, encoders[view.bins], task) for view in views]
    members: list[Member] = []
    for number, (view, network) in enumerate(zip(views, networks, strict=True)):
        members += _members(table, task, view, network, matrices[view.bins], settings, number)
    trained = settings.train_members(
        members,
        n_threads=settings.n_threads,
        time_budget=settings.time_budget,
        checkpoint=settings.checkpoint,
    )
    n_folds = len(table.folds)
    of_views = [trained[at : at + n_folds] for at in range(0, len(trained), n_folds)]
    bags = tuple(
        Bag.of_weights(
            view,
            encoders[view.bins],
            network,
            [member.weights for member in own],
            backend=settings.backend,
            n_threads=settings.n_threads,
        )
        for view, network, own in zip(views, networks, of_views, strict=True)
    )
    return _blended(table, task, bags, of_views, calibrate=settings.calibrate)


def _members(
    table: TrainingTable,
    task: TableTask,
    view: View,
    network: Network,
    matrix: npt.NDArray[np.float32],
    settings: Settings,
    number: int,
) -> list[Member]:
    """Return the members of a view, one for each fold."""
    targets, smoothed = task.targets(table.y), task.targets(table.y, view.smoothing)
    members = []
    for place, fold in enumerate(table.folds):
        seeds = np.random.SeedSequence([settings.seed, number, place]).generate_state(2)
        members.append(
            Member(
                make=partial(_first_model, network, view, settings.backend, *map(int, seeds)),
                recipe=_recipe(view, fold),
                x=matrix,
                t=smoothed,
                validation_t=targets,
                rows=fold.train,
                validation_rows=fold.held_out if len(fold.held_out) else None,
                weights=table.weights,
                callbacks=tuple(settings.callbacks),
            )
        )
    return members


def _recipe(view: View, fold: Fold) -> Recipe:
    batch_size = batch_size_for(len(fold.train) + len(fold.held_out))
    steps_of_epoch = -(-len(fold.train) // batch_size)
    epochs = -(-view.steps // steps_of_epoch)
    held_out = bool(len(fold.held_out))
    patience = None
    if held_out and view.patience:
        patience = max(round(view.patience * epochs), LEAST_PATIENCE)
    return Recipe(
        epochs=epochs,
        max_steps=view.steps,
        batch_size=batch_size,
        learning_rate=view.learning_rate,
        schedule=OneCycle(),
        monitor="validation_loss" if held_out else "loss",
        restore_best=held_out,
        patience=patience,
    )


def _first_model(
    network: Network, view: View, backend: str, seed: int, seed_of_weights: int
) -> Model:
    """Return a network with first weights; 0 for the bins if the view says so."""
    model = Model(network, seed=seed, backend=backend, n_threads=1)
    model.initialize("auto", np.random.RandomState(seed_of_weights))
    first = network.layers[0]
    if view.zero_pieces and isinstance(first, EncodedDense):
        tables = first.tables(model.layers[0].weights)
        for encoding, rows in zip(first.encodings, tables, strict=True):
            if encoding == "pieces":
                rows[...] = 0
    return model


def _blended(
    table: TrainingTable,
    task: TableTask,
    bags: tuple[Bag, ...],
    of_views: list[list[TrainedMember]],
    *,
    calibrate: bool,
) -> tuple[Ensemble, HeldOut]:
    """Find blending weights and temperature on the rows that every bag has held out."""
    counts = np.zeros(len(table.y))
    for fold in table.folds:
        counts[fold.held_out] += 1
    known = counts > 0
    candidates = [_held_out(table, task, own, counts)[known] for own in of_views]
    y = table.y[known]
    weights = None if table.weights is None else table.weights[known].astype(np.float64)
    shares = shares_for(task, candidates, y, weights, calibrate=calibrate)
    mean = sum(
        (share * one for share, one in zip(shares.tolist(), candidates, strict=True)),
        np.zeros_like(candidates[0]),
    )
    if calibrate and known.any():
        task = task.calibrated(mean, y, weights)
    predictions = np.full((len(table.y), mean.shape[1]), np.nan)
    predictions[known] = task.predictions(mean)
    return Ensemble(task, bags, shares), HeldOut(predictions, known)


def _held_out(
    table: TrainingTable, task: TableTask, trained: list[TrainedMember], counts: Any
) -> Predictions:
    """Return, for each row, the mean addend of the networks that held it out."""
    total: Predictions | None = None
    for fold, member in zip(table.folds, trained, strict=True):
        outputs = member.outputs
        if outputs is None:
            outputs = np.empty((0, task.network.n_outputs), np.float32)
        addends = task.addends(outputs)
        if total is None:
            total = np.zeros((len(table.y), addends.shape[1]))
        total[fold.held_out] += addends
    assert total is not None
    found: Predictions = total / np.maximum(counts, 1)[:, None]
    return found
