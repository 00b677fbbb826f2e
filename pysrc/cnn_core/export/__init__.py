"""Trained models for other programs: ONNX, C, Python without packages, PyTorch's weights.

The methods ``to_onnx`` and others of `cnn_core.NN`, `cnn_core.Model` and the estimators write the
files. Each compares the exported model with the original on the user's rows before it writes.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnn_core.export.exportable import Exportable
    from cnn_core.export.feeds import onnx_feed
    from cnn_core.export.selftest import Agreement, ExportError
    from cnn_core.export.skl2onnx_converters import register_skl2onnx

__all__ = ["Agreement", "ExportError", "Exportable", "onnx_feed", "register_skl2onnx"]

# Imported on first use: most programs export nothing.
_NAMES = {
    "Agreement": "selftest",
    "ExportError": "selftest",
    "Exportable": "exportable",
    "onnx_feed": "feeds",
    "register_skl2onnx": "skl2onnx_converters",
}


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'cnn_core.export' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"cnn_core.export.{_NAMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES})
