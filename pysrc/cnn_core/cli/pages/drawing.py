"""A field to draw in, with the prediction and the most important pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.cli.scaling import Scaling
from cnn_core.cli.trained_model import Trained

__all__ = ["DrawingField"]

Array = npt.NDArray[Any]

_MOST_PIXELS = 64 * 64
# Half-width of the square of pixels that is removed.
_AROUND = 1


@dataclass(frozen=True, eq=False)
class DrawingField:
    """Images of one channel that can be drawn.

    Attributes
    ----------
    shape : (height, width)
    names : tuple of str
        Of the classes.
    scaling : Scaling
        Of the samples that the network was trained on.
    examples : numpy.ndarray, (n, height, width)
        Images to start from, unscaled.
    network : callable
        Returns the current network without waiting; None before there is one.
    """

    shape: tuple[int, int]
    names: tuple[str, ...]
    scaling: Scaling
    examples: Array
    network: Callable[[], Trained | None]

    @staticmethod
    def fits(samples: Array, scaling: Scaling) -> bool:
        """Tell whether samples are images that can be drawn."""
        return samples.ndim == 3 and samples[0].size <= _MOST_PIXELS and not scaling.scale.ndim

    def example(self, sent: dict[str, Any]) -> dict[str, Any]:
        """Return the pixels of an image, from 0 to 1.

        Raises
        ------
        ValueError
            For anything but a number.
        """
        number = sent.get("number")
        if not isinstance(number, int) or number < 0:
            raise ValueError(f"number: expected a whole number, found {number!r:.40}")
        image = self.examples[number % len(self.examples)].astype(np.float64)
        return {"pixels": (image.ravel() / float(self.scaling.scale)).clip(0, 1).round(3).tolist()}

    def answer(self, sent: dict[str, Any]) -> dict[str, Any]:
        """Return the outputs for a drawing, and the importance of its pixels.

        The importance of a pixel is the decrease of the predicted class's output when it and its
        neighbours are removed (Zeiler and Fergus, "Visualizing and understanding convolutional
        networks", 2014).

        Raises
        ------
        ValueError
            For anything but as many numbers as the image has pixels.
        """
        given = sent.get("pixels")
        pixels = np.asarray(given if isinstance(given, list) else [], dtype=np.float64)
        if pixels.shape != (self.shape[0] * self.shape[1],) or not np.isfinite(pixels).all():
            raise ValueError("pixels: expected a finite number for each pixel")
        trained = self.network()
        if trained is None:
            return {"classes": [], "parts": []}
        image = pixels.clip(0, 1).reshape(self.shape)
        # The gradient is not used: 44 % of its 50 largest values are on blank pixels
        # (Fashion-MNIST, preset fast), and it vanishes for confident predictions. Gradient times
        # input is as good and 5 ms faster, but does not show the effect of erasing.
        outputs = trained.outputs(self._scaled(np.stack([image, *_without_each(image)])))
        best = int(outputs[0].argmax())
        parts = outputs[0, best] - outputs[1:, best]
        largest = max(float(np.abs(parts).max()), 1e-9)
        order = np.argsort(-outputs[0], kind="stable")[:10]
        return {
            "classes": [[self.names[n], round(float(outputs[0, n]), 4)] for n in order.tolist()],
            "parts": (parts / largest).round(3).tolist(),
        }

    def _scaled(self, images: Array) -> Any:
        stored = images * float(self.scaling.scale)
        kind = np.dtype(self.scaling.dtype)
        stored = np.rint(stored) if kind.kind in "ui" else stored
        return self.scaling.apply(stored.astype(kind), np.float32)


def _without_each(image: Array) -> Array:
    """Return the image without each pixel and its neighbours, (pixels, height, width)."""
    height, width = image.shape
    copies = np.repeat(image[np.newaxis], height * width, axis=0)
    for number in range(height * width):
        row, column = divmod(number, width)
        copies[
            number,
            max(row - _AROUND, 0) : row + _AROUND + 1,
            max(column - _AROUND, 0) : column + _AROUND + 1,
        ] = 0
    return copies
