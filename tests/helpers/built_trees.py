"""Copies of the source tree in which some of the modules are built, in place."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

# Builds the modules whose full names match the first argument.
BUILD = """
import re, sys
import setup
wanted = re.compile(sys.argv.pop(1))
modules = [module for module in setup.extensions() if wanted.search(module.name)]
setup.setup(
    ext_modules=setup.as_c(modules),
    cmdclass={"build_ext": setup.BuildExtensions},
    options={"build": {"build_base": str(setup.BUILD)}},
)
"""


def copied_tree(source_tree: Path, tree: Path) -> Path:
    """Return a copy of what a build needs, and of nothing that was built."""
    for name in ("cnn_core", "pysrc"):
        shutil.copytree(source_tree / name, tree / name, ignore=_what_was_built)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(source_tree / name, tree / name)
    return tree


def _what_was_built(folder: str, names: list[str]) -> set[str]:
    if Path(folder).name == "_native":
        return set(names) - {"__init__.py"}
    return {name for name in names if name == "__pycache__" or name.endswith(".egg-info")}


def build_in(tree: Path, compiler: str, wanted: str = "", levels: str = "") -> None:
    """Build the wanted modules of a copy in place, by default all of them for every level."""
    (tree / "build_some.py").write_text(BUILD)
    assert shutil.which(compiler), f"this test needs {compiler}: apt-get install {compiler}"
    command = [sys.executable, "build_some.py", wanted, "build_ext", "--inplace"]
    run(*command, cwd=tree, CC=compiler, CNN_CORE_LEVELS=levels)


def run(*command: str, cwd: Path, **variables: str) -> str:
    """Return what a command says; it must end well."""
    process = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    assert process.returncode == 0, process.stdout
    return process.stdout
