"""What a network is: plain frozen descriptions, without parameters and without arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
IndexArray: TypeAlias = npt.NDArray[np.intp]
ByteArray: TypeAlias = npt.NDArray[np.uint8]
Rule: TypeAlias = Literal["exact", "article"]
RULES: tuple[Rule, ...] = ("exact", "article")
Activation: TypeAlias = Literal["identity", "sigmoid", "tanh", "relu", "softmax"]
ACTIVATIONS: tuple[Activation, ...] = ("identity", "sigmoid", "tanh", "relu", "softmax")
Loss: TypeAlias = Literal["squared_error", "binary_cross_entropy", "cross_entropy"]
# The activation that each loss needs in the last layer; None: any.
LOSSES: dict[Loss, Activation | None] = {
    "squared_error": None,
    "binary_cross_entropy": "sigmoid",
    "cross_entropy": "softmax",
}
# An engine goes down and up the layers by recursion.
MOST_LAYERS = 1000


@dataclass(frozen=True)
class Dense:
    """A dense layer: ``a = activation(x @ weights + bias)``.

    Attributes
    ----------
    fan_in, fan_out : int
        Numbers of inputs and of units; ``weights`` has the shape ``(fan_in, fan_out)``.
    activation : {"sigmoid", "identity", "tanh", "relu", "softmax"}
        ``"softmax"`` in the last layer only.
    dropout : float
        Share of the activations that are 0 in a step of training, each chosen anew for every sample
        and step; the others are divided by ``1 - dropout`` (Srivastava et al., "Dropout", 2014, in
        its inverted form). From 0 to below 1; 0 in the last layer.
    """

    fan_in: int
    fan_out: int
    activation: Activation = "sigmoid"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("fan_in", "fan_out"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}: expected a whole number of at least 1, found {value!r}")
        _require_known("activation", self.activation, ACTIVATIONS)
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: expected 0 up to below 1, found {self.dropout!r}")


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent, with momentum if asked for.

    ``velocity = momentum * velocity + gradient``, then ``parameters -= learning_rate * velocity``;
    Nesterov's form takes ``gradient + momentum * velocity`` in place of the velocity (Sutskever et
    al., "On the importance of initialization and momentum in deep learning", 2013).

    Attributes
    ----------
    momentum : float
        From 0 to below 1.
    nesterov : bool
        Needs a momentum above 0.
    """

    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum: expected 0 up to below 1, found {self.momentum!r}")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov: expected a momentum above 0 with it, found 0")

    @property
    def n_moments(self) -> int:
        """Values kept for each parameter from step to step: the velocity, if there is momentum."""
        return 1 if self.momentum else 0


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba, 2015, algorithm 1), and AdamW if there is weight decay.

    With ``m = beta_1 * m + (1 - beta_1) * gradient``, ``v = beta_2 * v + (1 - beta_2) *
    gradient**2`` and ``t`` the number of the step, from 1::

        parameters *= 1 - learning_rate * weight_decay
        parameters -= learning_rate * m / (1 - beta_1**t) / (sqrt(v / (1 - beta_2**t)) + epsilon)

    The decay is the decoupled one of Loshchilov and Hutter, "Decoupled weight decay
    regularization", 2019; it takes in the biases. What is left of an average below the least normal
    number of the dtype counts as 0, here and in the velocity of `SGD`.

    Attributes
    ----------
    beta_1, beta_2 : float
        From 0 to below 1.
    epsilon : float
        Above 0.
    weight_decay : float
        At least 0.
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        for name in ("beta_1", "beta_2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 0 up to below 1, found {getattr(self, name)!r}")
        if not 0 < self.epsilon < math.inf:
            raise ValueError(f"epsilon: expected a number above 0, found {self.epsilon!r}")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay: expected at least 0, found {self.weight_decay!r}")

    @property
    def n_moments(self) -> int:
        """Values kept for each parameter from step to step: ``m`` and ``v``, in this order."""
        return 2


Optimizer: TypeAlias = SGD | Adam


@dataclass(frozen=True)
class Network:
    """A chain of dense layers with its loss and its optimizer.

    All parameters live in one flat array, layer after layer, the weights of a layer (row by row)
    before its bias, so that an update, a copy, a checksum or a comparison is one operation.

    Attributes
    ----------
    layers : tuple of Dense
        From 1 to `MOST_LAYERS`; each layer's ``fan_in`` is the ``fan_out`` of the one before it.
    loss : {"squared_error", "binary_cross_entropy", "cross_entropy"}
        Summed over the outputs, averaged over the samples of a batch: half the squared error; or
        the cross-entropy of sigmoid outputs, each a yes or no of its own; or that of softmax
        outputs. Each cross-entropy needs its activation in the last layer.
    optimizer : SGD or Adam
    rule : {"exact", "article"}
        ``"exact"``: the true gradient of the loss, one bias per unit. ``"article"``: the step that
        the article published, one bias per unit *and training sample*; for sigmoid layers without
        dropout, the squared error and plain `SGD` alone.
    input_scale : float
        Every input is multiplied by it first, so that bytes can stay bytes: ``1 / 255`` for images.
    """

    layers: tuple[Dense, ...]
    loss: Loss = "squared_error"
    optimizer: Optimizer = SGD()
    rule: Rule = "exact"
    input_scale: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= len(self.layers) <= MOST_LAYERS:
            raise ValueError(
                f"a Network needs at least one layer and at most {MOST_LAYERS}, "
                f"found {len(self.layers)}"
            )
        _require_known("loss", self.loss, tuple(LOSSES))
        _require_known("rule", self.rule, RULES)
        if not isinstance(self.optimizer, SGD | Adam):
            raise TypeError(f"optimizer: expected SGD or Adam, found {self.optimizer!r}")
        if not (math.isfinite(self.input_scale) and self.input_scale):
            raise ValueError(
                f"input_scale: expected a finite number other than 0, found {self.input_scale!r}"
            )
        for number, (below, above) in enumerate(zip(self.layers, self.layers[1:], strict=False)):
            if below.fan_out != above.fan_in:
                raise ValueError(
                    f"layer {number + 1} expects {above.fan_in} inputs, "
                    f"but layer {number} has {below.fan_out} units"
                )
            if below.activation == "softmax":
                raise ValueError(f"layer {number}: softmax belongs in the last layer alone")
        self._check_last_layer()
        self._check_rule()

    def _check_last_layer(self) -> None:
        last = self.layers[-1]
        needed = LOSSES[self.loss]
        if needed is not None and last.activation != needed:
            raise ValueError(
                f"the loss {self.loss!r} needs {needed!r} in the last layer, "
                f"found {last.activation!r}"
            )
        if last.dropout:
            raise ValueError(f"dropout: expected 0 in the last layer, found {last.dropout}")

    def _check_rule(self) -> None:
        if self.rule == "exact":
            return
        usual = all(layer.activation == "sigmoid" and not layer.dropout for layer in self.layers)
        if not usual or self.loss != "squared_error" or self.optimizer != SGD():
            raise ValueError(
                "the article's rule is one for sigmoid layers without dropout, the squared error "
                "and plain SGD"
            )

    @property
    def n_inputs(self) -> int:
        """Number of features of a sample."""
        return self.layers[0].fan_in

    @property
    def n_outputs(self) -> int:
        """Number of units of the last layer."""
        return self.layers[-1].fan_out

    def n_parameters(self, bias_rows: int = 1) -> int:
        """Length of the flat parameter array.

        Parameters
        ----------
        bias_rows : int
            Rows of each bias: 1 for the exact rule, the number of training samples for the
            article's.
        """
        return sum(layer.fan_out * (layer.fan_in + bias_rows) for layer in self.layers)

    def bias_rows(self, n_parameters: int) -> int:
        """Rows of each bias in a flat array of `n_parameters` values.

        Raises
        ------
        ValueError
            If no whole number of rows fits, or if the exact rule finds another number than 1.
        """
        units = sum(layer.fan_out for layer in self.layers)
        rows, rest = divmod(n_parameters - self.n_parameters(0), units)
        if rest or rows < 0 or (self.rule == "exact" and rows != 1):
            raise ValueError(
                f"this network has {self.n_parameters()} parameters (rule {self.rule!r}), "
                f"found an array of {n_parameters}"
            )
        return rows

    def unflatten(self, parameters: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
        """Return views ``(weights, bias)`` of each layer into the flat array `parameters`.

        ``weights`` is ``(fan_in, fan_out)``; ``bias`` is ``(fan_out,)`` for the exact rule and
        ``(samples, fan_out)`` for the article's.
        """
        rows = self.bias_rows(parameters.size)
        views = []
        start = 0
        for layer in self.layers:
            middle = start + layer.fan_in * layer.fan_out
            end = middle + rows * layer.fan_out
            bias = parameters[middle:end]
            if self.rule == "article":
                bias = bias.reshape(rows, layer.fan_out)
            views.append((parameters[start:middle].reshape(layer.fan_in, layer.fan_out), bias))
            start = end
        return views


def _require_known(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name}: expected {', '.join(map(repr, known))}, found {value!r}")
