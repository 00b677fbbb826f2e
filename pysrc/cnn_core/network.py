"""What a network is: plain frozen descriptions, without parameters and without arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
IndexArray: TypeAlias = npt.NDArray[np.intp]
Rule: TypeAlias = Literal["exact", "article"]
RULES: tuple[Rule, ...] = ("exact", "article")
# An engine goes down and up the layers by recursion.
MOST_LAYERS = 1000


@dataclass(frozen=True)
class Dense:
    """A dense layer: ``a = activation(x @ weights + bias)``.

    Attributes
    ----------
    fan_in, fan_out : int
        Numbers of inputs and of units; ``weights`` has the shape ``(fan_in, fan_out)``.
    activation : {"sigmoid"}
    """

    fan_in: int
    fan_out: int
    activation: Literal["sigmoid"] = "sigmoid"

    def __post_init__(self) -> None:
        for name in ("fan_in", "fan_out"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}: expected a whole number of at least 1, found {value!r}")
        _require_known("activation", self.activation, ("sigmoid",))


@dataclass(frozen=True)
class Network:
    """A chain of dense layers with its loss.

    All parameters live in one flat array, layer after layer, the weights of a layer (row by row)
    before its bias, so that an update, a copy, a checksum or a comparison is one operation.

    Attributes
    ----------
    layers : tuple of Dense
        From 1 to `MOST_LAYERS`; each layer's ``fan_in`` is the ``fan_out`` of the one before it.
    loss : {"squared_error"}
        Half the squared error, summed over the outputs, averaged over the samples of a batch.
    rule : {"exact", "article"}
        ``"exact"``: the true gradient of the loss, one bias per unit. ``"article"``: the step that
        the article published, one bias per unit *and training sample*.
    """

    layers: tuple[Dense, ...]
    loss: Literal["squared_error"] = "squared_error"
    rule: Rule = "exact"

    def __post_init__(self) -> None:
        if not 1 <= len(self.layers) <= MOST_LAYERS:
            raise ValueError(
                f"a Network needs at least one layer and at most {MOST_LAYERS}, "
                f"found {len(self.layers)}"
            )
        _require_known("loss", self.loss, ("squared_error",))
        _require_known("rule", self.rule, RULES)
        for number, (below, above) in enumerate(zip(self.layers, self.layers[1:], strict=False)):
            if below.fan_out != above.fan_in:
                raise ValueError(
                    f"layer {number + 1} expects {above.fan_in} inputs, "
                    f"but layer {number} has {below.fan_out} units"
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
        raise ValueError(f"{name}: expected {' or '.join(map(repr, known))}, found {value!r}")
