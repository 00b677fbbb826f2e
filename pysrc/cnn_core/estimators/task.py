"""Tasks: convert between a user's targets and the outputs of a network."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.class_targets import Targets
from cnn_core.containers import as_array, column_names, missing_in, place_of
from cnn_core.export.program import Answer
from cnn_core.network import Activation, FloatArray, IndexArray, Loss

# Where a task is known from, for the errors; the usual case.
BEFORE = "the fit before"


class Task(ABC):
    """The task of an estimator: `Classification` or `Regression`."""

    @property
    @abstractmethod
    def n_outputs(self) -> int:
        """Outputs of the network."""

    @property
    @abstractmethod
    def activation(self) -> Activation:
        """Activation of its last layer."""

    @property
    @abstractmethod
    def loss(self) -> Loss:
        """Its loss."""

    @property
    @abstractmethod
    def answer(self) -> Answer:
        """What becomes of the outputs of the network, as exports say it."""

    @property
    def has_class_outputs(self) -> bool:
        """Whether each class has an output, the largest of which is the answer."""
        return False

    @property
    def loss_parts(self) -> int:
        """What the loss of the network is divided by to give that of scikit-learn."""
        return 1

    @abstractmethod
    def read(
        self,
        values: Any,
        n_samples: int,
        estimator: str,
        name: str,
        *,
        known_from: str = BEFORE,
        to_score: bool = False,
    ) -> npt.NDArray[Any]:
        """Return a user's targets, checked.

        Parameters
        ----------
        values : array-like
        n_samples : int
        estimator : str
            Name of the class, for errors.
        name : str
            What the user calls the values.
        known_from : str
            Where the task is known from, for the errors.
        to_score : bool
            Whether they are only compared with predictions. Values that are never predicted are
            then allowed, and count as wrong.
        """

    @abstractmethod
    def targets(self, y: npt.NDArray[Any], dtype: np.dtype[Any]) -> Targets:
        """Return the targets of the network for what `read` gave."""

    @abstractmethod
    def decode(self, outputs: FloatArray) -> npt.NDArray[Any]:
        """Return predictions in the user's terms for outputs of the network."""

    @abstractmethod
    def to_score(self, outputs: FloatArray) -> npt.NDArray[Any]:
        """Return what `score` needs of some outputs: one or a few numbers for each sample."""

    @abstractmethod
    def score(
        self, y: npt.NDArray[Any], predicted: npt.NDArray[Any], weights: FloatArray | None
    ) -> float:
        """Return the score of predictions; higher is better, NaN if one of them is not finite.

        Parameters
        ----------
        y : array
            What `read` gave.
        predicted : array
            What `to_score` gave.
        weights : (n,) array, optional
        """

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return what a file stores of the task, besides the estimator's parameters."""

    def positions(self, y: npt.NDArray[Any]) -> IndexArray | None:
        """Return the class of each sample, from 0; None if it has none."""
        return None

    def name_of(self, position: int) -> Any:
        """Return the user's name of a class."""
        return position

    def weights(self, y: npt.NDArray[Any]) -> FloatArray | None:
        """Return the weights of samples by their class; None if all are 1."""
        return None


def as_target_array(
    values: Any, n_samples: int, estimator: str, name: str = "y"
) -> npt.NDArray[Any]:
    """Return targets as an array of one or two dimensions; numbers are finite.

    Raises
    ------
    TypeError
        For masked arrays and for records.
    ValueError
        For None, missing values, complex numbers, another number of samples or of dimensions.

    Warns
    -----
    DataConversionWarning
        For a column, which becomes one dimension.
    """
    if values is None:
        raise ValueError(f"{estimator} requires {name} to be passed, but the target {name} is None")
    array = values.toarray() if hasattr(values, "tocsr") else as_array(values, name)
    if array.dtype.kind == "c":
        raise ValueError(f"{name}: Complex data not supported: expected classes or real numbers")
    if array.dtype.kind == "V":
        raise TypeError(f"{name}: expected classes or real numbers, found {array.dtype}")
    if array.ndim not in (1, 2) or 0 in array.shape[1:]:
        raise ValueError(
            f"{name}: expected the shape (samples,) or (samples, outputs), found {array.shape}"
        )
    if len(array) != n_samples:
        raise ValueError(
            f"{name}: expected one for each of the {n_samples} samples, found {len(array)}: "
            "inconsistent numbers of samples"
        )
    _require_whole(array, values, name)
    if array.ndim == 2 and array.shape[1] == 1:
        # Workers of a cluster read targets without scikit-learn.
        from cnn_core.estimators.compat import DataConversionWarning

        warnings.warn(
            f"A column-vector {name} was passed when a 1d array was expected: "
            f"pass np.ravel({name}) to be free of this warning",
            DataConversionWarning,
            stacklevel=9,
        )
        array = array.ravel()
    return array


def _require_whole(array: npt.NDArray[Any], values: Any, name: str) -> None:
    """Refuse targets of which one is missing or infinite."""
    missing = missing_in(array)
    if missing is not None:
        raise ValueError(
            f"{name}: expected a value for every sample, found a missing one "
            f"({array.flat[missing]}) at {place_of(array.shape, missing, column_names(values))}: "
            f"Input {name} contains NaN or another missing value; leave such samples out"
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        position = int(np.isinf(array).argmax())
        raise ValueError(
            f"{name}: expected finite numbers, found {array.flat[position]} at "
            f"{place_of(array.shape, position, column_names(values))}: "
            f"Input {name} contains NaN or infinity"
        )
