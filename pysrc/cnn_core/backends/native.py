"""The compiled backend: which of its builds this machine runs, and how it is loaded.

The same Cython sources are compiled once for each ISA level and dtype. The best level that the
processor has is chosen when the backend is first asked for; `CNN_CORE_ISA` caps it.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from cnn_core import _native
from cnn_core.backends.backend import Backend, EngineSpec
from cnn_core.backends.compiled import CompiledKernels
from cnn_core.backends.compiled_layers import compiled_layers
from cnn_core.backends.interface import Engine, Kernels
from cnn_core.backends.threads import available_threads

_PACKAGE = "cnn_core._native"


def load_cpu_module() -> ModuleType | None:
    """Return the compiled module that knows the processor, or None if the package was built pure.

    Raises
    ------
    ImportError
        If the module is there and cannot be loaded, or is missing among others that are there.
    """
    name = f"{_PACKAGE}.cpu"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name or any(Path(_native.__file__).parent.glob("*/kernels.*")):
            raise
        return None


def load_pool_module() -> ModuleType | None:
    """Return the compiled module of the pool of threads, or None if the package was built pure.

    Raises
    ------
    ImportError
        As `load_cpu_module`.
    """
    return None if load_cpu_module() is None else importlib.import_module(f"{_PACKAGE}.threads")


class NativeBackend(Backend):
    """The compiled kernels and engine at one ISA level."""

    name = "cython"

    def __init__(self, cpu: ModuleType) -> None:
        self.isa = _choose_level(
            built=cpu.built_levels(),
            detected=cpu.detected_levels(),
            cap=os.environ.get("CNN_CORE_ISA"),
        )
        self.isa_detected: tuple[str, ...] = cpu.detected_levels()
        self.isa_built: tuple[str, ...] = cpu.built_levels()
        self.sanitized: bool = cpu.is_sanitized()
        self.compiler: str = cpu.compiler()
        self.cython: str = cpu.cython_version()
        # Loaded here, so that a broken build fails now and not during a training.
        self._modules: dict[np.dtype[Any], dict[str, ModuleType]] = {
            np.dtype(dtype): {
                part: importlib.import_module(_module_name(self.isa, dtype, part))
                for part in cpu.built_modules()
            }
            for dtype in (np.float32, np.float64)
        }
        self._cpu = cpu

    @property
    def threads(self) -> int:
        """Threads that an engine uses unless told otherwise."""
        return available_threads()

    def unchecked_kernels(self, dtype: npt.DTypeLike) -> Kernels:
        """Return the kernels for arrays of `dtype` that are known to fit."""
        return CompiledKernels(self._modules[np.dtype(dtype)])

    def engine_from(self, spec: EngineSpec) -> Engine:
        """Return an engine that trains ``spec.parameters`` in place."""
        dtype = spec.parameters.dtype
        if dtype not in self._modules:
            raise ValueError(f"parameters: expected the dtype float32 or float64, found {dtype}")
        threads = self.threads if spec.threads is None else spec.threads
        modules = self._modules[dtype]
        layers = compiled_layers(spec.network, spec.parameters.size, modules)
        return cast(Engine, modules["engine"].Engine(replace(spec, threads=threads), layers))

    def module_paths(self) -> dict[str, str]:
        """Return the file of each loaded compiled module."""
        shared = importlib.import_module(f"{_PACKAGE}._cnn_core_shared")
        modules = [
            self._cpu,
            shared,
            *(m for pair in self._modules.values() for m in pair.values()),
        ]
        return {module.__name__: str(module.__file__) for module in modules}


def _module_name(isa: str, dtype: npt.DTypeLike, part: str) -> str:
    return f"{_PACKAGE}.{isa.replace('-', '_')}_{np.dtype(dtype).name}.{part}"


def _choose_level(built: tuple[str, ...], detected: tuple[str, ...], cap: str | None) -> str:
    """Return the highest level that was built, that the processor has, and that `cap` allows.

    Both tuples are in rising order.

    Raises
    ------
    ValueError
        If `cap` is not a level of this processor.
    ImportError
        If no level is left.
    """
    allowed = detected
    if cap:
        if cap not in detected:
            raise ValueError(
                f"CNN_CORE_ISA={cap}: expected one of the levels that this processor has, "
                f"{', '.join(detected) or 'none'}; unset it for the best one"
            )
        allowed = detected[: detected.index(cap) + 1]
    usable = [level for level in built if level in allowed]
    if not usable:
        raise ImportError(
            f"the compiled backend was built for {', '.join(built)}, but this processor "
            f"is allowed {', '.join(allowed) or 'none of the known levels'}; "
            "set CNN_CORE_BACKEND=numpy, or build the package on this machine"
        )
    return usable[-1]
