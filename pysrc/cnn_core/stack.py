"""Descriptions of layers one above the other."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import Any

from cnn_core.layers import ImageLayer, LayerDescription
from cnn_core.layers.images import ImageShape, image_shape
from cnn_core.validation import whole


class Stack:
    """Layers one above the other, each of which takes what the one below it gives.

    So no shape is written twice: `add` gives each kind its first argument, the shape of an image or
    the number of values.

    Parameters
    ----------
    input_shape : (height, width, channels), or int
        Of a sample.

    Attributes
    ----------
    layers : tuple
        The descriptions, as `Network` takes them.

    Raises
    ------
    TypeError, ValueError
        For anything else.

    Examples
    --------
    >>> from cnn_core import Conv2D, Dense, MaxPool2D, Stack
    >>> stack = Stack((28, 28, 1)).add(Conv2D, 16).add(MaxPool2D).add(Dense, 10, "softmax")
    >>> stack.layers[2].fan_in  # 14 * 14 * 16
    3136
    """

    def __init__(self, input_shape: ImageShape | int) -> None:
        self.layers: tuple[LayerDescription, ...] = ()
        is_number = isinstance(input_shape, numbers.Integral)
        self._shape: ImageShape | int = (
            whole("input_shape", input_shape, 1)
            if is_number
            else image_shape("input_shape", input_shape)
        )

    def add(self, kind: Callable[..., Any], *arguments: Any, **settings: Any) -> Stack:
        """Add a layer above the others; return the stack.

        Parameters
        ----------
        kind : type
            A kind of layer, such as `Conv2D` or `Dense`.
        *arguments, **settings
            What it takes behind its first argument.

        Raises
        ------
        TypeError, ValueError
            As the kind does, with the number and the kind of the layer; for a layer for images
            above one that gives none.
        """
        where = f"layer {len(self.layers)} ({getattr(kind, '__name__', kind)})"
        takes_images = isinstance(kind, type) and issubclass(kind, ImageLayer)
        if takes_images and isinstance(self._shape, int):
            raise ValueError(f"{where}: expected an image below it, found {self._shape} values")
        below = self._shape
        if not takes_images and not isinstance(below, int):
            below = math.prod(below)
        try:
            layer = kind(below, *arguments, **settings)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{where}: {error}") from None
        self._shape = layer.output_shape if takes_images else layer.fan_out
        self.layers = (*self.layers, layer)
        return self
