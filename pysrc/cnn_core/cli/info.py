"""``cnn-core info``: the backend in use on this machine."""

from __future__ import annotations

import argparse
import importlib.machinery
import os
import platform
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import cnn_core
from cnn_core import backend_info
from cnn_core.cli.console import error_text, one_line
from cnn_core.cli.output import print_result

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Run the command.

    Returns
    -------
    int
        0, or 1 if the backend cannot be loaded.
    """
    try:
        _require_that_loading_ends(args.backend)
        info = backend_info(args.backend)
    # Loading a damaged or foreign binary may fail in any way.
    except Exception as error:
        failure = _failure(args.backend, error)
        print_result(args, _failure_text(failure), failure)
        return 1
    print_result(args, _text(info), info)
    return 0


def _require_that_loading_ends(backend: str) -> None:
    """Load the backend in a separate process, since a damaged binary may crash it."""
    if not sys.executable:
        return
    code = f"import cnn_core; cnn_core.backend_info({backend!r})"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=False
    )
    if ended.returncode < 0:
        raise ImportError(
            f"loading it ends the process by {signal.Signals(-ended.returncode).name}: a file is "
            "damaged, or made for another machine; install the package again"
        )


def _failure(asked_for: str, error: Exception) -> dict[str, Any]:
    """Return the information if the backend cannot be loaded."""
    package = Path(cnn_core.__file__)
    suffixes = tuple(importlib.machinery.EXTENSION_SUFFIXES)
    binaries = (path for path in package.parent.rglob("_native/**/*") if path.is_file())
    return {
        "backend": None,
        "asked_for": asked_for,
        "error": error_text(error),
        "environment": _environment(),
        "versions": {
            "cnn_core": cnn_core.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
        "package": str(package),
        "compiled_modules": Counter(
            str(path.parent) for path in sorted(binaries) if path.name.endswith(suffixes)
        ),
    }


def _failure_text(failure: dict[str, Any]) -> str:
    versions, modules = failure["versions"], failure["compiled_modules"]
    settings = [f"{name}={value}" for name, value in failure["environment"].items()]
    rows = [
        ("backend", "none: it cannot be loaded"),
        ("because", failure["error"]),
        ("asked for", failure["asked_for"]),
        ("environment", " ".join(settings) or "-"),
        ("without it", "CNN_CORE_BACKEND=numpy computes by NumPy alone, slower"),
        ("cnn_core", versions["cnn_core"]),
        ("Python", f"{versions['python']} on {platform.platform()}"),
        ("NumPy", versions["numpy"]),
        ("package", failure["package"]),
    ]
    lines = [f"{name:<14} {one_line(value)}" for name, value in rows]
    lines += ["", "compiled modules for this Python" if modules else "no compiled modules"]
    return "\n".join([*lines, *(f"  {count:>2} in {folder}" for folder, count in modules.items())])


def _environment() -> dict[str, str]:
    """Return the library's environment variables."""
    return {name: value for name, value in sorted(os.environ.items()) if name[:9] == "CNN_CORE_"}


def _text(info: dict[str, Any]) -> str:
    versions = info["versions"]
    cython = versions["cython"]
    rows = [
        ("backend", info["backend"]),
        ("available", ", ".join(info["available"])),
        ("ISA level", info["isa"]),
        ("built for", ", ".join(info["isa_built"]) or "-"),
        *([("processor has", ", ".join(info["isa_detected"]))] if info["isa_detected"] else []),
        ("threads", "as NumPy's BLAS decides" if info["threads"] is None else info["threads"]),
        ("compiler", info["compiler"] or "-"),
        *([("sanitized", "yes: every access to memory is checked, slowly")] * info["sanitized"]),
        ("cnn_core", versions["cnn_core"]),
        ("Python", f"{versions['python']} on {platform.platform()}"),
        ("NumPy", versions["numpy"]),
        ("Cython", f"{cython} (at build time)" if cython else "-"),
    ]
    lines = [f"{name:<14} {value}" for name, value in rows]
    lines += ["", "loaded from", *(f"  {path}" for path in info["modules"].values())]
    return "\n".join(lines)
