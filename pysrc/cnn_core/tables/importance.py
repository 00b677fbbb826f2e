"""Permutation importance of columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.estimators.parameters import random_state as generator
from cnn_core.estimators.weights import as_weights
from cnn_core.tables.columns import Feature
from cnn_core.tables.ensemble import Ensemble, encoded
from cnn_core.tables.tasks import Predictions
from cnn_core.types import IndexArray
from cnn_core.validation import whole


@dataclass(frozen=True, eq=False)
class Importances:
    """Importance of each column.

    Attributes
    ----------
    names : list of str
        Names of the columns, or their numbers.
    importances : (n_columns, n_repeats) array
        Increase of the loss; 0 for dropped columns.
    importances_mean, importances_std : (n_columns,) arrays
    """

    names: list[str]
    importances: npt.NDArray[np.float64]

    @property
    def importances_mean(self) -> npt.NDArray[np.float64]:
        """Mean increase of the loss."""
        mean: npt.NDArray[np.float64] = self.importances.mean(axis=1)
        return mean

    @property
    def importances_std(self) -> npt.NDArray[np.float64]:
        """The standard deviation over the repeats."""
        deviation: npt.NDArray[np.float64] = self.importances.std(axis=1)
        return deviation

    def __str__(self) -> str:
        """Return a line for each column, the most important first."""
        width = max(map(len, self.names))
        mean, deviation = self.importances_mean, self.importances_std
        return "\n".join(
            f"{self.names[column].ljust(width)}  {mean[column]:.4g} +- {deviation[column]:.2g}"
            for column in np.argsort(-mean, kind="stable").tolist()
        )


def of_columns(
    estimator: Any,
    features: list[Feature],
    y: Any,
    sample_weight: Any,
    *,
    n_repeats: int,
    random_state: Any,
) -> Importances:
    """Return the importances of the columns; see `BaseTable.permutation_importance`."""
    repeats = whole("n_repeats", n_repeats, 1)
    random = generator(random_state)
    n_rows = len(features[0].values)
    expected = len(estimator.oof_prediction_)
    if n_rows != expected:
        raise ValueError(
            f"X: expected the {expected} rows of the last fit, in their order, found {n_rows}"
        )
    held_out: list[IndexArray] = estimator._held_out
    rows = np.unique(np.concatenate(held_out))
    if not len(rows):
        raise ValueError("X: expected rows that were held out in the fit, found none")
    ensemble: Ensemble = estimator._ensemble
    task = ensemble.task
    wanted = task.network.read(y, n_rows, estimator._kind, "y")[rows]
    weights = as_weights(sample_weight, n_rows, np.dtype(np.float64))
    weights = None if weights is None else weights[rows]

    # Encode only once: shuffling a feature means shuffling its columns of the matrices.
    matrices = encoded(ensemble.bags, features)
    places = [bag.encoder.columns_of_features() for bag in ensemble.bags]

    def loss(found: list[npt.NDArray[np.float32]]) -> float:
        return task.loss(_held_out_predictions(ensemble, found, held_out)[rows], wanted, weights)

    usual = loss(matrices)
    plans = estimator._reader.plans
    importances = np.zeros((len(plans), repeats))
    for column, own in enumerate(estimator._reader.features_of_columns()):
        for repeat in range(repeats if own else 0):
            order = random.permutation(n_rows)
            shuffled = [matrix.copy() for matrix in matrices]
            for matrix, to, of_bag in zip(matrices, shuffled, places, strict=True):
                for feature in own:
                    to[:, of_bag[feature]] = matrix[order, of_bag[feature]]
            importances[column, repeat] = loss(shuffled) - usual
    return Importances([plan.name for plan in plans], importances)


def _held_out_predictions(
    ensemble: Ensemble, matrices: list[npt.NDArray[np.float32]], held_out: list[IndexArray]
) -> Predictions:
    """Return the predictions of each network for its held-out rows."""
    task = ensemble.task
    counts = np.zeros((len(matrices[0]), 1))
    for rows in held_out:
        counts[rows] += 1
    total: Any = 0.0
    for bag, matrix, share in zip(ensemble.bags, matrices, ensemble.shares.tolist(), strict=True):
        if not share:
            continue
        own: Any = 0.0
        for model, rows in zip(bag.models, held_out, strict=True):
            if not len(rows):
                continue
            addends = task.addends(model.predict(matrix[rows]))
            if isinstance(own, float):
                own = np.zeros((len(counts), addends.shape[1]))
            own[rows] += addends
        total = total + share * own / np.maximum(counts, 1)
    return task.predictions(total)
