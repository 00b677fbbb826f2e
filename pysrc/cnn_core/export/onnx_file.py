"""Write ONNX files: checked by onnx and compared in onnxruntime."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core._version import __version__
from cnn_core.export.onnx_graph import (
    DOUBLE,
    ELEMENT,
    INT64,
    ML_OPSET,
    OPSET,
    STRING,
    Flow,
    Graph,
    NetworkNodes,
    add_answer,
    classes_for_onnx,
    dtype_of,
)
from cnn_core.export.onnx_table import add_table, column_inputs
from cnn_core.export.operations import Standardize
from cnn_core.export.program import Program, Rows
from cnn_core.export.selftest import Agreement, Reference, agreement
from cnn_core.files import atomic_write, checked_target

Array = npt.NDArray[Any]

# For opset 13 to 15, so that the oldest runtimes with these operators can read it.
_IR_VERSION = 8
_HOW_TO_INSTALL = 'pip install "cnn-core[onnx]"'
_ML_KINDS = ("LabelEncoder",)
# Limit of a protocol buffers message.
_MOST_BYTES = 2**31 - 2**20


def write_onnx(
    program: Program,
    path: str | os.PathLike[str],
    reference: Reference,
    *,
    tolerance: float,
    input_dtype: str | None = None,
) -> Agreement:
    """Write a program to an ONNX file, after a comparison with onnxruntime.

    Raises
    ------
    ImportError
        If onnx or onnxruntime is not installed.
    cnn_core.export.ExportError
        If onnxruntime and the model do not agree.
    OSError
        If the file cannot be written.
    """
    checked_target(path)
    content = onnx_model(program, input_dtype).SerializeToString()
    found = _run(content, onnx_inputs(program, reference.rows, input_dtype))
    labels, values = found if program.answer.is_for_classes else (None, found[0])
    result = agreement(
        program,
        reference,
        values,
        labels,
        computed_by=f"onnxruntime {_version('onnxruntime')}",
        tolerance=tolerance,
        sizes={"file": len(content)},
    )
    atomic_write(path, lambda stream: stream.write(content))
    return result


def onnx_model(program: Program, input_dtype: str | None = None) -> Any:
    """Return a program as an ``onnx.ModelProto`` that passed ONNX's checker.

    Raises
    ------
    ImportError
        If onnx is not installed.
    ValueError
        If it is larger than 2 GB.
    """
    helper, checker = _onnx("helper"), _onnx("checker")
    graph = OnnxGraph()
    names = output_names(program)
    if program.columns:
        inputs = [
            helper.make_tensor_value_info(name, element, ["n", 1])
            for name, element in column_inputs(program)
        ]
        values, element = add_table(graph, program, [one.name for one in inputs])
    else:
        kind = ELEMENT[input_dtype or input_dtype_of(program)]
        inputs = [helper.make_tensor_value_info("X", kind, ["n", program.n_inputs])]
        values, element = add_network(graph, program, "X", kind)
    dtype = np.dtype(np.float64 if element == DOUBLE else np.float32)
    add_answer(graph, program.answer, values, dtype, names)
    if graph.n_bytes > _MOST_BYTES:
        raise ValueError(
            f"path: expected a network of less than 2 GB, the most that an ONNX file holds, found "
            f"{graph.n_bytes / 1e9:.1f} GB"
        )
    model = helper.make_model(
        helper.make_graph(
            graph.nodes, "cnn_core", inputs, _outputs(program, names, element), graph.constants
        ),
        opset_imports=[
            helper.make_opsetid("", OPSET),
            helper.make_opsetid("ai.onnx.ml", ML_OPSET),
        ],
        ir_version=_IR_VERSION,
        producer_name="cnn_core",
        producer_version=__version__,
        doc_string=program.title,
    )
    checker.check_model(model, full_check=True)
    return model


def add_network(graph: Graph, program: Program, rows: str, element: int) -> tuple[str, int]:
    """Add the single network of a program; return its outputs and their element type."""
    dtype = dtype_of(program)
    own = ELEMENT[dtype.name]
    as_they_are = element == own or isinstance(program.network[0], Standardize)
    value = rows if as_they_are else graph.cast(rows, own)
    if program.mirrored is not None:
        order = graph.constant(program.mirror_order, np.int64)
        value = graph.node("Concat", value, graph.node("Gather", value, order, axis=1), axis=0)
    nodes = NetworkNodes(graph, dtype)
    outputs = nodes.flat(nodes.through(program.network, Flow(value)))
    if program.mirrored is not None:
        # The images, followed by their mirror images.
        both = graph.constant([2, -1, program.n_outputs], np.int64)
        pairs = graph.node("Reshape", outputs, both)
        total = graph.node("ReduceSum", pairs, graph.constant([0], np.int64), keepdims=0)
        outputs = graph.node("Mul", total, graph.constant(0.5, dtype))
    return outputs, own


def input_dtype_of(program: Program) -> str:
    """Return the dtype of the input where none is asked for: what is standardized needs float64."""
    return "float64" if isinstance(program.network[0], Standardize) else dtype_of(program).name


def dtype_as_given(program: Program, X: Any) -> str | None:
    """Return uint8 for an array of bytes; None for other rows, and for tables."""
    are_bytes = getattr(X, "dtype", None) == np.uint8 and not program.columns
    return "uint8" if are_bytes else None


def output_names(program: Program) -> list[str]:
    """Return skl2onnx's names of the outputs."""
    if program.answer.is_for_classes:
        return ["label", "probabilities"]
    return ["variable" if program.answer.kind == "number" else "outputs"]


def _outputs(program: Program, names: list[str], element: int) -> list[Any]:
    helper, answer = _onnx("helper"), program.answer
    if answer.classes is None:
        width = program.n_outputs
        return [helper.make_tensor_value_info(names[0], element, ["n", width])]
    width = len(answer.classes)
    numbers = classes_for_onnx(answer).dtype == np.int64 or answer.kind == "multilabel"
    shape = ["n", width] if answer.kind == "multilabel" else ["n"]
    return [
        helper.make_tensor_value_info(names[0], INT64 if numbers else STRING, shape),
        helper.make_tensor_value_info(names[1], element, ["n", width]),
    ]


def onnx_inputs(program: Program, rows: Rows, input_dtype: str | None = None) -> dict[str, Array]:
    """Return rows as onnxruntime is given them, by the names of the inputs."""
    if not isinstance(rows, list):
        return {"X": rows.astype(input_dtype or input_dtype_of(program), copy=False)}
    feed = {}
    for (name, element), column in zip(column_inputs(program), rows, strict=True):
        values: Array = column.astype(np.int64) if element == INT64 else column
        feed[name] = values.reshape(-1, 1)
    return feed


class OnnxGraph(Graph):
    """The nodes and constants of a new graph.

    Attributes
    ----------
    nodes, constants : list
        Messages of onnx.
    n_bytes : int
        Size of the constants.
    """

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.n_bytes = 0
        self._known: dict[Any, str] = {}

    def constant(self, values: Any, dtype: Any = None) -> str:
        """Add a constant tensor; equal small ones only once."""
        array = np.ascontiguousarray(values, dtype)
        key = (array.dtype.str, np.shape(values), array.tobytes()) if array.size < 64 else None
        if key is None or array.dtype == object or key not in self._known:
            name = f"constant_{len(self.constants)}"
            array = array.reshape(np.shape(values))
            self.constants.append(_onnx("numpy_helper").from_array(array, name))
            self.n_bytes += array.nbytes
            if key is None or array.dtype == object:
                return name
            self._known[key] = name
        return self._known[key]

    def node(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node; return the name of its output."""
        name = output or f"value_{len(self.nodes)}"
        domain = "ai.onnx.ml" if kind in _ML_KINDS else ""
        node = _onnx("helper").make_node(kind, list(inputs), [name], domain=domain, **attributes)
        self.nodes.append(node)
        return name


def _onnx(module: str) -> Any:
    """Return a module of onnx.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    import importlib

    try:
        return importlib.import_module(f"onnx.{module}")
    except ImportError as error:
        raise ImportError(f"exporting to ONNX needs onnx: {_HOW_TO_INSTALL} ({error})") from error


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


def _run(content: bytes, feed: dict[str, Array]) -> list[Array]:
    """Run onnxruntime on one thread and return the outputs."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(
            f"comparing an ONNX model needs onnxruntime: {_HOW_TO_INSTALL} ({error})"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    found: list[Array] = session.run(None, feed)
    return found
