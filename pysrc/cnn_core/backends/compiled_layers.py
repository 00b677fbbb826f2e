"""The layers of the compiled backend, made from the description of a network.

A new kind of layer is a subclass of `Layer` in a file of `cnn_core/`, and a branch in `_own_layer`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from cnn_core.backends.pools import is_overwritten, own_pool, pool_within, shape_read
from cnn_core.layers import Augmentation, Conv2D, Dense, Embedding, EncodedDense, ImageLayer
from cnn_core.network import Network


def compiled_layers(
    network: Network, n_parameters: int, modules: Mapping[str, ModuleType]
) -> list[tuple[int, Any]]:
    """Return the compiled layers, from first to last, each with the number of its description.

    Parameters
    ----------
    network : Network
    n_parameters : int
        Size of the flat array of parameters.
    modules : dict of str to module
        The compiled modules of an ISA level and a dtype.

    Raises
    ------
    ValueError
        If a network cannot have so many parameters.
    TypeError
        For a kind of layer that the compiled backend does not have.
    """
    bias_rows = network.bias_rows(n_parameters)
    layers, start, statistics = [], 0, 0
    for number, description in enumerate(network.layers):
        # An augmentation is applied while samples are gathered, a pool perhaps by the layer below.
        if not isinstance(description, Augmentation):
            own = _own_layer(network, number, start, bias_rows, modules)
            above = _layers_above(network, number, start, statistics, modules)
            layers += [(number, layer) for layer in (own, *above) if layer is not None]
        start += description.n_parameters(bias_rows)
        statistics += description.n_statistics
    return layers


def _own_layer(
    network: Network, number: int, start: int, bias_rows: int, modules: Mapping[str, ModuleType]
) -> Any:
    """Return the layer that a description is named for; None for a pool that is part of another."""
    description = network.layers[number]
    has_bias = description.normalization is None
    if isinstance(description, Embedding):
        return modules["embedding"].EmbeddingLayer(description, start)
    if isinstance(description, EncodedDense):
        return modules["encoded_layer"].EncodedLayer(description, start)
    if isinstance(description, Dense):
        is_article = network.rule == "article"
        return modules["dense_layer"].dense_layer(description, start, is_article, bias_rows)
    if isinstance(description, Conv2D):
        height, width, _ = shape_read(network, number)
        pool = pool_within(network, number) if has_bias else None
        return modules["convolution"].convolution_layer(
            description, height, width, start, has_bias, pool, is_overwritten(network, number)
        )
    if isinstance(description, ImageLayer):
        own = own_pool(network, number)
        return None if own is None else modules["pooling"].pool_layer(own)
    kind = type(description).__name__
    raise TypeError(f"layer {number}: the compiled backend has no {kind}")


def _layers_above(
    network: Network, number: int, start: int, statistics: int, modules: Mapping[str, ModuleType]
) -> list[Any]:
    """Return the normalization, activation and dropout of a description, those that it has."""
    description, layers = network.layers[number], []
    if isinstance(description, Embedding):
        return []
    height, width, channels, pool = 1, 1, description.fan_out, None
    if isinstance(description, ImageLayer):
        height, width, channels = shape_read(network, number)
        pool = pool_within(network, number)
    pixels = height * width
    units = drops = pixels * channels if pool is None else pool.fan_out
    if isinstance(description, ImageLayer) and description.spatial_dropout:
        drops = channels
    is_last = number == len(network.layers) - 1
    if description.normalization is not None:
        bias = start + math.prod(description.weights_shape)
        make = modules["normalization"].normalization_layer
        layers.append(make(description.normalization, channels, pixels, bias, statistics, pool))
    if is_last or description.activation != "identity":
        make = modules["activations"].ActivationLayer
        layers.append(make(description.activation, units, is_last, network.rule == "article"))
    if description.dropout > 0:
        layers.append(modules["dropout"].DropoutLayer(description.dropout, units, drops))
    return layers
