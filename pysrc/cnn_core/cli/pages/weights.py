"""The weights of the first layer as images."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core import Augmentation, Conv2D, Dense
from cnn_core.cli.pages.contents import WeightPictures
from cnn_core.cli.pages.pictures import diverging, image_grid
from cnn_core.model import Model

__all__ = ["weight_pictures"]

Array = npt.NDArray[Any]

_UNITS = 32
_IN_A_ROW = 8
# As a heat map, a line for each column of the table.
_MOST_COLUMNS = 64


def weight_pictures(
    model: Model,
    image_shape: tuple[int, ...] | None,
    names: tuple[str, ...] | None = None,
) -> WeightPictures | None:
    """Return the weights of the first layer of a network, None if there is no picture of them.

    Parameters
    ----------
    model : Model
    image_shape : tuple of int or None
        Height and width of a sample, and its channels where there are several.
    names : tuple of str, optional
        Of the columns, for a table.
    """
    layers = zip(model.network.layers, model.predicting_layers, strict=True)
    layer, (weights, *_) = next(
        (layer, arrays) for layer, arrays in layers if not isinstance(layer, Augmentation)
    )
    if isinstance(layer, Conv2D):
        return _units(weights.reshape(*layer.window, -1, layer.channels), "filters")
    if not isinstance(layer, Dense):
        return None
    if image_shape is not None and math.prod(image_shape) == layer.fan_in:
        height, width, *channels = image_shape
        return _units(weights.reshape(height, width, *(channels or [1]), -1), "units")
    if names is not None and layer.fan_in <= _MOST_COLUMNS:
        return _heat_map(weights, names)
    return None


def _units(weights: Array, kind: str) -> WeightPictures:
    """Return weights, (height, width, channels, units), as one image for each unit.

    Three channels are red, green and blue, grey for 0; of other numbers of them the mean is shown.
    """
    units = np.moveaxis(weights, -1, 0).astype(np.float64)
    strength = np.sqrt((units**2).sum(axis=(1, 2, 3)))
    chosen = units[np.argsort(-strength, kind="stable")[:_UNITS]]
    most = np.abs(chosen).max(axis=(1, 2, 3), keepdims=True)
    if chosen.shape[3] == 3:
        pixels = np.rint(127.5 + 127.5 * chosen / np.maximum(most, 1e-30)).astype(np.uint8)
    else:
        pixels = diverging(chosen.mean(axis=3), most[..., 0])
    return WeightPictures(kind, image_grid(pixels, _IN_A_ROW, gap=2), len(units))


def _heat_map(weights: Array, names: tuple[str, ...]) -> WeightPictures:
    """Return a line of squares for each column of a table, one for each unit."""
    strength = np.abs(weights).max(axis=0)
    order = np.argsort(-strength, kind="stable")[: 2 * _UNITS]
    shown = weights[:, order].astype(np.float64)
    pixels = diverging(shown, max(float(np.abs(shown).max()), 1e-30))
    return WeightPictures("table", image_grid(pixels[None], 1), weights.shape[1], names)
