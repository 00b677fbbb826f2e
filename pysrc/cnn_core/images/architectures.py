"""The layers of an image classifier: named architectures, or layers that the user describes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cnn_core.layers import Augmentation, Conv2D, Dense, LayerDescription, MaxPool2D
from cnn_core.layers.images import ImageShape
from cnn_core.stack import Stack
from cnn_core.validation import shown


class _Named(NamedTuple):
    """An architecture with a name.

    Attributes
    ----------
    blocks : tuple of tuple of int
        Channels of the convolutions of each block; a pool follows the last one.
    units : int
        Units of the dense layer after them.
    """

    blocks: tuple[tuple[int, ...], ...]
    units: int


ARCHITECTURES = {
    "small": _Named(((16,), (32,), (64,)), 128),
    "medium": _Named(((32,), (48, 48), (96, 96)), 128),
    "wide": _Named(((32,), (64,), (128,)), 128),
}


def layers_of(
    architecture: Any, augmentation: Augmentation, dropout: float
) -> tuple[LayerDescription, ...]:
    """Return the layers of an architecture, without the output layer.

    Parameters
    ----------
    architecture : str, or sequence of dict or layer
        A name in `ARCHITECTURES`, or layers for `Stack.extend`.
    augmentation : Augmentation
        The first layer, which holds the shape of an image.
    dropout : float
        Dropout of the dense layer of a named architecture.

    Raises
    ------
    TypeError, ValueError
        For another name, and for layers that do not fit.
    """
    stack = Stack(augmentation.input_shape).extend([augmentation])
    if isinstance(architecture, str):
        if architecture not in ARCHITECTURES:
            raise ValueError(
                f"architecture: expected {', '.join(map(repr, ARCHITECTURES))} or a sequence of "
                f"layers, found {shown(architecture)}"
            )
        return _named(stack, ARCHITECTURES[architecture], augmentation.input_shape, dropout)
    if isinstance(architecture, Stack):
        architecture = architecture.layers
    if not isinstance(architecture, Sequence) or isinstance(architecture, bytes | Mapping):
        raise TypeError(
            f"architecture: expected {', '.join(map(repr, ARCHITECTURES))} or a sequence of "
            f"layers, found {shown(architecture)}"
        )
    try:
        return stack.extend(architecture).layers
    except (TypeError, ValueError) as error:
        raise type(error)(f"architecture: {error}") from None


def _named(
    stack: Stack, named: _Named, shape: ImageShape, dropout: float
) -> tuple[LayerDescription, ...]:
    """Return the layers of a named architecture.

    The pool comes before normalization and activation, so that these process a quarter of the
    pixels. Images that are too small are not pooled.
    """
    height, width, _ = shape
    for block in named.blocks:
        *inner, last = block
        for channels in inner:
            stack.add(Conv2D, channels, normalization="batch")
        if min(height, width) < 2:
            stack.add(Conv2D, last, normalization="batch")
            continue
        stack.add(Conv2D, last, activation="identity")
        stack.add(MaxPool2D, normalization="batch", activation="relu")
        height, width = height // 2, width // 2
    stack.add(Dense, named.units, "relu", normalization="batch", dropout=dropout)
    return stack.layers
