"""What other compilers make of the sources, and that the register tile is inlined by each of them.

Everything is built in copies of the source tree, with setup.py's own flags, but only the modules
that a test looks at.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cnn_core import backend_info

pytestmark = [pytest.mark.slow, pytest.mark.compiled]

COMPILERS = ("gcc", "clang")
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


def tree_built_with(compiler: str, wanted: str, source_tree: Path, tree: Path) -> Path:
    """Return a copy of the sources in which `compiler` has built the wanted modules in place."""
    for name in ("cnn_core", "pysrc"):
        ignored = shutil.ignore_patterns("*.so", "*.egg-info", "__pycache__")
        shutil.copytree(source_tree / name, tree / name, ignore=ignored)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(source_tree / name, tree / name)
    (tree / "build_some.py").write_text(BUILD)
    assert shutil.which(compiler), f"this test needs {compiler}: apt-get install {compiler}"
    run(sys.executable, "build_some.py", wanted, "build_ext", "--inplace", cwd=tree, CC=compiler)
    return tree


def run(*command: str, cwd: Path, **variables: str) -> str:
    """Return what a command says; it must end well."""
    process = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stdout
    return process.stdout


def functions_of(objects: list[Path]) -> set[str]:
    """Return the names of the functions in object files, without the compiler's suffixes."""
    lines = run("nm", *map(str, objects), cwd=Path.cwd()).splitlines()
    return {line.split()[-1].partition(".")[0] for line in lines if re.search(r" [tT] ", line)}


@pytest.mark.parametrize("compiler", COMPILERS)
def test_every_inline_function_of_the_dense_layer_is_inlined_at_every_level(
    compiler, source_tree, tmp_path
):
    # A register tile that is called instead takes three times as long; no other test would notice.
    source = (source_tree / "cnn_core" / "dense.pyx").read_text()
    inline = set(re.findall(r"^cdef inline .*?(\w+)\(", source, re.MULTILINE))
    assert "tile" in inline
    tree = tree_built_with(compiler, r"\.dense$", source_tree, tmp_path / "tree")
    objects = sorted(tree.glob("build/**/dense.o"))
    functions = functions_of(objects)
    # The module's name stands behind the number of its letters.
    assert len(objects) == len([name for name in functions if name.endswith("5dense_product")]) > 0
    left = {name for name in functions for part in inline if name.endswith(f"5dense_{part}")}
    assert left == set()


def test_kernels_and_engine_built_by_clang_compute_what_numpy_does(source_tree, tmp_path):
    level = backend_info("cython")["isa"].replace("-", "_")
    wanted = rf"_native\.(cpu|pool|_cnn_core_shared|{level}_float\d+\.\w+)$"
    tree = tree_built_with("clang", wanted, source_tree, tmp_path / "tree")
    origin = "import cnn_core; print(cnn_core.backend_info()['compiler'], cnn_core.__file__)"
    places = {"cwd": source_tree, "PYTHONPATH": str(tree / "pysrc")}
    compiler, file = run(sys.executable, "-c", origin, **places).rsplit(maxsplit=1)
    assert compiler.startswith("clang ")
    assert Path(file).is_relative_to(tree)
    run(
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not numpy"),
        *("tests/test_kernels.py", "tests/test_fast_paths.py", "tests/test_article.py"),
        **places,
    )
