"""Which pools become part of the layer below them, in the compiled backend.

So the image that is pooled is never stored. It is told once, by the descriptions of the layers.
"""

from __future__ import annotations

from dataclasses import replace

from cnn_core.layers import Conv2D, ImageLayer, LayerDescription, MaxPool2D
from cnn_core.layers.images import ImageShape
from cnn_core.network import Network

# Activations that never fall.
_RISING = {"identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "softplus"}
# Height and width of a window: the number of a value in it is kept in a byte.
_LARGEST = 16


def shape_read(network: Network, number: int) -> ImageShape:
    """Return the shape of the image that the layer above layer `number` reads of its output.

    A pool may leave out rows and columns at the end, which a convolution right below need not make.
    """
    layer, above = network.layers[number], _above(network, number)
    assert isinstance(layer, ImageLayer)
    if (
        not isinstance(above, ImageLayer)
        or isinstance(above, Conv2D)
        or not isinstance(layer, Conv2D)
        or layer.normalization is not None
        or layer.dropout > 0
    ):
        return layer.output_shape
    (rows, columns, _), (height, width) = above.output_shape, above.window
    channels = layer.output_channels
    return above.step * (rows - 1) + height, above.step * (columns - 1) + width, channels


def pool_within(network: Network, number: int) -> MaxPool2D | None:
    """Return the pool above layer `number` that becomes part of its layers, or None.

    The largest value of an activation that never falls is that of the largest pre-activation, so a
    pool may come before it. Its values must stay until the way back: nothing may follow that works
    in place.
    """
    layer, above = network.layers[number], _above(network, number)
    if (
        not isinstance(above, MaxPool2D)
        or above.step != above.size
        or above.size > _LARGEST
        or not isinstance(layer, Conv2D)
        or layer.activation not in _RISING
        or layer.dropout > 0
        or layer.normalization == "layer"
        or layer.stride > 1
        or layer.groups > 1
    ):
        return None
    if layer.activation != "identity" and (
        above.activation != "identity" or above.normalization == "layer"
    ):
        return None
    return replace(above, input_shape=shape_read(network, number))


def own_pool(network: Network, number: int) -> ImageLayer | None:
    """Return the pool of layer `number` as it reads its image, or None if it is part of another."""
    layer = network.layers[number]
    assert isinstance(layer, ImageLayer)
    if number == 0 or not isinstance(network.layers[number - 1], Conv2D):
        return layer
    if pool_within(network, number - 1) is not None:
        return None
    return replace(layer, input_shape=shape_read(network, number - 1))


def is_overwritten(network: Network, number: int) -> bool:
    """Tell whether the layer above a convolution's product reads it before it writes its delta."""
    layer, above = network.layers[number], network.layers[number]
    if layer.normalization is None and pool_within(network, number) is not None:
        above = network.layers[number + 1]
    return above.normalization == "batch" and (
        layer.normalization is not None or layer.activation == "identity"
    )


def _above(network: Network, number: int) -> LayerDescription | None:
    return network.layers[number + 1] if number + 1 < len(network.layers) else None
