"""onnxruntime, which only predicts: its own order of channels, every optimisation on."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper

from cnn_core.layers import Conv2D, Dense, MaxPool2D
from images.work import Floats, Job, first_parameters, network

# Versions that every onnxruntime of the last years reads, whatever the onnx package would write.
_OPSET, _IR_VERSION = 17, 8


class OnnxRuntime:
    """An inference session with as many threads as are given."""

    def __init__(self, job: Job, x: Floats, labels: Any) -> None:
        self.title = f"onnxruntime {onnxruntime.__version__}"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = job.threads
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self._session = onnxruntime.InferenceSession(
            _model(job), options, providers=["CPUExecutionProvider"]
        )
        self._x = np.ascontiguousarray(x.transpose(0, 3, 1, 2))

    def train_epoch(self) -> None:
        """Refuse: it cannot."""
        raise NotImplementedError("onnxruntime only predicts")

    def predict(self) -> Any:
        """Predict all images."""
        return self._session.run(None, {"x": self._x})[0]

    def outputs(self) -> Floats:
        """Return the outputs."""
        found: Floats = self.predict()
        return found


class _Graph:
    """Nodes one above the other, and the arrays that they read."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.values: list[Any] = []
        self.top = "x"

    def add(self, kind: str, *arrays: Floats, **settings: Any) -> None:
        names = [self.top]
        for array in arrays:
            names.append(f"v{len(self.values)}")
            self.values.append(onnx.numpy_helper.from_array(np.ascontiguousarray(array), names[-1]))
        self.top = f"a{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, names, [self.top], **settings))


def _model(job: Job) -> bytes:
    described, graph = network(job.order), _Graph()
    image: tuple[int, ...] = ()
    for layer, arrays in zip(
        described.layers, described.unflatten(first_parameters(described)), strict=True
    ):
        zeros = np.zeros(layer.fan_out if isinstance(layer, Dense) else layer.units, np.float32)
        if isinstance(layer, Dense):
            weights = arrays.weights
            if image:
                # Theirs come channel by channel.
                graph.add("Flatten")
                weights = weights.reshape(*image, -1).transpose(2, 0, 1, 3).reshape(weights.shape)
            image = ()
            graph.add("Gemm", weights, zeros)
        elif isinstance(layer, Conv2D):
            kernel = arrays.weights.reshape(3, 3, layer.input_shape[2], layer.channels)
            graph.add("Conv", kernel.transpose(3, 2, 0, 1), pads=[1, 1, 1, 1])
        elif isinstance(layer, MaxPool2D):
            graph.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
            image = layer.output_shape
        if layer.normalization is not None:
            ones = zeros + 1
            graph.add("BatchNormalization", ones, zeros, zeros, ones, epsilon=1e-5)
        if layer.activation == "relu":
            graph.add("Relu")
    graph.add("Softmax", axis=1)
    ends = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("x", ["n", 1, 28, 28]), (graph.top, ["n", 10]))
    ]
    made = helper.make_graph(graph.nodes, "network", ends[:1], ends[1:], graph.values)
    opset = helper.make_opsetid("", _OPSET)
    model = helper.make_model(made, opset_imports=[opset], ir_version=_IR_VERSION)
    serialized: bytes = model.SerializeToString()
    return serialized
