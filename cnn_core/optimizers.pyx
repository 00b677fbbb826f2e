"""Optimizers: loops over parameters; the formulas stand in `cnn_core.network`.

A new optimizer is a function here and a branch in `Optimizer`.
"""

cimport cython
from libc.math cimport pow, sqrt

from .scalar cimport normal_or_zero, real

cdef extern from "vector.h" nogil:
    real square_root(real x)


@cython.final
cdef class Optimizer:
    """An optimizer's settings, and the loop that goes with them."""

    def __cinit__(self, settings):
        name = type(settings).__name__
        if name == "SGD":
            self.momentum = settings.momentum
            self.plain = settings.momentum == 0
            self.update = (
                gradient_descent if self.plain else nesterov if settings.nesterov else momentum
            )
        elif name == "Adam":
            self.beta_1, self.beta_2 = settings.beta_1, settings.beta_2
            self.epsilon = settings.epsilon
            self.weight_decay = settings.weight_decay
            self.update = adam
        else:
            raise ValueError(f"optimizer: expected SGD or Adam, found {settings!r}")

    cdef Step step(self, double learning_rate, Py_ssize_t number) noexcept nogil:
        """What step `number`, counted from 1, needs."""
        cdef Step step
        # Adam starts from zeros, which its averages are corrected for.
        cdef double correction_1 = 1 - pow(self.beta_1, <double>number)
        cdef double correction_2 = 1 - pow(self.beta_2, <double>number)
        step.rate = <real>(learning_rate / correction_1)
        step.momentum = <real>self.momentum
        step.beta_1, step.rest_1 = <real>self.beta_1, <real>(1 - self.beta_1)
        step.beta_2, step.rest_2 = <real>self.beta_2, <real>(1 - self.beta_2)
        step.root = <real>(1 / sqrt(correction_2))
        step.epsilon = <real>self.epsilon
        step.decay = <real>(1 - learning_rate * self.weight_decay)
        return step


# The settings are taken into local variables, which no store into an array can change.


cdef void gradient_descent(
    const Step *step, real *parameters, const real *gradient, real *first, real *second,
    Py_ssize_t size,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef real rate = step.rate
    for i in range(size):
        parameters[i] = parameters[i] - rate * gradient[i]


cdef void momentum(
    const Step *step, real *parameters, const real *gradient, real *first, real *second,
    Py_ssize_t size,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef real rate = step.rate, kept = step.momentum, velocity
    for i in range(size):
        velocity = normal_or_zero(kept * first[i] + gradient[i])
        first[i] = velocity
        parameters[i] = parameters[i] - rate * velocity


cdef void nesterov(
    const Step *step, real *parameters, const real *gradient, real *first, real *second,
    Py_ssize_t size,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef real rate = step.rate, kept = step.momentum, velocity
    for i in range(size):
        velocity = normal_or_zero(kept * first[i] + gradient[i])
        first[i] = velocity
        parameters[i] = parameters[i] - rate * (gradient[i] + kept * velocity)


cdef void adam(
    const Step *step, real *parameters, const real *gradient, real *first, real *second,
    Py_ssize_t size,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef Step s = step[0]
    cdef real slope, mean, square
    for i in range(size):
        slope = gradient[i]
        mean = normal_or_zero(s.beta_1 * first[i] + s.rest_1 * slope)
        square = normal_or_zero(s.beta_2 * second[i] + s.rest_2 * (slope * slope))
        first[i] = mean
        second[i] = square
        parameters[i] = parameters[i] * s.decay - s.rate * mean / (
            square_root(square) * s.root + s.epsilon
        )
