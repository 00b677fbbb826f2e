"""The race on images: one network in the forms of several libraries, one module for each.

A measurement is a process of its own, `python -m images`, which is given a job as JSON. No
library is imported by another one's module.
"""

from __future__ import annotations

CONTENDERS = {
    "cython": ("ours", "Ours", "cnn_core"),
    "pytorch": ("pytorch", "PyTorch", "torch"),
    "tensorflow": ("tensorflow_keras", "TensorFlow", "tensorflow"),
    "onnxruntime": ("onnx_runtime", "OnnxRuntime", "onnxruntime"),
}
"""For each its module, its class and the package that it needs."""
