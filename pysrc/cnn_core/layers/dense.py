"""The description of dense layers."""

from __future__ import annotations

from dataclasses import dataclass

from cnn_core.layers.base import (
    Activation,
    LayerBase,
    Normalization,
    size,
)
from cnn_core.validation import set_checked


@dataclass(frozen=True)
class Dense(LayerBase):
    """A dense layer: ``a = activation(x @ weights + bias)``.

    With normalization it is ``a = activation(gain * normalized(x @ weights) + bias)``, where
    ``normalized(u) = (u - mean) / sqrt(variance + EPSILON)``:

    ``"batch"``
        mean and variance of each unit over the samples of a batch (Ioffe and Szegedy, "Batch
        normalization", 2015). Predictions use running averages of both, with the momentum
        `STATISTICS_MOMENTUM` and the variance times ``n / (n - 1)``. A batch of one sample, whose
        variance is 0, does not change them. Small batches are noisy; use a few dozen samples.
    ``"layer"``
        mean and variance of each sample over the units (Ba, Kiros, Hinton, "Layer normalization",
        2016).

    Attributes
    ----------
    fan_in, fan_out : int
        Numbers of inputs and of units; ``weights`` has the shape ``(fan_in, fan_out)``.
    activation : str
        One of `ACTIVATIONS`; ``"softmax"`` and ``"exp"`` in the last layer only.
    dropout : float
        Share of the activations that are set to 0 in a training step, drawn for every sample and
        step; the others are divided by ``1 - dropout`` (Srivastava et al., "Dropout", 2014, in its
        inverted form). From 0 to below 1; 0 in the last layer.
    normalization : {"batch", "layer"}, optional
        Not in the last layer.

    Raises
    ------
    TypeError
        For a share that is not a number.
    ValueError
        For a size below 1 or not whole, a name that is not known, a share outside its range.
        `Network` refuses settings that are not allowed in the last layer, or only there.
    """

    fan_in: int
    fan_out: int
    activation: Activation = "sigmoid"
    dropout: float = 0.0
    normalization: Normalization | None = None

    def __post_init__(self) -> None:
        set_checked(self, size, "fan_in", "fan_out")
        self._check_settings()

    @property
    def weights_shape(self) -> tuple[int, int]:
        """Shape of the weights: a row for each input, a column for each unit."""
        return self.fan_in, self.fan_out

    @property
    def units(self) -> int:
        """Number of biases, and of gains if it has them."""
        return self.fan_out

    @property
    def fans(self) -> tuple[float, int]:
        """Inputs of a unit, and units that use an input."""
        return self.weights_shape
