"""Descriptions of losses: a name, or a class with settings. The backends hold the arithmetic.

For the formulas see `loss` and `output_delta` of `cnn_core.backends.interface.Kernels`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from cnn_core.layers import Activation
from cnn_core.validation import above_0, real, set_checked, shown

LossName: TypeAlias = Literal[
    "squared_error", "absolute_error", "poisson", "binary_cross_entropy", "cross_entropy"
]


@dataclass(frozen=True)
class Huber:
    """Half the squared error, linear beyond an error of `delta` (Huber, 1964).

    Attributes
    ----------
    delta : float
        Above 0, in the units of the outputs.

    Raises
    ------
    TypeError
        For a `delta` that is not a number.
    ValueError
        For a `delta` outside its range.
    """

    delta: float = 1.0

    def __post_init__(self) -> None:
        set_checked(self, above_0, "delta")


@dataclass(frozen=True)
class Pinball:
    """The quantile loss, minimal at a quantile (Koenker and Bassett, "Regression quantiles", 1978).

    Attributes
    ----------
    quantile : float or tuple of float
        Above 0 and below 1: one for all outputs, or one for each.

    Raises
    ------
    TypeError
        For a quantile that is not a number.
    ValueError
        For a quantile outside its range.

    Examples
    --------
    Three outputs: the bounds of an interval for 80 % of the targets, and the median:

    >>> Pinball((0.1, 0.5, 0.9)).quantiles(3)
    (0.1, 0.5, 0.9)
    >>> Pinball(0.5).quantiles(3)
    (0.5, 0.5, 0.5)
    """

    quantile: float | tuple[float, ...] = 0.5

    def __post_init__(self) -> None:
        checked = tuple(real("quantile", quantile) for quantile in self.quantiles(1))
        if not all(0 < quantile < 1 for quantile in checked):
            raise ValueError(
                f"quantile: expected numbers above 0 and below 1, found {shown(self.quantile)}"
            )
        value = checked if isinstance(self.quantile, tuple) else checked[0]
        object.__setattr__(self, "quantile", value)

    def quantiles(self, n_outputs: int) -> tuple[float, ...]:
        """Return the quantile of each of `n_outputs` outputs; a tuple is returned unchanged."""
        if isinstance(self.quantile, tuple):
            return self.quantile
        return (self.quantile,) * n_outputs


Loss: TypeAlias = LossName | Huber | Pinball
LOSSES: tuple[LossName | type[Huber] | type[Pinball], ...] = (*get_args(LossName), Huber, Pinball)
# The activation of the last layer that a loss requires; other losses allow any.
NEEDED_ACTIVATION: dict[LossName, Activation] = {
    "poisson": "exp",
    "binary_cross_entropy": "sigmoid",
    "cross_entropy": "softmax",
}
