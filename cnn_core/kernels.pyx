"""The loops as Python functions, with every shape checked: they leave no array, whoever calls.

What each one does, with shapes and errors, stands in `cnn_core.backends.interface.Kernels`. A wrong
dtype, rank, byte order or layout is refused by the typed memoryviews themselves.
"""

cimport cython
from cpython.number cimport PyNumber_Index
from libc.stdint cimport uint32_t, uint64_t

import numpy as np

from cnn_core.layers import AvgPool2D, Conv2D, GlobalAveragePool, MaxPool2D

from .dropout import DropoutLayer

from . cimport losses
from .activations cimport activation_backward as slope_backward
from .activations cimport ActivationLayer, activation_named
from .convolution cimport convolution_layer
from .dense cimport Product, ProductBuffers, product
from .dropout cimport Counter
from .dropout cimport random_bits as random_words
from .layer cimport Block, Layer, LayerBuffers, Net, Workspace, block_in
from .losses cimport CROSS_ENTROPY, LossFunction
from .matrix cimport Matrix, Range, Shape
from .normalization cimport add_rows, normalization_layer
from .optimizers cimport Optimizer, Step, take_step
from .pooling cimport pool_layer
from .samples cimport require_rows
from .scalar cimport real

cdef object REALS = np.dtype(np.float32 if sizeof(real) == 4 else np.float64)


cdef int require(str argument, Py_ssize_t found, Py_ssize_t expected) except -1:
    if found != expected:
        raise ValueError(f"{argument}: expected {expected} values, found {found}")
    return 0


cdef object whole(str argument, value, limit):
    """The value as a whole number from 0 to below the limit."""
    number = PyNumber_Index(value)
    if not 0 <= number < limit:
        raise ValueError(f"{argument}: expected 0 up to below {limit}, found {value}")
    return number


cdef bint is_empty(const real[:, ::1] array) noexcept:
    return array.shape[0] == 0 or array.shape[1] == 0


cdef real[::1] flat(const real[:, ::1] array):
    """The values of an array, row by row, as the loops take them; None if there are none."""
    if is_empty(array):
        return None
    return <real[: array.shape[0] * array.shape[1]]><real *>&array[0, 0]


cdef Shape shape_of(const real[:, ::1] array) noexcept:
    return Shape(0, array.shape[0], array.shape[1], array.shape[1])


cdef int multiply(
    const real[:, ::1] left, Matrix left_at, const real[:, ::1] right, Matrix right_at,
    Py_ssize_t depth, const real[::1] base, real[:, ::1] out,
) except -1:
    """out = base + left @ right, with the operands as they are or transposed; the base may be None."""
    cdef ProductBuffers buffers = Workspace(1).carve_product()
    cdef Product extent = Product(
        out.shape[0], out.shape[1], depth, Matrix(0, left_at.row, left_at.column),
        Matrix(0, right_at.row, right_at.column), 0, out.shape[1], 1, base is not None,
        0, 0,
    )
    cdef const real[::1] a = flat(left), b = flat(right)
    cdef real[::1] result = flat(out)
    if base is None:
        base = np.zeros(out.shape[1], REALS)
    if depth == 0:
        np.asarray(out)[:] = base
    elif not is_empty(out):
        with nogil:
            product(a, b, base, result, &extent, False, NULL, buffers)
    return 0


def dense_forward(
    const real[:, ::1] x not None, const real[:, ::1] weights not None,
    const real[::1] bias not None, real[:, ::1] out not None,
):
    """``out = x @ weights + bias``."""
    cdef Py_ssize_t fan_in = x.shape[1], fan_out = weights.shape[1]
    require_rows("weights", weights, fan_in, fan_out)
    require("bias", bias.shape[0], fan_out)
    require_rows("out", out, x.shape[0], fan_out)
    multiply(x, Matrix(0, fan_in, 1), weights, Matrix(0, fan_out, 1), fan_in, bias, out)


def dense_backward(
    const real[:, ::1] x not None, const real[:, ::1] weights not None,
    const real[:, ::1] delta not None, real[:, ::1] grad_weights=None, real[::1] grad_bias=None,
    real[:, ::1] grad_x=None,
):
    """``x.T @ delta``, ``delta.sum(axis=0)`` and ``delta @ weights.T``, each if asked for."""
    cdef Py_ssize_t rows = x.shape[0], fan_in = x.shape[1], fan_out = weights.shape[1]
    require_rows("weights", weights, fan_in, fan_out)
    require_rows("delta", delta, rows, fan_out)
    if grad_weights is not None:
        require_rows("grad_weights", grad_weights, fan_in, fan_out)
        multiply(x, Matrix(0, 1, fan_in), delta, Matrix(0, fan_out, 1), rows, None, grad_weights)
    if grad_bias is not None:
        require("grad_bias", grad_bias.shape[0], fan_out)
        grad_bias[:] = 0
        if not is_empty(delta):
            add_rows(flat(delta), shape_of(delta), grad_bias, 0)
    if grad_x is not None:
        require_rows("grad_x", grad_x, rows, fan_in)
        multiply(delta, Matrix(0, fan_out, 1), weights, Matrix(0, 1, fan_out), fan_out, None, grad_x)


@cython.final
cdef class _Alone:
    """A layer by itself, whose methods can be called with the caller's arrays for buffers."""

    cdef Net net
    cdef Workspace workspace
    cdef Layer layer
    cdef LayerBuffers buffers
    cdef Block block

    def __cinit__(self, Layer layer, Py_ssize_t rows):
        self.net = Net.__new__(Net)
        self.net.inputs = layer.fan_in
        self.net.chain([layer])
        self.layer = layer
        layer.is_first = False
        self.workspace = self.net.workspace(1, 1, True)
        self.buffers = self.workspace.layers[0]
        self.buffers.input_row, self.buffers.row = layer.fan_in, layer.fan_out
        self.block = block_in(self.net, self.workspace, NULL)
        self.block.thread = self.workspace.thread_at[0]
        # Without values there is nothing to do.
        self.block.rows = rows if layer.fan_in > 0 else 0

    cdef int forward(self, const real[:, ::1] x, real[:, ::1] out) except -1:
        cdef int task
        self.buffers.inputs, self.buffers.outputs = flat(x), flat(out)
        if self.block.rows == 0:
            return 0
        if self.layer.barrier_tasks == 0:
            self.layer.forward(self.buffers, &self.block)
        for task in range(self.layer.barrier_tasks):
            self.layer.forward_all(self.buffers, &self.block, task)
        return 0

    cdef int backward(self, const real[:, ::1] delta, real[:, ::1] out) except -1:
        cdef int task
        self.buffers.delta, self.buffers.input_delta = flat(delta), flat(out)
        if self.block.rows == 0:
            return 0
        if self.layer.barrier_tasks == 0:
            self.layer.backward(self.buffers, &self.block)
        for task in range(self.layer.barrier_tasks):
            self.layer.backward_all(self.buffers, &self.block, task)
        return 0


cdef _Alone convolution_of(description, const real[:, ::1] x, const real[:, ::1] weights):
    """A convolution without a bias."""
    cdef _Alone alone
    if not isinstance(description, Conv2D):
        raise TypeError(f"layer: expected Conv2D, found {description!r}")
    require_rows("x", x, x.shape[0], description.fan_in)
    rows, columns = description.weights_shape
    require_rows("weights", weights, rows, columns)
    height, width, _ = description.output_shape
    alone = _Alone(
        convolution_layer(description, height, width, 0, False, None, False), x.shape[0]
    )
    alone.net.arrays.parameters = flat(weights)
    return alone


def convolve(
    layer, const real[:, ::1] x not None, const real[:, ::1] weights not None,
    real[:, ::1] out not None,
):
    """``out`` = the convolution of the images `x`, without a bias."""
    cdef _Alone alone = convolution_of(layer, x, weights)
    require_rows("out", out, x.shape[0], alone.layer.fan_out)
    alone.forward(x, out)


def convolve_backward(
    layer, const real[:, ::1] x not None, const real[:, ::1] weights not None,
    const real[:, ::1] delta not None, real[:, ::1] grad_weights=None, real[:, ::1] grad_x=None,
):
    """From dloss/dout, `delta`, the gradients of weights and `x`, each if asked for."""
    cdef _Alone alone = convolution_of(layer, x, weights)
    cdef Py_ssize_t piece
    require_rows("delta", delta, x.shape[0], alone.layer.fan_out)
    alone.layer.prepare(alone.buffers)
    if grad_weights is not None:
        require_rows("grad_weights", grad_weights, weights.shape[0], weights.shape[1])
        alone.net.arrays.gradient = flat(grad_weights)
        alone.buffers.inputs, alone.buffers.delta = flat(x), flat(delta)
        for piece in range(alone.layer.pieces):
            alone.layer.update(alone.buffers, &alone.block, piece)
    if grad_x is not None:
        require_rows("grad_x", grad_x, x.shape[0], x.shape[1])
        alone.backward(delta, grad_x)


cdef _Alone pool_of(description, const real[:, ::1] x, const real[:, ::1] out):
    if not isinstance(description, MaxPool2D | AvgPool2D | GlobalAveragePool):
        raise TypeError(
            f"layer: expected MaxPool2D, AvgPool2D or GlobalAveragePool, found {description!r}"
        )
    require_rows("x", x, x.shape[0], description.fan_in)
    require_rows("out", out, x.shape[0], description.fan_out)
    return _Alone(pool_layer(description), x.shape[0])


def pool(layer, const real[:, ::1] x not None, real[:, ::1] out not None):
    """``out`` = the largest value or the mean of each window of the images `x`."""
    pool_of(layer, x, out).forward(x, out)


def pool_backward(
    layer, const real[:, ::1] x not None, const real[:, ::1] grad_out not None,
    real[:, ::1] grad_x not None,
):
    """``grad_x`` = dloss/dx from dloss/dout, `grad_out`."""
    cdef _Alone alone = pool_of(layer, x, grad_out)
    require_rows("grad_x", grad_x, x.shape[0], x.shape[1])
    alone.buffers.inputs = flat(x)
    alone.backward(grad_out, grad_x)


def activate(str activation not None, const real[:, ::1] z not None, real[:, ::1] out not None):
    """``out = activation(z)``."""
    require_rows("out", out, z.shape[0], z.shape[1])
    _Alone(ActivationLayer(activation, z.shape[1], False, False), z.shape[0]).forward(z, out)


def activation_backward(
    str activation not None, const real[:, ::1] z not None, const real[:, ::1] a not None,
    const real[:, ::1] grad_a not None, real[:, ::1] out not None,
):
    """``out`` = dloss/dz from z, ``a = activation(z)`` and dloss/da."""
    cdef _Alone alone
    require_rows("a", a, z.shape[0], z.shape[1])
    require_rows("grad_a", grad_a, z.shape[0], z.shape[1])
    require_rows("out", out, z.shape[0], z.shape[1])
    alone = _Alone(ActivationLayer(activation, z.shape[1], False, False), z.shape[0])
    alone.buffers.inputs, alone.buffers.outputs = flat(z), flat(a)
    alone.backward(grad_a, out)


cdef double total_of(
    const real[:, ::1] z, const real[:, ::1] y, const real[:, ::1] t, const real[::1] weights
) except? -1:
    """What the samples count together; refuses arrays that do not fit each other."""
    cdef Py_ssize_t i
    cdef double total = 0
    require_rows("y", y, z.shape[0], z.shape[1])
    require_rows("t", t, z.shape[0], z.shape[1])
    if weights is None:
        return <double>z.shape[0]
    require("weights", weights.shape[0], z.shape[0])
    for i in range(z.shape[0]):
        total += weights[i]
    return total


def loss(
    loss, const real[:, ::1] z not None, const real[:, ::1] y not None,
    const real[:, ::1] t not None, const real[::1] weights=None,
):
    """The loss, summed over outputs, averaged over samples, in float64."""
    cdef LossFunction chosen = LossFunction(loss, z.shape[1])
    cdef Py_ssize_t i
    cdef double found = 0
    cdef double total = total_of(z, y, t, weights)
    if is_empty(z) or total == 0:
        return 0.0
    cdef real[::1] values = flat(z), outputs = flat(y), targets = flat(t)
    cdef double[::1] of_rows = np.empty(z.shape[0])
    cdef real[::1] softmax = np.empty_like(values), delta = np.empty_like(values)
    cdef Shape shape = shape_of(z)
    with nogil:
        if chosen.value.name == CROSS_ENTROPY:
            losses.cross_entropy(
                values, targets, None, False, 1, shape, 0, softmax, of_rows, delta
            )
        else:
            losses.row_losses(&chosen.value, values, outputs, targets, shape, of_rows, 0)
        for i in range(z.shape[0]):
            found += of_rows[i] if weights is None else weights[i] * of_rows[i]
    return found / total


def output_delta(
    loss, str activation not None, const real[:, ::1] z not None, const real[:, ::1] y not None,
    const real[:, ::1] t not None, real[:, ::1] out not None, const real[::1] weights=None,
):
    """``out`` = dloss/dz in the last layer."""
    cdef LossFunction chosen = LossFunction(loss, z.shape[1])
    cdef int last = activation_named(activation)
    cdef Py_ssize_t i, j
    cdef double total = total_of(z, y, t, weights)
    require_rows("out", out, z.shape[0], z.shape[1])
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
            slope_backward(last, values, outputs, result, result, shape)
        if weights is not None:
            for i in range(z.shape[0]):
                for j in range(z.shape[1]):
                    out[i, j] *= weights[i]


cdef _Alone normalization_of(
    str name, const real[:, ::1] u, const real[::1] gain, const real[::1] bias,
    const real[::1] spread,
):
    """A normalization whose parameters are the biases and, behind them, the gains."""
    cdef _Alone alone = _Alone(normalization_layer(name, u.shape[1], 1, 0, 0), u.shape[0])
    require("gain", gain.shape[0], u.shape[1])
    require("bias", bias.shape[0], u.shape[1])
    if spread is not None:
        require("spread", spread.shape[0], u.shape[1 if name == "batch" else 0])
    alone.net.arrays.parameters = np.concatenate((bias, gain))
    return alone


def normalize(
    str normalization not None, const real[:, ::1] u not None, const real[::1] gain not None,
    const real[::1] bias not None, real[:, ::1] normal not None, real[::1] spread not None,
    real[:, ::1] z not None,
):
    """Write ``normal = (u - mean) * spread`` and ``z = gain * normal + bias``."""
    cdef _Alone alone = normalization_of(normalization, u, gain, bias, spread)
    require_rows("normal", normal, u.shape[0], u.shape[1])
    require_rows("z", z, u.shape[0], u.shape[1])
    normal[:, :] = u
    alone.buffers.spread = spread
    alone.forward(normal, z)


def normalize_backward(
    str normalization not None, const real[:, ::1] normal not None,
    const real[::1] spread not None, const real[::1] gain not None,
    const real[:, ::1] delta not None, real[::1] grad_gain not None,
    real[::1] grad_bias not None, real[:, ::1] out not None,
):
    """From dloss/dz, `delta`, the gradients and ``out`` = dloss/du."""
    cdef Py_ssize_t units = normal.shape[1]
    cdef _Alone alone = normalization_of(normalization, normal, gain, gain, spread)
    require_rows("delta", delta, normal.shape[0], units)
    require("grad_gain", grad_gain.shape[0], units)
    require("grad_bias", grad_bias.shape[0], units)
    require_rows("out", out, normal.shape[0], units)
    alone.net.arrays.gradient = np.empty(2 * units, REALS)
    alone.buffers.inputs, alone.buffers.spread = flat(normal), np.array(spread)
    alone.buffers.delta = flat(delta)
    alone.layer.update(alone.buffers, &alone.block, 0)
    grad_bias[:] = alone.net.arrays.gradient[:units]
    grad_gain[:] = alone.net.arrays.gradient[units:]
    alone.backward(delta, out)


def normalize_by(
    const real[::1] mean not None, const real[::1] variance not None,
    const real[::1] gain not None, const real[::1] bias not None, const real[:, ::1] u not None,
    real[:, ::1] z not None,
):
    """``z = gain * (u - mean) / sqrt(variance + EPSILON) + bias``."""
    cdef _Alone alone = normalization_of("batch", u, gain, bias, None)
    require("mean", mean.shape[0], u.shape[1])
    require("variance", variance.shape[0], u.shape[1])
    require_rows("z", z, u.shape[0], u.shape[1])
    alone.net.arrays.statistics = np.concatenate((mean, variance))
    alone.buffers.inputs, alone.buffers.outputs = flat(u), flat(z)
    if alone.block.rows > 0:
        alone.layer.predict(alone.buffers, &alone.block)


def update(
    optimizer, real[::1] parameters not None, const real[::1] gradient not None,
    real[:, ::1] moments not None, double learning_rate, Py_ssize_t step,
):
    """Take a step, in place."""
    if step < 1:
        raise ValueError(f"step: expected at least 1, found {step}")
    cdef Optimizer chosen = Optimizer(optimizer)
    cdef Step numbers = chosen.step(learning_rate, step)
    cdef Py_ssize_t size = parameters.shape[0]
    require("gradient", gradient.shape[0], size)
    require_rows("moments", moments, optimizer.n_moments, size)
    if size == 0:
        return
    cdef Range where = Range(0, 1, size, size, 0, size, False)
    cdef real[::1] first = parameters[:0], second = first
    if moments.shape[0] > 0:
        first = moments[0]
    if moments.shape[0] > 1:
        second = moments[1]
    with nogil:
        take_step(&numbers, &where, parameters, gradient, first, second)


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
    cdef _Alone alone = _Alone(DropoutLayer(rate, a.shape[1], a.shape[1]), a.shape[0])
    alone.block.key = whole("key", key, 2**64)
    alone.block.number, alone.layer.number = step % 2**32, layer % 2**32
    require_rows("out", out, a.shape[0], a.shape[1])
    if not 0 <= rate < 1:
        raise ValueError(f"rate: expected 0 up to below 1, found {rate}")
    alone.forward(a, out)
