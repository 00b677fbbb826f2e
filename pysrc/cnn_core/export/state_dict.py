"""Weights for PyTorch: a state dict of a ``torch.nn.Sequential`` in a safetensors file.

Two lines load it; they are in `Agreement.notes` and in the file's metadata::

    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    net.load_state_dict(safetensors.torch.load_file("model.safetensors"))

Batch normalization and `Network.input_scale` are folded into the weights. Networks for images take
PyTorch's layout (channels, height, width), and the weights are in this order.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from cnn_core.export.evaluation import Evaluation
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
from cnn_core.export.program import Program, as_answer
from cnn_core.export.selftest import Agreement, Reference, agreement
from cnn_core.files import checked_target
from cnn_core.io.container import write_tensors
from cnn_core.layers import Activation, Conv2D, ImageLayer
from cnn_core.layers.images import ImageShape

Array = npt.NDArray[Any]

_MODULES: dict[Activation, str] = {
    "sigmoid": "Sigmoid()",
    "tanh": "Tanh()",
    "relu": "ReLU()",
    "leaky_relu": "LeakyReLU()",
    "elu": "ELU()",
    "selu": "SELU()",
    "gelu": 'GELU("tanh")',
    "silu": "SiLU()",
    "softplus": "Softplus()",
    "softmax": "Softmax(1)",
}


def write_state_dict(
    program: Program,
    path: str | os.PathLike[str],
    reference: Reference,
    *,
    tolerance: float,
) -> Agreement:
    """Write the weights of a network with PyTorch's names, after a comparison.

    PyTorch's computation is reproduced in NumPy, module by module.

    Raises
    ------
    cnn_core.export.ExportError
        If it differs from the model's predictions.
    TypeError
        For operations without a PyTorch module.
    OSError
        If the file cannot be written.
    """
    path = checked_target(path)
    program.require_one_network("safetensors")
    modules = Modules()
    image = modules.through(program.network, None)
    if image is not None:
        modules.flatten(image, "the last layer")
    rows = np.asarray(reference.rows, program.dtype)
    values = modules.computed(rows)
    name = os.path.basename(path)
    lines = (
        f"net = {modules.text()}\n"
        f'net.load_state_dict(safetensors.torch.load_file("{name}"), strict=True)'
    )
    shape = "" if modules.image is None else f"  # for inputs (n, {_channels_first(modules.image)})"
    tensors = modules.tensors()
    result = agreement(
        program,
        reference,
        as_answer(program.answer, values),
        None,
        computed_by="NumPy, as PyTorch has its modules",
        tolerance=tolerance,
        sizes={"weights": sum(array.nbytes for array in tensors.values())},
        notes=lines + shape,
    )
    write_tensors(path, tensors, {"torch": lines + shape})
    return result


def _channels_first(image: ImageShape) -> str:
    height, width, channels = image
    return f"{channels}, {height}, {width}"


class Modules(Walk):
    """The modules of a ``torch.nn.Sequential``; the walk passes shapes from one to the next.

    A shape is (height, width, channels) for images, and None for rows of values.

    Attributes
    ----------
    image : (height, width, channels) or None
        Input shape of the first module.
    """

    def __init__(self) -> None:
        self.image: ImageShape | None = None
        self._standard: Standardize | None = None
        self._modules: list[tuple[str, dict[str, Array], Callable[[Array], Array]]] = []

    def _add(self, text: str, compute: Callable[[Array], Array], **tensors: Array | None) -> None:
        found = {key: value for key, value in tensors.items() if value is not None}
        self._modules.append((text, found, compute))

    def text(self) -> str:
        """Return the Python code of the network."""
        modules = ", ".join(f"torch.nn.{text}" for text, _, _ in self._modules)
        return f"torch.nn.Sequential({modules})"

    def tensors(self) -> dict[str, Array]:
        """Return the state dict."""
        return {
            f"{number}.{key}": array
            for number, (_, tensors, _) in enumerate(self._modules)
            for key, array in tensors.items()
        }

    def computed(self, rows: Array) -> Array:
        """Return PyTorch's outputs for rows, which become images with the channels first."""
        x = rows
        if self.image is not None:
            x = x.reshape(-1, *self.image).transpose(0, 3, 1, 2)
        for _, _, compute in self._modules:
            x = compute(x)
        return x

    # The operations

    def standardize(self, operation: Standardize, x: None) -> None:
        """Store it, to fold it into the weights of the next layer."""
        self._standard = operation

    def encode(self, operation: Encode, x: Any) -> Any:
        """Refuse: PyTorch has no such module."""
        raise TypeError("safetensors: a layer on encoded columns has no module in PyTorch")

    def embed(self, operation: Embed, x: Any) -> Any:
        """Refuse: PyTorch's Embedding takes only codes."""
        raise TypeError("safetensors: an embedding beside numbers has no module in PyTorch")

    def affine(self, operation: Affine, x: ImageShape | None) -> None:
        """Add a Linear."""
        weights, bias = operation.weights, operation.bias
        if self._standard is not None:
            weights, bias = _folded(self._standard, weights, bias)
            self._standard = None
        if x is not None:
            # After images PyTorch has the values of a channel side by side.
            weights = weights.reshape(*x, -1).transpose(2, 0, 1, 3).reshape(weights.shape)
            self._add("Flatten()", lambda values: values.reshape(len(values), -1))
        inputs, units = weights.shape
        own = np.ascontiguousarray(weights.T)
        without = "" if bias is not None else ", bias=False"
        self._add(
            f"Linear({inputs}, {units}{without})",
            lambda values: values @ own.T + (0 if bias is None else bias),
            weight=own,
            bias=bias,
        )

    def convolve(self, operation: Convolve, x: ImageShape | None) -> ImageShape:
        """Add a Conv2d."""
        layer, bias = operation.layer, operation.bias
        self._takes_images(layer.input_shape, x)
        shape = (layer.kernel, layer.kernel, -1, layer.channels)
        weights = np.ascontiguousarray(operation.weights.reshape(shape).transpose(3, 2, 0, 1))
        without = "" if bias is not None else ", bias=False"
        self._add(
            f"Conv2d({layer.input_shape[2]}, {layer.channels}, {layer.kernel}, {layer.stride}, "
            f"{layer.margin}, groups={layer.groups}{without})",
            lambda values: _convolved(layer, values, weights, bias),
            weight=weights,
            bias=bias,
        )
        return layer.output_shape

    def pool(self, operation: Pool, x: ImageShape | None) -> ImageShape:
        """Add a pool."""
        layer = operation.layer
        self._takes_images(layer.input_shape, x)
        kind = "MaxPool2d" if operation.largest else "AvgPool2d"

        def compute(values: Array) -> Array:
            windows = _windows(layer, values)
            found: Array = (
                windows.max(axis=(4, 5)) if operation.largest else windows.mean(axis=(4, 5))
            )
            return found

        self._add(f"{kind}({layer.window}, {layer.step})", compute)
        return layer.output_shape

    def scale_shift(self, operation: ScaleShift, x: ImageShape | None) -> ImageShape:
        """Add a depthwise 1 x 1 convolution."""
        assert operation.image is not None
        self._takes_images(operation.image, x)
        channels = len(operation.scale)
        scale, shift = (v.reshape(-1, 1, 1) for v in (operation.scale, operation.shift))
        self._add(
            f"Conv2d({channels}, {channels}, 1, groups={channels})",
            lambda values: values * scale + shift,
            weight=operation.scale.reshape(-1, 1, 1, 1),
            bias=operation.shift,
        )
        return operation.image

    def normalize(self, operation: Normalize, x: Any) -> None:
        """Add a LayerNorm."""
        if operation.image is not None:
            raise TypeError(
                "safetensors: normalization='layer' of images has no module in PyTorch; export "
                "to ONNX"
            )
        self._add(
            f"LayerNorm({len(operation.gain)})",
            lambda values: Evaluation(values.dtype).normalize(operation, values),
            weight=operation.gain,
            bias=operation.bias,
        )

    def activate(self, operation: Activate, x: ImageShape | None) -> ImageShape | None:
        """Add an activation."""
        name = operation.activation
        if name not in _MODULES:
            raise TypeError(f"safetensors: the activation {name!r} has no module in PyTorch")
        if name == "softmax" and x is not None:
            self.flatten(x, "a softmax")
            x = None

        def compute(values: Array) -> Array:
            found: Array = Evaluation(values.dtype).activate(
                operation, values.reshape(len(values), -1)
            )
            return found.reshape(values.shape)

        self._add(_MODULES[name], compute)
        return x

    def flatten(self, image: ImageShape, where: str) -> None:
        """Add a Flatten of images of one pixel, whose order is the same in both.

        Raises
        ------
        TypeError
            For more pixels.
        """
        if image[0] * image[1] > 1:
            raise TypeError(
                f"safetensors: {where} gives images of {image[0]} x {image[1]} pixels, which "
                "PyTorch has in another order; put a GlobalAveragePool or a Dense behind it"
            )
        self._add("Flatten()", lambda values: values.reshape(len(values), -1))

    def _takes_images(self, shape: ImageShape, x: ImageShape | None) -> None:
        """Refuse images made from the outputs of a dense layer.

        Raises
        ------
        TypeError
            For such images.
        """
        if self._standard is not None:
            raise TypeError("safetensors: pixels that are standardized have no module in PyTorch")
        if x is None and self._modules:
            raise TypeError(
                "safetensors: a layer for images above a dense one has its values in another order "
                "in PyTorch; export to ONNX"
            )
        if x is None:
            self.image = shape


def _folded(
    standard: Standardize, weights: Array, bias: Array | None
) -> tuple[Array, Array | None]:
    """Return weights and bias of a dense layer that include the standardization."""
    own = weights.astype(np.float64) / standard.scale[:, np.newaxis]
    moved = -(standard.offset @ own) + (0 if bias is None else bias)
    return own.astype(weights.dtype), moved.astype(weights.dtype)


def _windows(layer: ImageLayer, values: Array) -> Array:
    """Return (n, channels, height, width, window height, window width) of padded images."""
    margin, step = layer.margin, layer.step
    padded = np.pad(values, ((0, 0), (0, 0), (margin, margin), (margin, margin)))
    views: Array = sliding_window_view(padded, layer.window, axis=(2, 3))
    return views[:, :, ::step, ::step]


def _convolved(layer: Conv2D, values: Array, weights: Array, bias: Array | None) -> Array:
    inputs, outputs = layer.input_shape[2] // layer.groups, layer.channels // layer.groups
    windows = _windows(layer, values)
    parts = [
        np.einsum(
            "nchwij,ocij->nohw",
            windows[:, group * inputs : (group + 1) * inputs],
            weights[group * outputs : (group + 1) * outputs],
        )
        for group in range(layer.groups)
    ]
    found: Array = np.concatenate(parts, axis=1)
    return found if bias is None else found + bias.reshape(-1, 1, 1)
