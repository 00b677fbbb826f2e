"""The dense layer's loops: forward, and the three gradients. What they compute: dense.pyx."""

from .scalar cimport real


cdef void dense_forward(
    const real[:, ::1] x, const real[:, ::1] weights, const real[::1] bias, real[:, ::1] out
) noexcept nogil
cdef void dense_weight_gradient(
    const real[:, ::1] x, const real[:, ::1] delta, real[:, ::1] out
) noexcept nogil
cdef void dense_bias_gradient(const real[:, ::1] delta, real[::1] out) noexcept nogil
cdef void dense_input_gradient(
    const real[:, ::1] delta, const real[:, ::1] weights, real[:, ::1] out
) noexcept nogil
