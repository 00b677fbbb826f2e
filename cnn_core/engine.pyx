"""The engine: whole epochs over a network of dense sigmoid layers, without Python inside.

One batch flows through the chain of layers and back; every layer holds what it learns and the room
holds what the batch leaves behind in it:

    gather rows -> dense forward -> sigmoid -> ... -> loss and its delta
    <- sigmoid backward <- weight, bias and input gradients <- ...      then one update of everything

What each method does, with shapes and errors, stands in `cnn_core.contracts.Engine`.
"""

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from libc.string cimport memcpy

import numpy as np

from . cimport dense, pointwise
from .scalar cimport real

cdef enum:
    # Rows that pass through the network at once when it predicts: their activations stay in cache.
    PREDICTED_AT_ONCE = 128

# Multiply-adds between two looks at the signals, never in the middle of a step: some milliseconds
# unless a step takes longer, so that Ctrl-C is prompt.
cdef double WORK_BETWEEN_SIGNALS = 1e8


@cython.final
cdef class Room:
    """What a batch leaves behind in a layer, and the room for the layer above."""

    cdef real[:, ::1] activation
    cdef real[:, ::1] delta
    cdef Room above

    def __init__(self, Py_ssize_t rows, Py_ssize_t width, dtype, Room above):
        self.activation = np.empty((rows, width), dtype)
        self.delta = np.empty((rows, width), dtype)
        self.above = above


cdef Room room_for(Py_ssize_t rows, list widths, dtype):
    cdef Room room = None
    for width in reversed(widths):
        room = Room(rows, width, dtype, room)
    return room


cdef class Layer:
    """A dense sigmoid layer: its parameters, their gradients, and the layer above."""

    cdef real[:, ::1] weights
    cdef real[::1] bias
    cdef real[:, ::1] grad_weights
    cdef real[::1] grad_bias
    cdef Layer above

    def __init__(self, parameters, gradients, Layer above):
        weights, bias = parameters
        grad_weights, grad_bias = gradients
        if (
            weights.shape != grad_weights.shape
            or bias.shape != grad_bias.shape
            or bias.shape[bias.ndim - 1] != weights.shape[1]
            or (above is not None and above.weights.shape[0] != weights.shape[1])
        ):
            raise ValueError("the network's views of its parameters do not fit together")
        self.weights = weights
        self.grad_weights = grad_weights
        self.bind_biases(bias, grad_bias)
        self.above = above

    cdef int bind_biases(self, bias, grad_bias) except -1:
        self.bias = bias
        self.grad_bias = grad_bias
        return 0

    cdef void activate(self, const real[:, ::1] x, real[:, ::1] a) noexcept nogil:
        """a = sigmoid(x @ weights + bias)."""
        dense.dense_forward(x, self.weights, self.bias, a)
        pointwise.sigmoid(a, a)

    cdef void output_gradient(
        self, const real[:, ::1] y, const real[:, ::1] t, real[:, ::1] out
    ) noexcept nogil:
        """The derivative of the loss with respect to the network's outputs."""
        pointwise.squared_error_delta(y, t, out)

    cdef void differentiate(
        self, const real[:, ::1] x, const real[:, ::1] a, real[:, ::1] grad_a
    ) noexcept nogil:
        """Fill the gradients of the parameters from grad_a, which becomes what goes down."""
        pointwise.sigmoid_backward(a, grad_a, grad_a)
        dense.dense_weight_gradient(x, grad_a, self.grad_weights)
        dense.dense_bias_gradient(grad_a, self.grad_bias)

    cdef void predict(self, const real[:, ::1] x, Room room, real[:, ::1] y) noexcept nogil:
        cdef Py_ssize_t n = x.shape[0]
        if self.above is None:
            self.activate(x, y)
            return
        self.activate(x, room.activation[:n])
        self.above.predict(room.activation[:n], room.above, y)

    cdef double backpropagate(
        self, const real[:, ::1] x, const real[:, ::1] t, Room room, Py_ssize_t *hits
    ) noexcept nogil:
        """Go through this layer and those above, and back; return the loss, add to the hits."""
        cdef Py_ssize_t n = x.shape[0]
        cdef double loss
        self.activate(x, room.activation[:n])
        if self.above is None:
            loss = pointwise.squared_error(room.activation[:n], t)
            hits[0] += count_hits(room.activation[:n], t)
            self.output_gradient(room.activation[:n], t, room.delta[:n])
        else:
            loss = self.above.backpropagate(room.activation[:n], t, room.above, hits)
            dense.dense_input_gradient(room.above.delta[:n], self.above.weights, room.delta[:n])
        self.differentiate(x, room.activation[:n], room.delta[:n])
        return loss


@cython.final
cdef class ArticleLayer(Layer):
    """The article's layer: a bias for each training sample, and its own way back.

    There the sigmoid is taken a second time, of what is an activation already, and it is the error
    that goes down to the layer below, not the delta.
    """

    cdef real[:, ::1] biases
    cdef real[:, ::1] grad_biases
    cdef real[::1] no_bias

    cdef int bind_biases(self, bias, grad_bias) except -1:
        self.biases = bias
        self.grad_biases = grad_bias
        self.no_bias = np.zeros_like(bias, shape=bias.shape[1])
        return 0

    cdef void activate(self, const real[:, ::1] x, real[:, ::1] a) noexcept nogil:
        cdef Py_ssize_t i, j
        dense.dense_forward(x, self.weights, self.no_bias, a)
        for i in range(a.shape[0]):
            for j in range(a.shape[1]):
                a[i, j] = a[i, j] + self.biases[i, j]
        pointwise.sigmoid(a, a)

    cdef void output_gradient(
        self, const real[:, ::1] y, const real[:, ::1] t, real[:, ::1] out
    ) noexcept nogil:
        cdef Py_ssize_t i, j
        for i in range(y.shape[0]):
            for j in range(y.shape[1]):
                out[i, j] = y[i, j] - t[i, j]

    cdef void differentiate(
        self, const real[:, ::1] x, const real[:, ::1] a, real[:, ::1] grad_a
    ) noexcept nogil:
        pointwise.sigmoid(a, self.grad_biases)
        pointwise.sigmoid_backward(self.grad_biases, grad_a, self.grad_biases)
        dense.dense_weight_gradient(x, self.grad_biases, self.grad_weights)


cdef Py_ssize_t count_hits(const real[:, ::1] y, const real[:, ::1] t) noexcept nogil:
    """Rows whose largest value stands in the same column of both, the first one if there are more."""
    cdef Py_ssize_t i, j, of_y, of_t, hits = 0
    for i in range(y.shape[0]):
        of_y = of_t = 0
        for j in range(1, y.shape[1]):
            if y[i, j] > y[i, of_y]:
                of_y = j
            if t[i, j] > t[i, of_t]:
                of_t = j
        hits += of_y == of_t
    return hits


cdef void gather(
    const real[:, ::1] source, const Py_ssize_t[::1] rows, real[:, ::1] out
) noexcept nogil:
    """out[i] = source[rows[i]]."""
    cdef Py_ssize_t i
    if out.shape[0] == 0 or out.shape[1] == 0:
        return
    for i in range(out.shape[0]):
        memcpy(&out[i, 0], &source[rows[i], 0], <size_t>out.shape[1] * sizeof(real))


@cython.final
cdef class Engine:
    """See `cnn_core.contracts.Engine`."""

    cdef Layer first
    cdef real[::1] parameters
    cdef real[::1] gradient_values
    cdef Room room
    cdef Py_ssize_t room_rows
    cdef real[:, ::1] batch_x
    cdef real[:, ::1] batch_t
    cdef Py_ssize_t batch_rows
    cdef Py_ssize_t n_inputs
    cdef Py_ssize_t n_outputs
    cdef list widths
    cdef object dtype
    cdef bint article
    cdef Py_ssize_t article_samples
    cdef bint training

    # Not __init__, which could be called again in the middle of a training.
    def __cinit__(self, network, parameters):
        self.parameters = parameters
        gradient = np.zeros_like(parameters)
        views = network.unflatten(parameters)
        self.article = network.rule == "article"
        self.article_samples = network.bias_rows(parameters.size)
        layer = ArticleLayer if self.article else Layer
        for of_parameters, of_gradient in zip(
            reversed(views), reversed(network.unflatten(gradient))
        ):
            self.first = layer(of_parameters, of_gradient, self.first)
        self.gradient_values = gradient
        self.n_inputs = views[0][0].shape[0]
        self.n_outputs = views[len(views) - 1][0].shape[1]
        self.widths = [weights.shape[1] for weights, _ in views]
        self.dtype = parameters.dtype

    def train_epoch(
        self,
        const real[:, ::1] x not None,
        const real[:, ::1] t not None,
        const Py_ssize_t[::1] order,
        Py_ssize_t batch_size,
        double learning_rate,
    ):
        """Train on every sample named by `order` once; return the mean loss and the hits."""
        cdef Py_ssize_t samples = x.shape[0] if order is None else order.shape[0]
        cdef Py_ssize_t start, stop, i, hits = 0
        cdef double loss = 0
        cdef double work = 0
        cdef bint in_order = order is None
        cdef const Py_ssize_t[::1] rows
        self.check(x, t)
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, found {batch_size}")
        if not in_order:
            # A copy, which nobody can change between this check and its use.
            rows = np.array(order)
            for i in range(samples):
                if rows[i] < 0 or rows[i] >= x.shape[0]:
                    raise ValueError(f"order: expected indices from 0 to {x.shape[0] - 1}")
        if self.article and (not in_order or batch_size < samples):
            raise ValueError("the article's rule takes all samples in one step, as they stand")
        self.begin()
        try:
            self.reserve(min(batch_size, samples), not in_order)
            with nogil:
                start = 0
                while start < samples:
                    stop = min(start + batch_size, samples)
                    if in_order:
                        loss += self.step(x[start:stop], t[start:stop], learning_rate, &hits)
                    else:
                        gather(x, rows[start:stop], self.batch_x[:stop - start])
                        gather(t, rows[start:stop], self.batch_t[:stop - start])
                        loss += self.step(
                            self.batch_x[:stop - start], self.batch_t[:stop - start],
                            learning_rate, &hits,
                        )
                    work += 3.0 * self.parameters.shape[0] * (stop - start)
                    if work > WORK_BETWEEN_SIGNALS:
                        work = 0
                        with gil:
                            PyErr_CheckSignals()
                    start = stop
        finally:
            self.training = False
        return loss / max(samples, 1), hits

    def gradient(
        self,
        const real[:, ::1] x not None,
        const real[:, ::1] t not None,
        real[::1] out not None,
    ):
        """Write the step's direction for all of `x` into `out`; return the loss."""
        cdef Py_ssize_t hits = 0
        cdef double loss
        self.check(x, t)
        if out.shape[0] != self.parameters.shape[0]:
            raise ValueError(
                f"out: expected {self.parameters.shape[0]} values, found {out.shape[0]}"
            )
        self.begin()
        try:
            self.reserve(x.shape[0], False)
            with nogil:
                loss = self.first.backpropagate(x, t, self.room, &hits)
                out[:] = self.gradient_values
        finally:
            self.training = False
        return loss

    def predict(self, const real[:, ::1] x not None, real[:, ::1] out not None):
        """Write the outputs for `x` into `out`."""
        cdef Py_ssize_t rows = x.shape[0] if self.article else min(x.shape[0], PREDICTED_AT_ONCE)
        cdef Py_ssize_t start = 0, stop
        self.check(x, out)
        # Room of its own, so that several threads can predict at once.
        cdef Room room = room_for(rows, self.widths, self.dtype)
        cdef double work = 0
        with nogil:
            while start < x.shape[0]:
                stop = min(start + rows, x.shape[0])
                self.first.predict(x[start:stop], room, out[start:stop])
                work += 1.0 * self.parameters.shape[0] * (stop - start)
                if work > WORK_BETWEEN_SIGNALS:
                    work = 0
                    with gil:
                        PyErr_CheckSignals()
                start = stop

    cdef int check(self, const real[:, ::1] x, const real[:, ::1] t) except -1:
        if x.shape[1] != self.n_inputs:
            raise ValueError(f"x: expected (n, {self.n_inputs}), found {(x.shape[0], x.shape[1])}")
        if t.shape[0] != x.shape[0] or t.shape[1] != self.n_outputs:
            raise ValueError(
                f"targets or outputs: expected {(x.shape[0], self.n_outputs)}, "
                f"found {(t.shape[0], t.shape[1])}"
            )
        if self.article and x.shape[0] != self.article_samples:
            raise ValueError(
                f"x: expected the {self.article_samples} samples of the biases, found {x.shape[0]}"
            )
        return 0

    cdef int begin(self) except -1:
        """Claim the buffers."""
        if self.training:
            raise RuntimeError("this network is being trained already, perhaps by another thread")
        self.training = True
        return 0

    cdef int reserve(self, Py_ssize_t rows, bint gathered) except -1:
        """Make sure that the buffers hold `rows` rows."""
        if self.room is None or self.room_rows < rows:
            self.room = room_for(rows, self.widths, self.dtype)
            self.room_rows = rows
        if gathered and self.batch_rows < rows:
            self.batch_x = np.empty((rows, self.n_inputs), self.dtype)
            self.batch_t = np.empty((rows, self.n_outputs), self.dtype)
            self.batch_rows = rows
        return 0

    cdef double step(
        self, const real[:, ::1] x, const real[:, ::1] t, double learning_rate, Py_ssize_t *hits
    ) noexcept nogil:
        """One batch: gradients, then the update; return the loss summed over its samples."""
        cdef double loss = self.first.backpropagate(x, t, self.room, hits)
        pointwise.gradient_descent(self.parameters, self.gradient_values, learning_rate)
        return loss * x.shape[0]
