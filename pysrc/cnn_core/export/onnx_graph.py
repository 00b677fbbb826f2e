"""Convert a program to an ONNX graph with operators of opset 13 and ai.onnx.ml 2.

The arithmetic is float32, or float64 for a model of that dtype; convolution is always float32,
since onnxruntime has no other. This module does not import onnx: a `Graph` adds the nodes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cnn_core.export.operations import (
    Activate,
    Affine,
    Convolve,
    Embed,
    Encode,
    Normalize,
    Pool,
    ScaleShift,
    Standardize,
    Walk,
)
from cnn_core.export.program import Answer, Program
from cnn_core.layers import EPSILON
from cnn_core.layers.images import ImageShape

OPSET, ML_OPSET = 13, 2
# ONNX's numbers of element types.
FLOAT, UINT8, INT64, STRING, BOOL, DOUBLE = 1, 2, 7, 8, 9, 11
ELEMENT = {"float32": FLOAT, "float64": DOUBLE, "uint8": UINT8, "int64": INT64}

Array = npt.NDArray[Any]


class Graph(ABC):
    """Interface to add nodes and constants; values are identified by name."""

    @abstractmethod
    def constant(self, values: Any, dtype: Any = None) -> str:
        """Add a constant tensor."""

    @abstractmethod
    def node(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node; return the name of its output."""

    def cast(self, value: str, element: int, output: str | None = None) -> str:
        """Add a conversion to another element type."""
        return self.node("Cast", value, output=output, to=element)


class Flow(NamedTuple):
    """A batch between two operations.

    Attributes
    ----------
    name : str
    image : (height, width, channels) or None
        Shape of images, whose layout is (n, channels, height, width) as in ONNX; None for rows (n,
        values).
    """

    name: str
    image: ImageShape | None = None


def dtype_of(program: Program) -> np.dtype[Any]:
    """Return the dtype in which ONNX computes."""
    operations = [one for part in program.parts for network in part.networks for one in network]
    has_images = any(isinstance(one, Convolve | Pool) for one in operations)
    return np.dtype(np.float32) if has_images else program.dtype


class NetworkNodes(Walk):
    """Adds the operations of a network to a graph."""

    def __init__(self, graph: Graph, dtype: np.dtype[Any]) -> None:
        self._graph = graph
        self._dtype = dtype

    def _constant(self, values: Any) -> str:
        return self._graph.constant(values, self._dtype)

    def flat(self, x: Flow) -> str:
        """Return a batch as (n, values), with channels last."""
        if x.image is None:
            return x.name
        by_pixel = self._graph.node("Transpose", x.name, perm=[0, 2, 3, 1])
        return self._graph.node("Reshape", by_pixel, self._graph.constant([0, -1], np.int64))

    def _images(self, x: Flow, shape: ImageShape) -> str:
        """Return a batch as images, (n, channels, height, width)."""
        if x.image is not None:
            return x.name
        images = self._graph.node("Reshape", x.name, self._graph.constant([-1, *shape], np.int64))
        return self._graph.node("Transpose", images, perm=[0, 3, 1, 2])

    def standardize(self, operation: Standardize, x: Flow) -> Flow:
        """Add a standardization in float64."""
        graph = self._graph
        offset, scale = (graph.constant(v, np.float64) for v in (operation.offset, operation.scale))
        moved = graph.node("Sub", graph.cast(x.name, DOUBLE), offset)
        return Flow(graph.cast(graph.node("Div", moved, scale), ELEMENT[self._dtype.name]))

    def encode(self, operation: Encode, x: Flow) -> Flow:
        """Add the features of columns."""
        graph = self._graph
        features = []
        for column, (kind, size) in enumerate(
            zip(operation.encodings, operation.sizes, strict=True)
        ):
            value = _column(graph, x.name, column)
            steps = np.arange(size).reshape(1, -1)
            if kind == "pieces":
                moved = graph.node("Sub", value, self._constant(steps))
                clipped = _clipped(graph, moved, self._constant(0), self._constant(1))
                value = graph.node("Sub", clipped, self._constant(0.5))
            elif kind == "codes":
                same = graph.node("Equal", value, self._constant(steps))
                value = graph.cast(same, ELEMENT[self._dtype.name])
            features.append(value)
        return Flow(_joined(graph, features))

    def embed(self, operation: Embed, x: Flow) -> Flow:
        """Add vectors for codes."""
        graph = self._graph
        parts = []
        for column, table in zip(operation.columns, operation.tables, strict=True):
            chosen = graph.constant(column, np.int64)
            codes = graph.cast(graph.node("Gather", x.name, chosen, axis=1), INT64)
            parts.append(graph.node("Gather", self._constant(table), codes, axis=0))
        if operation.numbers:
            numbers = graph.constant(operation.numbers, np.int64)
            parts.append(graph.node("Gather", x.name, numbers, axis=1))
        return Flow(_joined(graph, parts))

    def affine(self, operation: Affine, x: Flow) -> Flow:
        """Add weighted sums."""
        graph = self._graph
        found = graph.node("MatMul", self.flat(x), self._constant(operation.weights))
        if operation.bias is not None:
            found = graph.node("Add", found, self._constant(operation.bias))
        return Flow(found)

    def convolve(self, operation: Convolve, x: Flow) -> Flow:
        """Add a convolution."""
        layer = operation.layer
        kernel = (layer.kernel, layer.kernel, -1, layer.channels)
        weights = operation.weights.reshape(kernel).transpose(3, 2, 0, 1)
        inputs = [self._images(x, layer.input_shape), self._constant(weights)]
        if operation.bias is not None:
            inputs.append(self._constant(operation.bias))
        found = self._graph.node(
            "Conv",
            *inputs,
            group=layer.groups,
            kernel_shape=list(layer.window),
            pads=[layer.margin] * 4,
            strides=[layer.step] * 2,
        )
        return Flow(found, layer.output_shape)

    def pool(self, operation: Pool, x: Flow) -> Flow:
        """Add a pool."""
        layer = operation.layer
        found = self._graph.node(
            "MaxPool" if operation.largest else "AveragePool",
            self._images(x, layer.input_shape),
            kernel_shape=list(layer.window),
            strides=[layer.step] * 2,
        )
        return Flow(found, layer.output_shape)

    def scale_shift(self, operation: ScaleShift, x: Flow) -> Flow:
        """Add factors and addends of channels."""
        assert operation.image is not None
        images = self._images(x, operation.image)
        scaled = self._graph.node("Mul", images, self._by_channel(operation.scale))
        found = self._graph.node("Add", scaled, self._by_channel(operation.shift))
        return Flow(found, operation.image)

    def normalize(self, operation: Normalize, x: Flow) -> Flow:
        """Add a normalization over the channels, which are always the second axis."""
        graph = self._graph
        value, by_channel = x.name, self._constant
        if operation.image is not None:
            value, by_channel = self._images(x, operation.image), self._by_channel
        share = self._constant(1 / len(operation.gain))
        centred = graph.node("Sub", value, self._mean(value, share))
        variance = self._mean(graph.node("Mul", centred, centred), share)
        spread = graph.node("Sqrt", graph.node("Add", variance, self._constant(EPSILON)))
        normal = graph.node("Div", centred, spread)
        gained = graph.node("Mul", normal, by_channel(operation.gain))
        return Flow(graph.node("Add", gained, by_channel(operation.bias)), operation.image)

    def _by_channel(self, values: Array) -> str:
        return self._constant(values.reshape(1, -1, 1, 1))

    def _mean(self, value: str, share: str) -> str:
        """Add the mean over the second axis as a sum, whose inputs are the same in every opset."""
        total = self._graph.node("ReduceSum", value, self._graph.constant([1], np.int64))
        return self._graph.node("Mul", total, share)

    def activate(self, operation: Activate, x: Flow) -> Flow:
        """Add an activation."""
        if operation.activation == "softmax":
            return Flow(self._graph.node("Softmax", self.flat(x), axis=1))
        found = _ACTIVATIONS[operation.activation](_Formula(self._graph, self._dtype), x.name)
        return Flow(found, x.image)


class _Formula:
    """Short names for elementwise nodes that onnxruntime has in both dtypes."""

    def __init__(self, graph: Graph, dtype: np.dtype[Any]) -> None:
        self._graph = graph
        self._dtype = dtype

    def __call__(self, kind: str, *values: str | float) -> str:
        names = [
            value if isinstance(value, str) else self._graph.constant(value, self._dtype)
            for value in values
        ]
        return self._graph.node(kind, *names)

    def curve(self, z: str) -> str:
        """Return ``exp(z) - 1`` for z below 0, else 0."""
        return self("Sub", self("Exp", self("Min", z, 0.0)), 1.0)

    def times_sigmoid(self, z: str, exponent: str, least: float) -> str:
        """Return ``max(z, least) * sigmoid(exponent)``: minus infinity times 0 is NaN."""
        return self("Mul", self("Max", z, least), self("Sigmoid", exponent))


# As in `cnn_core.backends.numpy.activations`.
_LEAK = 0.01
_SELU_SCALE, _SELU_ALPHA = 1.0507009873554804934, 1.6732632423543772848
_GELU, _CUBIC, _GELU_ENDS, _SILU_ENDS = 2 * (2 / np.pi) ** 0.5, 0.044715, 25.0, 1000.0


def _gelu(f: _Formula, z: str) -> str:
    inner = f("Min", f("Max", z, -_GELU_ENDS), _GELU_ENDS)
    cube = f("Mul", f("Mul", f("Mul", inner, inner), inner), _CUBIC)
    return f.times_sigmoid(z, f("Mul", f("Add", inner, cube), _GELU), -_GELU_ENDS)


def _selu(f: _Formula, z: str) -> str:
    rising = f("Mul", f("Max", z, 0.0), _SELU_SCALE)
    return f("Add", rising, f("Mul", f.curve(z), _SELU_SCALE * _SELU_ALPHA))


def _softplus(f: _Formula, z: str) -> str:
    small = f("Log", f("Add", f("Exp", f("Neg", f("Abs", z))), 1.0))
    return f("Add", f("Max", z, 0.0), small)


_ACTIVATIONS: dict[str, Any] = {
    "sigmoid": lambda f, z: f("Sigmoid", z),
    "tanh": lambda f, z: f("Tanh", z),
    "relu": lambda f, z: f("Relu", z),
    "leaky_relu": lambda f, z: f("Max", z, f("Mul", z, _LEAK)),
    "elu": lambda f, z: f("Add", f("Max", z, 0.0), f.curve(z)),
    "selu": _selu,
    "gelu": _gelu,
    "silu": lambda f, z: f.times_sigmoid(z, z, -_SILU_ENDS),
    "softplus": _softplus,
    "exp": lambda f, z: f("Exp", z),
}


def _column(graph: Graph, rows: str, number: int) -> str:
    """Return a column of rows, (n, 1)."""
    return graph.node("Gather", rows, graph.constant([number], np.int64), axis=1)


def _joined(graph: Graph, columns: list[str]) -> str:
    return graph.node("Concat", *columns, axis=1)


def _clipped(graph: Graph, value: str, least: str, most: str) -> str:
    return graph.node("Min", graph.node("Max", value, least), most)


# From outputs to predictions


def add_answer(
    graph: Graph, answer: Answer, outputs: str, dtype: np.dtype[Any], names: list[str]
) -> list[str]:
    """Add the predictions: labels and probabilities, or numbers.

    Parameters
    ----------
    graph : Graph
    answer : Answer
    outputs : str
        Shape (n, n_outputs); for a table with classes (n, n_classes).
    dtype : dtype
        Dtype of the outputs.
    names : list of str
        Names of the graph's outputs: two for classes, else one.
    """
    if not answer.is_for_classes:
        return [graph.node("Identity", outputs, output=names[0])]
    label, probabilities = names
    half = graph.constant(0.5, dtype)
    if answer.kind == "multilabel":
        chosen = graph.cast(graph.node("Greater", outputs, half), INT64, label)
        return [chosen, graph.node("Identity", outputs, output=probabilities)]
    if answer.kind == "multiclass":
        number = graph.node("ArgMax", outputs, axis=1, keepdims=0)
        each = graph.node("Identity", outputs, output=probabilities)
    elif answer.kind == "binary":
        above = graph.cast(graph.node("Greater", outputs, half), INT64)
        number = graph.node("Reshape", above, graph.constant([-1], np.int64))
        rest = graph.node("Sub", graph.constant(1, dtype), outputs)
        each = graph.node("Concat", rest, outputs, axis=1, output=probabilities)
    else:
        one = graph.node("Mul", outputs, graph.constant(0, dtype))
        number = graph.node("Reshape", graph.cast(one, INT64), graph.constant([-1], np.int64))
        each = graph.node("Add", one, graph.constant(1, dtype), output=probabilities)
    classes = graph.constant(classes_for_onnx(answer))
    return [graph.node("Gather", classes, number, axis=0, output=label), each]


def classes_for_onnx(answer: Answer) -> Array:
    """Return the classes in types that ONNX has: int64 or text.

    Raises
    ------
    TypeError
        For bytes, dates and other types.
    """
    assert answer.classes is not None
    classes = answer.classes
    if classes.dtype.kind in "biuf":
        return classes.astype(np.int64)
    if classes.dtype.kind == "U" or all(isinstance(one, str) for one in classes):
        return classes.astype(object)
    raise TypeError(f"classes_: expected numbers or text, found {classes.dtype}; fit with text")
