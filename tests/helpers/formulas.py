"""The contract's formulas, to be taken in a wider type than a kernel's.

What the tests of the kernels compare with, written once more and plainly."""

from __future__ import annotations

import numpy as np

from cnn_core.network import EPSILON, NORMALIZATIONS, Huber, Pinball
from cnn_core.optimizers import SGD, Lion, Nadam, RMSprop, Rprop


def sigmoid(z):
    e = np.exp(-np.abs(z))
    return np.where(z < 0, e, 1) / (1 + e)


def softmax(z):
    with np.errstate(invalid="ignore", over="ignore"):
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)


def log_of_sum(z):
    largest = z.max(axis=1, keepdims=True)
    return largest + np.log(np.exp(z - largest).sum(axis=1, keepdims=True))


LEAK = 0.01

SCALE = np.longdouble("1.0507009873554804934193349852946")

CURVE = np.longdouble("1.7580993408473768599402175208123")

WIDTH = 2 * np.sqrt(2 / np.longdouble("3.14159265358979323846264338327950288"))

CUBE = np.longdouble("0.044715")


def constant(value, like):
    return like.dtype.type(value)


def gelu_exponent(z):
    """Twice what the tanh is taken of: 1 + tanh(v) is 2 * sigmoid(2 * v), and loses no digits."""
    return constant(WIDTH, z) * (z + constant(CUBE, z) * z**3)


def gate(z, exponent):
    """z * sigmoid(exponent), and 0 at minus infinity."""
    return np.where(np.isneginf(z), 0, z * sigmoid(exponent))


def gate_slope(z, exponent, rise):
    """The slope of that, and the sum of the magnitudes of its terms."""
    share = sigmoid(exponent)
    rest = z * rise * share * sigmoid(-exponent)
    return share + rest, (share + np.abs(rest)) * (1 + np.abs(exponent))


# The contract's formulas, to be taken in a wider type.
ACTIVATE = {
    "identity": lambda z: z,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "relu": lambda z: np.where(np.isnan(z) | (z > 0), z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, constant(np.longdouble("0.01"), z) * z),
    "elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    "selu": lambda z: np.where(
        z > 0, constant(SCALE, z) * z, constant(CURVE, z) * np.expm1(np.minimum(z, 0))
    ),
    "gelu": lambda z: gate(z, gelu_exponent(z)),
    "silu": lambda z: gate(z, z),
    "softplus": lambda z: np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))),
    "exp": np.exp,
    "softmax": softmax,
}


def gelu_backward(z, a, g):
    rise = constant(WIDTH, z) * (1 + 3 * constant(CUBE, z) * z**2)
    slope, magnitude = gate_slope(z, gelu_exponent(z), rise)
    return g * slope, np.abs(g) * magnitude


def silu_backward(z, a, g):
    slope, magnitude = gate_slope(z, z, 1)
    return g * slope, np.abs(g) * magnitude


# Each with the sum of the magnitudes of its terms.
BACKWARD = {
    "identity": lambda z, a, g: (g, np.abs(g)),
    "sigmoid": lambda z, a, g: (g * a * (1 - a), np.abs(g * a * (1 - a))),
    "tanh": lambda z, a, g: (g * (1 - a**2), np.abs(g) * (1 + a**2)),
    "relu": lambda z, a, g: (g * (a > 0), np.abs(g)),
    "leaky_relu": lambda z, a, g: (np.where(a > 0, g, constant(LEAK, g) * g), np.abs(g)),
    "elu": lambda z, a, g: (np.where(a > 0, g, g * (a + 1)), np.abs(g) * (1 + np.abs(a))),
    "selu": lambda z, a, g: (
        g * np.where(a > 0, constant(SCALE, g), a + constant(CURVE, g)),
        np.abs(g) * (2 + np.abs(a)),
    ),
    "gelu": gelu_backward,
    "silu": silu_backward,
    "softplus": lambda z, a, g: (g * -np.expm1(-a), np.abs(g * np.expm1(-a))),
    "exp": lambda z, a, g: (g * a, np.abs(g * a)),
    "softmax": lambda z, a, g: (
        a * (g - (a * g).sum(axis=1, keepdims=True)),
        a * (np.abs(g) + np.abs(a * g).sum(axis=1, keepdims=True)),
    ),
}


def loss_terms(loss, z, y, t):
    """The cost of each output, by the contract's formulas."""
    if isinstance(loss, Huber):
        size = np.abs(y - t)
        return np.where(size <= loss.delta, size**2 / 2, loss.delta * (size - loss.delta / 2))
    if isinstance(loss, Pinball):
        quantile = np.array(loss.quantiles(y.shape[1]), y.dtype)
        return np.where(y < t, quantile * (t - y), (1 - quantile) * (y - t))
    if loss == "poisson":
        with np.errstate(divide="ignore", invalid="ignore"):
            return y - t * z + np.where(t == 0, 0, t * np.log(t)) - t
    return {
        "squared_error": lambda: (y - t) ** 2 / 2,
        "absolute_error": lambda: np.abs(y - t),
        "binary_cross_entropy": lambda: np.maximum(z, 0) - z * t + np.log1p(np.exp(-np.abs(z))),
        "cross_entropy": lambda: t * (log_of_sum(z) - z),
    }[loss]()


def slope_terms(loss, y, t):
    """dloss/dy of the losses that go with any activation, and the magnitude of its terms."""
    error = y - t
    if loss == "absolute_error":
        return np.sign(error), np.ones_like(error)
    if isinstance(loss, Huber):
        return np.clip(error, -loss.delta, loss.delta), np.abs(y) + np.abs(t)
    if isinstance(loss, Pinball):
        quantile = np.array(loss.quantiles(y.shape[1]), y.dtype)
        return np.where(error < 0, -quantile, np.where(error > 0, 1 - quantile, 0)), 1
    return error, np.abs(y) + np.abs(t)


def normalization_of(normalization, u, gain, bias):
    """What `normalize` writes: normal, spread and z."""
    axis = NORMALIZATIONS.index(normalization)
    centred = u - u.mean(axis=axis, keepdims=True)
    spread = 1 / np.sqrt((centred**2).mean(axis=axis, keepdims=True) + EPSILON)
    return centred * spread, spread.ravel(), gain * (centred * spread) + bias


def stepped(optimizer, p, g, moments, learning_rate, step):
    """Parameters and moments after a step, by the formulas of `cnn_core.optimizers`."""
    if isinstance(optimizer, SGD):
        if not optimizer.momentum:
            return p - learning_rate * g, moments
        velocity = optimizer.momentum * moments[0] + g
        way = g + optimizer.momentum * velocity if optimizer.nesterov else velocity
        return p - learning_rate * way, velocity[np.newaxis]
    if isinstance(optimizer, RMSprop):
        v = optimizer.rho * moments[0] + (1 - optimizer.rho) * g**2
        change = g / (np.sqrt(v) + optimizer.epsilon)
        if not optimizer.momentum:
            return p - learning_rate * change, v[np.newaxis]
        velocity = optimizer.momentum * moments[1] + change
        return p - learning_rate * velocity, np.stack([v, velocity])
    if isinstance(optimizer, Lion):
        way = np.sign(optimizer.beta_1 * moments[0] + (1 - optimizer.beta_1) * g)
        m = optimizer.beta_2 * moments[0] + (1 - optimizer.beta_2) * g
        p = p * (1 - learning_rate * optimizer.weight_decay)
        return p - learning_rate * way, m[np.newaxis]
    if isinstance(optimizer, Rprop):
        length = np.full_like(p, learning_rate) if step == 1 else moments[1]
        kept = moments[0] * g
        factor = np.where(kept > 0, optimizer.increase, 1.0)
        factor = np.where(kept < 0, optimizer.decrease, factor)
        length = np.clip(length * factor, optimizer.least_step, optimizer.largest_step)
        g = np.where(kept < 0, 0, g)
        return p - np.sign(g) * length, np.stack([g, length])
    m = optimizer.beta_1 * moments[0] + (1 - optimizer.beta_1) * g
    v = optimizer.beta_2 * moments[1] + (1 - optimizer.beta_2) * g**2
    root = np.sqrt(v / (1 - optimizer.beta_2**step)) + optimizer.epsilon
    if isinstance(optimizer, Nadam):
        mu = [
            optimizer.beta_1 * (1 - 0.96 ** (t * optimizer.momentum_decay) / 2)
            for t in range(1, step + 2)
        ]
        mean = mu[-1] * m / (1 - np.prod(mu)) + (1 - mu[-2]) * g / (1 - np.prod(mu[:-1]))
        return p - learning_rate * mean / root, np.stack([m, v])
    p = p * (1 - learning_rate * optimizer.weight_decay)
    p = p - learning_rate * m / (1 - optimizer.beta_1**step) / root
    return p, np.stack([m, v])
