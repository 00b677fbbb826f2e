"""Optimizers: what a step makes of a gradient."""

from .scalar cimport real


cdef struct Step:
    # What the formulas of one step need, worked out once for all parameters.
    real rate
    real momentum
    real beta_1
    real beta_2
    real rest_1
    real rest_2
    real root
    real epsilon
    real decay


# parameters and gradient: `size` values; first and second: what the optimizer keeps of each, if so.
ctypedef void (*Update)(
    const Step *step, real *parameters, const real *gradient, real *first, real *second,
    Py_ssize_t size,
) noexcept nogil


cdef class Optimizer:
    cdef Update update
    # Whether a step is parameters - rate * gradient and no more.
    cdef bint plain
    cdef double momentum, beta_1, beta_2, epsilon, weight_decay
    cdef Step step(self, double learning_rate, Py_ssize_t number) noexcept nogil
