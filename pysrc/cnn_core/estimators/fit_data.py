"""The checked arguments of a fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.containers import column_names
from cnn_core.estimators.evaluation import EvaluationSet, TrainingSet
from cnn_core.estimators.samples import Table, as_samples
from cnn_core.estimators.task import Task
from cnn_core.estimators.weights import as_weights
from cnn_core.model import Model


@dataclass(frozen=True, eq=False)
class FitData:
    """The checked arguments of a fit.

    Attributes
    ----------
    task : Task
    model : Model
        A new model, or the one to train further.
    data : TrainingSet
        All samples, with the user's weights.
    sets : list of EvaluationSet
        The sets to evaluate on.
    names : (n_features,) array of str or None
    first : bool
        Whether this is the first fit.
    """

    task: Task
    model: Model
    data: TrainingSet
    sets: list[EvaluationSet]
    names: npt.NDArray[np.object_] | None
    first: bool


def read_evaluation_set(
    values: tuple[Any, ...],
    place: str,
    table: Table,
    task: Task,
    known_from: str,
    dtype: np.dtype[Any],
    estimator: str,
) -> EvaluationSet:
    """Check a set of `eval_set`.

    Parameters
    ----------
    values : tuple (X, y) or (X, y, sample_weight)
    place : str
        Its name in errors.
    table : (n, n_features) array or SparseRows
        `X`, with the features of the training samples.
    task : Task
    known_from : str
        Where the task is known from, for errors.
    dtype : dtype of float32 or float64
    estimator : str
        Name of the class, for errors.

    Raises
    ------
    TypeError, ValueError
        For a set that cannot be evaluated.
    """
    X, y, *rest = values
    labels = task.read(y, len(table), estimator, f"{place}[1]", known_from=known_from)
    weights = as_weights(rest[0] if rest else None, len(table), dtype, f"{place}[2]")
    x = as_samples(table, dtype, estimator, f"{place}[0]", column_names(X))
    return EvaluationSet(x, labels, task.targets(labels, dtype), weights)
