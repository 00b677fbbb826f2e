"""A network for the loops, from its description: each kind of layer becomes its layers here.

A new kind of layer is a subclass of `Layer` in a file of its own, and a branch in `layers_of`.
"""

import math
from dataclasses import replace

from cnn_core.layers import Augmentation, Conv2D, ImageLayer, MaxPool2D

from .activations cimport activation_layer
from .augmentation cimport changes_of
from .channels cimport channel_normalization
from .convolution cimport convolution_layer
from .dense_layer cimport article_layer, dense_layer
from .dropout cimport dropout_layer
from .embedding cimport embedding_layer
from .encoded_layer cimport encoded_layer
from .layer cimport Layer, Net
from .normalization cimport normalization_layer
from .pooling cimport pool_layer

# Activations that never fall.
RISING = ("identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "softplus")


cdef Net net_of(network, Py_ssize_t n_parameters):
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
    # The first of the article's layers has biases to learn, a convolution may get its delta from the
    # layer above; any other has nothing but an input.
    net.lowest_backward = -1 if net.article or net.scratch > 0 else 1
    net.takes_any_rows = type(network.layers[0]).__name__ == "Dense"
    net.sample_check = network.layers[0] if network.layers[0].reads_columns else None
    net.changes = changes_of(network.layers[0])
    if net.changes.any:
        # The image as it was.
        net.scratch = max(net.scratch, net.inputs)
    net.first_units = (<Layer>layers[0]).fan_out
    return net


cdef list layers_of(
    network, Net net, Py_ssize_t number, Py_ssize_t start, Py_ssize_t statistics
):
    """The layers of one description, whose parameters and running averages begin there."""
    cdef object description = network.layers[number]
    cdef Py_ssize_t units = description.fan_out
    cdef bint is_last = number == len(network.layers) - 1
    cdef str kind = type(description).__name__
    cdef list layers
    if isinstance(description, Augmentation):
        # The samples are gathered as it says.
        return []
    if kind == "Embedding":
        return [embedding_layer(description, start)]
    if isinstance(description, ImageLayer):
        return layers_of_images(network, number, start, statistics, is_last)
    if kind == "EncodedDense":
        layers = [encoded_layer(description, start)]
    elif kind == "Dense" and net.article:
        layers = [article_layer(description.fan_in, units, start, net.article_samples)]
    elif kind == "Dense":
        layers = [dense_layer(description.fan_in, units, start, description.normalization is None)]
    else:
        raise TypeError(f"layer {number}: the compiled backend has no {kind}")
    if description.normalization is not None:
        start += math.prod(description.weights_shape)
        layers.append(
            normalization_layer(description.normalization, units, 1, start, statistics)
        )
    layers.append(activation_layer(description.activation, units, is_last, net.article))
    if description.dropout > 0:
        layers.append(dropout_layer(description.dropout, units, units))
    return layers


cdef tuple shape_read(network, Py_ssize_t number):
    """The shape of the image that the layer above layer `number` reads of its output.

    A pool may leave out rows and columns at the end, which a convolution right below need not make.
    """
    description = network.layers[number]
    shape = description.output_shape
    above = network.layers[number + 1] if number + 1 < len(network.layers) else None
    if (
        not isinstance(above, ImageLayer) or isinstance(above, Conv2D)
        or not isinstance(description, Conv2D)
        or description.normalization is not None or description.dropout > 0
    ):
        return shape
    rows, columns, _ = above.output_shape
    height, width = above.window
    return above.step * (rows - 1) + height, above.step * (columns - 1) + width, shape[2]


cdef object pool_within(network, Py_ssize_t number):
    """The description of the pool above layer `number` that becomes part of its layers, or None.

    The largest value of an activation that never falls is that of the largest pre-activation, so a pool
    may come before it. Its values must stay until the way back: nothing may follow that works in place.
    The number of a value in its window is kept in a byte.
    """
    description = network.layers[number]
    above = network.layers[number + 1] if number + 1 < len(network.layers) else None
    if (
        not isinstance(above, MaxPool2D) or above.step != above.size or above.size > 16
        or not isinstance(description, Conv2D) or description.activation not in RISING
        or description.dropout > 0 or description.normalization == "layer"
        or description.stride > 1 or description.groups > 1
        or description.activation != "identity" and (
            above.activation != "identity" or above.normalization == "layer"
        )
    ):
        return None
    return replace(above, input_shape=shape_read(network, number))


cdef list layers_of_images(
    network, Py_ssize_t number, Py_ssize_t start, Py_ssize_t statistics, bint is_last
):
    """The layers of a convolution or a pool."""
    cdef Py_ssize_t height, width, channels, rows, columns
    cdef object description = network.layers[number]
    cdef bint is_normalized = description.normalization is not None
    cdef object pool = pool_within(network, number)
    height, width, channels = shape_read(network, number)
    rows, columns = description.weights_shape
    cdef Py_ssize_t pixels = height * width, units = pixels * channels
    cdef Py_ssize_t bias = start + rows * columns
    cdef list layers = []
    if isinstance(description, Conv2D):
        above = description if is_normalized or pool is None else network.layers[number + 1]
        is_overwritten = above.normalization == "batch" and (
            is_normalized or description.activation == "identity"
        )
        layers.append(convolution_layer(
            description, height, width, start, not is_normalized, None if is_normalized else pool,
            is_overwritten,
        ))
    elif number == 0 or pool_within(network, number - 1) is None:
        if number > 0 and isinstance(network.layers[number - 1], Conv2D):
            description = replace(description, input_shape=shape_read(network, number - 1))
        layers.append(pool_layer(description))
    if description.normalization == "batch":
        layers.append(channel_normalization(channels, pixels, bias, statistics, pool))
    elif is_normalized:
        layers.append(
            normalization_layer(description.normalization, channels, pixels, bias, statistics)
        )
    if pool is not None:
        units = pool.fan_out
    if is_last or description.activation != "identity":
        layers.append(activation_layer(description.activation, units, is_last, False))
    if description.dropout > 0:
        layers.append(dropout_layer(
            description.dropout, units, channels if description.spatial_dropout else units
        ))
    return layers
