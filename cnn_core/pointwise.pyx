"""Activations, losses and updates: loops over values, each value's formula in scalar.pxd.

A matrix without gaps is one run of values, so each loop is a single one that the compiler turns into
vectors. The caller guarantees the shapes; kernels.pyx checks them for everyone else.
"""

from .scalar cimport real, sigmoid_of, sigmoid_slope


cdef void sigmoid(const real[:, ::1] z, real[:, ::1] out) noexcept nogil:
    """out = 1 / (1 + exp(-z)); out may be z."""
    cdef Py_ssize_t i, size = out.shape[0] * out.shape[1]
    if size == 0:
        return
    cdef const real *source = &z[0, 0]
    cdef real *target = &out[0, 0]
    for i in range(size):
        target[i] = sigmoid_of(source[i])


cdef void sigmoid_derivative(const real[:, ::1] a, real[:, ::1] out) noexcept nogil:
    """out = a * (1 - a); out may be a."""
    cdef Py_ssize_t i, size = out.shape[0] * out.shape[1]
    if size == 0:
        return
    cdef const real *source = &a[0, 0]
    cdef real *target = &out[0, 0]
    for i in range(size):
        target[i] = sigmoid_slope(source[i])


cdef void sigmoid_backward(
    const real[:, ::1] a, const real[:, ::1] grad_a, real[:, ::1] out
) noexcept nogil:
    """out = grad_a * a * (1 - a); out may be a or grad_a."""
    cdef Py_ssize_t i, size = out.shape[0] * out.shape[1]
    if size == 0:
        return
    cdef const real *activation = &a[0, 0]
    cdef const real *gradient = &grad_a[0, 0]
    cdef real *target = &out[0, 0]
    for i in range(size):
        target[i] = gradient[i] * sigmoid_slope(activation[i])


cdef double squared_error(const real[:, ::1] y, const real[:, ::1] t) noexcept nogil:
    """sum((y - t)**2) / (2 n) in double precision, in the order of the values."""
    cdef Py_ssize_t i, j
    cdef double error, total = 0
    if y.shape[0] == 0:
        return 0
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            error = <double>y[i, j] - <double>t[i, j]
            total += error * error
    return total / (2 * y.shape[0])


cdef void squared_error_delta(
    const real[:, ::1] y, const real[:, ::1] t, real[:, ::1] out
) noexcept nogil:
    """out = (y - t) / n; out may be y."""
    cdef Py_ssize_t i, size = out.shape[0] * out.shape[1]
    if size == 0:
        return
    cdef const real *output = &y[0, 0]
    cdef const real *target = &t[0, 0]
    cdef real *delta = &out[0, 0]
    cdef real samples = <real>y.shape[0]
    for i in range(size):
        delta[i] = (output[i] - target[i]) / samples


cdef void gradient_descent(
    real[::1] parameters, const real[::1] gradient, double learning_rate
) noexcept nogil:
    """parameters -= learning_rate * gradient."""
    cdef Py_ssize_t i
    cdef real rate = <real>learning_rate
    for i in range(parameters.shape[0]):
        parameters[i] = parameters[i] - rate * gradient[i]
