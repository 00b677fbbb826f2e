"""Write a network as a C99 header, for microcontrollers and any C compiler.

The header allocates nothing and needs no library; the caller passes a work array. Weights are
floats, or int8 with a scale for each unit.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core._version import __version__
from cnn_core.export.c_compiled import Budget, compiler_named, outputs_in_c
from cnn_core.export.c_network import CNetwork, Constants, as_int8
from cnn_core.export.c_runtime import functions_for
from cnn_core.export.c_table import TableHeader
from cnn_core.export.c_text import (
    OUTPUTS,
    PREDICT,
    PROBABILITIES_OF,
    comment,
    identifier,
    named,
    names_of_classes,
)
from cnn_core.export.evaluation import evaluated
from cnn_core.export.operations import (
    Activate,
    Affine,
    Convolve,
    Operation,
)
from cnn_core.export.program import Program, as_answer
from cnn_core.export.selftest import Agreement, Reference, agreement
from cnn_core.files import atomic_write, checked_target

Array = npt.NDArray[Any]

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
    """Write a network to a C header, after a comparison of the outputs.

    Raises
    ------
    cnn_core.export.ExportError
        If they do not agree.
    OSError
        If the file cannot be written, or the named compiler cannot be run.
    """
    checked_target(path)
    name = identifier(Path(path).stem if name is None else name, exact=name is not None)
    if program.columns:
        return _write_table(program, path, reference, tolerance, int8, name, compiler)
    program.require_one_network("C")
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
            # Checks the code against quantized weights; the agreement reports the cost of int8.
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


def _write_table(
    program: Program,
    path: str | os.PathLike[str],
    reference: Reference,
    tolerance: float,
    int8: bool,
    name: str,
    compiler: str | None,
) -> Agreement:
    """Write a learner of tables; see `write_c`."""
    if int8:
        raise TypeError(
            "int8: expected one network on rows of numbers, found the networks of a table, whose "
            "weights are written as floats; leave it out"
        )
    command = compiler_named(compiler)
    if command is None:
        raise FileNotFoundError(
            "compiler: a learner of tables is compared by running its header, and there is no C "
            "compiler here; install gcc or clang"
        )
    header = TableHeader(program, name)
    text = header.text()
    rows = header.records(reference.rows)
    budget = Budget(header.n_bytes, 4 * header.n_work + rows.itemsize)
    values, labels, budget = outputs_in_c(program, text, name, rows, command, budget)
    call = "int number = " if program.answer.is_for_classes else ""
    arguments = "&row, work" if program.answer.is_for_classes else "&row, outputs, work"
    result = agreement(
        program,
        reference,
        values,
        labels,
        computed_by=f"the header, compiled by {command[0]}",
        tolerance=tolerance,
        sizes={"file": len(text.encode()), **budget.sizes()},
        notes=f'use: #include "{Path(path).name}"; static float work[{name.upper()}_WORK]; '
        f"{name}_row row = {{...}}; {call}{name}_predict({arguments});",
    )
    atomic_write(path, lambda stream: stream.write(text.encode()))
    return result


def quantized(operations: tuple[Operation, ...]) -> tuple[Operation, ...]:
    """Return operations with weights rounded to int8."""
    found: list[Operation] = []
    for operation in operations:
        if isinstance(operation, Affine | Convolve):
            codes, scale = as_int8(operation.weights)
            operation = replace(operation, weights=codes.astype(_FLOAT) * scale)
        found.append(operation)
    return tuple(found)


def _use(program: Program, file: str, name: str) -> str:
    """Return a line that shows how to use the header."""
    if program.answer.kind == "multilabel":
        call = f"{name}_predict(x, labels, work)"
    elif program.answer.is_for_classes:
        call = f"int number = {name}_predict(x, work)"
    else:
        call = f"{name}_predict(x, outputs, work)"
    return f'use: #include "{file}"; static float work[{name.upper()}_WORK]; {call};'


class CHeader:
    """The text of a header for one network.

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
        self._constants = Constants()
        network = CNetwork(self._constants, program.n_inputs, int8=int8)
        body, last = self._split()
        scores = network.scores(body)
        self._n_scores = network.count
        before, network.steps = network.steps, []
        for activation in last:
            network.activate(activation, "y")
        after, network.steps = network.steps, before
        self._body = network.function("scores", scores)
        self._last = "\n    ".join(after) or "(void)0;"
        self.n_work = sum(network.sizes)
        self.n_bytes = self._constants.n_bytes

    def _split(self) -> tuple[tuple[Operation, ...], tuple[Activate, ...]]:
        """Split off the last activation, which does not change the predicted class."""
        operations = self._program.network
        last = operations[-1]
        if self._program.answer.is_for_classes and isinstance(last, Activate):
            return operations[:-1], (last,)
        return operations, ()

    # The text

    def text(self) -> str:
        """Return the header."""
        classes = names_of_classes(self._program)
        parts = [
            self._head(),
            *functions_for(self._constants.used),
            *self._constants.texts,
            *([] if classes is None else [classes]),
            self._body,
            *self._answers(),
            "#endif\n",
        ]
        return named("\n".join(parts), self._name)

    def _head(self) -> str:
        program = self._program
        n_outputs = (
            len(program.answer.classes)
            if program.answer.classes is not None
            else (program.n_outputs)
        )
        weights = "int8 weights" if self._int8 else "float weights"
        title = comment(program.title)
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

    def _answers(self) -> list[str]:
        kind = self._program.answer.kind
        if not self._program.answer.is_for_classes:
            return [OUTPUTS]
        probabilities = {
            "one": "out[0] = y[0] * 0.0f + 1.0f;",
            "binary": "out[0] = 1.0f - y[0];\n    out[1] = y[0];",
        }.get(kind, f"for (i = 0; i < {self._n_scores}; i++)\n        out[i] = y[i];")
        return [
            PROBABILITIES_OF.replace("LAST", self._last).replace("PROBABILITIES", probabilities),
            PREDICT[kind].replace("COUNT", str(self._n_scores)),
        ]
