"""How good a learner of tables is on rows with known targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnn_core.cli.report import confusion_and_report
from cnn_core.tables import TabularClassifier, TabularRegressor

if TYPE_CHECKING:
    import polars as pl

__all__ = ["ClassResult", "NumberResult", "Result", "Table", "measured"]

Array = npt.NDArray[Any]
Table = TabularClassifier | TabularRegressor


@dataclass(frozen=True, eq=False)
class ClassResult:
    """Predicted classes beside the true ones.

    Attributes
    ----------
    accuracy : float
    log_loss : float
        Mean negative logarithm of the true class's probability.
    largest_class : float
        Accuracy of answering the largest class throughout.
    classes : tuple of str
    truth, predicted : numpy.ndarray, (n,)
        Positions in `classes`.
    probabilities : numpy.ndarray, (n, n_classes)
    confusion : numpy.ndarray, (n_classes, n_classes)
        Number of rows by true class (row) and predicted class (column).
    report : str
        Precision, recall and F1 of each class.
    """

    accuracy: float
    log_loss: float
    largest_class: float
    classes: tuple[str, ...]
    truth: Array
    predicted: Array
    probabilities: Array
    confusion: Array
    report: str

    @property
    def line(self) -> str:
        """The result in a line."""
        return f"accuracy {self.accuracy:.4f}, log-loss {self.log_loss:.4f}"

    @property
    def is_nothing(self) -> str:
        """What is to be said if nothing was learned, else ''."""
        if self.accuracy > self.largest_class:
            return ""
        return (
            "nothing was learned that tells the classes apart: the accuracy of "
            f"{self.accuracy:.4f} is no better than always answering the largest class, "
            f"{self.largest_class:.4f}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the measures."""
        return {
            "accuracy": self.accuracy,
            "log_loss": self.log_loss,
            "largest_class": self.largest_class,
            "confusion": self.confusion.tolist(),
        }


@dataclass(frozen=True, eq=False)
class NumberResult:
    """Predicted numbers beside the true ones.

    Attributes
    ----------
    r2, rmse, mae : float
        Coefficient of determination, root of the mean squared error, mean absolute error.
    truth, predicted : numpy.ndarray, (n,)
    intervals : numpy.ndarray or None, (n, 2)
    coverage : float or None
        The stated one of the intervals.
    """

    r2: float
    rmse: float
    mae: float
    truth: Array
    predicted: Array
    intervals: Array | None = None
    coverage: float | None = None

    @property
    def line(self) -> str:
        """The result in a line."""
        return f"R2 {self.r2:.4f}, RMSE {self.rmse:.6g}, MAE {self.mae:.6g}"

    @property
    def report(self) -> str:
        """The measures, one below the other."""
        lines = [
            f"R2      {self.r2:.4f}   share of the variance that is explained",
            f"RMSE    {self.rmse:.6g}   root of the mean squared error",
            f"MAE     {self.mae:.6g}   mean absolute error",
        ]
        if self.intervals is not None and self.coverage is not None:
            width = float(np.mean(self.intervals[:, 1] - self.intervals[:, 0]))
            lines.append(
                f"intervals of {self.coverage:.0%} hold {self.covered:.1%} of the numbers, "
                f"{width:.6g} wide in the mean"
            )
        return "\n".join(lines) + "\n"

    @property
    def covered(self) -> float:
        """Share of the numbers that lie in their intervals; NaN without any."""
        if self.intervals is None:
            return float("nan")
        inside = (self.truth >= self.intervals[:, 0]) & (self.truth <= self.intervals[:, 1])
        return float(inside.mean())

    @property
    def is_nothing(self) -> str:
        """What is to be said if nothing was learned, else ''."""
        if self.r2 > 0:
            return ""
        return (
            f"nothing was learned: R2 {self.r2:.4f} is no better than always answering the mean of "
            "the targets"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the measures."""
        found: dict[str, Any] = {"r2": self.r2, "rmse": self.rmse, "mae": self.mae}
        if self.intervals is not None:
            found |= {"intervals": self.coverage, "covered": self.covered}
        return found


Result = ClassResult | NumberResult


def measured(
    learner: Table, features: pl.DataFrame, y: Array, coverage: float | None = None
) -> Result:
    """Compare the predictions of a learner with the truth.

    Parameters
    ----------
    learner : TabularClassifier or TabularRegressor
    features : polars.DataFrame, (n, n_features)
    y : numpy.ndarray, (n,)
        Labels, all of which the learner knows, or numbers.
    coverage : float, optional
        Of the intervals of numbers.
    """
    if isinstance(learner, TabularClassifier):
        return _of_classes(learner, features, y)
    predicted = learner.predict(features)
    intervals = None if coverage is None else learner.predict_interval(features, coverage)
    return _of_numbers(y.astype(np.float64), predicted, intervals, coverage)


def _of_numbers(
    truth: Array, predicted: Array, intervals: Array | None, coverage: float | None
) -> NumberResult:
    errors = predicted - truth
    spread = float(np.sum((truth - truth.mean()) ** 2))
    squares = float(np.sum(errors**2))
    return NumberResult(
        r2=1 - squares / spread if spread else 0.0,
        rmse=float(np.sqrt(squares / len(truth))),
        mae=float(np.abs(errors).mean()),
        truth=truth,
        predicted=predicted,
        intervals=intervals,
        coverage=coverage,
    )


def _of_classes(learner: TabularClassifier, features: pl.DataFrame, y: Array) -> ClassResult:
    names = tuple(str(label) for label in learner.classes_)
    place = {label: number for number, label in enumerate(learner.classes_.tolist())}
    truth = np.array([place[label] for label in y.tolist()], np.intp)
    probabilities = learner.predict_proba(features)
    predicted = probabilities.argmax(axis=1)
    right = np.maximum(probabilities[np.arange(len(truth)), truth], 1e-15)
    confusion, report = confusion_and_report(truth, predicted, names)
    return ClassResult(
        accuracy=float(np.mean(predicted == truth)),
        log_loss=float(-np.log(right).mean()),
        largest_class=int(np.bincount(truth).max()) / len(truth),
        classes=names,
        truth=truth,
        predicted=predicted,
        probabilities=probabilities,
        confusion=confusion,
        report=report,
    )
