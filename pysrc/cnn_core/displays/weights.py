"""The weights of the first layer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.displays.drawing import network_of, styled
from cnn_core.layers import Augmentation, Conv2D, Dense
from cnn_core.validation import whole

__all__ = ["WeightsDisplay", "first_layer_images"]

Array = npt.NDArray[Any]


def first_layer_images(model: Any, image_shape: tuple[int, ...] | None) -> Array | None:
    """Return the weights of the first layer as images, (units, height, width, channels).

    Parameters
    ----------
    model : Model
    image_shape : (height, width) or (height, width, channels), optional
        Shape of a sample for a dense first layer; by default square, if the features fit.

    Returns
    -------
    numpy.ndarray or None
        None if the weights cannot be shown as images.
    """
    layers = zip(model.network.layers, model.predicting_layers, strict=True)
    layer, (weights, *_) = next(
        (layer, arrays) for layer, arrays in layers if not isinstance(layer, Augmentation)
    )
    if isinstance(layer, Conv2D):
        images = weights.reshape(*layer.window, -1, layer.channels)
    elif isinstance(layer, Dense) and (shape := image_shape or _square(layer.fan_in)):
        if math.prod(shape) != layer.fan_in:
            return None
        images = weights.reshape(*(shape if len(shape) == 3 else (*shape, 1)), -1)
    else:
        return None
    moved: Array = np.moveaxis(images, -1, 0)
    return moved


def _square(features: int) -> tuple[int, int] | None:
    side = math.isqrt(features)
    return (side, side) if side > 1 and side * side == features else None


class WeightsDisplay:
    """The weights of the first layer as images: red is positive, blue negative.

    Made by `from_estimator`, which draws it; `plot` draws it again.

    Parameters
    ----------
    images : array, (units, height, width, channels)
        The weights; three channels are shown as colours, otherwise their mean.

    Attributes
    ----------
    ax_ : list of matplotlib.axes.Axes
        One for each unit that is shown.
    figure_ : matplotlib.figure.Figure

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> import numpy as np
    >>> from cnn_core import WeightsDisplay
    >>> shown = WeightsDisplay(np.zeros((5, 4, 4, 1))).plot()
    >>> len(shown.ax_)
    5
    """

    def __init__(self, images: Array) -> None:
        self.images = images

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        image_shape: tuple[int, ...] | None = None,
        n_units: int = 32,
    ) -> WeightsDisplay:
        """Draw the weights of the first layer of a fitted estimator.

        Parameters
        ----------
        estimator : MLPClassifier, MLPRegressor, NN or Model
        image_shape : (height, width) or (height, width, channels), optional
            Shape of a sample; by default square, if the features fit. Ignored for a convolution,
            whose filters are shown.
        n_units : int
            Largest number of units to show, those with the largest weights.

        Raises
        ------
        TypeError
            For anything without a network.
        ValueError
            If the weights do not fit this shape.
        """
        model = network_of(estimator)
        images = first_layer_images(model, image_shape)
        if images is None:
            raise ValueError(
                f"image_shape: expected a shape of {model.network.n_inputs} values, the features "
                f"of a sample, found {image_shape}"
            )
        return cls(images).plot(n_units=n_units)

    def plot(self, *, n_units: int = 32) -> WeightsDisplay:
        """Draw it, and return it.

        Parameters
        ----------
        n_units : int
        """
        count = min(whole("n_units", n_units, 1), len(self.images))
        strength = np.sqrt((self.images.astype(np.float64) ** 2).sum(axis=(1, 2, 3)))
        chosen = self.images[np.argsort(-strength, kind="stable")[:count]]
        columns = min(8, count)
        rows = math.ceil(count / columns)
        with styled() as pyplot:
            self.figure_, drawn = pyplot.subplots(
                rows, columns, figsize=(columns, rows), layout="constrained", squeeze=False
            )
            for axes in drawn.flat:
                axes.set_axis_off()
            self.ax_ = list(drawn.flat[:count])
            for axes, image in zip(self.ax_, chosen, strict=True):
                most = max(float(np.abs(image).max()), 1e-30)
                if image.shape[2] == 3:
                    axes.imshow(0.5 + 0.5 * image / most)
                else:
                    axes.imshow(image.mean(axis=2), cmap="RdBu_r", vmin=-most, vmax=most)
        return self
