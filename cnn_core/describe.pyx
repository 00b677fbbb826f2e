"""A network for the loops, from its description: each kind of layer becomes its layers here.

A new kind of layer is a subclass of `Layer` in a file of its own, and a branch in `first_layer`.
"""

import math

from cnn_core.backends.pools import is_overwritten, own_pool, pool_within, shape_read
from cnn_core.layers import Augmentation, Conv2D, ImageLayer

from .convolution import convolution_layer
from .dropout import DropoutLayer
from .embedding import EmbeddingLayer
from .encoded_layer import EncodedLayer
from .normalization import normalization_layer
from .pooling import pool_layer

from .activations cimport ActivationLayer
from .augmentation cimport changes_of
from .dense_layer cimport dense_layer
from .layer cimport Layer, Net


def net_of(network, Py_ssize_t n_parameters):
    """The layers of a network whose flat array has so many parameters."""
    cdef Net net = Net.__new__(Net)
    cdef Layer layer
    cdef Py_ssize_t number, start = 0, statistics = 0
    cdef list layers = []
    cdef Py_ssize_t bias_rows = network.bias_rows(n_parameters)
    net.article = network.rule == "article"
    net.article_samples = bias_rows
    for number, description in enumerate(network.layers):
        for layer in layers_of(network, net, number, start, statistics):
            layer.number = number
            layers.append(layer)
        start += description.n_parameters(bias_rows)
        statistics += description.n_statistics
        net.normalizes = net.normalizes or getattr(description, "normalization", None) is not None
    net.inputs, net.outputs = network.n_inputs, network.n_outputs
    net.chain(layers)
    net.takes_any_rows = type(network.layers[0]).__name__ == "Dense"
    net.sample_check = network.layers[0] if network.layers[0].reads_columns else None
    net.changes = changes_of(network.layers[0])
    if net.changes.any:
        # The image as it was.
        net.scratch = max(net.scratch, net.inputs)
    return net


cdef list layers_of(
    network, Net net, Py_ssize_t number, Py_ssize_t start, Py_ssize_t statistics
):
    """The layers of one description, whose parameters and running averages begin there."""
    cdef object description = network.layers[number], pool = None
    if isinstance(description, Augmentation):
        # The samples are gathered as it says.
        return []
    cdef Py_ssize_t height = 1, width = 1, channels = description.fan_out, pixels, units
    cdef Py_ssize_t bias = start + math.prod(description.weights_shape)
    cdef bint is_last = number == len(network.layers) - 1
    cdef bint is_image = isinstance(description, ImageLayer)
    cdef Layer first = first_layer(network, net, number, start)
    cdef list layers = [] if first is None else [first]
    if type(description).__name__ == "Embedding":
        return layers
    if is_image:
        height, width, channels = shape_read(network, number)
        pool = pool_within(network, number)
    pixels = height * width
    units = pixels * channels if pool is None else pool.fan_out
    if description.normalization is not None:
        layers.append(
            normalization_layer(description.normalization, channels, pixels, bias, statistics, pool)
        )
    if is_last or description.activation != "identity":
        layers.append(ActivationLayer(description.activation, units, is_last, net.article))
    if description.dropout > 0:
        layers.append(DropoutLayer(
            description.dropout, units,
            channels if is_image and description.spatial_dropout else units,
        ))
    return layers


cdef Layer first_layer(network, Net net, Py_ssize_t number, Py_ssize_t start):
    """The layer that a description is named for; None for a pool that is part of another."""
    cdef object description = network.layers[number]
    cdef bint has_bias = description.normalization is None
    cdef str kind = type(description).__name__
    if kind == "Embedding":
        return EmbeddingLayer(description, start)
    if kind == "EncodedDense":
        return EncodedLayer(description, start)
    if kind == "Dense":
        return dense_layer(description, start, net.article, net.article_samples)
    if kind == "Conv2D":
        height, width, _ = shape_read(network, number)
        return convolution_layer(
            description, height, width, start, has_bias,
            pool_within(network, number) if has_bias else None, is_overwritten(network, number),
        )
    if isinstance(description, ImageLayer):
        pool = own_pool(network, number)
        return None if pool is None else pool_layer(pool)
    raise TypeError(f"layer {number}: the compiled backend has no {kind}")
