"""Optimizers: what a step makes of a gradient."""

from .matrix cimport Range
from .scalar cimport real


cdef struct Step:
    # By which formula, and what the formulas of one step need, worked out once for all. The rate; how
    # far a step goes along Adam's mean, corrected, and for Nadam along the gradient itself.
    int rule
    real rate
    real rate_of_mean
    real rate_of_gradient
    real momentum
    real beta_1
    real beta_2
    real rest_1
    real rest_2
    real root
    real epsilon
    real decay
    # Rprop's factors and limits; whether its steps begin with this one.
    real decrease
    real increase
    real least
    real largest
    bint first


cdef class Optimizer:
    cdef int rule
    # Whether a step is parameters - rate * gradient and no more.
    cdef bint plain
    cdef double momentum, beta_1, beta_2, epsilon, weight_decay
    # How Nadam's momentum rises.
    cdef double momentum_decay
    cdef double decrease, increase, least, largest
    cdef Step step(self, double learning_rate, Py_ssize_t number) noexcept nogil
    cdef double momentum_at(self, Py_ssize_t number) noexcept nogil
    cdef double product_of_momenta(self, Py_ssize_t number) noexcept nogil


# Of some parameters; first and second: what the optimizer keeps of each parameter, empty if nothing.
cdef void take_step(
    const Step *step, const Range *where, real[::1] parameters, const real[::1] gradient,
    real[::1] first, real[::1] second,
) noexcept nogil
