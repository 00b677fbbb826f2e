"""C code of networks: the statements of each, and the constants that all share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.export.c_text import SCORES, numbers
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
from cnn_core.layers import ImageLayer

Array = npt.NDArray[Any]

_FLOAT = np.dtype(np.float32)
_TYPES = {"float32": "float", "float64": "double", "int8": "int8_t", "int32": "int"}


class Constants:
    """The constants of a header, and the functions that it needs.

    Attributes
    ----------
    texts : list of str
        Their definitions; ``NAME`` stands for the name of the header.
    used : set of str
        Keys of `cnn_core.export.c_runtime.FUNCTIONS`.
    n_bytes : int
        Of all constants.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.used: set[str] = set()
        self.n_bytes = 0

    def add(self, kind: str, values: Array) -> str:
        """Define an array, and return its name."""
        name = f"NAME_{kind}{len(self.texts)}"
        self.texts.append(
            f"static const {_TYPES[values.dtype.name]} {name}[{values.size}] = {{\n"
            f"{numbers(values.ravel())}\n}};\n"
        )
        self.n_bytes += values.nbytes
        return name


def as_int8(weights: Array) -> tuple[npt.NDArray[np.int8], Array]:
    """Return weights as whole numbers from -127 to 127, and the scale of each unit, in float32."""
    largest = np.abs(weights).max(axis=0)
    scale = np.where(largest > 0, largest / 127, 1).astype(_FLOAT)
    return np.rint(weights / scale).astype(np.int8), scale


class CNetwork(Walk):
    """The statements of a network on a sample ``x``.

    Attributes
    ----------
    constants : Constants
    steps : list of str
        Statements.
    count : int
        Number of values written by the last statement.
    sizes : list of int
        Floats of both halves of the work array, ``a`` and ``b``. Operations read one half and write
        the other.
    """

    def __init__(self, constants: Constants, n_inputs: int, *, int8: bool = False) -> None:
        self.constants = constants
        self.steps: list[str] = []
        self.count = n_inputs
        self.sizes = [0, 0]
        self._int8 = int8
        self._half = 1

    def scores(self, operations: Sequence[Operation]) -> str:
        """Add operations, and return the variable of their outputs, which may be overwritten."""
        return self._as_work(self.through(operations, "x"))

    def function(self, name: str, scores: str) -> str:
        """Return the C function of this name with the statements."""
        halves = f"float *const a = work, *const b = work + {self.sizes[0]};"
        unused = "(void)0;" if self.sizes[1] else "(void)b;"
        steps = "\n    ".join(self.steps)
        return SCORES.format(name=name, halves=halves, unused=unused, steps=steps, scores=scores)

    # The operations

    def standardize(self, operation: Standardize, x: str) -> str:
        """Add a standardization."""
        offset, scale = (
            self._constant("standard", values.astype(_FLOAT))
            for values in (operation.offset, operation.scale)
        )
        return self._call(
            "standardize", operation, f"{x}, {offset}, {scale}, OUT, {operation.n_outputs}"
        )

    def encode(self, operation: Encode, x: str) -> str:
        """Add the features of columns."""
        kinds = ", ".join(f"'{kind[0]}'" for kind in operation.encodings)
        number = len(self.constants.texts)
        self.constants.texts.append(f"static const char NAME_kinds{number}[] = {{{kinds}}};\n")
        sizes = self._constant("sizes", np.array(operation.sizes, np.int32))
        return self._call(
            "encode",
            operation,
            f"{x}, {len(operation.sizes)}, NAME_kinds{number}, {sizes}, OUT",
        )

    def embed(self, operation: Embed, x: str) -> str:
        """Add vectors for codes."""
        out = self._next(operation.n_outputs)
        self.constants.used.add("copy")
        start = 0
        for column, table in zip(operation.columns, operation.tables, strict=True):
            values, width = self._constant("table", table.astype(_FLOAT)), table.shape[1]
            place = f"{values} + (long){x}[{column}] * {width}"
            self.steps.append(f"NAME_copy({place}, {out} + {start}, {width});")
            start += width
        for column in operation.numbers:
            self.steps.append(f"{out}[{start}] = {x}[{column}];")
            start += 1
        return out

    def affine(self, operation: Affine, x: str) -> str:
        """Add weighted sums."""
        inputs, units = operation.weights.shape
        weights, bias = self._weights(operation.weights), self._optional("bias", operation.bias)
        name = "dense_int8" if self._int8 else "dense"
        return self._call(name, operation, f"{x}, {inputs}, {weights}, {bias}, OUT, {units}")

    def convolve(self, operation: Convolve, x: str) -> str:
        """Add a convolution."""
        size = self._images(operation.layer, operation.layer.groups)
        weights, bias = self._weights(operation.weights), self._optional("bias", operation.bias)
        name = "convolve_int8" if self._int8 else "convolve"
        return self._call(name, operation, f"&{size}, {weights}, {bias}, {x}, OUT")

    def pool(self, operation: Pool, x: str) -> str:
        """Add a pool."""
        size = self._images(operation.layer, 1)
        return self._call("pool", operation, f"&{size}, {int(operation.largest)}, {x}, OUT")

    def scale_shift(self, operation: ScaleShift, x: str) -> str:
        """Add factors and addends of channels."""
        return self._by_pixel("scale_shift", x, operation.scale, operation.shift)

    def normalize(self, operation: Normalize, x: str) -> str:
        """Add a normalization over channels."""
        return self._by_pixel("normalize", x, operation.gain, operation.bias)

    def activate(self, operation: Activate, x: str) -> str:
        """Add an activation."""
        kind = "activate_exp" if operation.activation == "exp" else operation.activation
        x = self._as_work(x)
        self.constants.used.add(kind)
        self.steps.append(f"NAME_{kind}({x}, {operation.n_outputs});")
        return x

    def _by_pixel(self, name: str, x: str, factors: Array, addends: Array) -> str:
        x = self._as_work(x)
        channels = len(factors)
        one, other = (self._constant("channel", v.astype(_FLOAT)) for v in (factors, addends))
        self.constants.used.add(name)
        pixels = self.count // channels
        self.steps.append(f"NAME_{name}({x}, {pixels}, {one}, {other}, {channels});")
        return x

    # Values and constants

    def _next(self, count: int) -> str:
        """Return the output of an operation: the half that it does not read."""
        self._half = 1 - self._half
        self.sizes[self._half] = max(self.sizes[self._half], count)
        self.count = count
        return "ab"[self._half]

    def _as_work(self, x: str) -> str:
        """Return a copy of the samples, which must not be overwritten."""
        if x != "x":
            return x
        out = self._next(self.count)
        self.constants.used.add("copy")
        self.steps.append(f"NAME_copy(x, {out}, {self.count});")
        return out

    def _call(self, name: str, operation: Operation, arguments: str) -> str:
        self.constants.used.add(name)
        out = self._next(operation.n_outputs)
        self.steps.append(f"NAME_{name}({arguments.replace('OUT', out)});")
        return out

    def _weights(self, weights: Array) -> str:
        """Return the names of weights, and for int8 of their scales."""
        if not self._int8:
            return self._constant("weights", weights.astype(_FLOAT))
        codes, scale = as_int8(weights)
        return f"{self._constant('weights', codes)}, {self._constant('scale', scale)}"

    def _optional(self, kind: str, values: Array | None) -> str:
        return "0" if values is None else self._constant(kind, values.astype(_FLOAT))

    def _constant(self, kind: str, values: Array) -> str:
        return self.constants.add(kind, values)

    def _images(self, layer: ImageLayer, groups: int) -> str:
        name = f"NAME_size{len(self.constants.texts)}"
        sizes = (
            *layer.input_shape,
            *layer.output_shape,
            *layer.window,
            layer.step,
            layer.margin,
            groups,
        )
        self.constants.used.add("images")
        text = f"static const struct NAME_images {name} = {{{', '.join(map(str, sizes))}}};\n"
        self.constants.texts.append(text)
        self.constants.n_bytes += 4 * len(sizes)
        return name
