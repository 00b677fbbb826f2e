"""onnxruntime, which only predicts: a graph of Gemm nodes, every optimisation on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime

from cnn_core.network import FloatArray
from contenders.work import Samples, Weights, Work

__all__ = ["OnnxRuntime"]

# Versions that every onnxruntime of the last years reads, whatever the onnx package would write.
_OPSET, _IR_VERSION = 17, 8
_OPERATORS = {"sigmoid": "Sigmoid", "relu": "Relu", "softmax": "Softmax"}
_TYPES = {"float32": onnx.TensorProto.FLOAT, "float64": onnx.TensorProto.DOUBLE}


class OnnxRuntime:
    """An inference session with as many threads as are given."""

    def __init__(self, work: Work, weights: Weights, threads: int) -> None:
        self.work = work
        self.title = f"onnxruntime {onnxruntime.__version__}"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self._session = onnxruntime.InferenceSession(
            _model(work, weights), options, providers=["CPUExecutionProvider"]
        )

    def outputs(self, samples: Samples) -> FloatArray:
        """Return the outputs."""
        y: FloatArray = self._session.run(None, {"x": samples.x(self.work.dtype)})[0]
        return y

    def prediction(self, samples: Samples) -> Callable[[], object]:
        """Return what predicts the samples."""
        x, y = (
            samples.x(self.work.dtype),
            np.empty((len(samples), self.work.sizes[-1]), self.work.dtype),
        )
        # Bound once, which spares every call a quarter of its time on one row.
        binding = self._session.io_binding()
        binding.bind_ortvalue_input("x", onnxruntime.OrtValue.ortvalue_from_numpy(x))
        binding.bind_ortvalue_output(
            self._session.get_outputs()[0].name, onnxruntime.OrtValue.ortvalue_from_numpy(y)
        )
        return lambda: self._session.run_with_iobinding(binding)


def _model(work: Work, weights: Weights) -> bytes:
    nodes, values = [], []
    below = "x"
    for number, ((w, b), activation) in enumerate(zip(weights, work.activations, strict=True)):
        names = [f"{kind}{number}" for kind in ("w", "b", "z", "a")]
        values += [
            onnx.numpy_helper.from_array(np.ascontiguousarray(value), name)
            for value, name in zip((w, b), names, strict=False)
        ]
        nodes += [
            onnx.helper.make_node("Gemm", [below, *names[:2]], [names[2]]),
            onnx.helper.make_node(_OPERATORS[activation], [names[2]], [names[3]]),
        ]
        below = names[3]
    ends = [
        onnx.helper.make_tensor_value_info(name, _TYPES[work.dtype], ["rows", size])
        for name, size in (("x", work.sizes[0]), (below, work.sizes[-1]))
    ]
    graph = onnx.helper.make_graph(nodes, "network", ends[:1], ends[1:], values)
    opset = onnx.helper.make_opsetid("", _OPSET)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION)
    serialized: bytes = model.SerializeToString()
    return serialized
