"""The targets of a regressor: numbers, one or several for each sample."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.arrays import as_finite
from cnn_core.containers import no_numbers, place_of
from cnn_core.estimators.scoring import r2
from cnn_core.estimators.task import BEFORE, Task, as_target_array
from cnn_core.export.program import Answer
from cnn_core.network import Activation, FloatArray, Loss, Pinball


@dataclass(frozen=True, eq=False)
class Regression(Task):
    """The task of a regressor.

    Attributes
    ----------
    n_targets : int or None
        Targets of each sample; None for a one-dimensional `y`.
    network_loss : str, Huber or Pinball
        The loss of the network. A loss with several quantiles predicts each of them for one target.
    out_activation : str
        Activation of the last layer.
    """

    n_targets: int | None
    network_loss: Loss
    out_activation: Activation

    @property
    def n_quantiles(self) -> int:
        """Number of predicted quantiles, 0 if there are none or only one."""
        loss = self.network_loss
        several = isinstance(loss, Pinball) and isinstance(loss.quantile, tuple)
        return len(loss.quantiles(1)) if several and isinstance(loss, Pinball) else 0

    @property
    def n_outputs(self) -> int:
        """Outputs of the network."""
        return self.n_quantiles or self.n_targets or 1

    @property
    def activation(self) -> Activation:
        """Activation of the last layer."""
        return self.out_activation

    @property
    def loss(self) -> Loss:
        """The loss of the network."""
        return self.network_loss

    @property
    def answer(self) -> Answer:
        """How exports interpret the outputs of the network."""
        return Answer("number")

    @property
    def loss_parts(self) -> int:
        """Divisor of the loss: scikit-learn averages over outputs, but sums Poisson losses."""
        return 1 if self.network_loss == "poisson" else self.n_outputs

    def read(
        self,
        values: Any,
        n_samples: int,
        estimator: str,
        name: str,
        *,
        known_from: str = BEFORE,
        to_score: bool = False,
    ) -> FloatArray:
        """Check targets for this task, (n_samples,) or (n_samples, n_targets); see `as_numbers`.

        Raises
        ------
        TypeError, ValueError
            As for `as_numbers`; for another number of targets, and for targets below 0 with the
            loss ``"poisson"``.
        """
        y = as_numbers(values, n_samples, estimator, name)
        columns = y.shape[1] if y.ndim == 2 else None
        if columns != self.n_targets:
            raise ValueError(
                f"{name}: expected {_numbers(self.n_targets)} per sample, as in {known_from}, "
                f"found {_numbers(columns)}"
            )
        if self.network_loss == "poisson" and not to_score:
            _require_counts(y, name)
        return y

    def targets(self, y: FloatArray, dtype: np.dtype[Any]) -> FloatArray:
        """Return the targets, (n, n_outputs), repeated for each quantile."""
        columns = as_finite(y, dtype, "y").reshape(len(y), -1)
        return np.ascontiguousarray(np.broadcast_to(columns, (len(y), self.n_outputs)))

    def decode(self, outputs: FloatArray) -> FloatArray:
        """Return predictions, (n,) for one target, else (n, n_outputs)."""
        return outputs if outputs.shape[1] > 1 or self.n_targets else outputs[:, 0]

    def to_score(self, outputs: FloatArray) -> FloatArray:
        """Return the predictions; for several quantiles those of the one nearest to 0.5."""
        if self.n_quantiles:
            assert isinstance(self.network_loss, Pinball)
            quantiles = np.array(self.network_loss.quantiles(1))
            nearest: FloatArray = outputs[:, np.abs(quantiles - 0.5).argmin()]
            return nearest
        return self.decode(outputs)

    def score(self, y: FloatArray, predicted: FloatArray, weights: FloatArray | None) -> float:
        """Return R2."""
        return r2(y, predicted, weights)

    def to_json(self) -> dict[str, Any]:
        """Return the number of targets."""
        return {"n_targets": self.n_targets}


# Range of the outputs of bounded activations.
_RANGES: dict[str, tuple[float, float]] = {
    "sigmoid": (0, 1),
    "tanh": (-1, 1),
    "relu": (0, np.inf),
    "softplus": (0, np.inf),
    "exp": (0, np.inf),
    "elu": (-1, np.inf),
    # Rounded away from 0, so that values outside are out of reach.
    "selu": (-1.7581, np.inf),
    "gelu": (-0.17, np.inf),
    "silu": (-0.2785, np.inf),
}
# Rounding may put a target scaled to a range slightly outside.
_ROUNDING = 1e-6


def warn_of_unreachable(y: FloatArray, activation: Activation, name: str = "y") -> None:
    """Warn of targets outside the range of the last activation.

    Parameters
    ----------
    y : (n_samples,) or (n_samples, n_targets) array
    activation : str

    Warns
    -----
    UserWarning
        If there is one; the warning names the first.
    """
    least, most = _RANGES.get(activation, (-np.inf, np.inf))
    if not y.size or (y.min() >= least - _ROUNDING and y.max() <= most + _ROUNDING):
        return
    outside = (y < least - _ROUNDING) | (y > most + _ROUNDING)
    position = int(outside.argmax())
    limits = f"from {least:g} to {most:g}" if most < np.inf else f"of at least {least:g}"
    warnings.warn(
        f"{name}: expected numbers {limits}, which out_activation can give, found "
        f"{y.flat[position]:g} at {place_of(y.shape, position)}; scale {name}, or choose another "
        "out_activation",
        UserWarning,
        stacklevel=8,
    )


def as_numbers(values: Any, n_samples: int, estimator: str, name: str = "y") -> FloatArray:
    """Return numbers as an array of floats, (n_samples,) or (n_samples, n_targets), all finite.

    Raises
    ------
    TypeError, ValueError
        For anything that is not made of real numbers, and for another number of samples.

    Warns
    -----
    DataConversionWarning
        For a column, which becomes one dimension.
    """
    array = as_target_array(values, n_samples, estimator, name)
    if array.dtype.kind not in "fiub":
        array = _text_as_numbers(array, values, estimator, name)
    return as_finite(array, array.dtype if array.dtype == np.float32 else np.float64, name)


def _numbers(n_targets: int | None) -> str:
    return "one number" if n_targets in (None, 1) else f"{n_targets} numbers"


def _text_as_numbers(array: npt.NDArray[Any], values: Any, estimator: str, name: str) -> FloatArray:
    """Convert text that represents numbers."""
    if array.dtype.kind in "OSU":
        try:
            numbers: FloatArray = array.astype(np.float64)
            return numbers
        except (TypeError, ValueError, OverflowError):
            pass
    error = no_numbers(array, values, name, text_counts=True)
    other = "a TabularClassifier" if estimator.startswith("Tabular") else "an MLPClassifier"
    raise type(error)(f"{error}; fit {other} to classes")


def _require_counts(y: FloatArray, name: str) -> None:
    below = np.argwhere(y < 0)
    if len(below):
        index = tuple(int(i) for i in below[0])
        raise ValueError(
            f"{name}: expected numbers of at least 0 for the loss 'poisson', found {y[index]} "
            f"at index {index[0] if len(index) == 1 else index}"
        )
