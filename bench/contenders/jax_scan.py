"""JAX: the whole epoch in one compiled scan, gathering its batches itself, in donated buffers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from cnn_core.network import FloatArray, IndexArray
from cnn_core.optimizers import Adam
from contenders.work import Samples, Weights, Work

__all__ = ["Jax"]

_ADAM = Adam()
# Steps in one round of the scan; 1 is slower with small batches, 8 with large ones.
_UNROLL = 4
_ACTIVATIONS = {
    "sigmoid": jax.nn.sigmoid,
    "relu": jax.nn.relu,
    "softmax": jax.nn.softmax,
    "identity": lambda z: z,
}


class Jax:
    """Weights, moments and the number of steps as one state that each epoch replaces."""

    shuffles_itself = False

    def __init__(self, work: Work, weights: Weights, threads: int) -> None:
        jax.config.update("jax_enable_x64", work.dtype == "float64")
        self.work = work
        self.title = f"JAX {jax.__version__}"
        parameters = jax.tree.map(jnp.array, weights)
        moments = jax.tree.map(jnp.zeros_like, (parameters, parameters))
        self._state = (parameters, *((moments, 0) if work.optimizer == "adam" else ()))
        self._epoch = jax.jit(functools.partial(_epoch, work), donate_argnums=0)
        self._predict = jax.jit(functools.partial(_outputs, work))

    def load(self, samples: Samples) -> None:
        """Take the training samples."""
        self._x = jnp.array(samples.x(self.work.dtype))
        self._t = jnp.array(samples.t(self.work.dtype))

    def train_epoch(self, order: IndexArray | None) -> None:
        """Train on every sample once."""
        order = np.arange(len(self._x)) if order is None else order
        self._state = self._epoch(self._state, self._x, self._t, order.astype(np.int32))
        jax.block_until_ready(self._state)

    def outputs(self, samples: Samples) -> FloatArray:
        """Return the outputs."""
        return np.asarray(self.prediction(samples)())

    def prediction(self, samples: Samples) -> Callable[[], Any]:
        """Return what predicts the samples."""
        x, parameters, predict = (
            jnp.array(samples.x(self.work.dtype)),
            self._state[0],
            self._predict,
        )
        return lambda: predict(parameters, x).block_until_ready()


def _epoch(work: Work, state: Any, x: Any, t: Any, order: Any) -> Any:
    """Return the state after every batch, the last and smaller one included."""

    def step(state: Any, rows: Any) -> tuple[Any, None]:
        batch = (array.at[rows].get(mode="promise_in_bounds") for array in (x, t))
        gradients = jax.grad(functools.partial(_loss, work))(state[0], *batch)
        update = _adam if work.optimizer == "adam" else _descend
        return update(work, state, gradients), None

    size = min(work.batch_size, len(order))
    whole = len(order) // size * size
    state, _ = lax.scan(step, state, order[:whole].reshape(-1, size), unroll=_UNROLL)
    if whole < len(order):
        state, _ = step(state, order[whole:])
    return state


def _pre_activations(work: Work, parameters: Any, x: Any) -> Any:
    """Return the pre-activations of the last layer."""
    *hidden, (w, b) = parameters
    for hidden_w, hidden_b in hidden:
        x = _ACTIVATIONS[work.hidden](x @ hidden_w + hidden_b)
    return x @ w + b


def _outputs(work: Work, parameters: Any, x: Any) -> Any:
    return _ACTIVATIONS[work.output](_pre_activations(work, parameters, x))


def _loss(work: Work, parameters: Any, x: Any, t: Any) -> Any:
    """Return the loss, summed over outputs, averaged over samples."""
    if work.loss == "cross_entropy":
        return -(t * jax.nn.log_softmax(_pre_activations(work, parameters, x))).sum() / len(x)
    return 0.5 * jnp.square(_outputs(work, parameters, x) - t).sum() / len(x)


def _descend(work: Work, state: Any, gradients: Any) -> Any:
    def descended(value: Any, gradient: Any) -> Any:
        return value - work.learning_rate * gradient

    return (jax.tree.map(descended, state[0], gradients),)


def _adam(work: Work, state: Any, gradients: Any) -> Any:
    parameters, (first, second), steps = state
    steps = steps + 1
    rate = work.learning_rate / (1 - _ADAM.beta_1**steps)
    second_scale = 1 / (1 - _ADAM.beta_2**steps)

    def first_moment(m: Any, gradient: Any) -> Any:
        return _ADAM.beta_1 * m + (1 - _ADAM.beta_1) * gradient

    def second_moment(v: Any, gradient: Any) -> Any:
        return _ADAM.beta_2 * v + (1 - _ADAM.beta_2) * gradient * gradient

    def stepped(value: Any, m: Any, v: Any) -> Any:
        return value - rate * m / (jnp.sqrt(v * second_scale) + _ADAM.epsilon)

    first = jax.tree.map(first_moment, first, gradients)
    second = jax.tree.map(second_moment, second, gradients)
    return jax.tree.map(stepped, parameters, first, second), (first, second), steps
