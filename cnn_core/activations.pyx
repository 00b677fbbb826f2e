"""Activations: the formulas for one value, and loops over all of them.

Rows without gaps between them are one run of values, which the compiler turns into vectors. A new
activation is its two formulas without branches, a name, and a line in `by_formula`. What its formulas
are made of stands in scalar.pxd.
"""

cimport cython

from .layer cimport Block, LayerBuffers, Workspace, block_shape
from .matrix cimport SUMS, Shape, first_largest, runs, sum_rows
from .scalar cimport (
    at_least, at_most, exp_less_1_of_negative, exp_of, exp_of_negative, log_of_1_plus, real,
    real_multiply_add, sigmoid_of, sigmoid_slope, tanh_of, tanh_slope,
)

ctypedef real (*Formula)(real) noexcept nogil

cdef enum:
    IDENTITY
    SIGMOID
    TANH
    RELU
    LEAKY_RELU
    ELU
    SELU
    GELU
    SILU
    SOFTPLUS
    EXP
    SOFTMAX

NAMES = {
    "identity": IDENTITY,
    "sigmoid": SIGMOID,
    "tanh": TANH,
    "relu": RELU,
    "leaky_relu": LEAKY_RELU,
    "elu": ELU,
    "selu": SELU,
    "gelu": GELU,
    "silu": SILU,
    "softplus": SOFTPLUS,
    "exp": EXP,
    "softmax": SOFTMAX,
}
# Those whose way back reads z, not only the activation.
NEED_Z = ("gelu", "silu")


@cython.final
cdef class ActivationLayer(Layer):
    """The layer of an activation: in place, unless its input is read later."""

    def __cinit__(self, str name, Py_ssize_t units, bint is_last, bint passes_back):
        self.activation = NAMES[name]
        self.fan_in = self.fan_out = units
        # The loss is computed from z. The article takes what is in place of it for z once more.
        self.keeps_z = (is_last or name in NEED_Z) and not passes_back
        self.passes_back = passes_back

    cdef int lay_out(self, Workspace workspace, LayerBuffers buffers, bint training) except -1:
        Layer.lay_out(self, workspace, buffers, training)
        if training and self.keeps_z:
            buffers.outputs = workspace.carve_rows(buffers.row)
        return 0

    cdef void predict(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        activate(
            self.activation, buffers.inputs, buffers.outputs,
            block_shape(block, self.fan_out, buffers.row),
        )

    cdef void backward(self, LayerBuffers buffers, const Block *block) noexcept nogil:
        if not self.passes_back:
            activation_backward(
                self.activation, buffers.inputs, buffers.outputs, buffers.delta,
                buffers.input_delta, block_shape(block, self.fan_out, buffers.row),
            )


# The compiler puts a formula into these loops and leaves neither a call nor a pointer. One called
# `slope` takes the activation, or for gelu and silu the pre-activation.


cdef inline void each(
    Formula formula, const real[::1] z, real[::1] out, Shape shape
) noexcept nogil:
    """out = formula(z)."""
    cdef Py_ssize_t i, j, at
    for i in range(shape.rows):
        at = shape.start + i * shape.row
        for j in range(at, at + shape.columns):
            out[j] = formula(z[j])


cdef inline void each_times(
    Formula slope, const real[::1] point, const real[::1] grad_a, real[::1] out, Shape shape
) noexcept nogil:
    """out = grad_a * slope(point), where the point is a or z."""
    cdef Py_ssize_t i, j, at
    for i in range(shape.rows):
        at = shape.start + i * shape.row
        for j in range(at, at + shape.columns):
            out[j] = grad_a[j] * slope(point[j])


cdef inline void either(
    Formula formula, Formula slope, bint is_back, const real[::1] z, const real[::1] point,
    const real[::1] grad_a, real[::1] out, Shape shape,
) noexcept nogil:
    """out = formula(z), or on the way back out = grad_a * slope(point)."""
    if is_back:
        each_times(slope, point, grad_a, out, shape)
    else:
        each(formula, z, out, shape)


cdef void activate(int activation, const real[::1] z, real[::1] out, Shape shape) noexcept nogil:
    """out = activation(z)."""
    if activation == SOFTMAX:
        softmax(z, out, shape)
    else:
        by_formula(activation, False, z, z, z, out, runs(shape))


cdef void activation_backward(
    int activation, const real[::1] z, const real[::1] a, const real[::1] grad_a, real[::1] out,
    Shape shape,
) noexcept nogil:
    """out = dloss/dz from dloss/da."""
    if activation == SOFTMAX:
        softmax_backward(a, grad_a, out, shape)
    elif activation == RELU:
        relu_backward(a, grad_a, out, runs(shape))
    else:
        by_formula(activation, True, z, a, grad_a, out, runs(shape))


cdef void by_formula(
    int activation, bint is_back, const real[::1] z, const real[::1] a, const real[::1] grad_a,
    real[::1] out, Shape shape,
) noexcept nogil:
    """One value after the other, in either direction."""
    if activation == IDENTITY:
        # Where it is in place there is nothing to do.
        if &out[0] != &grad_a[0]:
            each(identity_of, grad_a, out, shape)
    elif activation == SIGMOID:
        either(sigmoid_of, sigmoid_slope, is_back, z, a, grad_a, out, shape)
    elif activation == TANH:
        either(tanh_of, tanh_slope, is_back, z, a, grad_a, out, shape)
    elif activation == RELU:
        each(relu_of, z, out, shape)
    elif activation == LEAKY_RELU:
        either(leaky_relu_of, leaky_relu_slope, is_back, z, a, grad_a, out, shape)
    elif activation == ELU:
        either(elu_of, elu_slope, is_back, z, a, grad_a, out, shape)
    elif activation == SELU:
        either(selu_of, selu_slope, is_back, z, a, grad_a, out, shape)
    elif activation == GELU:
        either(gelu_of, gelu_slope, is_back, z, z, grad_a, out, shape)
    elif activation == SILU:
        either(silu_of, silu_slope, is_back, z, z, grad_a, out, shape)
    elif activation == SOFTPLUS:
        either(softplus_of, softplus_slope, is_back, z, a, grad_a, out, shape)
    elif activation == EXP:
        either(exp_of, exp_slope, is_back, z, a, grad_a, out, shape)


cdef void relu_backward(
    const real[::1] a, const real[::1] grad_a, real[::1] out, Shape shape
) noexcept nogil:
    """Not by a slope, by which an infinite gradient times 0 would be NaN."""
    cdef Py_ssize_t i, j, at
    for i in range(shape.rows):
        at = shape.start + i * shape.row
        for j in range(at, at + shape.columns):
            out[j] = grad_a[j] if a[j] > 0 else 0


cdef inline real identity_of(real z) noexcept nogil:
    return z


cdef inline real relu_of(real z) noexcept nogil:
    # In this order a NaN stays one.
    return <real>0 if z <= 0 else z


cdef inline real leaky_relu_of(real z) noexcept nogil:
    return z if z > 0 else <real>0.01 * z


cdef inline real leaky_relu_slope(real a) noexcept nogil:
    return <real>1 if a > 0 else <real>0.01


cdef inline real elu_of(real z) noexcept nogil:
    return z if z > 0 else exp_less_1_of_negative(at_most(0, z))


cdef inline real elu_slope(real a) noexcept nogil:
    return <real>1 if a > 0 else a + <real>1


cdef inline real selu_of(real z) noexcept nogil:
    """Both numbers: Klambauer et al., "Self-normalizing neural networks", 2017, eq. 14."""
    cdef real curve = exp_less_1_of_negative(at_most(0, z))
    return <real>1.0507009873554804934 * (z if z > 0 else <real>1.6732632423543772848 * curve)


cdef inline real selu_slope(real a) noexcept nogil:
    return <real>1.0507009873554804934 if a > 0 else a + <real>1.7580993408473768599


# gelu and silu are z * sigmoid(v), where v is z or nearly 1.6 * (z + 0.04 * z**3). Beyond their
# ends, 25 and 1000, that sigmoid is 0 or 1 in any dtype. They keep powers and products finite; an
# infinite z has the limit of the formula.


cdef inline real gate_slope(real z, real v, real rise) noexcept nogil:
    """The derivative of z * sigmoid(v), where that of v is `rise`."""
    cdef real e = exp_of_negative(v if v < 0 else -v)
    cdef real open = (e if v < 0 else <real>1) / (<real>1 + e)
    cdef real shut = (<real>1 if v < 0 else e) / (<real>1 + e)
    return open * (<real>1 + z * rise * shut)


cdef inline real gelu_exponent(real z) noexcept nogil:
    """2 * sqrt(2 / pi) * (z + 0.044715 * z**3)."""
    return <real>1.5957691216057307118 * (z + <real>0.044715 * z * z * z)


cdef inline real gelu_of(real z) noexcept nogil:
    cdef real low = at_least(-25, z)
    return low * sigmoid_of(gelu_exponent(at_most(25, low)))


cdef inline real gelu_slope(real z) noexcept nogil:
    z = at_most(25, at_least(-25, z))
    cdef real rise = <real>1.5957691216057307118 * (<real>1 + <real>0.134145 * z * z)
    return gate_slope(z, gelu_exponent(z), rise)


cdef inline real silu_of(real z) noexcept nogil:
    return at_least(-1000, z) * sigmoid_of(z)


cdef inline real silu_slope(real z) noexcept nogil:
    z = at_most(1000, at_least(-1000, z))
    return gate_slope(z, z, 1)


cdef inline real softplus_of(real z) noexcept nogil:
    return relu_of(z) + log_of_1_plus(exp_of_negative(-z if z > 0 else z))


cdef inline real softplus_slope(real a) noexcept nogil:
    return -exp_less_1_of_negative(-a)


cdef inline real exp_slope(real a) noexcept nogil:
    return a


cdef void softmax(const real[::1] z, real[::1] out, Shape shape) noexcept nogil:
    """exp(z - largest) over its sum: no term exceeds 1, and one of them is 1."""
    cdef Py_ssize_t i, j, at, rows, top = 0
    cdef real largest, total
    cdef real totals[SUMS]
    while top < shape.rows:
        rows = min(shape.rows - top, <Py_ssize_t>SUMS)
        for i in range(rows):
            at = shape.start + (top + i) * shape.row
            largest = z[first_largest(z, at, shape.columns)]
            for j in range(at, at + shape.columns):
                out[j] = exp_of_negative(z[j] - largest)
        at = shape.start + top * shape.row
        sum_rows(out, Shape(at, rows, shape.columns, shape.row), totals)
        for i in range(rows):
            total = totals[i]
            for j in range(at + i * shape.row, at + i * shape.row + shape.columns):
                out[j] = out[j] / total
        top += rows


cdef void softmax_backward(
    const real[::1] a, const real[::1] grad_a, real[::1] out, Shape shape
) noexcept nogil:
    cdef Py_ssize_t i, j, at, end
    cdef real mean
    for i in range(shape.rows):
        at = shape.start + i * shape.row
        end = at + shape.columns
        mean = 0
        for j in range(at, end):
            mean = real_multiply_add(a[j], grad_a[j], mean)
        for j in range(at, end):
            out[j] = a[j] * (grad_a[j] - mean)
