"""Evaluate a network on samples with classes: loss, accuracy, confusion matrix, report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.cli.console import CommandError, one_line
from cnn_core.cli.trained_model import Trained
from cnn_core.network import ByteArray, FloatArray

__all__ = ["Evaluation", "class_measures", "confusion_and_report", "evaluate"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The evaluation of a network on samples with known classes.

    Attributes
    ----------
    accuracy : float
        Share of the samples whose largest output is their class.
    loss : float
        See `cnn_core.cli.trained_model.Trained.measure`.
    predicted : numpy.ndarray, (n,)
        Predicted class of each sample.
    confusion : numpy.ndarray, (classes, classes)
        Number of samples by true class (row) and predicted class (column).
    report : str
        Precision, recall and F1 of each class.
    """

    accuracy: float
    loss: float
    predicted: Array
    confusion: Array
    report: str

    def to_json(self) -> dict[str, Any]:
        """Return the measures."""
        return {"accuracy": self.accuracy, "loss": self.loss, "confusion": self.confusion.tolist()}


def evaluate(
    trained: Trained, x: FloatArray | ByteArray, y: Array, class_names: tuple[str, ...]
) -> Evaluation:
    """Compare the predictions of a network with the truth.

    Parameters
    ----------
    trained : Trained
    x : numpy.ndarray, (n, features)
        Samples in the form of the network.
    y : numpy.ndarray, (n,)
        True classes, as positions in `class_names`.
    class_names : tuple of str

    Raises
    ------
    CommandError
        If the network's outputs overflow.
    """
    loss, predicted = trained.measure(x, y)
    if not math.isfinite(loss):
        raise CommandError(
            f"the loss on {len(y):,} samples is {loss}: the weights have grown so large that the "
            "outputs overflow; train again with a smaller --learning-rate"
        )
    confusion, report = confusion_and_report(y, predicted, class_names)
    return Evaluation(
        accuracy=float(np.mean(predicted == y)),
        loss=loss,
        predicted=predicted,
        confusion=confusion,
        report=report,
    )


def confusion_and_report(
    truth: Array, predicted: Array, class_names: Sequence[str]
) -> tuple[Array, str]:
    """Return the confusion matrix, and precision, recall and F1 of each class as text.

    Parameters
    ----------
    truth, predicted : numpy.ndarray, (n,)
        Positions in `class_names`.
    class_names : sequence of str
    """
    from sklearn.metrics import classification_report, confusion_matrix

    labels = np.arange(len(class_names))
    report: str = classification_report(
        y_true=truth,
        y_pred=predicted,
        labels=labels,
        target_names=[one_line(name) for name in class_names],
        digits=4,
        zero_division=0,
    )
    return np.asarray(confusion_matrix(y_true=truth, y_pred=predicted, labels=labels)), report


def class_measures(confusion: Array, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """Return name, precision, recall, F1 and number of samples of each class.

    Parameters
    ----------
    confusion : numpy.ndarray, (classes, classes)
        Number of samples by true class (row) and predicted class (column).
    class_names : sequence of str
    """
    right, true, predicted = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    return [
        {
            "name": name,
            "precision": right[k] / max(predicted[k], 1),
            "recall": right[k] / max(true[k], 1),
            "f1": 2 * right[k] / max(true[k] + predicted[k], 1),
            "samples": true[k],
        }
        for k, name in enumerate(class_names)
    ]
