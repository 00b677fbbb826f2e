"""Hold the hand-written stubs of the compiled modules against the modules; called by `make lint`.

Every ISA level and dtype is a module of its own, so each one is checked.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cnn_core._native import cpu
from cnn_core.backends import backend_info

SOURCES = Path(__file__).parents[2] / "cnn_core"


def has_stub(module: str) -> bool:
    """Return whether there is anything in a module that Python calls."""
    return (SOURCES / f"{module}.pyi").exists()


def main() -> int:
    package = "cnn_core._native"
    info = backend_info("cython")
    modules = [f"{package}.cpu", f"{package}.threads"]
    for level in (level for level in info["isa_built"] if level in info["isa_detected"]):
        for dtype in ("float32", "float64"):
            folder = f"{package}.{level.replace('-', '_')}_{dtype}"
            modules += [f"{folder}.{part}" for part in cpu.built_modules() if has_stub(part)]
    return subprocess.call([sys.executable, "-m", "mypy.stubtest", *modules])


if __name__ == "__main__":
    raise SystemExit(main())
