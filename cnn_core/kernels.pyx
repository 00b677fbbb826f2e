"""The loops as Python functions, with every shape checked: they leave no array, whoever calls.

What each one does, with shapes and errors, stands in `cnn_core.backends.interface.Kernels`. A wrong
dtype, rank, byte order or layout is refused by the typed memoryviews themselves.
"""

from libc.stdint cimport uint32_t, uint64_t

import numpy as np

from cnn_core.layers import AvgPool2D, Conv2D, GlobalAveragePool, MaxPool2D

from . cimport activations, dense, losses, normalization
from .activations cimport Activation, activation_named
from .checks cimport (
    flat,
    is_empty,
    is_over_batch,
    require,
    require_shape,
    shape_of,
    total_of,
    whole,
)
from .convolution cimport ConvolutionLayer, convolution_layer
from .dense cimport ProductBuffers
from .dropout cimport Counter, drop
from .dropout cimport random_bits as random_words
from .layer cimport Workspace
from .losses cimport LossFunction, loss_named
from .matrix cimport Range, Shape
from .normalization cimport (
    Units,
    add_products,
    columns_backward,
    normalize_columns,
    normalize_rows,
    rows_backward,
)
from .optimizers cimport Optimizer, Step
from .pooling cimport PoolLayer, pool_layer
from .scalar cimport real


cdef object REALS = np.dtype(np.float32 if sizeof(real) == 4 else np.float64)


# Memory of products that are over, for the next ones.
cdef list SPARE = []


cdef Workspace memory_for_product():
    """What a product needs beside its matrices, new or that of one which is over."""
    cdef Workspace workspace
    if SPARE:
        return SPARE.pop()
    workspace = Workspace(1)
    workspace.carve_product()
    workspace.allocate()
    workspace.threads = [workspace.carve_product()]
    return workspace


def dense_forward(
    const real[:, ::1] x not None,
    const real[:, ::1] weights not None,
    const real[::1] bias not None,
    real[:, ::1] out not None,
):
    """``out = x @ weights + bias``."""
    require_shape("weights", weights, x.shape[1], weights.shape[1])
    require("bias", bias.shape[0], weights.shape[1], "values")
    require_shape("out", out, x.shape[0], weights.shape[1])
    cdef Workspace memory = memory_for_product()
    cdef ProductBuffers buffers = memory.threads[0]
    with nogil:
        dense.dense_forward(x, weights, bias, out, buffers)
    SPARE.append(memory)


def dense_backward(
    const real[:, ::1] x not None,
    const real[:, ::1] weights not None,
    const real[:, ::1] delta not None,
    real[:, ::1] grad_weights=None,
    real[::1] grad_bias=None,
    real[:, ::1] grad_x=None,
):
    """``x.T @ delta``, ``delta.sum(axis=0)`` and ``delta @ weights.T``, each if asked for."""
    require_shape("weights", weights, x.shape[1], weights.shape[1])
    require_shape("delta", delta, x.shape[0], weights.shape[1])
    cdef Workspace memory = memory_for_product()
    cdef ProductBuffers buffers = memory.threads[0]
    if grad_weights is not None:
        require_shape("grad_weights", grad_weights, weights.shape[0], weights.shape[1])
        with nogil:
            dense.dense_weight_gradient(x, delta, grad_weights, buffers)
    if grad_bias is not None:
        require("grad_bias", grad_bias.shape[0], weights.shape[1], "values")
        with nogil:
            dense.dense_bias_gradient(delta, grad_bias)
    if grad_x is not None:
        require_shape("grad_x", grad_x, x.shape[0], x.shape[1])
        with nogil:
            dense.dense_input_gradient(delta, weights, grad_x, buffers)
    SPARE.append(memory)


cdef ConvolutionLayer convolution_of(
    layer, const real[:, ::1] x, const real[:, ::1] weights
):
    """The loops of a convolution without a bias."""
    if not isinstance(layer, Conv2D):
        raise TypeError(f"layer: expected Conv2D, found {layer!r}")
    require("x", x.shape[1], layer.fan_in, "columns")
    rows, columns = layer.weights_shape
    require_shape("weights", weights, rows, columns)
    height, width, _ = layer.output_shape
    return convolution_layer(layer, height, width, 0, False, None)


def convolve(
    layer,
    const real[:, ::1] x not None,
    const real[:, ::1] weights not None,
    real[:, ::1] out not None,
):
    """``out`` = the convolution of the images `x`, without a bias."""
    cdef ConvolutionLayer loops = convolution_of(layer, x, weights)
    cdef real[::1] image = np.empty(loops.image_values(), REALS)
    cdef Py_ssize_t i
    require_shape("out", out, x.shape[0], loops.fan_out)
    with nogil:
        for i in range(x.shape[0]):
            loops.place_image(&x[i, 0], &image[0])
            loops.convolve(&weights[0, 0], NULL, &image[0], 0, loops.rows, &out[i, 0])


def convolve_backward(
    layer,
    const real[:, ::1] x not None,
    const real[:, ::1] weights not None,
    const real[:, ::1] delta not None,
    real[:, ::1] grad_weights=None,
    real[:, ::1] grad_x=None,
):
    """From dloss/dout, `delta`, the gradients of weights and `x`, each if asked for."""
    cdef ConvolutionLayer loops = convolution_of(layer, x, weights)
    cdef real[::1] image = np.empty(max(loops.image_values(), loops.scratch), REALS)
    cdef real[::1] turned = np.empty(loops.weights_size, REALS)
    cdef Py_ssize_t i, piece
    require_shape("delta", delta, x.shape[0], loops.fan_out)
    if grad_weights is not None:
        require_shape("grad_weights", grad_weights, weights.shape[0], weights.shape[1])
        grad_weights[:, :] = 0
        for i in range(x.shape[0]):
            loops.place_image(&x[i, 0], &image[0])
            for piece in range(loops.pieces):
                loops.add_weight_gradient(
                    &image[0], &delta[i, 0], 0, loops.rows, piece,
                    &grad_weights[piece * weights.shape[0] // loops.pieces, 0],
                )
    if grad_x is not None:
        require_shape("grad_x", grad_x, x.shape[0], x.shape[1])
        for piece in range(loops.window * loops.window):
            loops.turn(&weights[0, 0], piece, &turned[0])
        for i in range(x.shape[0]):
            loops.input_gradient(&turned[0], &delta[i, 0], &image[0], &grad_x[i, 0])


cdef PoolLayer pool_of(layer, const real[:, ::1] x, const real[:, ::1] out):
    """The loops of a pool."""
    if not isinstance(layer, MaxPool2D | AvgPool2D | GlobalAveragePool):
        raise TypeError(
            f"layer: expected MaxPool2D, AvgPool2D or GlobalAveragePool, found {layer!r}"
        )
    require("x", x.shape[1], layer.fan_in, "columns")
    require_shape("out", out, x.shape[0], layer.fan_out)
    return pool_layer(layer)


def pool(layer, const real[:, ::1] x not None, real[:, ::1] out not None):
    """``out`` = the largest value or the mean of each window of the images `x`."""
    cdef PoolLayer loops = pool_of(layer, x, out)
    cdef Py_ssize_t i
    for i in range(x.shape[0]):
        loops.pool(&x[i, 0], &out[i, 0])


def pool_backward(
    layer,
    const real[:, ::1] x not None,
    const real[:, ::1] grad_out not None,
    real[:, ::1] grad_x not None,
):
    """``grad_x`` = dloss/dx from dloss/dout, `grad_out`."""
    cdef PoolLayer loops = pool_of(layer, x, grad_out)
    cdef Py_ssize_t i
    require_shape("grad_x", grad_x, x.shape[0], x.shape[1])
    for i in range(x.shape[0]):
        loops.pool_backward(&x[i, 0], &grad_out[i, 0], &grad_x[i, 0])


def activate(str activation not None, const real[:, ::1] z not None, real[:, ::1] out not None):
    """``out = activation(z)``."""
    cdef Activation chosen = activation_named(activation)
    require_shape("out", out, z.shape[0], z.shape[1])
    if is_empty(z):
        return
    cdef real[::1] values = flat(z), result = flat(out)
    cdef Shape shape = shape_of(z)
    with nogil:
        activations.activate(&chosen, values, result, shape)


def activation_backward(
    str activation not None,
    const real[:, ::1] z not None,
    const real[:, ::1] a not None,
    const real[:, ::1] grad_a not None,
    real[:, ::1] out not None,
):
    """``out`` = dloss/dz from z, ``a = activation(z)`` and dloss/da."""
    cdef Activation chosen = activation_named(activation)
    require_shape("a", a, z.shape[0], z.shape[1])
    require_shape("grad_a", grad_a, z.shape[0], z.shape[1])
    require_shape("out", out, z.shape[0], z.shape[1])
    if is_empty(z):
        return
    cdef real[::1] values = flat(z), points = flat(a), gradient = flat(grad_a), result = flat(out)
    cdef Shape shape = shape_of(z)
    with nogil:
        activations.activation_backward(&chosen, values, points, gradient, result, shape)


def loss(
    loss,
    const real[:, ::1] z not None,
    const real[:, ::1] y not None,
    const real[:, ::1] t not None,
    const real[::1] weights=None,
):
    """The loss, summed over outputs, averaged over samples, in float64."""
    cdef LossFunction chosen = loss_named(loss, z.shape[1])
    cdef Py_ssize_t i
    cdef double found = 0
    cdef double total = total_of(z, y, t, weights)
    if is_empty(z) or total == 0:
        return 0.0
    cdef real[::1] values = flat(z), outputs = flat(y), targets = flat(t)
    cdef double[::1] of_rows = np.empty(z.shape[0])
    cdef Shape shape = shape_of(z)
    with nogil:
        losses.row_losses(&chosen.value, values, outputs, targets, shape, of_rows, 0)
        for i in range(z.shape[0]):
            found += of_rows[i] if weights is None else weights[i] * of_rows[i]
    return found / total


def output_delta(
    loss,
    str activation not None,
    const real[:, ::1] z not None,
    const real[:, ::1] y not None,
    const real[:, ::1] t not None,
    real[:, ::1] out not None,
    const real[::1] weights=None,
):
    """``out`` = dloss/dz in the last layer."""
    cdef LossFunction chosen = loss_named(loss, z.shape[1])
    cdef Activation last = activation_named(activation)
    cdef Py_ssize_t i, j
    cdef double total = total_of(z, y, t, weights)
    require_shape("out", out, z.shape[0], z.shape[1])
    if is_empty(z):
        return
    if total == 0:
        out[:, :] = 0
        return
    if &out[0, 0] == &y[0, 0]:
        y = y.copy()
    cdef real[::1] values = flat(z), outputs = flat(y), targets = flat(t), result = flat(out)
    cdef Shape shape = shape_of(z)
    with nogil:
        if not losses.output_slope(&chosen.value, outputs, targets, <real>total, shape, result):
            activations.activation_backward(&last, values, outputs, result, result, shape)
        if weights is not None:
            for i in range(z.shape[0]):
                for j in range(z.shape[1]):
                    out[i, j] *= weights[i]


def normalize(
    str normalization not None,
    const real[:, ::1] u not None,
    const real[::1] gain not None,
    const real[::1] bias not None,
    real[:, ::1] normal not None,
    real[::1] spread not None,
    real[:, ::1] z not None,
):
    """Write ``normal = (u - mean) * spread`` and ``z = gain * normal + bias``."""
    cdef bint over_batch = is_over_batch(normalization)
    require("gain", gain.shape[0], u.shape[1], "values")
    require("bias", bias.shape[0], u.shape[1], "values")
    require_shape("normal", normal, u.shape[0], u.shape[1])
    require("spread", spread.shape[0], u.shape[1] if over_batch else u.shape[0], "values")
    require_shape("z", z, u.shape[0], u.shape[1])
    if is_empty(u):
        return
    cdef real[::1] parameters = np.concatenate((gain, bias)), values = flat(u)
    cdef real[::1] normalized = flat(normal), result = flat(z)
    cdef real[::1] statistics = np.empty(2 * u.shape[1], np.asarray(parameters).dtype)
    cdef Shape shape = shape_of(u)
    cdef Units units = Units(0, u.shape[1], 0, u.shape[1])
    with nogil:
        if over_batch:
            normalize_columns(
                values, parameters, units, shape, normalized, spread, result, statistics
            )
        else:
            normalize_rows(values, parameters, units, shape, 0, normalized, spread, result)


def normalize_backward(
    str normalization not None,
    const real[:, ::1] normal not None,
    const real[::1] spread not None,
    const real[::1] gain not None,
    const real[:, ::1] delta not None,
    real[::1] grad_gain not None,
    real[::1] grad_bias not None,
    real[:, ::1] out not None,
):
    """From dloss/dz, `delta`, the gradients and ``out`` = dloss/du."""
    cdef bint over_batch = is_over_batch(normalization)
    cdef Py_ssize_t units = normal.shape[1]
    require("spread", spread.shape[0], units if over_batch else normal.shape[0], "values")
    require("gain", gain.shape[0], units, "values")
    require_shape("delta", delta, normal.shape[0], units)
    require("grad_gain", grad_gain.shape[0], units, "values")
    require("grad_bias", grad_bias.shape[0], units, "values")
    require_shape("out", out, normal.shape[0], units)
    grad_gain[:] = 0
    grad_bias[:] = 0
    if is_empty(normal):
        return
    cdef real[::1] normalized = flat(normal), values = flat(delta), result = flat(out)
    cdef Shape shape = shape_of(normal)
    cdef Units units_at = Units(0, 0, 0, 0)
    with nogil:
        add_products(values, normalized, shape, grad_gain, 0)
        dense.dense_bias_gradient(delta, grad_bias)
        if over_batch:
            columns_backward(normalized, spread, gain, units_at, values, shape, result)
        else:
            rows_backward(normalized, spread, gain, units_at, values, shape, 0, result)


def normalize_by(
    const real[::1] mean not None,
    const real[::1] variance not None,
    const real[::1] gain not None,
    const real[::1] bias not None,
    const real[:, ::1] u not None,
    real[:, ::1] z not None,
):
    """``z = gain * (u - mean) / sqrt(variance + EPSILON) + bias``."""
    require("mean", mean.shape[0], u.shape[1], "values")
    require("variance", variance.shape[0], u.shape[1], "values")
    require("gain", gain.shape[0], u.shape[1], "values")
    require("bias", bias.shape[0], u.shape[1], "values")
    require_shape("z", z, u.shape[0], u.shape[1])
    if is_empty(u):
        return
    cdef real[::1] parameters = np.concatenate((gain, bias))
    cdef real[::1] statistics = np.concatenate((mean, variance))
    cdef real[::1] values = flat(u), result = flat(z)
    cdef Shape shape = shape_of(u)
    cdef Units units = Units(0, u.shape[1], 0, u.shape[1])
    with nogil:
        normalization.normalize_by(statistics, parameters, units, values, shape, result)


def update(
    optimizer,
    real[::1] parameters not None,
    const real[::1] gradient not None,
    real[:, ::1] moments not None,
    double learning_rate,
    Py_ssize_t step,
):
    """Take a step, in place."""
    if step < 1:
        raise ValueError(f"step: expected at least 1, found {step}")
    cdef Optimizer chosen = Optimizer(optimizer)
    cdef Step numbers = chosen.step(learning_rate, step)
    cdef Py_ssize_t size = parameters.shape[0]
    require("gradient", gradient.shape[0], size, "values")
    require_shape("moments", moments, optimizer.n_moments, size)
    if size == 0:
        return
    cdef Range where = Range(0, 1, size, size, 0, size, False)
    cdef real[::1] first = parameters[:0], second = first
    if moments.shape[0] > 0:
        first = moments[0]
    if moments.shape[0] > 1:
        second = moments[1]
    with nogil:
        chosen.update(&numbers, &where, parameters, gradient, first, second)


def random_bits(key, tuple counter not None, uint32_t[::1] out not None):
    """Fill `out` with the numbers of Philox 4x32-10."""
    if len(counter) != 4:
        raise ValueError(f"counter: expected four words, found {counter}")
    words = [whole("counter", word, 2**32) for word in counter]
    cdef uint64_t number = whole("key", key, 2**64)
    cdef uint32_t first = words[0]
    cdef Counter others = Counter(words[1], words[2], words[3])
    if out.shape[0] == 0:
        return
    with nogil:
        random_words(number, first, others, &out[0], out.shape[0])


def dropout(
    double rate, key, step, layer, const real[:, ::1] a not None, real[:, ::1] out not None
):
    """``out = a / (1 - rate)`` where a sample keeps a unit, else 0."""
    cdef uint64_t number = whole("key", key, 2**64)
    cdef Counter counter = Counter(0, layer % 2**32, step % 2**32)
    require_shape("out", out, a.shape[0], a.shape[1])
    if not 0 <= rate < 1:
        raise ValueError(f"rate: expected 0 up to below 1, found {rate}")
    if is_empty(a):
        return
    cdef real[::1] values = flat(a), result = flat(out)
    cdef Shape shape = shape_of(a)
    with nogil:
        drop(rate, number, counter, values, result, shape)
