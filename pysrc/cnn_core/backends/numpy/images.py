"""Convolution and pooling as the formulas are written.

Batches have the shape (n, values of an image); the formulas stand in
`cnn_core.backends.interface.Kernels`, `convolve` and its fellows. A patch is what a value of the
output is computed from: the pixels under a window, in the order (row, column, channel).
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cnn_core.layers import Conv2D, ImageLayer, MaxPool2D
from cnn_core.types import FloatArray


def patches(layer: ImageLayer, x: FloatArray) -> FloatArray:
    """Return a copy (n, height, width, window height, window width, channels) of all patches."""
    margin, step = layer.margin, layer.step
    images = x.reshape(len(x), *layer.input_shape)
    padded = np.pad(images, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    views = sliding_window_view(padded, layer.window, axis=(1, 2))[:, ::step, ::step]
    # The channels come before the window there.
    return np.ascontiguousarray(np.moveaxis(views, 3, 5))


def add_patches(layer: ImageLayer, grad: FloatArray) -> FloatArray:
    """Return dloss/dx (n, values) from that of all patches: each pixel's sum over its patches."""
    (height, width, channels), margin, step = layer.input_shape, layer.margin, layer.step
    n, rows, columns = grad.shape[:3]
    padded = np.zeros((n, height + 2 * margin, width + 2 * margin, channels), grad.dtype)
    for i in range(layer.window[0]):
        for j in range(layer.window[1]):
            places = padded[:, i : i + step * rows : step, j : j + step * columns : step]
            places += grad[:, :, :, i, j]
    inside = padded[:, margin : margin + height, margin : margin + width]
    return inside.reshape(n, layer.fan_in)


def convolved(layer: Conv2D, x: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the convolution of `x`, without a bias: patches @ weights, group by group."""
    found = patches(layer, x)
    out = np.empty((found[..., 0, 0, 0].size, layer.channels), x.dtype)
    for inputs, outputs in _groups(layer):
        np.matmul(
            found[..., inputs].reshape(len(out), len(weights)),
            weights[:, outputs],
            out=out[:, outputs],
        )
    return out.reshape(len(x), layer.fan_out)


def weight_gradient(layer: Conv2D, x: FloatArray, delta: FloatArray) -> FloatArray:
    """Return dloss/dweights: patches.T @ delta, group by group."""
    found = patches(layer, x)
    delta = delta.reshape(-1, layer.channels)
    gradient: FloatArray = np.empty(layer.weights_shape, x.dtype)
    for inputs, outputs in _groups(layer):
        rows = found[..., inputs].reshape(len(delta), len(gradient))
        gradient[:, outputs] = rows.T @ delta[:, outputs]
    return gradient


def input_gradient(layer: Conv2D, weights: FloatArray, delta: FloatArray) -> FloatArray:
    """Return dloss/dx: what `delta @ weights.T` gives each patch, added up pixel by pixel."""
    height, width, channels = layer.output_shape
    grad = np.empty((len(delta), height, width, *layer.window, layer.input_shape[2]), delta.dtype)
    delta = delta.reshape(-1, channels)
    for inputs, outputs in _groups(layer):
        rows = delta[:, outputs] @ weights[:, outputs].T
        grad[..., inputs] = rows.reshape(grad[..., inputs].shape)
    return add_patches(layer, grad)


def _groups(layer: Conv2D) -> list[tuple[slice, slice]]:
    """Return the channels of input and output that belong to each group."""
    inputs, outputs = layer.input_shape[2] // layer.groups, layer.channels // layer.groups
    return [
        (
            slice(number * inputs, (number + 1) * inputs),
            slice(number * outputs, (number + 1) * outputs),
        )
        for number in range(layer.groups)
    ]


def pooled(layer: ImageLayer, x: FloatArray) -> FloatArray:
    """Return the largest value or the mean of each window."""
    found = patches(layer, x)
    out: FloatArray = (
        found.max(axis=(3, 4)) if isinstance(layer, MaxPool2D) else found.mean(axis=(3, 4))
    )
    return out.reshape(len(x), layer.fan_out)


def pooled_backward(layer: ImageLayer, x: FloatArray, grad: FloatArray) -> FloatArray:
    """Return dloss/dx: all of it to the first of the largest values, or to each value its share."""
    height, width, channels = layer.output_shape
    grad = grad.reshape(len(x), height, width, 1, channels)
    size = layer.window[0] * layer.window[1]
    shape = (len(x), height, width, *layer.window, channels)
    if isinstance(layer, MaxPool2D):
        found = patches(layer, x).reshape(*shape[:3], size, channels)
        first = found.argmax(axis=3, keepdims=True)
        places = np.arange(size)[:, np.newaxis] == first
        shares = np.where(places, grad, grad.dtype.type(0))
    else:
        shares = np.repeat(grad / grad.dtype.type(size), size, axis=3)
    return add_patches(layer, shares.reshape(shape))
