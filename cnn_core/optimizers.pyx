"""Optimizers: loops over parameters; the formulas stand in `cnn_core.optimizers`.

A new optimizer is a name here, a line of `RULES`, a branch of `take_step`, and the formula for one parameter.
"""

cimport cython
from libc.math cimport pow, sqrt

from .matrix cimport Range
from .scalar cimport at_least, at_most, normal_or_zero, real, sign_of, square_root

cdef enum:
    GRADIENT_DESCENT
    MOMENTUM
    NESTEROV
    ADAM
    RMSPROP
    RMSPROP_WITH_MOMENTUM
    NADAM
    LION
    RPROP

RULES = {
    "SGD": GRADIENT_DESCENT,
    "Adam": ADAM,
    "RMSprop": RMSPROP,
    "Nadam": NADAM,
    "Lion": LION,
    "Rprop": RPROP,
}


@cython.final
cdef class Optimizer:
    """An optimizer's settings, and the loop that goes with them."""

    def __cinit__(self, settings):
        self.rule = RULES[type(settings).__name__]
        # What an optimizer has no setting of is 0, and no formula of its own reads it.
        self.momentum = getattr(settings, "momentum", 0)
        self.beta_1 = getattr(settings, "beta_1", 0)
        self.beta_2 = getattr(settings, "beta_2", getattr(settings, "rho", 0))
        self.epsilon = getattr(settings, "epsilon", 0)
        self.weight_decay = getattr(settings, "weight_decay", 0)
        self.momentum_decay = getattr(settings, "momentum_decay", 0)
        self.decrease = getattr(settings, "decrease", 0)
        self.increase = getattr(settings, "increase", 0)
        self.least = getattr(settings, "least_step", 0)
        self.largest = getattr(settings, "largest_step", 0)
        if self.rule == GRADIENT_DESCENT and self.momentum != 0:
            self.rule = NESTEROV if settings.nesterov else MOMENTUM
        elif self.rule == RMSPROP and self.momentum != 0:
            self.rule = RMSPROP_WITH_MOMENTUM
        self.plain = self.rule == GRADIENT_DESCENT

    cdef Step step(self, double learning_rate, Py_ssize_t number) noexcept nogil:
        """What step `number`, counted from 1, needs."""
        cdef Step step
        # Averages that start from zeros are corrected for it.
        cdef double correction_1 = 1 - pow(self.beta_1, <double>number)
        cdef double correction_2 = 1 - pow(self.beta_2, <double>number)
        cdef double of_mean = 1 / correction_1
        cdef double of_gradient = 0
        cdef double product, next_momentum
        if self.rule == NADAM:
            product = self.product_of_momenta(number)
            next_momentum = self.momentum_at(number + 1)
            of_mean = next_momentum / (1 - product * next_momentum)
            of_gradient = (1 - self.momentum_at(number)) / (1 - product)
        step.rule = self.rule
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


cdef struct Place:
    # A parameter, and what the optimizer keeps of it.
    real *parameter
    real *first
    real *second


# The compiler puts a formula into this loop, and leaves neither a call nor a pointer.
ctypedef void (*Formula)(const Step *s, real slope, Place at) noexcept nogil


cdef inline void each(
    Formula formula, const Step *step, const Range *where, real[::1] parameters,
    const real[::1] gradient, real[::1] first, real[::1] second,
) noexcept nogil:
    cdef Py_ssize_t row, i, start, shift
    # A copy, which no store into an array can change.
    cdef Step own = step[0]
    for row in range(where.rows):
        start = where.start + row * where.row
        shift = where.gradient + row * where.gradient_row - start
        for i in range(start, start + where.columns):
            formula(&own, gradient[shift + i], Place(&parameters[i], &first[i], &second[i]))


cdef void take_step(
    const Step *step, const Range *where, real[::1] parameters, const real[::1] gradient,
    real[::1] first, real[::1] second,
) noexcept nogil:
    # What a rule does not keep has no values: an array that has some is given instead, and not read.
    if step.rule == GRADIENT_DESCENT:
        each(gradient_descent, step, where, parameters, gradient, parameters, parameters)
    elif step.rule == MOMENTUM:
        each(momentum, step, where, parameters, gradient, first, first)
    elif step.rule == NESTEROV:
        each(nesterov, step, where, parameters, gradient, first, first)
    elif step.rule == ADAM:
        each(adam, step, where, parameters, gradient, first, second)
    elif step.rule == RMSPROP:
        each(rmsprop, step, where, parameters, gradient, first, first)
    elif step.rule == RMSPROP_WITH_MOMENTUM:
        each(rmsprop_with_momentum, step, where, parameters, gradient, first, second)
    elif step.rule == NADAM:
        each(nadam, step, where, parameters, gradient, first, second)
    elif step.rule == LION:
        each(lion, step, where, parameters, gradient, first, first)
    elif step.rule == RPROP:
        each(rprop, step, where, parameters, gradient, first, second)


cdef inline void gradient_descent(const Step *s, real slope, Place at) noexcept nogil:
    at.parameter[0] = at.parameter[0] - s.rate * slope


cdef inline void momentum(const Step *s, real slope, Place at) noexcept nogil:
    cdef real velocity = normal_or_zero(s.momentum * at.first[0] + slope)
    at.first[0] = velocity
    at.parameter[0] = at.parameter[0] - s.rate * velocity


cdef inline void nesterov(const Step *s, real slope, Place at) noexcept nogil:
    cdef real velocity = normal_or_zero(s.momentum * at.first[0] + slope)
    at.first[0] = velocity
    at.parameter[0] = at.parameter[0] - s.rate * (slope + s.momentum * velocity)


cdef inline void adam(const Step *s, real slope, Place at) noexcept nogil:
    cdef real mean = normal_or_zero(s.beta_1 * at.first[0] + s.rest_1 * slope)
    cdef real square = normal_or_zero(s.beta_2 * at.second[0] + s.rest_2 * (slope * slope))
    at.first[0], at.second[0] = mean, square
    at.parameter[0] = at.parameter[0] * s.decay - s.rate_of_mean * mean / (
        square_root(square) * s.root + s.epsilon
    )


cdef inline void rmsprop(const Step *s, real slope, Place at) noexcept nogil:
    cdef real square = normal_or_zero(s.beta_2 * at.first[0] + s.rest_2 * (slope * slope))
    at.first[0] = square
    at.parameter[0] = at.parameter[0] - s.rate * (slope / (square_root(square) + s.epsilon))


cdef inline void rmsprop_with_momentum(const Step *s, real slope, Place at) noexcept nogil:
    cdef real square = normal_or_zero(s.beta_2 * at.first[0] + s.rest_2 * (slope * slope))
    cdef real velocity = normal_or_zero(
        s.momentum * at.second[0] + slope / (square_root(square) + s.epsilon)
    )
    at.first[0], at.second[0] = square, velocity
    at.parameter[0] = at.parameter[0] - s.rate * velocity


cdef inline void nadam(const Step *s, real slope, Place at) noexcept nogil:
    cdef real mean = normal_or_zero(s.beta_1 * at.first[0] + s.rest_1 * slope)
    cdef real square = normal_or_zero(s.beta_2 * at.second[0] + s.rest_2 * (slope * slope))
    at.first[0], at.second[0] = mean, square
    at.parameter[0] = at.parameter[0] - (s.rate_of_mean * mean + s.rate_of_gradient * slope) / (
        square_root(square) * s.root + s.epsilon
    )


cdef inline void lion(const Step *s, real slope, Place at) noexcept nogil:
    cdef real direction = sign_of(s.beta_1 * at.first[0] + s.rest_1 * slope)
    at.parameter[0] = at.parameter[0] * s.decay - s.rate * direction
    at.first[0] = normal_or_zero(s.beta_2 * at.first[0] + s.rest_2 * slope)


cdef inline void rprop(const Step *s, real slope, Place at) noexcept nogil:
    # 1 where the gradient has kept its sign, -1 where it has changed it.
    cdef real kept = sign_of(slope) * sign_of(at.first[0])
    cdef real length = s.rate if s.first else at.second[0]
    length = length * (s.increase if kept > 0 else (s.decrease if kept < 0 else <real>1))
    length = at_most(s.largest, at_least(s.least, length))
    slope = normal_or_zero(<real>0 if kept < 0 else slope)
    at.first[0], at.second[0] = slope, length
    at.parameter[0] = at.parameter[0] - sign_of(slope) * length
