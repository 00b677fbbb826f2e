"""Optimizers: loops over parameters; the formulas stand in `cnn_core.optimizers`.

A new optimizer is a function here and a branch in `Optimizer`.
"""

cimport cython
from libc.math cimport pow, sqrt

from .matrix cimport Range
from .scalar cimport at_least, at_most, normal_or_zero, real, sign_of

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
        elif name == "RMSprop":
            self.beta_2, self.momentum = settings.rho, settings.momentum
            self.epsilon = settings.epsilon
            self.update = rmsprop_with_momentum if settings.momentum else rmsprop
        elif name == "Nadam":
            self.beta_1, self.beta_2 = settings.beta_1, settings.beta_2
            self.epsilon = settings.epsilon
            self.momentum_decay = settings.momentum_decay
            self.looks_ahead = True
            self.update = nadam
        elif name == "Lion":
            self.beta_1, self.beta_2 = settings.beta_1, settings.beta_2
            self.weight_decay = settings.weight_decay
            self.update = lion
        elif name == "Rprop":
            self.decrease, self.increase = settings.decrease, settings.increase
            self.least, self.largest = settings.least_step, settings.largest_step
            self.update = rprop
        else:
            raise ValueError(
                "optimizer: expected one of SGD, Adam, RMSprop, Nadam, Lion, Rprop, "
                f"found {settings!r}"
            )

    cdef Step step(self, double learning_rate, Py_ssize_t number) noexcept nogil:
        """What step `number`, counted from 1, needs."""
        cdef Step step
        # Averages that start from zeros are corrected for it.
        cdef double correction_1 = 1 - pow(self.beta_1, <double>number)
        cdef double correction_2 = 1 - pow(self.beta_2, <double>number)
        cdef double of_mean = 1 / correction_1
        cdef double of_gradient = 0
        cdef double product, next_momentum
        if self.looks_ahead:
            product = self.product_of_momenta(number)
            next_momentum = self.momentum_at(number + 1)
            of_mean = next_momentum / (1 - product * next_momentum)
            of_gradient = (1 - self.momentum_at(number)) / (1 - product)
        step.rate = <real>learning_rate
        step.rate_of_mean = <real>(learning_rate * of_mean)
        step.rate_of_gradient = <real>(learning_rate * of_gradient)
        step.momentum = <real>self.momentum
        step.beta_1, step.rest_1 = <real>self.beta_1, <real>(1 - self.beta_1)
        step.beta_2, step.rest_2 = <real>self.beta_2, <real>(1 - self.beta_2)
        step.root = <real>(1 / sqrt(correction_2))
        step.epsilon = <real>self.epsilon
        step.decay = <real>(1 - learning_rate * self.weight_decay)
        step.decrease, step.increase = <real>self.decrease, <real>self.increase
        step.least, step.largest = <real>self.least, <real>self.largest
        step.first = number == 1
        return step

    cdef double momentum_at(self, Py_ssize_t number) noexcept nogil:
        """Nadam's mu of this step."""
        return self.beta_1 * (1 - pow(0.96, number * self.momentum_decay) / 2)

    cdef double product_of_momenta(self, Py_ssize_t number) noexcept nogil:
        """mu(1) * ... * mu(number), or any number below 2**-54 if it is below that."""
        cdef double product = 1, factor
        cdef Py_ssize_t i
        for i in range(1, number + 1):
            factor = self.momentum_at(i)
            if factor == self.beta_1:
                # So are all after it: a loop over them need not end.
                return product * pow(factor, <double>(number - i + 1))
            product = product * factor
            if product < 2.**-54:
                # 1 - product is 1 from here on.
                break
        return product


# The settings are taken into local variables, which no store into an array can change.


cdef void gradient_descent(
    const Step *step, const Range *where, real[::1] parameters, const real[::1] gradient,
    real[::1] first, real[::1] second,
) noexcept nogil:
    cdef Py_ssize_t row, i, start, shift
    cdef real rate = step.rate
    for row in range(where.rows):
        start = where.start + row * where.row
        shift = where.gradient + row * where.gradient_row - start
        for i in range(start, start + where.columns):
            parameters[i] = parameters[i] - rate * gradient[shift + i]


cdef void momentum(
    const Step *step, const Range *where, real[::1] parameters, const real[::1] gradient,
    real[::1] first, real[::1] second,
) noexcept nogil:
    cdef Py_ssize_t row, i, start, shift
    cdef real rate = step.rate, kept = step.momentum, velocity
    for row in range(where.rows):
        start = where.start + row * where.row
        shift = where.gradient + row * where.gradient_row - start
        for i in range(start, start + where.columns):
            velocity = normal_or_zero(kept * first[i] + gradient[shift + i])
            first[i] = velocity
            parameters[i] = parameters[i] - rate * velocity


cdef void nesterov(
    const Step *step, const Range *where, real[::1] parameters, const real[::1] gradient,
    real[::1] first, real[::1] second,
) noexcept nogil:
    cdef Py_ssize_t row, i, start, shift
    cdef real rate = step.rate, kept = step.momentum, velocity
    for row in range(where.rows):
        start = where.start + row * where.row
        shift = where.gradient + row * where.gradient_row - start
        for i in range(start, start + where.columns):
            velocity = normal_or_zero(kept * first[i] + gradient[shift + i])
            first[i] = velocity
            parameters[i] = parameters[i] - rate * (gradient[shift + i] + kept * velocity)


cdef void adam(
    const Step *step, const Range *where, real[::1] parameters, const real[::1] gradient,
    real[::1] first, real[::1] second,
) noexcept nogil:
    cdef Py_ssize_t row, i, start, shift
    cdef Step s = step[0]
    cdef real slope, mean, square
    for row in range(where.rows):
        start = where.start + row * where.row
        shift = where.gradient + row * where.gradient_row - start
        for i in range(start, start + where.columns):
            slope = gradient[shift + i]
            mean = normal_or_zero(s.beta_1 * first[i] + s.rest_1 * slope)
            square = normal_or_zero(s.beta_2 * second[i] + s.rest_2 * (slope * slope))
            first[i] = mean
            second[i] = square
            parameters[i] = parameters[i] * s.decay - s.rate_of_mean * mean / (
                square_root(square) * s.root + s.epsilon
            )


cdef void rmsprop(
    const Step *step, const Range *where, real[::1] parameters, const real[::1] gradient,
    real[::1] first, real[::1] second,
) noexcept nogil:
    cdef Py_ssize_t row, i, start, shift
    cdef Step s = step[0]
    cdef real slope, square
    for row in range(where.rows):
        start = where.start + row * where.row
        shift = where.gradient + row * where.gradient_row - start
        for i in range(start, start + where.columns):
            slope = gradient[shift + i]
            square = normal_or_zero(s.beta_2 * first[i] + s.rest_2 * (slope * slope))
            first[i] = square
            parameters[i] = parameters[i] - s.rate * (slope / (square_root(square) + s.epsilon))


cdef void rmsprop_with_momentum(
    const Step *step, const Range *where, real[::1] parameters, const real[::1] gradient,
    real[::1] first, real[::1] second,
) noexcept nogil:
    cdef Py_ssize_t row, i, start, shift
    cdef Step s = step[0]
    cdef real slope, square, velocity
    for row in range(where.rows):
        start = where.start + row * where.row
        shift = where.gradient + row * where.gradient_row - start
        for i in range(start, start + where.columns):
            slope = gradient[shift + i]
            square = normal_or_zero(s.beta_2 * first[i] + s.rest_2 * (slope * slope))
            slope = slope / (square_root(square) + s.epsilon)
            velocity = normal_or_zero(s.momentum * second[i] + slope)
            first[i] = square
            second[i] = velocity
            parameters[i] = parameters[i] - s.rate * velocity


cdef void nadam(
    const Step *step, const Range *where, real[::1] parameters, const real[::1] gradient,
    real[::1] first, real[::1] second,
) noexcept nogil:
    cdef Py_ssize_t row, i, start, shift
    cdef Step s = step[0]
    cdef real slope, mean, square
    for row in range(where.rows):
        start = where.start + row * where.row
        shift = where.gradient + row * where.gradient_row - start
        for i in range(start, start + where.columns):
            slope = gradient[shift + i]
            mean = normal_or_zero(s.beta_1 * first[i] + s.rest_1 * slope)
            square = normal_or_zero(s.beta_2 * second[i] + s.rest_2 * (slope * slope))
            first[i] = mean
            second[i] = square
            parameters[i] = parameters[i] - (s.rate_of_mean * mean + s.rate_of_gradient * slope) / (
                square_root(square) * s.root + s.epsilon
            )


cdef void lion(
    const Step *step, const Range *where, real[::1] parameters, const real[::1] gradient,
    real[::1] first, real[::1] second,
) noexcept nogil:
    cdef Py_ssize_t row, i, start, shift
    cdef Step s = step[0]
    cdef real direction
    for row in range(where.rows):
        start = where.start + row * where.row
        shift = where.gradient + row * where.gradient_row - start
        for i in range(start, start + where.columns):
            direction = sign_of(s.beta_1 * first[i] + s.rest_1 * gradient[shift + i])
            parameters[i] = parameters[i] * s.decay - s.rate * direction
            first[i] = normal_or_zero(s.beta_2 * first[i] + s.rest_2 * gradient[shift + i])


cdef void rprop(
    const Step *step, const Range *where, real[::1] parameters, const real[::1] gradient,
    real[::1] first, real[::1] second,
) noexcept nogil:
    cdef Py_ssize_t row, i, start, shift
    cdef Step s = step[0]
    cdef real slope, kept, length
    for row in range(where.rows):
        start = where.start + row * where.row
        shift = where.gradient + row * where.gradient_row - start
        for i in range(start, start + where.columns):
            slope = gradient[shift + i]
            # 1 where the gradient has kept its sign, -1 where it has changed it.
            kept = sign_of(slope) * sign_of(first[i])
            length = s.rate if s.first else second[i]
            length = length * (s.increase if kept > 0 else (s.decrease if kept < 0 else <real>1))
            length = at_most(s.largest, at_least(s.least, length))
            slope = normal_or_zero(<real>0 if kept < 0 else slope)
            first[i] = slope
            second[i] = length
            parameters[i] = parameters[i] - sign_of(slope) * length
