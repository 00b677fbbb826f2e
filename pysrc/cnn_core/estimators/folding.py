"""Fold `input_scale` and batch normalization into ``coefs_`` and ``intercepts_``.

Other tools (emlearn, converters to ONNX) read both and compute ``activation(x @ coefs_[i] +
intercepts_[i])``, layer by layer. So they must include `input_scale` and batch normalization.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cnn_core.model import Model
from cnn_core.network import EPSILON, FloatArray, LayerArrays


@dataclass(frozen=True, eq=False)
class Fold:
    """A layer's arithmetic before its activation: ``(x @ weights) * scale + shift + bias``.

    Attributes
    ----------
    scale, shift : (fan_out,) float64 arrays
    """

    scale: npt.NDArray[np.float64]
    shift: npt.NDArray[np.float64]

    def folded(self, layer: LayerArrays) -> tuple[FloatArray, FloatArray]:
        """Return read-only weights and biases that include all of this."""
        dtype = layer.weights.dtype
        weights = (layer.weights * self.scale).astype(dtype)
        bias = (layer.bias + self.shift).astype(dtype)
        weights.flags.writeable = bias.flags.writeable = False
        return weights, bias

    def unfolded_weights(self, weights: npt.NDArray[np.float64], name: str) -> FloatArray:
        """Return the layer's own weights for folded ones.

        Raises
        ------
        ValueError
            If a gain of the normalization is 0, so that the weights are not determined.
        """
        if not self.scale.all():
            raise ValueError(
                f"{name}: expected a normalization without a gain of 0, which hides the weights of "
                f"unit {int(np.flatnonzero(self.scale == 0)[0])}; write to model_.layers instead"
            )
        own: FloatArray = weights / self.scale
        return own


def folds_of(model: Model) -> list[Fold] | None:
    """Return the folds of all layers; None if there is nothing to fold.

    Raises
    ------
    AttributeError
        For layer normalization, which cannot be folded into weights.
    """
    network = model.network
    kinds = {layer.normalization for layer in network.layers}
    if "layer" in kinds:
        raise AttributeError(
            "coefs_ and intercepts_ are not there for normalization='layer', which they cannot "
            "express; the weights themselves are in model_.layers"
        )
    if kinds == {None} and network.input_scale == 1:
        return None
    folds = []
    input_scale = network.input_scale
    statistics = network.unflatten_statistics(model.statistics)
    for layer, pair in zip(model.predicting_layers, statistics, strict=True):
        scale, shift = np.ones(layer.weights.shape[1]), np.zeros(layer.weights.shape[1])
        if pair is not None and layer.gain is not None:
            mean, variance = (values.astype(np.float64) for values in pair)
            scale = layer.gain / np.sqrt(variance + EPSILON)
            shift = -mean * scale
        folds.append(Fold(scale * input_scale, shift))
        # Only the first layer's inputs are scaled.
        input_scale = 1.0
    return folds
