"""Optimizers as the formulas of `cnn_core.optimizers` are written.

Every function changes the parameters p and the moments in place, by the gradient g; p and g have
the shape (p,), the moments (n_moments, p). A new optimizer is a function and an entry in the table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cnn_core.optimizers import SGD, Adam, Lion, Nadam, Optimizer, RMSprop, Rprop
from cnn_core.types import FloatArray


def _sgd(
    optimizer: SGD, p: FloatArray, g: FloatArray, moments: FloatArray, rate: float, step: int
) -> None:
    real = p.dtype.type
    if not optimizer.momentum:
        p -= real(rate) * g
        return
    momentum = real(optimizer.momentum)
    velocity = moments[0]
    velocity[:] = momentum * velocity + g
    _drop_subnormals(velocity)
    p -= real(rate) * (g + momentum * velocity if optimizer.nesterov else velocity)


def _adam(
    optimizer: Adam, p: FloatArray, g: FloatArray, moments: FloatArray, rate: float, step: int
) -> None:
    real = p.dtype.type
    m, v = moments
    _move(m, optimizer.beta_1, g)
    _move(v, optimizer.beta_2, g * g)
    _decay(p, rate * optimizer.weight_decay)
    p -= real(rate / (1 - optimizer.beta_1**step)) * m / _root(optimizer, v, step)


def _rmsprop(
    optimizer: RMSprop, p: FloatArray, g: FloatArray, moments: FloatArray, rate: float, step: int
) -> None:
    real = p.dtype.type
    v = moments[0]
    _move(v, optimizer.rho, g * g)
    change = g / (np.sqrt(v) + real(optimizer.epsilon))
    if optimizer.momentum:
        velocity = moments[1]
        velocity[:] = real(optimizer.momentum) * velocity + change
        _drop_subnormals(velocity)
        change = velocity
    p -= real(rate) * change


def _nadam(
    optimizer: Nadam, p: FloatArray, g: FloatArray, moments: FloatArray, rate: float, step: int
) -> None:
    real = p.dtype.type
    m, v = moments
    _move(m, optimizer.beta_1, g)
    _move(v, optimizer.beta_2, g * g)
    product, next_momentum = _product_of_momenta(optimizer, step), _momentum(optimizer, step + 1)
    of_m = next_momentum / (1 - product * next_momentum)
    of_g = (1 - _momentum(optimizer, step)) / (1 - product)
    p -= (real(rate * of_m) * m + real(rate * of_g) * g) / _root(optimizer, v, step)


def _momentum(optimizer: Nadam, step: int) -> float:
    """Return mu(step)."""
    decay: float = 0.96 ** (step * optimizer.momentum_decay)
    return optimizer.beta_1 * (1 - decay / 2)


def _product_of_momenta(optimizer: Nadam, step: int) -> float:
    """Return mu(1) * ... * mu(step), or any number below 2**-54 if it is below that."""
    product = 1.0
    for number in range(1, step + 1):
        momentum = _momentum(optimizer, number)
        if momentum == optimizer.beta_1:
            # So are all after it: a loop over them need not end.
            return product * momentum ** (step - number + 1)
        product *= momentum
        if product < 2.0**-54:
            # 1 - product is 1 from here on.
            break
    return product


def _lion(
    optimizer: Lion, p: FloatArray, g: FloatArray, moments: FloatArray, rate: float, step: int
) -> None:
    real = p.dtype.type
    m = moments[0]
    direction = np.sign(real(optimizer.beta_1) * m + real(1 - optimizer.beta_1) * g)
    _decay(p, rate * optimizer.weight_decay)
    p -= real(rate) * direction
    _move(m, optimizer.beta_2, g)


def _rprop(
    optimizer: Rprop, p: FloatArray, g: FloatArray, moments: FloatArray, rate: float, step: int
) -> None:
    real = p.dtype.type
    before, length = moments
    if step == 1:
        length[:] = rate
    kept = np.sign(g) * np.sign(before)
    shorter = np.where(kept < 0, real(optimizer.decrease), real(1))
    length *= np.where(kept > 0, real(optimizer.increase), shorter)
    np.clip(length, real(optimizer.least_step), real(optimizer.largest_step), out=length)
    before[:] = np.where(kept < 0, real(0), g)
    _drop_subnormals(before)
    p -= np.sign(before) * length


def _move(average: FloatArray, beta: float, new: FloatArray) -> None:
    """Update a running average by a new value."""
    real = average.dtype.type
    average[:] = real(beta) * average + real(1 - beta) * new
    _drop_subnormals(average)


def _drop_subnormals(moment: FloatArray) -> None:
    """Set subnormal numbers to 0: they are slow to compute with."""
    moment[np.abs(moment) < np.finfo(moment.dtype).tiny] = 0


def _decay(p: FloatArray, share: float) -> None:
    if share:
        p *= p.dtype.type(1 - share)


def _root(optimizer: Adam | Nadam, v: FloatArray, step: int) -> FloatArray:
    """Return Adam's denominator, with the bias correction of v."""
    real = v.dtype.type
    correction = real((1 - optimizer.beta_2**step) ** -0.5)
    root: FloatArray = np.sqrt(v) * correction + real(optimizer.epsilon)
    return root


UPDATE: dict[type, Callable[[Any, FloatArray, FloatArray, FloatArray, float, int], None]] = {
    SGD: _sgd,
    Adam: _adam,
    RMSprop: _rmsprop,
    Nadam: _nadam,
    Lion: _lion,
    Rprop: _rprop,
}


def take_step(
    optimizer: Optimizer, p: FloatArray, g: FloatArray, moments: FloatArray, rate: float, step: int
) -> None:
    """Take the step of this number, from 1, in place."""
    with np.errstate(all="ignore"):
        UPDATE[type(optimizer)](optimizer, p, g, moments, rate, step)
