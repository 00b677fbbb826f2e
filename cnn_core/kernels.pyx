"""The loops as Python functions, for the operations of `cnn_core.backends.compiled`.

The shapes of the arguments are checked before, in `cnn_core.backends.kernels`. The typed
memoryviews refuse a wrong dtype, rank, byte order or layout.
"""

cimport cython
from libc.stdint cimport uint32_t, uint64_t

import numpy as np

from . cimport losses
from .dense cimport Product, ProductBuffers, product
from .dropout cimport Counter
from .dropout cimport random_bits as random_words
from .layer cimport Block, Layer, LayerBuffers, Net, Workspace, block_in
from .losses cimport CROSS_ENTROPY, LossFunction
from .matrix cimport Matrix, Range, Shape
from .matrix cimport add_rows as add_rows_to
from .optimizers cimport Optimizer, Step, take_step
from .scalar cimport real


cdef real[::1] flat(const real[:, ::1] array):
    """Return the values of an array, row by row, as the loops take them; None if there are none."""
    if array is None or array.shape[0] == 0 or array.shape[1] == 0:
        return None
    return <real[: array.shape[0] * array.shape[1]]><real *>&array[0, 0]


cdef Shape shape_of(const real[:, ::1] array) noexcept:
    return Shape(0, array.shape[0], array.shape[1], array.shape[1])


cdef Matrix matrix_of(const real[:, ::1] array, bint turns) noexcept:
    """Return the position of an array's values, or of those of its transpose."""
    return Matrix(0, 1, array.shape[1]) if turns else Matrix(0, array.shape[1], 1)


def multiply(
    const real[:, ::1] left, bint turns_left, const real[:, ::1] right, bint turns_right,
    const real[::1] base, real[:, ::1] out,
):
    """Compute out = base + left @ right, each operand transposed if asked for; no base: zeros."""
    cdef ProductBuffers buffers = Workspace(1).carve_product()
    cdef real[::1] a = flat(left), b = flat(right), result = flat(out)
    cdef Matrix l = matrix_of(left, turns_left), r = matrix_of(right, turns_right)
    # By member: for a whole struct Cython writes a conversion to Python that nobody calls.
    cdef Product extent = Product(
        out.shape[0], out.shape[1], left.shape[0 if turns_left else 1],
        Matrix(0, l.row, l.column), Matrix(0, r.row, r.column), 0, out.shape[1], 1,
        base is not None, 0, 0,
    )
    if base is None:
        # Of the same kind, and not looked at.
        base = result
    with nogil:
        product(a, b, base, result, &extent, False, NULL, buffers)


def add_rows(const real[:, ::1] array, real[::1] out):
    """Add the rows of an array to `out`, one after the other."""
    cdef real[::1] values = flat(array)
    if values is not None:
        add_rows_to(values, shape_of(array), out, 0)


@cython.final
cdef class Alone:
    """One layer without a network, for `rows` samples. It works on the caller's arrays."""

    cdef Net net
    cdef Workspace workspace
    cdef Layer layer
    cdef LayerBuffers buffers
    cdef Block block

    def __cinit__(
        self, Layer layer, Py_ssize_t rows, real[::1] parameters=None, real[::1] gradient=None, *,
        real[::1] statistics=None, real[::1] spread=None, uint64_t key=0, Py_ssize_t step=0,
        Py_ssize_t number=0,
    ):
        self.net = Net.__new__(Net)
        self.net.inputs = layer.fan_in
        self.net.chain([layer])
        self.net.arrays.parameters, self.net.arrays.gradient = parameters, gradient
        self.net.arrays.statistics = statistics
        self.layer = layer
        layer.is_first, layer.number = False, number
        self.workspace = self.net.workspace(1, 1, True)
        self.buffers = self.workspace.layers[0]
        self.buffers.input_row, self.buffers.row = layer.fan_in, layer.fan_out
        self.block = block_in(self.net, self.workspace, NULL)
        self.block.thread = self.workspace.thread_at[0]
        self.block.key, self.block.number = key, step
        # Without values there is nothing to do.
        self.block.rows = rows if layer.fan_in > 0 else 0
        if self.block.rows > 0:
            layer.prepare(self.buffers)
        if spread is not None:
            self.buffers.spread = spread

    def forward(self, const real[:, ::1] x, real[:, ::1] out):
        """Compute the outputs for `x` as in a step of training."""
        cdef int task
        if self.block.rows == 0:
            return
        self.buffers.inputs, self.buffers.outputs = flat(x), flat(out)
        if self.layer.barrier_tasks == 0:
            self.layer.forward(self.buffers, &self.block)
        self.layer.forward_before(self.buffers, &self.block)
        for task in range(self.layer.barrier_tasks):
            self.layer.forward_all(self.buffers, &self.block, task)
        self.layer.forward_after(self.buffers, &self.block)

    def predict(self, const real[:, ::1] x, real[:, ::1] out):
        """Compute the outputs for `x` as in a prediction."""
        if self.block.rows > 0:
            self.buffers.inputs, self.buffers.outputs = flat(x), flat(out)
            self.layer.predict(self.buffers, &self.block)

    def backward(
        self, const real[:, ::1] x, const real[:, ::1] y, const real[:, ::1] delta, real[:, ::1] out
    ):
        """Compute the gradient, if the layer was given one, and dloss/dx, unless `out` is None.

        They are computed from the inputs `x`, the outputs `y` and dloss/dy, `delta`.
        """
        cdef int task
        cdef Py_ssize_t piece
        self.buffers.inputs, self.buffers.outputs = flat(x), flat(y)
        self.buffers.delta, self.buffers.input_delta = flat(delta), flat(out)
        if self.net.arrays.gradient is not None:
            for piece in range(self.layer.pieces):
                self.layer.update(self.buffers, &self.block, piece)
        if out is None or self.block.rows == 0:
            return
        if self.layer.barrier_tasks == 0:
            self.layer.backward(self.buffers, &self.block)
        self.layer.backward_before(self.buffers, &self.block)
        for task in range(self.layer.barrier_tasks):
            self.layer.backward_all(self.buffers, &self.block, task)
        self.layer.backward_after(self.buffers, &self.block)


def row_losses(
    loss, const real[:, ::1] z, const real[:, ::1] y, const real[:, ::1] t, double[::1] out
):
    """Write the loss of each sample into `out`."""
    cdef LossFunction chosen = LossFunction(loss, z.shape[1])
    cdef real[::1] values = flat(z), outputs = flat(y), targets = flat(t)
    cdef real[::1] softmax = np.empty_like(values), delta = np.empty_like(values)
    cdef Shape shape = shape_of(z)
    with nogil:
        if chosen.value.name == CROSS_ENTROPY:
            losses.cross_entropy(values, targets, None, False, 1, shape, 0, softmax, out, delta)
        else:
            losses.row_losses(&chosen.value, values, outputs, targets, shape, out, 0)


def output_slope(
    loss, const real[:, ::1] y, const real[:, ::1] t, double total, real[:, ::1] out
):
    """Write dloss/dz and return True, or dloss/dy and False; `total` is the sum of the weights."""
    cdef LossFunction chosen = LossFunction(loss, y.shape[1])
    cdef real[::1] outputs = flat(y), targets = flat(t), result = flat(out)
    return losses.output_slope(
        &chosen.value, outputs, targets, <real>total, shape_of(y), result
    )


def update(
    settings, real[::1] parameters, const real[::1] gradient, real[::1] first, real[::1] second,
    double learning_rate, Py_ssize_t number,
):
    """Take a step in place. The moments `first` and `second` are empty if there are none."""
    cdef Optimizer optimizer = Optimizer(settings)
    cdef Step step = optimizer.step(learning_rate, number)
    cdef Py_ssize_t size = parameters.shape[0]
    cdef Range where = Range(0, 1, size, size, 0, size, False)
    with nogil:
        take_step(&step, &where, parameters, gradient, first, second)


def random_bits(
    uint64_t key, uint32_t first, uint32_t second, uint32_t third, uint32_t fourth,
    uint32_t[::1] out,
):
    """Fill `out`, which is not empty, with the numbers of Philox 4x32-10."""
    with nogil:
        random_words(key, first, Counter(second, third, fourth), &out[0], out.shape[0])
