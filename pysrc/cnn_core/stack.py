"""Chain descriptions of layers, so that their shapes match."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any

from cnn_core.layers import LAYERS, LayerBase, LayerDescription
from cnn_core.layers.images import ImageShape, image_shape
from cnn_core.validation import shown, whole


class Stack:
    """A chain of layers, each with the input shape of the output before it.

    `add` passes the first argument of each layer, the shape of an image or the number of values, so
    that you need not repeat it.

    Parameters
    ----------
    input_shape : (height, width, channels), or int
        Shape of a sample.

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
            Its arguments after the first.

        Raises
        ------
        TypeError, ValueError
            As raised by the layer, with its number and kind; for a layer for images whose input is
            not an image.
        """
        where = f"layer {len(self.layers)} ({getattr(kind, '__name__', kind)})"
        takes_images = hasattr(kind, "output_shape")
        if takes_images and isinstance(self._shape, int):
            raise ValueError(f"{where}: expected an image below it, found {self._shape} values")
        below = self._shape
        if not takes_images and not isinstance(below, int):
            below = math.prod(below)
        try:
            layer = kind(below, *arguments, **settings)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{where}: {error}") from None
        return self._put(layer)

    def extend(self, layers: Iterable[Mapping[str, Any] | LayerDescription]) -> Stack:
        """Add layers given as objects or as dicts; return the stack.

        Parameters
        ----------
        layers : iterable of dict or layer
            A dict has the name of the kind, as in `cnn_core.network.LAYERS`, under ``"kind"``, and
            its other arguments except the input shape. A layer is added unchanged.

        Raises
        ------
        TypeError, ValueError
            With the number and kind of the layer: for an unknown kind or field, for errors of
            `add`, and for a layer whose input does not match the layer below.

        Examples
        --------
        >>> from cnn_core import Stack
        >>> stack = Stack((28, 28, 1)).extend(
        ...     [{"kind": "Conv2D", "channels": 16, "kernel": 5}, {"kind": "GlobalAveragePool"}]
        ... )
        >>> stack.layers[-1].fan_out
        16
        """
        for layer in layers:
            if isinstance(layer, LayerBase):
                self._require_fitting(layer)
                self._put(layer)
            else:
                self._add_described(layer)
        return self

    def _put(self, layer: Any) -> Stack:
        self._shape = getattr(layer, "output_shape", layer.fan_out)
        self.layers = (*self.layers, layer)
        return self

    def _add_described(self, described: Any) -> None:
        where = f"layer {len(self.layers)}"
        if not isinstance(described, Mapping):
            raise TypeError(
                f"{where}: expected a layer, or a dict with its kind and its settings, "
                f"found {shown(described)}"
            )
        settings = dict(described)
        name = settings.pop("kind", None)
        if not isinstance(name, str) or name not in LAYERS:
            raise ValueError(
                f"{where}: expected a kind among {', '.join(LAYERS)}, found {shown(name)}"
            )
        kind = LAYERS[name]
        first, *known = (field.name for field in fields(kind))
        unknown = next((key for key in settings if key not in known), None)
        if unknown is not None:
            hint = ", which what is below settles" if unknown == first else ""
            raise ValueError(
                f"{where} ({name}): expected settings among {', '.join(known)}, "
                f"found {shown(unknown)}{hint}"
            )
        self.add(kind, **settings)

    def _require_fitting(self, layer: Any) -> None:
        """Refuse a layer whose input does not match the layer below."""
        below = self._shape
        taken = getattr(layer, "input_shape", layer.fan_in)
        if isinstance(taken, int) and not isinstance(below, int):
            below = math.prod(below)
        if taken != below:
            raise ValueError(
                f"layer {len(self.layers)} ({type(layer).__name__}): expected one that takes "
                f"{below}, which is below it, found one that takes {taken}"
            )
