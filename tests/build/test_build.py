"""What is built from the sources, and what it holds.

Everything is built in copies of the source tree, offline, with the build tools of the environment
that runs the tests; nothing is installed into that environment, and nothing in the tree changes.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from builds import (
    COMMON,
    DTYPES,
    LEVELS,
    LOWEST_LEVEL,
    MODULES,
    SUFFIX,
    build_wheel,
    installed_names,
    names_in,
    python_files,
)

pytestmark = pytest.mark.slow

# How the functions begin that a build with sanitizers calls.
SANITIZERS = (b"__asan_", b"__ubsan_")

# What sets flush-to-zero, for the whole process, when a module is loaded.
FLUSH_TO_ZERO = {"x86_64": "ldmxcsr", "aarch64": "msr\tfpcr"}


# --- the sdist


def test_the_sdist_holds_every_source_and_nothing_that_was_built(sdist, source_names):
    with tarfile.open(sdist) as archive:
        members = [member for member in archive.getmembers() if not member.isdir()]
    assert all(member.isfile() for member in members)
    names = {member.name.partition("/")[2] for member in members}
    egg_info = {name for name in names if ".egg-info/" in name}
    assert names - egg_info - {"PKG-INFO", "setup.cfg"} == source_names
    for name in ("LICENSE", "cnn_core/vector.h", "cnn_core/kernels.pyi", "tests/conftest.py"):
        assert name in names


# --- the wheel


@pytest.mark.compiled
def test_the_wheel_holds_one_module_per_level_and_dtype_and_the_stubs(wheel, checkout, source_tree):
    native = "cnn_core/_native"
    folders = [f"{native}/{level}_{dtype}" for level in LEVELS for dtype in DTYPES]
    compiled = {f"{native}/{module}{SUFFIX}" for module in COMMON}
    compiled |= {f"{folder}/{module}{SUFFIX}" for folder in folders for module in MODULES}
    stubs = {f"{native}/{module}.pyi" for module in COMMON if not module.startswith("_")}
    # Those of what Python calls.
    called = {path.name for path in (source_tree / "cnn_core").glob("*.pyi")}
    called -= {"cpu.pyi", "threads.pyi"}
    stubs |= {f"{folder}/{stub}" for folder in folders for stub in called}
    assert "kernels.pyi" in called
    assert installed_names(wheel) == python_files(checkout) | compiled | stubs
    assert "cnn_core/py.typed" in python_files(checkout)


@pytest.mark.compiled
def test_the_wheel_names_its_platform_and_carries_the_licence(wheel, source_tree):
    assert f"-cp{sys.version_info[0]}{sys.version_info[1]}-" in wheel.name
    assert platform.machine() in wheel.name
    (licence,) = [name for name in names_in(wheel) if name.endswith("/LICENSE")]
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read(licence) == (source_tree / "LICENSE").read_bytes()


@pytest.mark.compiled
def test_no_compiled_module_sets_flush_to_zero(compiled_modules):
    instruction = FLUSH_TO_ZERO.get(platform.machine())
    assert len(compiled_modules) == len(COMMON) + len(LEVELS) * len(DTYPES) * len(MODULES)
    assert shutil.which("objdump"), "objdump comes with the compiler: apt-get install binutils"
    code = subprocess.run(
        ["objdump", "--disassemble", "--no-show-raw-insn", *compiled_modules],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert code.count("\n") > 10_000
    assert instruction is None or instruction not in code


@pytest.mark.compiled
def test_a_second_build_compiles_nothing_and_drops_what_was_deleted(wheel, unpacked, tmp_path):
    tree = tmp_path / "tree"
    shutil.copytree(unpacked, tree)
    (tree / "pysrc" / "cnn_core" / "contracts.py").unlink()
    # With this compiler, the build would fail if anything had to be compiled.
    again = build_wheel(tree, tmp_path / "wheel", CC="/nonexistent/cc")
    assert installed_names(wheel) - installed_names(again) == {"cnn_core/contracts.py"}
    assert installed_names(again) < installed_names(wheel)


# --- the sanitized build


@pytest.mark.compiled
def test_a_plain_build_has_nothing_of_a_sanitized_one(compiled_modules):
    for path in compiled_modules:
        assert not any(name in path.read_bytes() for name in SANITIZERS), path


@pytest.mark.compiled
def test_a_sanitized_build_takes_nothing_from_a_plain_one(wheel, unpacked, tmp_path):
    tree = Path(shutil.copytree(unpacked, tmp_path / "tree"))
    said = tmp_path / "said"
    compiler = tmp_path / "cc"
    # It says what it was asked for, and leaves an empty file in the place of what that would give.
    compiler.write_text(
        f"""#!/bin/sh
echo "$*" >> '{said}'
while [ "$1" != -o ]; do shift; done
: > "$2"
"""
    )
    compiler.chmod(0o755)
    switches = {"CNN_CORE_SANITIZE": "1", "CNN_CORE_LEVELS": LOWEST_LEVEL}
    build_wheel(tree, tmp_path / "wheel", CC=str(compiler), **switches)
    calls = [call for call in said.read_text().splitlines() if "probe.c" not in call]
    modules = len(COMMON) + len(DTYPES) * len(MODULES)
    assert len(calls) == 2 * modules
    assert all(" -fsanitize=address,undefined" in call for call in calls)


# --- NumPy alone


def test_the_pure_wheel_fits_every_machine_and_holds_nothing_compiled(pure_wheel, checkout):
    assert pure_wheel.name.endswith("-py3-none-any.whl")
    assert installed_names(pure_wheel) == python_files(checkout)
