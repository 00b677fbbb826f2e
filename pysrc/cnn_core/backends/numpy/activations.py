"""Activations as the formulas are written: forward from z to a, and backward.

Every function takes and returns arrays of one shape, (n, units). The formulas stand in
`cnn_core.backends.interface.Kernels`, `activate` and `activation_backward`. A new activation is an
entry in each of the two tables.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cnn_core.network import Activation, FloatArray

LEAK = 0.01
# Such that mean 0 and variance 1 are kept from layer to layer (Klambauer et al., 2017, eq. 14).
SELU_SCALE = 1.0507009873554804934
SELU_ALPHA = 1.6732632423543772848
# tanh(v) is 2 * sigmoid(2 * v) - 1, so that gelu is z * sigmoid(_GELU * (z + _CUBIC * z**3)).
_GELU = 2 * (2 / np.pi) ** 0.5
_CUBIC = 0.044715
# Beyond them the sigmoids of silu and gelu are 0 or 1 in any dtype. They keep powers and products
# finite; an infinite z has the limit of the formula.
_SILU_ENDS = 1000.0
_GELU_ENDS = 25.0


def _sigmoid(z: FloatArray) -> FloatArray:
    # exp(-|z|) cannot overflow.
    e = np.exp(-np.abs(z))
    a: FloatArray = np.where(z >= 0, z.dtype.type(1), e) / (1 + e)
    return a


def _relu(z: FloatArray) -> FloatArray:
    # This way round NaN stays NaN.
    return np.where(z <= 0, z.dtype.type(0), z)


def _elu(z: FloatArray) -> FloatArray:
    return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))


def _selu(z: FloatArray) -> FloatArray:
    real = z.dtype.type
    curve = real(SELU_SCALE * SELU_ALPHA) * np.expm1(np.minimum(z, 0))
    a: FloatArray = np.where(z > 0, real(SELU_SCALE) * z, curve)
    return a


def _gelu_exponent(z: FloatArray) -> FloatArray:
    exponent: FloatArray = z.dtype.type(_GELU) * (z + z.dtype.type(_CUBIC) * z * z * z)
    return exponent


def _gelu(z: FloatArray) -> FloatArray:
    inner = np.clip(z, -_GELU_ENDS, _GELU_ENDS)
    a: FloatArray = np.maximum(z, -_GELU_ENDS) * _sigmoid(_gelu_exponent(inner))
    return a


def _silu(z: FloatArray) -> FloatArray:
    a: FloatArray = np.maximum(z, -_SILU_ENDS) * _sigmoid(z)
    return a


def _softplus(z: FloatArray) -> FloatArray:
    a: FloatArray = np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))
    return a


def _softmax(z: FloatArray) -> FloatArray:
    e = np.exp(z - z.max(axis=1, keepdims=True, initial=-np.inf))
    a: FloatArray = e / e.sum(axis=1, keepdims=True)
    return a


# From z to a.
ACTIVATE: dict[Activation, Callable[[FloatArray], FloatArray]] = {
    "identity": lambda z: z,
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "relu": _relu,
    "leaky_relu": lambda z: np.where(z > 0, z, z.dtype.type(LEAK) * z),
    "elu": _elu,
    "selu": _selu,
    "gelu": _gelu,
    "silu": _silu,
    "softplus": _softplus,
    "exp": np.exp,
    "softmax": _softmax,
}


def _selu_backward(z: FloatArray, a: FloatArray, grad_a: FloatArray) -> FloatArray:
    real = a.dtype.type
    slope: FloatArray = np.where(a > 0, real(SELU_SCALE), a + real(SELU_SCALE * SELU_ALPHA))
    return grad_a * slope


def _gelu_backward(z: FloatArray, a: FloatArray, grad_a: FloatArray) -> FloatArray:
    real = z.dtype.type
    inner = np.clip(z, -_GELU_ENDS, _GELU_ENDS)
    exponent = _gelu_exponent(inner)
    rise = real(_GELU) * (1 + real(3 * _CUBIC) * inner * inner)
    # sigmoid(-z) is 1 - sigmoid(z) without the loss of digits.
    slope: FloatArray = _sigmoid(exponent) * (1 + inner * rise * _sigmoid(-exponent))
    return grad_a * slope


def _silu_backward(z: FloatArray, a: FloatArray, grad_a: FloatArray) -> FloatArray:
    inner = np.clip(z, -_SILU_ENDS, _SILU_ENDS)
    slope: FloatArray = _sigmoid(inner) * (1 + inner * _sigmoid(-inner))
    return grad_a * slope


def _softmax_backward(z: FloatArray, a: FloatArray, grad_a: FloatArray) -> FloatArray:
    delta: FloatArray = a * (grad_a - (a * grad_a).sum(axis=1, keepdims=True))
    return delta


# From z, a and dloss/da to dloss/dz.
BACKWARD: dict[Activation, Callable[[FloatArray, FloatArray, FloatArray], FloatArray]] = {
    "identity": lambda z, a, grad_a: grad_a,
    "sigmoid": lambda z, a, grad_a: grad_a * (a * (1 - a)),
    "tanh": lambda z, a, grad_a: grad_a * (1 - a * a),
    "relu": lambda z, a, grad_a: np.where(a > 0, grad_a, grad_a.dtype.type(0)),
    "leaky_relu": lambda z, a, grad_a: np.where(a > 0, grad_a, grad_a.dtype.type(LEAK) * grad_a),
    "elu": lambda z, a, grad_a: np.where(a > 0, grad_a, grad_a * (a + 1)),
    "selu": _selu_backward,
    "gelu": _gelu_backward,
    "silu": _silu_backward,
    "softplus": lambda z, a, grad_a: grad_a * -np.expm1(-a),
    "exp": lambda z, a, grad_a: grad_a * a,
    "softmax": _softmax_backward,
}
