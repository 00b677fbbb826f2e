"""The contracts of a backend, which `cnn_core.backends.interface` defines."""

from __future__ import annotations

from cnn_core.backends.interface import Engine, Kernels, Predictor

__all__ = ["Engine", "Kernels", "Predictor"]
