"""What a layer is: plain frozen descriptions, without parameters and without arithmetic."""

from __future__ import annotations

import numbers
import sys
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from cnn_core.types import FloatArray
from cnn_core.validation import require_known, set_checked, share, shown

Activation: TypeAlias = Literal[
    "identity",
    "sigmoid",
    "tanh",
    "relu",
    "leaky_relu",
    "elu",
    "selu",
    "gelu",
    "silu",
    "softplus",
    "exp",
    "softmax",
]
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
# They belong in the last layer: what is above them would lose their meaning, or their range.
LAST_LAYER_ACTIVATIONS: tuple[Activation, ...] = ("softmax", "exp")
HIDDEN_ACTIVATIONS: tuple[Activation, ...] = tuple(
    name for name in ACTIVATIONS if name not in LAST_LAYER_ACTIVATIONS
)
Normalization: TypeAlias = Literal["batch", "layer"]
NORMALIZATIONS: tuple[Normalization, ...] = get_args(Normalization)
# Added to a variance before its root is taken.
EPSILON = 1e-5
STATISTICS_MOMENTUM = 0.1


def _size(name: str, value: Any) -> int:
    is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_whole or not 1 <= value <= sys.maxsize:
        raise ValueError(f"{name}: expected a whole number of at least 1, found {shown(value)}")
    return int(value)


@dataclass(frozen=True)
class Dense:
    """A dense layer: ``a = activation(x @ weights + bias)``.

    With normalization it is ``a = activation(gain * normalized(x @ weights) + bias)``, where
    ``normalized(u) = (u - mean) / sqrt(variance + EPSILON)``:

    ``"batch"``
        mean and variance of each unit over the samples of a batch (Ioffe and Szegedy, "Batch
        normalization", 2015). Of both, the variance by ``n / (n - 1)`` larger, the engine keeps
        a running average, which moves by `STATISTICS_MOMENTUM` of the way at each step; predictions
        use that one. A batch of one sample, whose variance is 0, moves neither; small ones are
        noisy: a few dozen samples should be in each.
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
        Share of the activations that are 0 in a step of training, drawn for every sample and
        step; the others are divided by ``1 - dropout`` (Srivastava et al., "Dropout", 2014, in
        its inverted form). From 0 to below 1; 0 in the last layer.
    normalization : {"batch", "layer"}, optional
        Not in the last layer.

    Raises
    ------
    TypeError
        For a share that is no number.
    ValueError
        For a size below 1 or not whole, a name that is not known, a share outside its range. What
        belongs in the last layer alone, or not there, is refused by `Network`.
    """

    fan_in: int
    fan_out: int
    activation: Activation = "sigmoid"
    dropout: float = 0.0
    normalization: Normalization | None = None

    def __post_init__(self) -> None:
        set_checked(self, _size, "fan_in", "fan_out")
        require_known("activation", self.activation, ACTIVATIONS)
        set_checked(self, share, "dropout")
        if self.normalization is not None:
            require_known("normalization", self.normalization, NORMALIZATIONS)

    def n_parameters(self, bias_rows: int = 1) -> int:
        """Return the number of weights, biases and gains.

        Parameters
        ----------
        bias_rows : int
            As for `Network.n_parameters`.
        """
        gain_rows = 1 if self.normalization is not None else 0
        return self.fan_out * (self.fan_in + bias_rows + gain_rows)

    @property
    def n_statistics(self) -> int:
        """Number of running averages of batch normalization."""
        return 2 * self.fan_out if self.normalization == "batch" else 0


class LayerArrays(NamedTuple):
    """What a layer has in a flat array of parameters, or of gradients: views.

    Attributes
    ----------
    weights : (fan_in, fan_out) array
    bias : (fan_out,) array
        For the article's rule (samples, fan_out).
    gain : (fan_out,) array or None
        None without normalization.
    """

    weights: FloatArray
    bias: FloatArray
    gain: FloatArray | None
