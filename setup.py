"""Builds the compiled backend: the same Cython sources once for each ISA level and dtype.

Switches, all environment variables:

CNN_CORE_PURE_PYTHON=1
    Build no extension module: a pure wheel with the NumPy backend alone.
CNN_CORE_DEBUG=1
    Check every index at run time; slow, for the test suite.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SOURCES = Path("cnn_core")
STAGED = Path("build") / "staged"
SHARED = "cnn_core._native._shared"
MODULES = ("dense", "pointwise", "kernels", "engine")
DTYPES = {"float32": [], "float64": [("CNN_CORE_FLOAT64", None)]}
PURE_PYTHON = os.environ.get("CNN_CORE_PURE_PYTHON", "0") not in ("", "0")
DEBUG = os.environ.get("CNN_CORE_DEBUG", "0") not in ("", "0")

DIRECTIVES = {
    "language_level": 3,
    "binding": True,
    "embedsignature": False,
    "boundscheck": DEBUG,
    "initializedcheck": DEBUG,
    "wraparound": False,
    "cdivision": True,
}


def isa_levels() -> dict[str, list[str]]:
    """Return the levels to build for this machine's family, lowest first, with their flags."""
    machine = platform.machine().lower()
    if sys.platform == "win32":
        return {"generic": []}
    if machine in ("x86_64", "amd64"):
        return {
            "x86-64-v2": ["-march=x86-64-v2"],
            "x86-64-v3": ["-march=x86-64-v3"],
            "x86-64-v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
        }
    return {"neon" if machine in ("aarch64", "arm64") else "generic": []}


def compile_flags(level_flags: list[str]) -> list[str]:
    """Return the compiler's flags: nothing that changes the order of a sum."""
    if sys.platform == "win32":
        return ["/O2"]
    optimised = ["-O1", "-g"] if DEBUG else ["-O3", "-g0"]
    return [
        *optimised,
        *level_flags,
        "-ffp-contract=fast",
        "-fno-math-errno",
        "-fno-trapping-math",
        "-Wno-unreachable-code",
    ]


def link_flags() -> list[str]:
    """Return the linker's flags: no symbols in the shipped modules."""
    return ["-Wl,-s"] if sys.platform.startswith("linux") and not DEBUG else []


def staged_copy(package: str) -> Path:
    """Copy the sources to a folder of their own, from which `package` is built.

    The cimports between them are relative, so that each copy uses its own neighbours. A file that
    did not change keeps its time, so that it is not compiled again.
    """
    folder = STAGED / package.replace(".", "/")
    folder.mkdir(parents=True, exist_ok=True)
    for source in SOURCES.iterdir():
        copy = folder / source.name
        if not copy.exists() or copy.read_bytes() != source.read_bytes():
            shutil.copyfile(source, copy)
    return folder


def extensions() -> list[Extension]:
    """Return the extension modules, by Cython turned into C."""
    from Cython import __version__ as cython_version
    from Cython.Build import cythonize

    levels = isa_levels()
    headers = [str(path) for pattern in ("*.h", "*.pxd") for path in SOURCES.glob(pattern)]
    modules = [
        Extension(
            "cnn_core._native.cpu",
            [str(SOURCES / "cpu.pyx")],
            define_macros=[
                ("CNN_CORE_BUILT_LEVELS", f'"{" ".join(levels)}"'),
                ("CNN_CORE_CYTHON", f'"{cython_version}"'),
            ],
            include_dirs=[str(SOURCES)],
            depends=headers,
            extra_compile_args=compile_flags([]),
            extra_link_args=link_flags(),
        ),
        # What every typed memoryview needs, once instead of in each module.
        Extension(SHARED, [], extra_compile_args=compile_flags([]), extra_link_args=link_flags()),
    ]
    for level, level_flags in levels.items():
        for dtype, macros in DTYPES.items():
            package = f"cnn_core._native.{level.replace('-', '_')}_{dtype}"
            folder = staged_copy(package)
            modules += [
                Extension(
                    f"{package}.{module}",
                    [str(folder / f"{module}.pyx")],
                    define_macros=macros,
                    include_dirs=[str(SOURCES)],
                    depends=headers,
                    extra_compile_args=compile_flags(level_flags),
                    extra_link_args=link_flags(),
                )
                for module in MODULES
            ]
    return cythonize(
        modules,
        build_dir="build/c",
        compiler_directives=DIRECTIVES,
        include_path=[str(STAGED)],
        shared_utility_qualified_name=SHARED,
    )


class BuildExtensions(build_ext):
    """Builds in parallel, places the type stubs beside the modules, and explains a failure."""

    def finalize_options(self) -> None:
        """Use every core unless told otherwise."""
        super().finalize_options()
        if self.parallel is None:
            self.parallel = os.cpu_count()

    def run(self) -> None:
        """Build; on failure say what is missing and what the alternative is."""
        for extension in self.extensions:
            Path(self.get_ext_fullpath(extension.name)).parent.mkdir(parents=True, exist_ok=True)
        try:
            super().run()
        except Exception:
            compiler = " ".join(getattr(self.compiler, "compiler_so", None) or ["a C compiler"][:1])
            print(
                f"\ncnn-core: building the compiled backend failed; the compiler is: {compiler}\n"
                "Install a C compiler and Python's headers (Debian and Ubuntu: "
                "apt-get install gcc python3-dev),\n"
                "or set CNN_CORE_PURE_PYTHON=1 to install the NumPy backend alone, "
                "which is slower.\n",
                file=sys.stderr,
            )
            raise
        for extension in self.extensions:
            stub = SOURCES / f"{extension.name.rpartition('.')[2]}.pyi"
            if stub.exists():
                target = Path(self.get_ext_fullpath(extension.name)).parent / stub.name
                shutil.copyfile(stub, target)


setup(
    ext_modules=[] if PURE_PYTHON else extensions(),
    cmdclass={"build_ext": BuildExtensions},
)
