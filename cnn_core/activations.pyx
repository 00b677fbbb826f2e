"""Activations: loops over values, each value's formula in scalar.pxd.

Rows without gaps between them are one run of values, which the compiler turns into vectors. A new
activation is a pair of functions here and a line in `activation_named`.
"""

from .matrix cimport Shape, runs
from .scalar cimport (
    exp_of_negative,
    real,
    real_multiply_add,
    sigmoid_of,
    sigmoid_slope,
    tanh_of,
    tanh_slope,
)


cdef Activation activation_named(str name) except *:
    if name == "identity":
        return Activation(identity, identity_backward)
    if name == "sigmoid":
        return Activation(sigmoid, sigmoid_backward)
    if name == "tanh":
        return Activation(tanh, tanh_backward)
    if name == "relu":
        return Activation(relu, relu_backward)
    if name == "softmax":
        return Activation(softmax, softmax_backward)
    raise ValueError(
        f"activation: expected identity, sigmoid, tanh, relu or softmax, found {name!r}"
    )


cdef void identity(const real *z, real *out, Shape shape) noexcept nogil:
    cdef Py_ssize_t i, j
    if out == z:
        return
    for i in range(shape.rows):
        for j in range(shape.columns):
            out[i * shape.row + j] = z[i * shape.row + j]


cdef void identity_backward(
    const real *a, const real *grad_a, real *out, Shape shape
) noexcept nogil:
    identity(grad_a, out, shape)


cdef void sigmoid(const real *z, real *out, Shape shape) noexcept nogil:
    cdef Py_ssize_t i, j
    shape = runs(shape)
    for i in range(shape.rows):
        for j in range(shape.columns):
            out[i * shape.row + j] = sigmoid_of(z[i * shape.row + j])


cdef void sigmoid_backward(
    const real *a, const real *grad_a, real *out, Shape shape
) noexcept nogil:
    cdef Py_ssize_t i, j, at
    shape = runs(shape)
    for i in range(shape.rows):
        for j in range(shape.columns):
            at = i * shape.row + j
            out[at] = grad_a[at] * sigmoid_slope(a[at])


cdef void tanh(const real *z, real *out, Shape shape) noexcept nogil:
    cdef Py_ssize_t i, j
    shape = runs(shape)
    for i in range(shape.rows):
        for j in range(shape.columns):
            out[i * shape.row + j] = tanh_of(z[i * shape.row + j])


cdef void tanh_backward(const real *a, const real *grad_a, real *out, Shape shape) noexcept nogil:
    cdef Py_ssize_t i, j, at
    shape = runs(shape)
    for i in range(shape.rows):
        for j in range(shape.columns):
            at = i * shape.row + j
            out[at] = grad_a[at] * tanh_slope(a[at])


cdef void relu(const real *z, real *out, Shape shape) noexcept nogil:
    cdef Py_ssize_t i, j, at
    shape = runs(shape)
    for i in range(shape.rows):
        for j in range(shape.columns):
            at = i * shape.row + j
            # In this order a NaN stays one.
            out[at] = 0 if z[at] <= 0 else z[at]


cdef void relu_backward(const real *a, const real *grad_a, real *out, Shape shape) noexcept nogil:
    cdef Py_ssize_t i, j, at
    shape = runs(shape)
    for i in range(shape.rows):
        for j in range(shape.columns):
            at = i * shape.row + j
            out[at] = grad_a[at] if a[at] > 0 else 0


cdef void softmax(const real *z, real *out, Shape shape) noexcept nogil:
    """exp(z - largest) over its sum: no term exceeds 1, and one of them is 1."""
    cdef Py_ssize_t i, j
    cdef const real *row
    cdef real *result
    cdef real largest, total
    for i in range(shape.rows):
        row = z + i * shape.row
        result = out + i * shape.row
        largest = row[0]
        for j in range(1, shape.columns):
            largest = row[j] if row[j] > largest else largest
        for j in range(shape.columns):
            result[j] = exp_of_negative(row[j] - largest)
        total = 0
        for j in range(shape.columns):
            total = total + result[j]
        for j in range(shape.columns):
            result[j] = result[j] / total


cdef void softmax_backward(
    const real *a, const real *grad_a, real *out, Shape shape
) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef const real *activation
    cdef const real *gradient
    cdef real mean
    for i in range(shape.rows):
        activation = a + i * shape.row
        gradient = grad_a + i * shape.row
        mean = 0
        for j in range(shape.columns):
            mean = real_multiply_add(activation[j], gradient[j], mean)
        for j in range(shape.columns):
            out[i * shape.row + j] = activation[j] * (gradient[j] - mean)
