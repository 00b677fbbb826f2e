"""The filters of a network's first convolution, and their outputs for some images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.cli.plots import as_it_is, new_figure
from cnn_core.layers import Augmentation, Conv2D
from cnn_core.model import Model
from cnn_core.network import Network

__all__ = ["FILTERED_IMAGES", "FilterView", "plot_filters", "seen_by_filters"]

Array = npt.NDArray[Any]

FILTERED_IMAGES = 4
# Largest number of filters to show.
_MOST_FILTERS = 16


@dataclass(frozen=True, eq=False)
class FilterView:
    """Filters, images, and the filters' outputs.

    Attributes
    ----------
    filters : (m, kernel, kernel) array
        The mean over the channels of the image.
    images : (n, height, width) or (n, height, width, 3) array
        From 0 to 1.
    responses : (n, m, height, width) array
        Outputs of the convolution, before normalization and activation.
    n_filters : int
        Number of filters of the layer; the strongest are shown.
    """

    filters: Array
    images: Array
    responses: Array
    n_filters: int


def seen_by_filters(model: Model, x: Array) -> FilterView | None:
    """Return filters and their outputs for images; None if the first layer is not a convolution.

    Parameters
    ----------
    model : Model
    x : (n, n_features) array
        The images in the form of the network.
    """
    layers = zip(model.network.layers, model.predicting_layers, strict=True)
    layer, (weights, *_) = next(
        (layer, arrays) for layer, arrays in layers if not isinstance(layer, Augmentation)
    )
    if not isinstance(layer, Conv2D):
        return None
    alone = replace(layer, activation="identity", normalization=None, dropout=0.0)
    convolution = Model(
        Network((alone,), input_scale=model.network.input_scale),
        dtype=model.dtype,
        backend=model.backend,
        n_threads=1,
    )
    convolution.layers[0].weights[...] = weights
    height, width, channels = layer.input_shape
    responses = convolution.predict(np.ascontiguousarray(x)).reshape(len(x), *alone.output_shape)
    strength = np.abs(weights).sum(axis=0)
    chosen = np.sort(np.argsort(-strength, kind="stable")[:_MOST_FILTERS])
    # With groups, filters cover only some of the channels.
    filters = weights.reshape(layer.kernel, layer.kernel, -1, layer.channels).mean(axis=2)
    images = x.reshape(len(x), height, width, channels) * model.network.input_scale
    return FilterView(
        np.moveaxis(filters[..., chosen], -1, 0),
        _shown(images),
        np.moveaxis(responses[..., chosen], -1, 1),
        layer.channels,
    )


def _shown(images: Array) -> Array:
    """Return images from 0 to 1, of three channels in colour."""
    least, largest = float(images.min()), float(images.max())
    scaled: Array = (images - least) / max(largest - least, 1e-12)
    return scaled if images.shape[3] == 3 else scaled.mean(axis=3)


def plot_filters(path: Path, view: FilterView, title: str) -> None:
    """Draw the filters in a row, and below it their outputs for each image.

    Parameters
    ----------
    path : pathlib.Path
        PNG to write, 1200 pixels wide.
    view : FilterView
    title : str
    """
    count = len(view.filters)
    # Large enough for a filter.
    by = -(-view.filters.shape[1] // min(view.responses.shape[2:]))
    responses = view.responses.repeat(by, axis=2).repeat(by, axis=3)
    height, width = responses.shape[2:]
    cells = np.concatenate([_enlarged(view.filters, height, width)[np.newaxis], responses])
    most = np.nanmax(np.abs(cells), axis=(2, 3), keepdims=True)
    tall = min(max(height / width, 0.3), 3.0)
    with new_figure(path, height=1.2 + 10 / (count + 1) * tall * len(cells)) as figure:
        figure.suptitle(as_it_is(title), fontsize=12)
        beside, axes = figure.subplots(1, 2, width_ratios=[1, count])
        images = view.images[:, np.newaxis].astype(np.float64)
        nothing = np.full_like(images[:1], np.nan)
        beside.imshow(
            _mosaic(np.concatenate([nothing, images])),
            cmap="gray_r",
            vmin=0,
            vmax=1,
            aspect="auto",
        )
        axes.imshow(
            _mosaic(cells / np.maximum(most, 1e-12)),
            cmap="RdBu_r",
            vmin=-1,
            vmax=1,
            aspect="auto",
            interpolation="nearest",
        )
        for one in (beside, axes):
            one.set_axis_off()
        some = "" if count == view.n_filters else f", the strongest of {view.n_filters}"
        figure.supxlabel(f"first row: the weights{some}; blue: below 0, red: above 0", fontsize=9)


def _enlarged(filters: Array, height: int, width: int) -> Array:
    """Return filters in the middle of images of this size, as large as they can be drawn."""
    by = min(height, width) // filters.shape[1]
    enlarged = filters.repeat(by, axis=1).repeat(by, axis=2)
    out = np.full((len(filters), height, width), np.nan)
    top, left = (height - enlarged.shape[1]) // 2, (width - enlarged.shape[2]) // 2
    out[:, top : top + enlarged.shape[1], left : left + enlarged.shape[2]] = enlarged
    return out


def _mosaic(cells: Array) -> Array:
    """Return images (rows, columns, height, width, ...) as one, with gaps of nothing."""
    gap = max(cells.shape[2] // 10, 1)
    apart = [(0, 0), (0, 0), (gap, gap), (gap, gap), *[(0, 0)] * (cells.ndim - 4)]
    padded = np.pad(cells, apart, constant_values=np.nan)
    rows = np.concatenate(list(np.moveaxis(padded, 1, 0)), axis=2)
    whole: Array = np.concatenate(list(rows), axis=0)
    return whole
