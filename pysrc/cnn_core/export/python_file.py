"""Write a model as a Python file that needs only the standard library."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core._version import __version__
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
from cnn_core.export.program import Column, NumberInput, Part, Program, Rows, n_samples
from cnn_core.export.python_runtime import functions_for
from cnn_core.export.selftest import Agreement, ExportError, Reference, agreement
from cnn_core.files import atomic_write, checked_target
from cnn_core.layers import ImageLayer
from cnn_core.layers.images import ImageShape

Array = npt.NDArray[Any]

_SECONDS = 600


def write_python(
    program: Program,
    path: str | os.PathLike[str],
    reference: Reference,
    *,
    tolerance: float,
) -> Agreement:
    """Write a program to a Python file, after a comparison in plain Python.

    Raises
    ------
    cnn_core.export.ExportError
        If they do not agree.
    OSError
        If the file cannot be written.
    """
    checked_target(path)
    text = python_source(program)
    values, labels = run(text, program, reference.rows)
    name = Path(path).stem
    call = f"{name}.predict(row)"
    result = agreement(
        program,
        reference,
        values,
        labels,
        computed_by=f"Python {sys.version_info.major}.{sys.version_info.minor} without packages",
        tolerance=tolerance,
        sizes={"file": len(text.encode())},
        notes=f"use: import {name}; {call}, for a row of {program.n_inputs} values",
    )
    atomic_write(path, lambda stream: stream.write(text.encode()))
    return result


def python_source(program: Program) -> str:
    """Return the text of the file."""
    writer = PythonFile(program)
    return writer.text()


def run(text: str, program: Program, rows: Rows) -> tuple[Array, Array | None]:
    """Return the values and labels that a file computes, in a new Python without packages.

    Raises
    ------
    ExportError
        If it fails.
    """
    with tempfile.TemporaryDirectory(prefix="cnn_core-") as folder:
        module = Path(folder) / "exported_model.py"
        module.write_text(text, "utf-8")
        given = json.dumps(_as_rows(rows))
        driver = (
            "import json, sys; sys.path.insert(0, sys.argv[1])\n"
            "import exported_model as m\n"
            "of = getattr(m, 'predict_proba', m.predict)\n"
            "print(json.dumps([(of(row), m.predict(row)) for row in json.load(sys.stdin)]))\n"
        )
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", driver, folder],
            input=given,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=_SECONDS,
            check=False,
            env={"PYTHONIOENCODING": "utf-8", "PYTHONUTF8": "1"},
        )
    if done.returncode:
        raise ExportError(f"the Python file: ended with {done.returncode}: {done.stderr:.2000}")
    found = json.loads(done.stdout)
    values = np.array([value for value, _ in found], np.float64).reshape(n_samples(rows), -1)
    if program.answer.classes is None:
        return values, None
    labels = [label for _, label in found]
    return values, np.array(labels, program.answer.classes.dtype)


def _as_rows(rows: Rows) -> list[list[Any]]:
    if not isinstance(rows, list):
        found: list[list[Any]] = rows.tolist()
        return found
    columns = [
        [_date(value) for value in column] if column.dtype.kind == "M" else column.tolist()
        for column in rows
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def _date(value: np.datetime64) -> Any:
    return None if np.isnat(value) else str(value)


class PythonFile(Walk):
    """The text of a file."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._constants: list[str] = []
        self._steps: list[str] = []
        self._used: set[str] = set()

    # The operations

    def standardize(self, operation: Standardize, x: str) -> str:
        """Add a standardization."""
        return self._step(
            "standardize", x, self._vector(operation.offset), self._vector(operation.scale)
        )

    def encode(self, operation: Encode, x: str) -> str:
        """Add the features of columns."""
        return self._step("encode", x, repr(operation.encodings), repr(operation.sizes))

    def embed(self, operation: Embed, x: str) -> str:
        """Add vectors for codes."""
        tables = ", ".join(self._matrix(table) for table in operation.tables)
        return self._step(
            "embed", x, repr(operation.columns), f"({tables},)", repr(operation.numbers)
        )

    def affine(self, operation: Affine, x: str) -> str:
        """Add weighted sums."""
        weights = self._matrix(operation.weights.T)
        return self._step("dense", x, weights, self._bias(operation.bias, operation.n_outputs))

    def convolve(self, operation: Convolve, x: str) -> str:
        """Add a convolution."""
        layer = operation.layer
        return self._step(
            "convolve",
            x,
            _size(layer),
            str(layer.input_shape[2]),
            str(layer.groups),
            self._matrix(operation.weights),
            self._bias(operation.bias, layer.channels),
        )

    def pool(self, operation: Pool, x: str) -> str:
        """Add a pool."""
        layer = operation.layer
        largest = str(operation.largest)
        return self._step("pool", x, _size(layer), str(layer.input_shape[2]), largest)

    def scale_shift(self, operation: ScaleShift, x: str) -> str:
        """Add factors and addends of channels."""
        return self._step(
            "scale_shift", x, self._vector(operation.scale), self._vector(operation.shift)
        )

    def normalize(self, operation: Normalize, x: str) -> str:
        """Add a normalization over channels."""
        return self._step(
            "normalize", x, self._vector(operation.gain), self._vector(operation.bias)
        )

    def activate(self, operation: Activate, x: str) -> str:
        """Add an activation."""
        return self._step(f"activate_{operation.activation}", x)

    def _step(self, function: str, *arguments: str) -> str:
        self._used.add(function)
        self._steps.append(f"x = {function}({', '.join(arguments)})")
        return "x"

    # Constants: bytes of little-endian floats in base 64

    def _bias(self, bias: Array | None, units: int) -> str:
        return f"[0.0] * {units}" if bias is None else self._vector(bias)

    def _vector(self, values: Array) -> str:
        return self._constant(values, f"floats({{}}, {_code(values)!r})")

    def _matrix(self, values: Array) -> str:
        return self._constant(values, f"rows(floats({{}}, {_code(values)!r}), {values.shape[1]})")

    def _constant(self, values: Array, read: str) -> str:
        name = f"C{len(self._constants)}"
        content = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
        text = base64.b64encode(content).decode()
        lines = [text[start : start + 100] for start in range(0, len(text), 100)]
        literal = "\n    ".join(f'"{line}"' for line in lines)
        self._constants.append(f"{name} = {read.format(f'({chr(10)}    {literal}{chr(10)})')}\n")
        return name

    # The text

    def text(self) -> str:
        """Return the whole file."""
        program = self._program
        networks = [
            self._network(f"network_{part}_{number}", network)
            for part, one in enumerate(program.parts)
            for number, network in enumerate(one.networks)
        ]
        table = self._table() if program.columns else []
        title = f"{program.title}; written by cnn_core {__version__}."
        head = f'"""{title}\n\n{_ROWS[bool(table)]}\n"""'
        return "\n\n".join(
            [
                head.replace("\\", "\\\\"),
                _IMPORTS,
                *(one.rstrip("\n") + "\n" for one in functions_for(self._used)),
                "".join(self._constants),
                *networks,
                *table,
                *([] if program.mirrored is None else [_mirrored(program.mirrored)]),
                *self._answers(),
            ]
        )

    def _network(self, name: str, operations: Any) -> str:
        self._steps = []
        self.through(operations, "x")
        steps = "".join(f"    {step}\n" for step in self._steps)
        return f"def {name}(x):\n{steps}    return x\n"

    def _answers(self) -> list[str]:
        answer = self._program.answer
        outputs = "blended(columns_of(x))" if self._program.columns else "network_0_0(x)"
        if self._program.mirrored is not None:
            outputs = "averaged(x)"
        if answer.classes is None:
            single = self._program.n_outputs == 1
            returned = f"{outputs}[0]" if single else outputs
            doc = "the number" if single else "the outputs"
            return [f'def predict(x):\n    """Return {doc} for a row."""\n    return {returned}\n']
        proba = {"binary": "[1.0 - y[0], y[0]]", "one": "[1.0]"}.get(answer.kind, "y")
        likeliest = "CLASSES[y.index(max(y))]"
        chosen = {
            "binary": "CLASSES[int(y[1] > 0.5)]",
            "multilabel": "[int(one > 0.5) for one in y]",
        }.get(answer.kind, likeliest)
        return [
            f"CLASSES = {answer.classes.tolist()!r}\n",
            'def predict_proba(x):\n    """Return the probability of each class for a row."""\n'
            f"    y = {outputs}\n    return {proba}\n",
            'def predict(x):\n    """Return the class of a row, or 0 and 1 for each label."""\n'
            f"    y = predict_proba(x)\n    return {chosen}\n",
        ]

    # Tables

    def _table(self) -> list[str]:
        program, blend = self._program, self._program.blend
        assert blend is not None
        names = tuple(column.name for column in program.columns)
        kinds = {column.kind for column in program.columns}
        words = {"number": "number_of", "category": "text_of", "date": "parts_of"}
        self._used.update(words[kind] for kind in kinds)
        self._used.add("scaled")
        features = "\n".join(
            f"    {line}"
            for number, column in enumerate(program.columns)
            for line in _features(number, column)
        )
        of_parts = [self._part(number, part) for number, part in enumerate(program.parts)]
        scale = next((one for one in program.parts[0].scales if isinstance(one, NumberInput)), None)
        limits = "" if scale is None else f"LIMIT, SMALLEST = {scale.limit!r}, {scale.smallest!r}\n"
        return [
            f"COLUMNS = {names!r}\n{limits}",
            f"{_COLUMNS_OF}\n\ndef features_of(row):\n"
            f'    """Return numbers, and codes of categories."""\n    found = []\n{features}\n'
            "    return found\n",
            *of_parts,
            self._blended(),
        ]

    def _part(self, number: int, part: Part) -> str:
        lines = []
        for place, one in enumerate(part.scales):
            if isinstance(one, int):
                lines.append(f"found.append(float(features[{place}]))")
            else:
                settings = f"{one.centre!r}, {one.spread!r}, {one.edges.tolist()!r}, {one.marked}"
                lines.append(f"found += scaled(features[{place}], {settings})")
        body = "".join(f"    {line}\n" for line in lines)
        return f"def matrix_{number}(features):\n    found = []\n{body}    return found\n"

    def _blended(self) -> str:
        program, blend = self._program, self._program.blend
        assert blend is not None
        parts = ", ".join(
            f"({part.share!r}, matrix_{number}, "
            f"({''.join(f'network_{number}_{one}, ' for one in range(len(part.networks)))}))"
            for number, part in enumerate(program.parts)
        )
        addend, last = (
            _NUMBER_BLEND,
            f"""\
    value = (total[0] * {blend.spread!r} + {blend.centre!r}) * {blend.unit!r}
    return [min(max(value, {_float(blend.least)}), {_float(blend.most)})]
""",
        )
        if program.answer.classes is not None:
            n_classes = len(program.answer.classes)
            addend = _CLASS_BLEND[min(n_classes, 3)].replace("LEAST", repr(blend.least_probability))
            last = _PROBABILITIES.replace("TEMPERATURE", repr(blend.temperature))
        return f"""\
PARTS = [{parts}]


def addends(y):
{addend}

def blended(row):
    features = features_of(row)
    total = None
    for share, matrix, networks in PARTS:
        x = matrix(features)
        each = [addends(network(x)) for network in networks]
        mean = [share * (sum(values) / len(each)) for values in zip(*each)]
        total = mean if total is None else [a + b for a, b in zip(total, mean)]
{last}"""


def _mirrored(image: ImageShape) -> str:
    """Return the function that averages with the mirror image."""
    _, width, channels = image
    return f"""\
def averaged(x):
    \"\"\"Return the mean of the outputs for an image and for its mirror image.\"\"\"
    width, channels = {width}, {channels}
    pixels = [x[start : start + channels] for start in range(0, len(x), channels)]
    lines = [pixels[start : start + width][::-1] for start in range(0, len(pixels), width)]
    other = [value for line in lines for pixel in line for value in pixel]
    return [(a + b) / 2 for a, b in zip(network_0_0(x), network_0_0(other))]
"""


def _float(value: float) -> str:
    return f'float("{value!r}")' if np.isinf(value) else repr(value)


def _features(number: int, column: Column) -> list[str]:
    if column.kind == "number":
        return [f"found.append(number_of(row[{number}]))"]
    if column.kind == "date":
        parts = [f"parts[{part!r}]" for part in column.parts]
        return [f"parts = parts_of(row[{number}])", f"found += [{', '.join(parts)}]"]
    codes = {level: code for code, level in enumerate(column.levels)}
    codes[""] = column.missing_code
    return [f"found.append({codes!r}.get(text_of(row[{number}]), -1))"]


def _code(values: Array) -> str:
    """Return the type code of the dtype in the module array."""
    return "f" if values.dtype.itemsize == 4 else "d"


def _size(layer: ImageLayer) -> str:
    height, width, _ = layer.input_shape
    out_height, out_width, _ = layer.output_shape
    return repr((height, width, out_height, out_width, *layer.window, layer.step, layer.margin))


_ROWS = {
    False: "A row is a list of numbers. Python 3.8 and its standard library are enough.",
    True: "A row is a dict of columns, or a list of values in the order of COLUMNS: numbers,\n"
    "text, dates; None where a value is missing. Python 3.8 and its standard library are enough.",
}
_IMPORTS = """\
import array
import base64
import bisect
import datetime
import math
import sys
from operator import mul


def floats(text, code):
    \"\"\"Return the floats that text in base 64 stands for.\"\"\"
    found = array.array(code, base64.b64decode(text))
    if sys.byteorder == "big":
        found.byteswap()
    return found.tolist()


def rows(values, width):
    \"\"\"Return values as rows of a length.\"\"\"
    return [values[start : start + width] for start in range(0, len(values), width)]
"""
_COLUMNS_OF = """\
def columns_of(row):
    \"\"\"Return the values of a row in the order of COLUMNS.\"\"\"
    return [row[name] for name in COLUMNS] if isinstance(row, dict) else row
"""
_NUMBER_BLEND = "    return y\n"
_CLASS_BLEND = {
    1: "    return [0.0]\n",
    2: "    return [math.log(max(one, LEAST)) for one in (1.0 - y[0], y[0])]\n",
    3: "    return [math.log(max(one, LEAST)) for one in y]\n",
}
_PROBABILITIES = """\
    largest = max(total)
    found = [math.exp((value - largest) / TEMPERATURE) for value in total]
    whole = sum(found)
    return [value / whole for value in found]
"""
