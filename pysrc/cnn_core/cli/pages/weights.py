"""The weights of the first layer as images."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core import Conv2D, Dense
from cnn_core.cli.pages.contents import WeightPictures
from cnn_core.cli.pages.pictures import diverging, image_grid
from cnn_core.displays.weights import first_layer_images
from cnn_core.model import Model

__all__ = ["weight_pictures"]

Array = npt.NDArray[Any]

_UNITS = 32
_IN_A_ROW = 8
# Largest number of columns of a heat map.
_MOST_COLUMNS = 64


def weight_pictures(
    model: Model,
    image_shape: tuple[int, ...] | None,
    names: tuple[str, ...] | None = None,
) -> WeightPictures | None:
    """Return pictures of the weights of the first layer, or None.

    Parameters
    ----------
    model : Model
    image_shape : tuple of int or None
        Height and width of a sample, and channels if there are several.
    names : tuple of str, optional
        Of the columns, for a table.
    """
    images = None if image_shape is None else first_layer_images(model, image_shape)
    if images is not None:
        is_convolution = any(isinstance(layer, Conv2D) for layer in model.network.layers)
        return _units(images, "filters" if is_convolution else "units")
    layer = model.network.layers[0]
    if names is not None and isinstance(layer, Dense) and layer.fan_in <= _MOST_COLUMNS:
        return _heat_map(model.predicting_layers[0].weights, names)
    return None


def _units(weights: Array, kind: str) -> WeightPictures:
    """Return weights, (units, height, width, channels), as one image for each unit.

    Three channels are shown as red, green and blue, with grey for 0; otherwise their mean.
    """
    units = weights.astype(np.float64)
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
