"""C headers: a network as one file of C99, for microcontrollers and whatever else has a compiler.

There is no allocation and nothing to link with: the caller gives a work array. Weights are floats,
or int8 with a scale for each unit.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core._version import __version__
from cnn_core.export.c_compiled import Budget, compiler_named, outputs_in_c
from cnn_core.export.c_runtime import functions_for
from cnn_core.export.c_text import OUTPUTS, PREDICT, PROBABILITIES_OF, c_text, numbers
from cnn_core.export.evaluation import evaluated
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
from cnn_core.export.program import Program, as_answer
from cnn_core.export.selftest import Agreement, Reference, agreement
from cnn_core.files import atomic_write, checked_target
from cnn_core.layers import ImageLayer
from cnn_core.validation import shown

Array = npt.NDArray[Any]

_KEYWORDS = frozenset(
    """
    auto break case char const continue default do double else enum extern float for goto if inline
    int long register restrict return short signed sizeof static struct switch typedef union
    unsigned void volatile while class bool
    """.split()  # noqa: SIM905
)
_FLOAT = np.dtype(np.float32)


def write_c(
    program: Program,
    path: str | os.PathLike[str],
    reference: Reference,
    *,
    tolerance: float,
    int8: bool = False,
    name: str | None = None,
    compiler: str | None = None,
) -> Agreement:
    """Write a network to a C header, once what it computes has been found to agree.

    Raises
    ------
    cnn_core.export.ExportError
        If it does not.
    OSError
        If the file cannot be written, or the compiler that is named cannot be run.
    """
    checked_target(path)
    program.require_one_network("C")
    name = _identifier(Path(path).stem if name is None else name, exact=name is not None)
    operations = quantized(program.network) if int8 else program.network
    header = CHeader(program, name, int8=int8)
    text = header.text()
    rows = np.ascontiguousarray(reference.rows, _FLOAT)
    command = compiler_named(compiler)
    budget = Budget(header.n_bytes, 4 * (header.n_work + program.n_inputs))
    exact = as_answer(program.answer, evaluated(operations, rows))
    if command is None:
        values, labels = exact, None
        computed_by = "NumPy in float32, since no C compiler was found"
    else:
        values, labels, budget = outputs_in_c(program, text, name, rows, command, budget)
        computed_by = f"the header, compiled by {command[0]}"
        if int8:
            # That the code is right: what int8 itself costs is told by the agreement.
            own = replace(reference, values=exact, labels=None)
            agreement(program, own, values, None, computed_by=computed_by, tolerance=tolerance)
    result = agreement(
        program,
        reference,
        values,
        None if labels is None or program.answer.classes is None else labels,
        computed_by=computed_by,
        tolerance=None if int8 else tolerance,
        sizes={"file": len(text.encode()), **budget.sizes()},
        notes=_use(program, Path(path).name, name),
    )
    atomic_write(path, lambda stream: stream.write(text.encode()))
    return result


def quantized(operations: tuple[Operation, ...]) -> tuple[Operation, ...]:
    """Return operations whose weights are what int8 makes of them."""
    found: list[Operation] = []
    for operation in operations:
        if isinstance(operation, Affine | Convolve):
            codes, scale = as_int8(operation.weights)
            operation = replace(operation, weights=codes.astype(_FLOAT) * scale)
        found.append(operation)
    return tuple(found)


def as_int8(weights: Array) -> tuple[npt.NDArray[np.int8], Array]:
    """Return weights as whole numbers from -127 to 127, and the scale of each unit, in float32."""
    largest = np.abs(weights).max(axis=0)
    scale = np.where(largest > 0, largest / 127, 1).astype(_FLOAT)
    return np.rint(weights / scale).astype(np.int8), scale


def _identifier(text: str, *, exact: bool) -> str:
    """Return a name for C: the one that was asked for, or one made of a file's name.

    Raises
    ------
    ValueError
        If the one that was asked for is no identifier.
    """
    if exact:
        if not isinstance(text, str) or not re.fullmatch(r"[A-Za-z]\w*", text, re.ASCII):
            raise ValueError(f"name: expected a name as C has them, found {shown(text)}")
        if text in _KEYWORDS:
            raise ValueError(f"name: expected a name that is no keyword of C, found {text!r}")
        return text
    found = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_").lower()
    if not found or not found[0].isalpha() or found in _KEYWORDS:
        found = f"model_{found}".rstrip("_")
    return found


def _use(program: Program, file: str, name: str) -> str:
    """Return how the header is used, in a line."""
    if program.answer.kind == "multilabel":
        call = f"{name}_predict(x, labels, work)"
    elif program.answer.is_for_classes:
        call = f"int number = {name}_predict(x, work)"
    else:
        call = f"{name}_predict(x, outputs, work)"
    return f'use: #include "{file}"; static float work[{name.upper()}_WORK]; {call};'


class CHeader(Walk):
    """The text of a header.

    Attributes
    ----------
    n_bytes : int
        Of all constants.
    n_work : int
        Floats of the work array.
    """

    def __init__(self, program: Program, name: str, *, int8: bool) -> None:
        self._program = program
        self._name = name
        self._int8 = int8
        self._constants: list[str] = []
        self._steps: list[str] = []
        self._used: set[str] = set()
        self.n_bytes = 0
        # Values go from one half of the work array to the other; each is as large as it has to be.
        self._sizes = [0, 0]
        self._half = 1
        self._count = program.n_inputs
        body, self._last = self._split()
        self._scores = self._as_work(self.through(body, "x"))
        self._n_scores = self._count
        self._body_steps, self._steps = self._steps, []
        for activation in self._last:
            self.activate(activation, "y")
        self.n_work = sum(self._sizes)

    def _split(self) -> tuple[tuple[Operation, ...], tuple[Activate, ...]]:
        """Return the operations, and apart the last activation, which no class depends on."""
        operations = self._program.network
        last = operations[-1]
        if self._program.answer.is_for_classes and isinstance(last, Activate):
            return operations[:-1], (last,)
        return operations, ()

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
        number = len(self._constants)
        self._constants.append(f"static const char {self._name}_kinds{number}[] = {{{kinds}}};\n")
        sizes = self._constant("sizes", np.array(operation.sizes, np.int32))
        return self._call(
            "encode",
            operation,
            f"{x}, {len(operation.sizes)}, {self._name}_kinds{number}, {sizes}, OUT",
        )

    def embed(self, operation: Embed, x: str) -> str:
        """Add vectors for codes."""
        out = self._next(operation.n_outputs)
        self._used.add("copy")
        start = 0
        for column, table in zip(operation.columns, operation.tables, strict=True):
            values, width = self._constant("table", table.astype(_FLOAT)), table.shape[1]
            place = f"{values} + (long){x}[{column}] * {width}"
            self._steps.append(f"NAME_copy({place}, {out} + {start}, {width});")
            start += width
        for column in operation.numbers:
            self._steps.append(f"{out}[{start}] = {x}[{column}];")
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
        self._used.add(kind)
        self._steps.append(f"NAME_{kind}({x}, {operation.n_outputs});")
        return x

    def _by_pixel(self, name: str, x: str, factors: Array, addends: Array) -> str:
        x = self._as_work(x)
        channels = len(factors)
        one, other = (self._constant("channel", v.astype(_FLOAT)) for v in (factors, addends))
        self._used.add(name)
        pixels = self._count // channels
        self._steps.append(f"NAME_{name}({x}, {pixels}, {one}, {other}, {channels});")
        return x

    # Values and constants

    def _next(self, count: int) -> str:
        """Return where an operation writes: the half that it does not read."""
        self._half = 1 - self._half
        self._sizes[self._half] = max(self._sizes[self._half], count)
        self._count = count
        return "ab"[self._half]

    def _as_work(self, x: str) -> str:
        """Return values that may be written to: the samples are the caller's."""
        if x != "x":
            return x
        out = self._next(self._count)
        self._used.add("copy")
        self._steps.append(f"NAME_copy(x, {out}, {self._count});")
        return out

    def _call(self, name: str, operation: Operation, arguments: str) -> str:
        self._used.add(name)
        out = self._next(operation.n_outputs)
        self._steps.append(f"NAME_{name}({arguments.replace('OUT', out)});")
        return out

    def _weights(self, weights: Array) -> str:
        """Return the names of weights, with int8 also of their scales."""
        if not self._int8:
            return self._constant("weights", weights.astype(_FLOAT))
        codes, scale = as_int8(weights)
        return f"{self._constant('weights', codes)}, {self._constant('scale', scale)}"

    def _optional(self, kind: str, values: Array | None) -> str:
        return "0" if values is None else self._constant(kind, values.astype(_FLOAT))

    def _constant(self, kind: str, values: Array) -> str:
        name = f"NAME_{kind}{len(self._constants)}"
        types = {"float32": "float", "int8": "int8_t", "int32": "int"}
        self._constants.append(
            f"static const {types[values.dtype.name]} {name}[{values.size}] = {{\n"
            f"{numbers(values.ravel())}\n}};\n"
        )
        self.n_bytes += values.nbytes
        return name

    def _images(self, layer: ImageLayer, groups: int) -> str:
        name = f"NAME_size{len(self._constants)}"
        sizes = (
            *layer.input_shape,
            *layer.output_shape,
            *layer.window,
            layer.step,
            layer.margin,
            groups,
        )
        self._used.add("images")
        text = f"static const struct NAME_images {name} = {{{', '.join(map(str, sizes))}}};\n"
        self._constants.append(text)
        self.n_bytes += 4 * len(sizes)
        return name

    # The text

    def text(self) -> str:
        """Return the header."""
        classes = self._classes()
        parts = [
            self._head(),
            *functions_for(self._used),
            *self._constants,
            *([] if classes is None else [classes]),
            self._body(),
            *self._answers(),
            "#endif\n",
        ]
        return "\n".join(parts).replace("NAME", self._name).replace("MACRO", self._name.upper())

    def _head(self) -> str:
        program = self._program
        n_outputs = (
            len(program.answer.classes)
            if program.answer.classes is not None
            else (program.n_outputs)
        )
        weights = "int8 weights" if self._int8 else "float weights"
        title = program.title.replace("*/", "* /").replace("??", "? ?")
        return f"""\
/* {title}, {weights}; written by cnn_core {__version__}.
 *
 * x has MACRO_INPUTS floats, work has MACRO_WORK floats of the caller's, which
 * hold no result between two calls. C99, nothing to link with.
 */
#ifndef MACRO_H
#define MACRO_H

#include <stdint.h>

#define MACRO_INPUTS {program.n_inputs}
#define MACRO_OUTPUTS {n_outputs}
#define MACRO_WORK {self.n_work}
"""

    def _body(self) -> str:
        """Return the function that computes what comes before the last activation."""
        steps = "\n    ".join(self._body_steps)
        halves = f"float *const a = work, *const b = work + {self._sizes[0]};"
        unused = "(void)b;" if not self._sizes[1] else ""
        return f"""\
static inline float *NAME_scores(const float *x, float *work)
{{
    {halves}
    {unused or "(void)0;"}
    {steps}
    return {self._scores};
}}
"""

    def _classes(self) -> str | None:
        classes = self._program.answer.classes
        if classes is None or self._program.answer.kind == "multilabel":
            return None
        if classes.dtype.kind in "biuf":
            numbers = ", ".join(f"{int(one)}LL" for one in classes)
            return f"static const long long NAME_classes[{len(classes)}] = {{{numbers}}};\n"
        texts = ",\n    ".join(c_text(str(one)) for one in classes)
        return f"static const char *const NAME_classes[{len(classes)}] = {{\n    {texts}\n}};\n"

    def _answers(self) -> list[str]:
        kind = self._program.answer.kind
        last = "\n    ".join(self._steps) or "(void)0;"
        if not self._program.answer.is_for_classes:
            return [OUTPUTS]
        probabilities = {
            "one": "out[0] = y[0] * 0.0f + 1.0f;",
            "binary": "out[0] = 1.0f - y[0];\n    out[1] = y[0];",
        }.get(kind, f"for (i = 0; i < {self._n_scores}; i++)\n        out[i] = y[i];")
        return [
            PROBABILITIES_OF.replace("LAST", last).replace("PROBABILITIES", probabilities),
            PREDICT[kind].replace("COUNT", str(self._n_scores)),
        ]
