"""The cases: every kernel with fixed inputs, and a few short trainings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from cnn_core import backends, tolerances
from cnn_core.backends.numpy.images import convolved, input_gradient, weight_gradient
from cnn_core.network import (
    ACTIVATIONS,
    LOSSES,
    NEEDED_ACTIVATION,
    NORMALIZATIONS,
    Activation,
    Augmentation,
    AvgPool2D,
    Conv2D,
    Dense,
    EncodedDense,
    FloatArray,
    GlobalAveragePool,
    Loss,
    MaxPool2D,
    Network,
    Normalization,
)
from cnn_core.optimizers import OPTIMIZERS, SGD, Adam, Optimizer

# Sizes of the arrays: no multiple of any tile or vector.
ROWS, INPUTS, UNITS = 97, 203, 65

Arrays: TypeAlias = tuple[npt.NDArray[Any], ...]


@dataclass(frozen=True)
class Case:
    """One operation on fixed inputs.

    Attributes
    ----------
    operation : str
        The kernel's name, or ``"training"``.
    variant : str
        Which activation, loss or network; empty if there is only one.
    run : callable
        Computes the outputs, fresh arrays, with a backend.
    allowed : callable
        Gives for the reference's outputs how far each value may be from it.
    """

    operation: str
    variant: str
    run: Callable[[backends.Backend], Arrays]
    allowed: Callable[[Arrays], Sequence[npt.ArrayLike]]


class Inputs:
    """Arrays with fixed values, of one dtype."""

    def __init__(self, dtype: str) -> None:
        self.dtype = np.dtype(dtype)
        self.eps = float(np.finfo(self.dtype).eps)
        self._rng = np.random.default_rng(20260101)

    def normal(self, *shape: int, scale: float = 1.0) -> FloatArray:
        """Return normal numbers."""
        return (scale * self._rng.normal(size=shape)).astype(self.dtype)

    def uniform(self, *shape: int) -> FloatArray:
        """Return numbers from 0 to 1."""
        return self._rng.random(shape).astype(self.dtype)

    def empty(self, *shape: int) -> FloatArray:
        """Return an array for an output."""
        return np.empty(shape, self.dtype)

    def kernels(self, backend: backends.Backend) -> Any:
        """Return the backend's kernels for this dtype."""
        return backend.kernels(self.dtype)


def dense_cases(inputs: Inputs) -> Iterator[Case]:
    """Yield the dense layer, forward and backward."""
    x, weights = inputs.normal(ROWS, INPUTS), inputs.normal(INPUTS, UNITS)
    bias, delta = inputs.normal(UNITS), inputs.normal(ROWS, UNITS)

    def forward(backend: backends.Backend) -> Arrays:
        out = inputs.empty(ROWS, UNITS)
        inputs.kernels(backend).dense_forward(x, weights, bias, out)
        return (out,)

    def backward(backend: backends.Backend) -> Arrays:
        outs = inputs.empty(INPUTS, UNITS), inputs.empty(UNITS), inputs.empty(ROWS, INPUTS)
        inputs.kernels(backend).dense_backward(x, weights, delta, *outs)
        return outs

    def of_sum(left: FloatArray, right: FloatArray, start: npt.ArrayLike = 0.0) -> FloatArray:
        terms = np.abs(left).astype(np.float64) @ np.abs(right) + np.abs(start)
        bound: FloatArray = tolerances.SUM_SLACK * (left.shape[1] + 2) * inputs.eps * terms
        return 2 * bound

    yield Case("dense_forward", "", forward, lambda _: [of_sum(x, weights, bias)])
    ones = np.ones((1, ROWS))
    yield Case(
        "dense_backward",
        "",
        backward,
        lambda _: [of_sum(x.T, delta), of_sum(ones, delta)[0], of_sum(delta, weights.T)],
    )


def image_cases(inputs: Inputs) -> Iterator[Case]:
    """Yield convolutions and pools, forward and backward."""
    layers = {
        "same": Conv2D((9, 8, 3), 20),
        "valid, stride 2": Conv2D((9, 8, 4), 6, 5, 2, "valid"),
        "groups": Conv2D((9, 8, 4), 6, groups=2),
    }
    for title, layer in layers.items():
        yield from convolution_pair(inputs, title, layer)
    for pool in (MaxPool2D((9, 8, 20), 3, 2), AvgPool2D((9, 8, 3)), GlobalAveragePool((9, 8, 3))):
        yield from pool_pair(inputs, pool)


def convolution_pair(inputs: Inputs, title: str, layer: Conv2D) -> Iterator[Case]:
    """Yield one convolution, forward and backward."""
    arrays = inputs.normal(8, layer.fan_in), inputs.normal(*layer.weights_shape)
    delta = inputs.normal(8, layer.fan_out)
    slack = 2 * tolerances.SUM_SLACK * inputs.eps

    def forward(backend: backends.Backend) -> Arrays:
        out = inputs.empty(8, layer.fan_out)
        inputs.kernels(backend).convolve(layer, *arrays, out)
        return (out,)

    def backward(backend: backends.Backend) -> Arrays:
        outs = inputs.empty(*layer.weights_shape), inputs.empty(8, layer.fan_in)
        inputs.kernels(backend).convolve_backward(layer, *arrays, delta, *outs)
        return outs

    patch, pixels = layer.weights_shape[0], 8 * layer.fan_out // layer.channels
    # The sums of the terms' magnitudes.
    x, weights = (np.abs(array).astype(np.float64) for array in arrays)
    wide = np.abs(delta).astype(np.float64)
    reach = layer.kernel**2 * layer.channels
    yield Case(
        "convolve",
        title,
        forward,
        lambda _: [slack * (patch + 2) * convolved(layer, x, weights)],
    )
    yield Case(
        "convolve_backward",
        title,
        backward,
        lambda _: [
            slack * (pixels + 2) * weight_gradient(layer, x, wide),
            slack * (reach + 2) * input_gradient(layer, weights, wide),
        ],
    )


def pool_pair(inputs: Inputs, layer: MaxPool2D | AvgPool2D | GlobalAveragePool) -> Iterator[Case]:
    """Yield one pool, forward and backward."""
    x, grad_out = inputs.normal(8, layer.fan_in), inputs.normal(8, layer.fan_out)

    def forward(backend: backends.Backend) -> Arrays:
        out = inputs.empty(8, layer.fan_out)
        inputs.kernels(backend).pool(layer, x, out)
        return (out,)

    def backward(backend: backends.Backend) -> Arrays:
        out = inputs.empty(8, layer.fan_in)
        inputs.kernels(backend).pool_backward(layer, x, grad_out, out)
        return (out,)

    title = type(layer).__name__
    # The mean of up to 72 values of about 1, and sums of a few shares.
    allowed = 2 * tolerances.SUM_SLACK * 72 * inputs.eps
    yield Case("pool", title, forward, lambda _: [allowed])
    yield Case("pool_backward", title, backward, lambda _: [allowed * 5])


def activation_cases(inputs: Inputs) -> Iterator[Case]:
    """Yield every activation, forward and backward."""
    z, grad_a = inputs.normal(ROWS, UNITS, scale=3), inputs.normal(ROWS, UNITS)
    z[0, :6] = [0, -0.0, 80, -80, 1e-4, -1e-4]
    for activation in ACTIVATIONS:
        yield from activation_pair(inputs, activation, z, grad_a)


def activation_pair(
    inputs: Inputs, activation: Activation, z: FloatArray, grad_a: FloatArray
) -> Iterator[Case]:
    """Yield one activation, forward and backward."""
    a = inputs.empty(*z.shape)
    backends.get("numpy").kernels(inputs.dtype).activate(activation, z, a)

    def forward(backend: backends.Backend) -> Arrays:
        out = inputs.empty(*z.shape)
        inputs.kernels(backend).activate(activation, z, out)
        return (out,)

    def backward(backend: backends.Backend) -> Arrays:
        out = inputs.empty(*z.shape)
        inputs.kernels(backend).activation_backward(activation, z, a, grad_a, out)
        return (out,)

    summed = UNITS if activation == "softmax" else 1
    # No term of a slope is larger than this product.
    terms = np.abs(grad_a) * (1 + np.abs(z)) * (1 + np.abs(a))
    if activation == "softmax":
        terms = a * (np.abs(grad_a) + np.sum(a * np.abs(grad_a), axis=1, keepdims=True))
    slack = 2 * (tolerances.POINTWISE_ULPS + summed - 1) * inputs.eps
    tiny = float(np.finfo(inputs.dtype).tiny)
    yield Case(
        "activate",
        activation,
        forward,
        lambda outs: [
            tolerances.activation_allowance(activation, outs[0], z, inputs.dtype, "cython", "numpy")
        ],
    )
    yield Case("activation_backward", activation, backward, lambda _: [slack * terms + tiny])


def loss_cases(inputs: Inputs) -> Iterator[Case]:
    """Yield every loss and its delta, samples weighted."""
    z, t, weights = inputs.normal(ROWS, UNITS), inputs.uniform(ROWS, UNITS), inputs.uniform(ROWS)
    for entry in LOSSES:
        loss: Loss = entry() if isinstance(entry, type) else entry
        activation: Activation = "tanh"
        if isinstance(loss, str):
            activation = NEEDED_ACTIVATION.get(loss, activation)
        y = inputs.empty(ROWS, UNITS)
        backends.get("numpy").kernels(inputs.dtype).activate(activation, z, y)
        yield from loss_pair(inputs, loss, activation, (z, y, t), weights)


def loss_pair(
    inputs: Inputs, loss: Loss, activation: Activation, arrays: Arrays, weights: FloatArray
) -> Iterator[Case]:
    """Yield one loss and its delta."""
    variant = loss if isinstance(loss, str) else type(loss).__name__

    def value(backend: backends.Backend) -> Arrays:
        return (np.array([inputs.kernels(backend).loss(loss, *arrays, weights)]),)

    def delta(backend: backends.Backend) -> Arrays:
        out = inputs.empty(ROWS, UNITS)
        inputs.kernels(backend).output_delta(loss, activation, *arrays, out, weights)
        return (out,)

    relative = max(tolerances.LOSS_RELATIVE, tolerances.LOSS_EXP_EPS * inputs.eps)
    yield Case("loss", variant, value, lambda outs: [2 * relative * (1 + np.abs(outs[0]))])
    _, y, t = arrays
    # The sum of the targets, of the weights, a factor each, and the terms of the slope.
    terms = (np.abs(y) * t.sum(axis=1, keepdims=True) + 2) * (1 + np.abs(y))
    share = weights[:, np.newaxis] / weights.sum()
    slack = 2 * (tolerances.POINTWISE_ULPS + 2) * inputs.eps
    yield Case("output_delta", variant, delta, lambda _: [slack * terms * share])


def normalization_cases(inputs: Inputs) -> Iterator[Case]:
    """Yield batch and layer normalization, forward, backward and by given statistics."""
    for normalization in NORMALIZATIONS:
        yield from normalization_pair(inputs, normalization)
    u, gain, bias, mean = (inputs.normal(*s) for s in ((ROWS, UNITS), *(((UNITS,),) * 3)))
    variance = inputs.uniform(UNITS)

    def by_statistics(backend: backends.Backend) -> Arrays:
        out = inputs.empty(ROWS, UNITS)
        inputs.kernels(backend).normalize_by(mean, variance, gain, bias, u, out)
        return (out,)

    yield Case("normalize_by", "", by_statistics, of_normalized(inputs))


def of_normalized(
    inputs: Inputs, slack: float = 2 * tolerances.NORMALIZATION_EPS, terms: float = 1
) -> Callable[[Arrays], list[FloatArray]]:
    """Return what is allowed relative to a value, and to `terms`, of which it is a sum."""
    return lambda outs: [slack * inputs.eps * (terms + np.abs(out)) for out in outs]


def normalization_pair(inputs: Inputs, normalization: Normalization) -> Iterator[Case]:
    """Yield one normalization, forward and backward."""
    u, delta = inputs.normal(ROWS, UNITS), inputs.normal(ROWS, UNITS)
    gain, bias = inputs.normal(UNITS), inputs.normal(UNITS)
    size = UNITS if normalization == "batch" else ROWS

    def forward(backend: backends.Backend) -> Arrays:
        normal, spread, z = inputs.empty(ROWS, UNITS), inputs.empty(size), inputs.empty(ROWS, UNITS)
        inputs.kernels(backend).normalize(normalization, u, gain, bias, normal, spread, z)
        return normal, spread, z

    normal, spread, _ = forward(backends.get("numpy"))

    def backward(backend: backends.Backend) -> Arrays:
        outs = inputs.empty(UNITS), inputs.empty(UNITS), inputs.empty(ROWS, UNITS)
        kernels = inputs.kernels(backend)
        kernels.normalize_backward(normalization, normal, spread, gain, delta, *outs)
        return outs

    yield Case("normalize", normalization, forward, of_normalized(inputs))
    largest = float(np.abs(delta).sum(axis=0).max())
    yield Case("normalize_backward", normalization, backward, of_normalized(inputs, terms=largest))


def update_cases(inputs: Inputs) -> Iterator[Case]:
    """Yield six updates by every optimizer."""
    start, gradients = inputs.normal(INPUTS * UNITS), inputs.normal(6, INPUTS * UNITS)
    others = (SGD(momentum=0.9), SGD(momentum=0.9, nesterov=True), Adam(weight_decay=0.1))
    for optimizer in (*(kind() for kind in OPTIMIZERS), *others):
        yield update_case(inputs, optimizer, start, gradients)


def update_case(
    inputs: Inputs, optimizer: Optimizer, start: FloatArray, gradients: FloatArray
) -> Case:
    """Return six updates by one optimizer."""

    def run(backend: backends.Backend) -> Arrays:
        parameters = start.copy()
        moments = np.zeros((optimizer.n_moments, start.size), inputs.dtype)
        kernels = inputs.kernels(backend)
        for number, gradient in enumerate(gradients, 1):
            kernels.update(optimizer, parameters, gradient, moments, 0.01, number)
        return parameters, moments

    return Case("update", repr(optimizer), run, of_normalized(inputs, 2 * tolerances.UPDATE_EPS))


def random_cases(inputs: Inputs) -> Iterator[Case]:
    """Yield the random numbers, which are equal to the bit, and a dropout."""
    a = inputs.normal(ROWS, UNITS)

    def bits(backend: backends.Backend) -> Arrays:
        out = np.empty(1001, np.uint32)
        inputs.kernels(backend).random_bits(2**63 + 5, (2**32 - 3, 1, 2, 3), out)
        return (out,)

    def dropout(backend: backends.Backend) -> Arrays:
        out = inputs.empty(ROWS, UNITS)
        inputs.kernels(backend).dropout(0.3, 7, 11, 2, a, out)
        return (out,)

    yield Case("random_bits", "", bits, lambda outs: [np.zeros(outs[0].shape)])
    slack = 2 * tolerances.DROPOUT_ULPS * inputs.eps
    yield Case("dropout", "", dropout, lambda outs: [slack * np.abs(outs[0])])


def training_cases(inputs: Inputs) -> Iterator[Case]:
    """Yield four networks, each trained for two epochs."""
    # Why this epsilon: see `tolerances.TRAJECTORY_EPS`.
    adam = Adam(epsilon=0.01, weight_decay=0.1)
    networks = {
        "sigmoid, SGD": Network((Dense(20, 33), Dense(33, 3))),
        "tanh, softmax, Adam": Network(
            (Dense(20, 33, "tanh", dropout=0.2), Dense(33, 3, "softmax")), "cross_entropy", adam
        ),
        "augmentation, convolution, batch norm, Adam": Network(
            (
                Augmentation((5, 4, 1), mirror=True, shift=1, crop=2, erase=1),
                Conv2D((5, 4, 1), 6, normalization="batch", activation="silu"),
                AvgPool2D((5, 4, 6), normalization="batch", activation="tanh"),
                Dense(24, 3, "softmax"),
            ),
            "cross_entropy",
            adam,
        ),
        "batch norm, SiLU, Adam": Network(
            (Dense(20, 33, "silu", normalization="batch"), Dense(33, 3, "softmax")),
            "cross_entropy",
            adam,
        ),
        "encoded columns, Adam": Network(
            (
                EncodedDense(("pieces", "number", "codes"), (20, 1, 5), 33, "tanh"),
                Dense(33, 3, "softmax"),
            ),
            "cross_entropy",
            adam,
        ),
    }
    for title, network in networks.items():
        yield training_case(inputs, title, network)


def training_case(inputs: Inputs, title: str, network: Network) -> Case:
    """Return one network, trained for two epochs of 12 steps."""
    x, rows = samples_for(inputs, network), np.arange(192)
    t = np.eye(network.n_outputs, dtype=inputs.dtype)[rows % network.n_outputs]
    start = inputs.normal(network.n_parameters(), scale=0.3)
    order = np.random.default_rng(3).permutation(192).astype(np.intp)

    def run(backend: backends.Backend) -> Arrays:
        parameters, outputs = start.copy(), inputs.empty(*t.shape)
        engine = backend.engine(network, parameters, seed=5)
        for _ in range(2):
            engine.train_epoch(x, t, order, 16, 0.05)
        engine.predict(x, outputs)
        return parameters, outputs

    is_normalized = any(layer.normalization for layer in network.layers)
    slack = tolerances.NORMALIZED_EPS if is_normalized else tolerances.TRAJECTORY_EPS
    return Case("training", title, run, of_normalized(inputs, slack))


def samples_for(inputs: Inputs, network: Network) -> FloatArray:
    """Return 192 samples: normal numbers, or values that their encoding takes."""
    x, first = inputs.normal(192, network.n_inputs), network.layers[0]
    if isinstance(first, EncodedDense):
        for column, (encoding, size) in enumerate(zip(first.encodings, first.sizes, strict=True)):
            if encoding == "pieces":
                x[:, column] = size * inputs.uniform(192)
            elif encoding == "codes":
                x[:, column] = np.arange(192) % (size + 1) - 1
    return x


def cases(inputs: Inputs) -> Iterator[Case]:
    """Yield everything that is compared."""
    for group in (
        dense_cases,
        image_cases,
        activation_cases,
        loss_cases,
        normalization_cases,
        update_cases,
        random_cases,
        training_cases,
    ):
        yield from group(inputs)
