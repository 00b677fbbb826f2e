"""The loops that take an array value by value. What they compute: pointwise.pyx."""

from .scalar cimport real


cdef void sigmoid(const real[:, ::1] z, real[:, ::1] out) noexcept nogil
cdef void sigmoid_derivative(const real[:, ::1] a, real[:, ::1] out) noexcept nogil
cdef void sigmoid_backward(
    const real[:, ::1] a, const real[:, ::1] grad_a, real[:, ::1] out
) noexcept nogil
cdef double squared_error(const real[:, ::1] y, const real[:, ::1] t) noexcept nogil
cdef void squared_error_delta(
    const real[:, ::1] y, const real[:, ::1] t, real[:, ::1] out
) noexcept nogil
cdef void gradient_descent(
    real[::1] parameters, const real[::1] gradient, double learning_rate
) noexcept nogil
