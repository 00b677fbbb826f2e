"""Backends by name: each gives the kernels and the engine of `cnn_core.backends.interface`.

``"cython"`` is the compiled one, ``"numpy"`` the reference; ``"auto"`` is what `CNN_CORE_BACKEND`
names, and where that is unset the compiled one if it was built. A backend is never replaced by
another one silently: see `get`.
"""

from __future__ import annotations

import functools
import os
import platform
import sys
import warnings
from typing import Any

import numpy as np

from cnn_core._version import __version__
from cnn_core.backends import native
from cnn_core.backends.backend import Backend
from cnn_core.backends.numpy import NumpyBackend
from cnn_core.backends.threads import MOST_THREADS
from cnn_core.validation import shown, whole

__all__ = [
    "NAMES",
    "Backend",
    "BackendUnavailableError",
    "BackendWarning",
    "available",
    "backend_info",
    "get",
    "threads_in_use",
]

NAMES = ("cython", "numpy")


class BackendUnavailableError(ImportError):
    """A backend that was asked for by name is not part of this installation."""


class BackendWarning(RuntimeWarning):
    """The compiled backend was not built, and the reference takes its place."""


def get(name: str = "auto") -> Backend:
    """Return a backend.

    Parameters
    ----------
    name : {"auto", "cython", "numpy"}
        ``"auto"``: the one that the environment variable `CNN_CORE_BACKEND` names; where it is
        unset, the compiled one, or, if the package was built without it, the reference, with one
        `BackendWarning` per process.

    Raises
    ------
    ValueError
        For another name, or for a `CNN_CORE_ISA` that this processor does not have.
    BackendUnavailableError
        If ``"cython"`` is asked for, here or by the environment, and was not built.
    ImportError
        If the compiled backend is there and cannot be loaded.
    """
    source = "backend"
    if isinstance(name, str) and name == "auto":
        name = os.environ.get("CNN_CORE_BACKEND") or "auto"
        source = "CNN_CORE_BACKEND"
    if not isinstance(name, str) or name not in ("auto", "cython", "numpy"):
        raise ValueError(f"{source}: expected 'auto', 'cython' or 'numpy', found {shown(name)}")
    if name == "numpy":
        return _numpy()
    compiled = _cython()
    if compiled is not None:
        return compiled
    if name == "cython":
        raise BackendUnavailableError(
            f"{source}: the compiled backend was asked for, but this installation was built "
            "without it (CNN_CORE_PURE_PYTHON=1); install again with a C compiler, or ask for "
            "'numpy'"
        )
    _warn_that_it_is_not_compiled()
    return _numpy()


def available() -> tuple[str, ...]:
    """Return the names of the backends that this installation can load."""
    try:
        return NAMES if native.load_cpu_module() is not None else ("numpy",)
    # `get` tells why.
    except ImportError:
        return ("numpy",)


def backend_info(backend: str = "auto") -> dict[str, Any]:
    """Return what computes: a dictionary of strings, numbers, lists and dictionaries.

    Parameters
    ----------
    backend : {"auto", "cython", "numpy"}

    Returns
    -------
    dict
        ``backend``, ``isa``, ``isa_built`` and ``isa_detected`` (lists in rising order),
        ``threads`` (None where NumPy's BLAS decides), ``compiler``, ``sanitized`` (whether it is a
        build that checks each access to memory, slowly), ``versions`` (of cnn_core, Python, NumPy,
        Cython), ``modules`` (name to file of each module that computes) and ``available`` (names of
        backends).

    Raises
    ------
    ValueError, ImportError
        As `get` does.
    """
    chosen = get(backend)
    compiled = chosen if isinstance(chosen, native.NativeBackend) else None
    return {
        "backend": chosen.name,
        "isa": chosen.isa,
        "isa_built": list(compiled.isa_built) if compiled else [],
        "isa_detected": list(compiled.isa_detected) if compiled else [],
        "threads": chosen.threads,
        "compiler": compiled.compiler if compiled else None,
        "sanitized": compiled.sanitized if compiled else False,
        "versions": {
            "cnn_core": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "cython": compiled.cython if compiled else None,
        },
        "modules": {"cnn_core": _package_file(), **chosen.module_paths()},
        "available": list(available()),
    }


def threads_in_use(backend: Backend, wanted: int | None) -> int | None:
    """Return the threads that were asked for, else those that the backend uses by default.

    Raises
    ------
    TypeError, ValueError
        If `wanted` is no whole number of at least 1.
    """
    if wanted is None:
        return backend.threads
    threads = whole("n_threads", wanted, 1, MOST_THREADS)
    return None if backend.name == "numpy" else threads


@functools.cache
def _numpy() -> Backend:
    return NumpyBackend()


@functools.cache
def _cython() -> Backend | None:
    cpu = native.load_cpu_module()
    return native.NativeBackend(cpu) if cpu is not None else None


@functools.cache
def _warn_that_it_is_not_compiled() -> None:
    warnings.warn(
        "cnn_core was built without its compiled backend and uses the NumPy reference, which is "
        "slower; install it again with a C compiler, or set CNN_CORE_BACKEND=numpy to choose the "
        "reference without this warning",
        BackendWarning,
        stacklevel=4,
    )


def _package_file() -> str:
    return str(sys.modules["cnn_core"].__file__)
