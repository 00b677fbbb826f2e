"""Tasks of a table, classes or a number: targets, predictions and scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.class_targets import Targets
from cnn_core.estimators.labels import Classification
from cnn_core.estimators.scoring import accuracy, r2
from cnn_core.estimators.targets import Regression
from cnn_core.estimators.task import Task
from cnn_core.io.fields import Fields
from cnn_core.tables.calibration import (
    best_temperature,
    log_loss,
    logarithms_of,
    probabilities_of,
)
from cnn_core.types import FloatArray, IndexArray

Predictions = npt.NDArray[np.float64]

_FLOAT32 = np.dtype(np.float32)


class TableTask(ABC):
    """The task of a table: `Classes` or `Number`.

    Outputs of networks are converted to addends, which are averaged: log-probabilities (n,
    n_classes), or numbers (n, 1). Predictions are computed from these means.

    Attributes
    ----------
    temperature : float
        See `cnn_core.tables.calibration`; 1 for numbers.
    """

    temperature: float = 1.0

    @property
    @abstractmethod
    def network(self) -> Task:
        """What the networks learn."""

    @abstractmethod
    def scaled_to(self, y: npt.NDArray[Any], weights: FloatArray | None) -> TableTask:
        """Return the task fitted to the scale of the training targets."""

    @abstractmethod
    def targets(self, y: npt.NDArray[Any], smoothing: float = 0.0) -> Targets:
        """Return the targets of the networks, in float32."""

    @abstractmethod
    def positions(self, y: npt.NDArray[Any]) -> IndexArray | None:
        """Return the class of each row, for stratified folds; None for numbers."""

    @abstractmethod
    def addends(self, outputs: FloatArray) -> Predictions:
        """Convert the outputs of a network to the values that are averaged."""

    @abstractmethod
    def loss(self, predictions: Predictions, y: npt.NDArray[Any], weights: Any) -> float:
        """Return the log-loss, or the RMSE."""

    @abstractmethod
    def score(self, predictions: Predictions, y: npt.NDArray[Any], weights: Any) -> float:
        """Return the accuracy, or R2."""

    @abstractmethod
    def calibrated(self, means: Predictions, y: npt.NDArray[Any], weights: Any) -> TableTask:
        """Return the task calibrated on the means for held-out rows."""

    @abstractmethod
    def predictions(self, means: Predictions) -> Predictions:
        """Return the predictions from means over networks."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return it in terms of JSON."""


@dataclass(frozen=True, eq=False)
class Classes(TableTask):
    """Classes.

    Attributes
    ----------
    classification : Classification
    """

    classification: Classification
    temperature: float = 1.0

    @property
    def network(self) -> Classification:
        """What the networks learn."""
        return self.classification

    def scaled_to(self, y: npt.NDArray[Any], weights: FloatArray | None) -> Classes:
        """Return the task itself."""
        return self

    def targets(self, y: npt.NDArray[Any], smoothing: float = 0.0) -> Targets:
        """Return a label for each row; for two classes 0 and 1."""
        return replace(self.network, smoothing=smoothing).targets(y, _FLOAT32)

    def positions(self, y: npt.NDArray[Any]) -> IndexArray:
        """Return the class index of each row."""
        found = self.network.positions(y)
        assert found is not None
        return found

    def addends(self, outputs: FloatArray) -> Predictions:
        """Return the logarithm of each class's probability."""
        return logarithms_of(self.network.probabilities(outputs))

    def loss(self, predictions: Predictions, y: npt.NDArray[Any], weights: Any) -> float:
        """Return the log-loss."""
        return log_loss(predictions, self.positions(y), weights)

    def score(self, predictions: Predictions, y: npt.NDArray[Any], weights: Any) -> float:
        """Return the accuracy."""
        return accuracy(y, self.network.classes[predictions.argmax(axis=1)], weights)

    def calibrated(self, means: Predictions, y: npt.NDArray[Any], weights: Any) -> Classes:
        """Return the task with the best temperature for these means."""
        return replace(self, temperature=best_temperature(means, self.positions(y), weights))

    def predictions(self, means: Predictions) -> Predictions:
        """Return the calibrated probabilities."""
        return probabilities_of(means, self.temperature)

    def to_json(self) -> dict[str, Any]:
        """Return classes and temperature."""
        return {**self.network.to_json(), "temperature": self.temperature}

    @classmethod
    def from_json(cls, values: Any) -> Classes:
        """Return the task that `to_json` gave.

        Raises
        ------
        TypeError, ValueError
            For anything else.
        """
        temperature = Fields(values, "task").number("temperature")
        if not temperature > 0:
            raise ValueError(f"task.temperature: expected above 0, found {temperature}")
        return cls(Classification.from_json(values), temperature)


@dataclass(frozen=True, eq=False)
class Number(TableTask):
    """Regression on a standardized target.

    Attributes
    ----------
    unit, centre, spread : float
        The networks learn ``(y / unit - centre) / spread``; `unit` is a power of two that keeps
        squares from overflow.
    least, most : float
        The range of the targets; predictions are clipped to it.
    """

    unit: float = 1.0
    centre: float = 0.0
    spread: float = 1.0
    least: float = -np.inf
    most: float = np.inf

    @property
    def network(self) -> Regression:
        """What the networks learn."""
        return Regression(None, "squared_error", "identity")

    def scaled_to(self, y: npt.NDArray[Any], weights: FloatArray | None) -> Number:
        """Return the task with mean, deviation and range of these targets."""
        largest = float(np.abs(y).max())
        unit = 2.0 ** (int(np.frexp(largest)[1]) - 1) if largest else 1.0
        scaled = y / unit
        centre = float(np.average(scaled, weights=weights))
        spread = float(np.sqrt(np.average((scaled - centre) ** 2, weights=weights)))
        return Number(unit, centre, spread or 1.0, float(y.min()), float(y.max()))

    def targets(self, y: npt.NDArray[Any], smoothing: float = 0.0) -> Targets:
        """Return the standardized targets, (n, 1)."""
        standardized = (y / self.unit - self.centre) / self.spread
        return np.ascontiguousarray(standardized.reshape(-1, 1), np.float32)

    def positions(self, y: npt.NDArray[Any]) -> None:
        """Return None."""
        return

    def addends(self, outputs: FloatArray) -> Predictions:
        """Return the outputs in double precision."""
        return outputs.astype(np.float64)

    def loss(self, predictions: Predictions, y: npt.NDArray[Any], weights: Any) -> float:
        """Return the root of the mean squared error."""
        errors = predictions[:, 0] / self.unit - y / self.unit
        return float(np.sqrt(np.average(errors**2, weights=weights))) * self.unit

    def score(self, predictions: Predictions, y: npt.NDArray[Any], weights: Any) -> float:
        """Return R2."""
        return r2(y / self.unit, predictions[:, 0] / self.unit, weights)

    def calibrated(self, means: Predictions, y: npt.NDArray[Any], weights: Any) -> Number:
        """Return the task itself."""
        return self

    def predictions(self, means: Predictions) -> Predictions:
        """Return the predictions in the unit of the targets, clipped to their range."""
        scaled = means * self.spread + self.centre
        # Values that overflow are clipped to the range of the targets.
        with np.errstate(over="ignore"):
            return np.clip(scaled * self.unit, self.least, self.most)

    def to_json(self) -> dict[str, Any]:
        """Return its numbers."""
        names = ("unit", "centre", "spread", "least", "most")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_json(cls, values: Any) -> Number:
        """Return the task that `to_json` gave.

        Raises
        ------
        TypeError, ValueError
            For anything else.
        """
        fields = Fields(values, "task")
        found = cls(*(fields.number(name) for name in ("unit", "centre", "spread")))
        if not (found.unit > 0 and found.spread > 0):
            raise ValueError("task: expected a unit and a spread above 0")
        return replace(found, least=fields.number("least"), most=fields.number("most"))
