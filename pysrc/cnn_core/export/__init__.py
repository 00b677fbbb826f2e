"""Trained models for other programs: ONNX, C, Python without packages, PyTorch's weights.

The methods ``to_onnx`` and others of `cnn_core.NN`, `cnn_core.Model` and the estimators write the
files. Each compares the exported model with the original on the user's rows before it writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnn_core.lazy_imports import on_first_use

if TYPE_CHECKING:
    from cnn_core.export.exportable import Exportable
    from cnn_core.export.feeds import onnx_feed
    from cnn_core.export.selftest import Agreement, ExportError
    from cnn_core.export.skl2onnx_converters import register_skl2onnx

__all__ = ["Agreement", "ExportError", "Exportable", "onnx_feed", "register_skl2onnx"]

# Imported on first use: most programs export nothing.
__getattr__, __dir__ = on_first_use(
    __name__,
    {
        "Agreement": "selftest",
        "ExportError": "selftest",
        "Exportable": "exportable",
        "onnx_feed": "feeds",
        "register_skl2onnx": "skl2onnx_converters",
    },
)
