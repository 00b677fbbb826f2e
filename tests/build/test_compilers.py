"""What other compilers make of the sources, and that the register tile is inlined by each of them.

Everything is built in copies of the source tree, with setup.py's own flags, but only the modules
that a test looks at.
"""

from __future__ import annotations

import platform
import re
import sys
from pathlib import Path

import pytest

from built_trees import build_in, copied_tree, run
from cnn_core import backend_info

pytestmark = [pytest.mark.slow, pytest.mark.compiled]

COMPILERS = ("gcc", "clang")


def tree_built_with(compiler: str, wanted: str, source_tree: Path, tree: Path) -> Path:
    """Return a copy of the sources in which `compiler` has built the wanted modules in place."""
    build_in(copied_tree(source_tree, tree), compiler, wanted)
    return tree


def functions_of(objects: list[Path]) -> set[str]:
    """Return the names of the functions in object files, without the compiler's suffixes."""
    lines = run("nm", *map(str, objects), cwd=Path.cwd()).splitlines()
    return {line.split()[-1].partition(".")[0] for line in lines if re.search(r" [tT] ", line)}


@pytest.mark.parametrize(
    ("module", "function"), [("dense", "product"), ("patches", "gathered_product")]
)
@pytest.mark.parametrize("compiler", COMPILERS)
def test_every_inline_function_of_a_product_is_inlined_at_every_level(
    compiler, module, function, source_tree, tmp_path
):
    # A register tile that is called instead takes three times as long; no other test would notice.
    source = (source_tree / "cnn_core" / f"{module}.pyx").read_text()
    inline = set(re.findall(r"^cdef inline .*?(\w+)\(", source, re.MULTILINE))
    assert "tile" in inline
    tree = tree_built_with(compiler, rf"\.{module}$", source_tree, tmp_path / "tree")
    objects = sorted(tree.glob(f"build/**/{module}.o"))
    functions = functions_of(objects)
    # The module's name stands behind the number of its letters.
    prefix = f"{len(module)}{module}_"
    assert len(objects) == len([name for name in functions if name.endswith(prefix + function)]) > 0
    left = {name for name in functions for part in inline if name.endswith(prefix + part)}
    assert left == set()


def test_kernels_and_engine_built_by_clang_compute_what_numpy_does(source_tree, tmp_path):
    level = backend_info("cython")["isa"].replace("-", "_")
    wanted = rf"_native\.(cpu|threads|_cnn_core_shared|{level}_float\d+\.\w+)$"
    tree = tree_built_with("clang", wanted, source_tree, tmp_path / "tree")
    origin = "import cnn_core; print(cnn_core.backend_info()['compiler'], cnn_core.__file__)"
    places = {"cwd": source_tree, "PYTHONPATH": str(tree / "pysrc")}
    compiler, file = run(sys.executable, "-c", origin, **places).rsplit(maxsplit=1)
    assert compiler.startswith("clang ")
    assert Path(file).is_relative_to(tree)
    run(
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not numpy"),
        *("-m", "not slow", "tests/core/kernels", "tests/core/test_fast_paths.py"),
        "tests/training/test_article.py",
        **places,
    )


LEVEL_BY_BUILTINS = """
#include <stdio.h>
#include "cpu.h"
int main(void) {
    int level = 0;
    __builtin_cpu_init();
    if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt"))
        level = 2;
    if (level && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
        && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2"))
        level = 3;
    if (level == 3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq")
        && __builtin_cpu_supports("avx512vl"))
        level = 4;
    printf("%d %d", x86_64_level(), level);
    return 0;
}
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the levels of x86-64")
@pytest.mark.parametrize("compiler", COMPILERS)
def test_the_level_by_cpuid_is_the_one_that_the_compiler_detects(compiler, source_tree, tmp_path):
    (tmp_path / "level.c").write_text(LEVEL_BY_BUILTINS)
    include = f"-I{source_tree / 'cnn_core'}"
    run(compiler, include, "level.c", "-o", "level", cwd=tmp_path)
    own, builtin = run(str(tmp_path / "level"), cwd=tmp_path).split()
    assert own == builtin
