"""What the race ran on, and what that machine can do at most."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from datetime import datetime, timezone
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from cnn_core import backend_info
from contenders.process import pinned

PACKAGES = (
    "cnn-core",
    "numpy",
    "scipy",
    "scikit-learn",
    "torch",
    "jax",
    "jaxlib",
    "onnx",
    "onnxruntime",
    "tensorflow",
    "tensorflow-cpu",
    "threadpoolctl",
    "pandas",
    "catboost",
    "lightgbm",
    "xgboost-cpu",
    "pytabkit",
)
FOLDER = Path(__file__).parent


class NoCompilerError(RuntimeError):
    """The peak cannot be measured."""


def describe(cores: Sequence[int]) -> dict[str, Any]:
    """Return everything that a reader of the results wants to know, and no path or name of it."""
    # Where the modules lie says something about the user and nothing about their speed.
    kernels = {key: value for key, value in backend_info().items() if key != "modules"}
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "processor": _field("/proc/cpuinfo", "model name") or platform.processor(),
        "instruction_set": (kernels["isa_detected"] or [platform.machine()])[-1],
        "cores": os.cpu_count(),
        "cores_used": len(cores),
        "memory": _field("/proc/meminfo", "MemTotal"),
        "system": platform.platform(),
        "commit": _commit(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
        "kernels": kernels,
        "load": os.getloadavg(),
    }


def fma_peak(core: int, level: str) -> float:
    """Return the float32 operations a second that a core does at most, measured now.

    With the vectors of an x86-64 level (x86-64-v2 has no multiply-add: a product, then a sum), or,
    if `level` is none, with those that the compiler chooses for this machine.

    Raises
    ------
    NoCompilerError
        If there is no gcc, or it does not compile the loop.
    """
    program = _peak_program(level if level.startswith("x86-64") else "native")
    with pinned([core]):
        ended = subprocess.run([program], capture_output=True, text=True, check=True)
    return float(ended.stdout.split()[0])


@cache
def _peak_program(architecture: str) -> str:
    compiler = shutil.which("gcc")
    if compiler is None:
        raise NoCompilerError("there is no gcc to compile the loop that measures it")
    folder = _temporary_folder()
    program = str(Path(folder.name) / f"fma_peak-{architecture}")
    command = [compiler, "-O3", f"-march={architecture}", "-ffp-contract=fast"]
    ended = subprocess.run(
        [*command, str(FOLDER / "fma_peak.c"), "-o", program],
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise NoCompilerError(f"gcc: {ended.stderr.strip().splitlines()[-1]}")
    return program


@cache
def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder that is removed at the end of this process."""
    return tempfile.TemporaryDirectory(prefix="cnn-core-")


def _field(path: str, name: str) -> str | None:
    """Return the first value of a ``name: value`` file of Linux."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), None)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    command = ["git", "-C", str(FOLDER), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
