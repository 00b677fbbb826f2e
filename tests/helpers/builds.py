"""Builds of the sources, and fresh environments to install them into; all of it offline."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

LEVELS = {
    "x86_64": ("x86_64_v2", "x86_64_v3", "x86_64_v4"),
    "aarch64": ("neon",),
}.get(platform.machine(), ("generic",))
# By its own name, for a build of which no test needs another one.
LOWEST_LEVEL = LEVELS[0].replace("_", "-")
DTYPES = ("float32", "float64")
MODULES = (
    "zero_skipping",
    "dense",
    "layer",
    "activations",
    "losses",
    "optimizers",
    "sparse_rows",
    "update",
    "layer_normalization",
    "dropout",
    "dense_layer",
    "embedding",
    "encoded_layer",
    "patches",
    "winograd",
    "convolution",
    "pooling",
    "normalization",
    "augmentation",
    "samples",
    "forward_backward",
    "small_batches",
    "kernels",
    "engine",
)
# Compiled once for all levels and dtypes.
COMMON = ("cpu", "threads", "_cnn_core_shared")
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")

# What a build leaves behind, and what belongs to no distribution.
NOT_SOURCES = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "*.so", "*.pyd", "*.pyc")
SOURCE_FOLDERS = ("bench", "cnn_core", "docs", "pysrc", "tests")
SOURCE_FILES = {
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "MANIFEST.in",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "pyproject.toml",
    "setup.py",
}

TRAIN = """
import numpy as np, cnn_core
X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
net = cnn_core.NN(2, 8, 2, learning_rate=5.0, epochs=2000, batch_size=4, seed=0)
print(*net.fit(X, [0, 1, 1, 0]).predict(X).argmax(axis=1), net.backend, cnn_core.__file__)
"""


@dataclass(frozen=True)
class Result:
    """How a command ended, and all that it said."""

    code: int
    output: str


@dataclass(frozen=True)
class Environment:
    """A fresh virtual environment that holds NumPy and, to install with, pip."""

    folder: Path
    packages: Path

    def call(self, *command: str | Path, cwd: Path | None = None, **switches: str) -> Result:
        """Run a command of this environment without the switches that the tests run with."""
        return call(
            self.folder / "bin" / command[0], *command[1:], cwd=cwd or self.folder, **switches
        )

    def python(self, code: str, *options: str, cwd: Path | None = None) -> str:
        """Return what `code` prints; it must end well."""
        result = self.call("python", *options, "-c", code, cwd=cwd)
        assert result.code == 0, result.output
        return result.output.strip()

    def install(self, *what: str | Path, tools: Path | None = None, **switches: str) -> Result:
        """Install from the network-less machine that this is, dependencies included."""
        if tools is not None:
            switches["PYTHONPATH"] = str(tools)
        return self.call(
            "python", "-m", "pip", "install", "--no-build-isolation", *what, **switches
        )


def call(*command: str | Path, cwd: Path, **switches: str) -> Result:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CNN_CORE_", "PYTHON", "PIP_"))
        and name not in ("CC", "CFLAGS", "LDSHARED", "LDFLAGS", "CPPFLAGS")
    }
    environment |= {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"} | switches
    process = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    return Result(process.returncode, process.stdout)


def build_wheel(tree: Path, target: Path, **switches: str) -> Path:
    """Build a wheel from a source tree into the folder `target` and return its path."""
    options = ("--no-build-isolation", "--no-deps", "--wheel-dir", target)
    result = call(sys.executable, "-m", "pip", "wheel", *options, ".", cwd=tree, **switches)
    assert result.code == 0, result.output
    (wheel,) = target.glob("*.whl")
    return wheel


def link_distributions(folder: Path, *names: str) -> None:
    """Make distributions of the running environment importable from `folder`, and nothing else."""
    for name in names:
        distribution = metadata.distribution(name)
        tops = {file.parts[0] for file in distribution.files or ()}
        for top in tops - {"..", "__pycache__"}:
            if not top.endswith(".pth"):
                (folder / top).symlink_to(Path(str(distribution.locate_file(top))).resolve())


def new_environment(folder: Path) -> Environment:
    venv.EnvBuilder(symlinks=True).create(folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    link_distributions(packages, "numpy", "pip")
    return Environment(folder, packages)


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def installed_names(wheel: Path) -> set[str]:
    """Return what a wheel holds of the package itself."""
    return {name for name in names_in(wheel) if not name.partition("/")[0].endswith(".dist-info")}


def python_files(tree: Path) -> set[str]:
    """Return what a wheel holds without anything compiled."""
    names = files_below(tree / "pysrc")
    kept = {name for name in names if name.endswith((".py", "/py.typed")) or "/templates/" in name}
    return {name for name in kept if ".egg-info/" not in name}
