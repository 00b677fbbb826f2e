"""Gradients of outputs with respect to inputs, for saliency maps and SHAP."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core import backends
from cnn_core.backends.interface import Kernels
from cnn_core.export.exportable import Exportable
from cnn_core.export.operations import (
    Activate,
    Affine,
    Convolve,
    Embed,
    Encode,
    Normalize,
    Operation,
    Pool,
    ScaleShift,
    Standardize,
    Walk,
)
from cnn_core.export.program import Answer
from cnn_core.types import FloatArray, IndexArray
from cnn_core.validation import shown

# Largest number of values of a layer kept at a time, over all samples.
_VALUES_AT_ONCE = 2**24


class Differentiable(Exportable):
    """Mixin: gradients of the outputs of a fitted model with respect to its inputs."""

    __slots__ = ()

    def input_gradient(self, X: Any, output: Any = None) -> FloatArray:
        """Return the gradient of one output with respect to the features, for each sample.

        It shows which features matter and in which direction. Its absolute value is a saliency map
        (Simonyan, Vedaldi, Zisserman, "Deep inside convolutional networks", 2014). Averaged between
        a reference and the sample, times their difference, it gives integrated gradients, and the
        values of SHAP's gradient explainer.

        Parameters
        ----------
        X : array-like, (n, n_features), or images
            As for `predict`.
        output : optional
            The output to differentiate: a class, for its probability, or the index of an output. By
            default the predicted class or largest output of each sample. One for all samples, or
            one for each.

        Returns
        -------
        (n, n_features) array
            In the model's dtype, per unit of the passed `X` (`input_scale` is included). 0 for
            features that are codes. For an image its values row by row.

        Raises
        ------
        NotFittedError
            Before the first `fit`.
        TypeError, ValueError
            For samples that `predict` refuses, and for an output that does not exist.

        Examples
        --------
        >>> import numpy as np
        >>> from cnn_core import MLPClassifier
        >>> X = np.random.default_rng(0).normal(size=(200, 3))
        >>> model = MLPClassifier((8,), learning_rate_init=0.05, schedule="one_cycle")
        >>> model = model.fit(X, np.where(X[:, 1] > 0, "up", "down"))
        >>> gradient = model.input_gradient(X, "up")
        >>> int(np.abs(gradient).mean(axis=0).argmax())  # the feature that decides
        1
        """
        program = self.as_program()
        program.require_one_network("input_gradient")
        rows = self._rows_to_export(X)
        assert isinstance(rows, np.ndarray)
        rows = np.ascontiguousarray(rows, program.dtype)
        owner: Any = self
        kernels = backends.get(owner.backend).kernels(program.dtype)
        chosen = _chosen(program.answer, program.n_outputs, output, len(rows))
        widest = max(operation.n_outputs for operation in program.network)
        step = max(1, _VALUES_AT_ONCE // max(widest, program.n_inputs))
        found = np.empty_like(rows)
        for start in range(0, len(rows), step):
            block = slice(start, start + step)
            numbers = None if chosen is None else chosen[block]
            found[block] = _of_block(kernels, program.network, program.answer, rows[block], numbers)
        return found


def _chosen(answer: Answer, n_outputs: int, output: Any, n_rows: int) -> IndexArray | None:
    """Return the index of the output for each row; None for the predicted one.

    Raises
    ------
    ValueError
        For an output that does not exist.
    """
    if output is None:
        return None
    wanted = np.asarray(output)
    if wanted.ndim > 1 or (wanted.ndim == 1 and len(wanted) != n_rows):
        raise ValueError(
            f"output: expected one, or one for each of the {n_rows} samples, found {shown(output)}"
        )
    known = np.arange(n_outputs) if answer.classes is None else answer.classes
    numbers = [_position(one, known) for one in wanted.reshape(-1).tolist()]
    found: IndexArray = np.broadcast_to(np.array(numbers, np.intp), (n_rows,))
    return found


def _position(value: Any, known: npt.NDArray[Any]) -> int:
    values: list[Any] = known.tolist()
    if value not in values or isinstance(value, bool) != isinstance(values[0], bool):
        raise ValueError(f"output: expected one of {shown(values)}, found {shown(value)}")
    return values.index(value)


def _of_block(
    kernels: Kernels,
    operations: tuple[Operation, ...],
    answer: Answer,
    x: FloatArray,
    chosen: IndexArray | None,
) -> FloatArray:
    forward = _Forward(kernels)
    outputs = np.ascontiguousarray(forward.through(operations, x))
    gradient = np.zeros_like(outputs)
    rows = np.arange(len(x))
    if answer.kind == "binary":
        second = outputs[:, 0] > 0.5 if chosen is None else chosen == 1
        gradient[:, 0] = np.where(second, 1, -1)
    elif answer.kind != "one":
        gradient[rows, outputs.argmax(axis=1) if chosen is None else chosen] = 1
    backward = _Backward(kernels, forward.values)
    found: FloatArray = backward.through(operations[::-1], gradient)
    return found


class _Forward(Walk):
    """The forward pass for samples (n, values); keeps the input of each operation.

    Attributes
    ----------
    values : list of array
        The input of each operation, and the output of the last one.
    """

    def __init__(self, kernels: Kernels) -> None:
        self._kernels = kernels
        self.values: list[FloatArray] = []

    def _keep(self, x: FloatArray, out: FloatArray) -> FloatArray:
        if not self.values:
            self.values.append(x)
        self.values.append(out)
        return out

    def standardize(self, operation: Standardize, x: FloatArray) -> FloatArray:
        return self._keep(x, ((x - operation.offset) / operation.scale).astype(x.dtype))

    def encode(self, operation: Encode, x: FloatArray) -> FloatArray:
        return self._keep(x, operation.features(x))

    def embed(self, operation: Embed, x: FloatArray) -> FloatArray:
        return self._keep(x, operation.vectors(x))

    def affine(self, operation: Affine, x: FloatArray) -> FloatArray:
        out = np.empty((len(x), operation.n_outputs), x.dtype)
        bias = operation.bias
        if bias is None:
            bias = np.zeros(operation.n_outputs, x.dtype)
        self._kernels.dense_forward(x, operation.weights, bias, out)
        return self._keep(x, out)

    def convolve(self, operation: Convolve, x: FloatArray) -> FloatArray:
        out: FloatArray = np.empty((len(x), operation.n_outputs), x.dtype)
        self._kernels.convolve(operation.layer, x, operation.weights, out)
        if operation.bias is not None:
            pixels = out.reshape(-1, len(operation.bias))
            pixels += operation.bias
        return self._keep(x, out)

    def pool(self, operation: Pool, x: FloatArray) -> FloatArray:
        out = np.empty((len(x), operation.n_outputs), x.dtype)
        self._kernels.pool(operation.layer, x, out)
        return self._keep(x, out)

    def scale_shift(self, operation: ScaleShift, x: FloatArray) -> FloatArray:
        pixels = x.reshape(-1, len(operation.scale))
        return self._keep(x, (pixels * operation.scale + operation.shift).reshape(x.shape))

    def normalize(self, operation: Normalize, x: FloatArray) -> FloatArray:
        pixels = x.reshape(-1, len(operation.gain))
        normal, out = np.empty_like(pixels), np.empty_like(pixels)
        spread = np.empty(len(pixels), x.dtype)
        self._kernels.normalize(
            "layer", pixels, operation.gain, operation.bias, normal, spread, out
        )
        return self._keep(x, out.reshape(x.shape))

    def activate(self, operation: Activate, x: FloatArray) -> FloatArray:
        out = np.empty_like(x)
        self._kernels.activate(operation.activation, x, out)
        return self._keep(x, out)


class _Backward(Walk):
    """The backward pass: from the gradient of an operation's output to that of its input."""

    def __init__(self, kernels: Kernels, values: list[FloatArray]) -> None:
        self._kernels = kernels
        self._values = values

    def _pair(self) -> tuple[FloatArray, FloatArray]:
        """Return input and output of the operation, in reverse order of the operations."""
        out = self._values.pop()
        return self._values[-1], out

    def standardize(self, operation: Standardize, grad: FloatArray) -> FloatArray:
        return (grad / operation.scale).astype(grad.dtype)

    def encode(self, operation: Encode, grad: FloatArray) -> FloatArray:
        x, _ = self._pair()
        found = np.zeros_like(x)
        start = 0
        for column, (kind, size) in enumerate(
            zip(operation.encodings, operation.sizes, strict=True)
        ):
            own = grad[:, start : start + size]
            if kind == "number":
                found[:, column] = own[:, 0]
            elif kind == "pieces":
                inside = np.floor(x[:, column, np.newaxis]) == np.arange(size)
                found[:, column] = np.where(inside, own, 0).sum(axis=1)
            start += size
        return found

    def embed(self, operation: Embed, grad: FloatArray) -> FloatArray:
        x, _ = self._pair()
        found = np.zeros_like(x)
        numbers = list(operation.numbers)
        found[:, numbers] = grad[:, grad.shape[1] - len(numbers) :]
        return found

    def affine(self, operation: Affine, grad: FloatArray) -> FloatArray:
        x, _ = self._pair()
        found = np.empty_like(x)
        self._kernels.dense_backward(x, operation.weights, grad, grad_x=found)
        return found

    def convolve(self, operation: Convolve, grad: FloatArray) -> FloatArray:
        x, _ = self._pair()
        found = np.empty_like(x)
        self._kernels.convolve_backward(operation.layer, x, operation.weights, grad, grad_x=found)
        return found

    def pool(self, operation: Pool, grad: FloatArray) -> FloatArray:
        x, _ = self._pair()
        found = np.empty_like(x)
        self._kernels.pool_backward(operation.layer, x, grad, found)
        return found

    def scale_shift(self, operation: ScaleShift, grad: FloatArray) -> FloatArray:
        self._pair()
        pixels = grad.reshape(-1, len(operation.scale))
        return (pixels * operation.scale).reshape(grad.shape)

    def normalize(self, operation: Normalize, grad: FloatArray) -> FloatArray:
        x, _ = self._pair()
        gain = operation.gain
        pixels, delta = x.reshape(-1, len(gain)), grad.reshape(-1, len(gain))
        normal, z, found = (np.empty_like(pixels) for _ in range(3))
        spread = np.empty(len(pixels), x.dtype)
        self._kernels.normalize("layer", pixels, gain, operation.bias, normal, spread, z)
        unused = np.empty_like(gain), np.empty_like(gain)
        self._kernels.normalize_backward("layer", normal, spread, gain, delta, *unused, found)
        return found.reshape(x.shape)

    def activate(self, operation: Activate, grad: FloatArray) -> FloatArray:
        z, a = self._pair()
        found = np.empty_like(grad)
        self._kernels.activation_backward(operation.activation, z, a, grad, found)
        return found
