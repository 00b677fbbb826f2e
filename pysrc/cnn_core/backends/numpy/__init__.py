"""The reference backend: NumPy alone, each operation as its formula is written."""

from __future__ import annotations

import importlib
import pkgutil

import numpy.typing as npt

from cnn_core.backends.backend import Backend, EngineSpec
from cnn_core.backends.interface import Engine, Kernels


class NumpyBackend(Backend):
    """The reference; see `cnn_core.backends.backend.Backend`."""

    name = "numpy"
    isa = "numpy"
    threads = None

    def unchecked_kernels(self, dtype: npt.DTypeLike) -> Kernels:
        """Return the kernels; the formulas are the same for each dtype."""
        from cnn_core.backends.numpy import kernels

        return kernels

    def engine_from(self, spec: EngineSpec) -> Engine:
        """Return an engine that trains in place; its threads are those of the BLAS."""
        from cnn_core.backends.numpy.engine import NumpyEngine

        return NumpyEngine(spec)

    def module_paths(self) -> dict[str, str]:
        """Return the files of the kernels and of the engine."""
        names = [f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)]
        return {name: str(importlib.import_module(name).__file__) for name in names}
