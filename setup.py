"""Builds the compiled backend: the same Cython sources once for each ISA level and dtype.

Switches, all environment variables:

CNN_CORE_PURE_PYTHON=1
    Build no extension module: a pure wheel with the NumPy backend alone. On Windows always.
CNN_CORE_LEVELS="x86-64-v3 x86-64-v4"
    Build these ISA levels alone; `native` is the highest one of the processor at hand, and takes a
    third of the time.
CNN_CORE_SANITIZE=1
    Check every access to memory and every operation without a defined result at run time: slow, for
    the test suite. Needs gcc or clang, and Python has to be started as `make asan` does.
CNN_CORE_SANITIZE=thread
    Check instead that no two threads get at the same memory unordered; Python as in `make tsan`.
CNN_CORE_COVERAGE=1
    Count what is carried out, with gcc alone: see `make coverage`.
CYTHON_CACHE_DIR=FOLDER
    Cython's own: keep there what it translates into C, and take from there what it has before.
"""

from __future__ import annotations

import functools
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

SOURCES = Path("cnn_core")
SHARED = "cnn_core._native._cnn_core_shared"
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
    "augmentation",
    "dense_layer",
    "embedding",
    "encoded_layer",
    "patches",
    "winograd",
    "convolution",
    "pooling",
    "normalization",
    "samples",
    "forward_backward",
    "small_batches",
    "kernels",
    "engine",
)
# Compiled once, for all levels and dtypes.
COMMON_MODULES = ("threads",)
# A register tile is one function that is called with constants for its sizes: compiled out of line
# it takes three times as long. So every inline function of such a module is inlined, and nothing
# around it is worth a copy for each of the sizes.
# The loops over formulas of activations, losses, optimizers and updates are such functions as well.
ALWAYS_INLINED = [("CYTHON_INLINE", "__inline__ __attribute__((always_inline, unused))")]
INLINED = dict.fromkeys(
    (
        "dense",
        "encoded_layer",
        "activations",
        "losses",
        "optimizers",
        "update",
        "patches",
        "winograd",
        "convolution",
        "pooling",
        "normalization",
    ),
    ALWAYS_INLINED,
)
GCC_FLAGS = {
    "dense": ["-fno-ipa-cp"],
    "patches": ["-fno-ipa-cp"],
    "layer_normalization": ["-ftree-vectorize", "-fvect-cost-model=dynamic"],
}
# What Python calls and what is set up once: small code is best where no loop over values is.
# By -O3 the loops of layer normalization are twice as much code, and no faster.
OPTIMIZED = dict.fromkeys(("kernels", "engine", "layer"), "-Os") | {"layer_normalization": "-O2"}
DTYPES = {"float32": [], "float64": [("CNN_CORE_FLOAT64", None)]}
# No compiler of Windows has been tried.
PURE_PYTHON = (
    os.environ.get("CNN_CORE_PURE_PYTHON", "0") not in ("", "0") or sys.platform == "win32"
)
WANTED_LEVELS = os.environ.get("CNN_CORE_LEVELS", "").split()
ASKED_FOR = os.environ.get("CNN_CORE_SANITIZE", "0")
SANITIZE = ASKED_FOR not in ("", "0")
SANITIZERS = "thread" if ASKED_FOR == "thread" else "address,undefined"
COVERAGE = os.environ.get("CNN_CORE_COVERAGE", "0") not in ("", "0")
# What is up to date is told by the files' times alone, so a switch needs a folder of its own.
BUILD = Path("build")
if SANITIZE:
    BUILD /= SANITIZERS.replace(",", "-")
elif COVERAGE:
    BUILD /= "coverage"
STAGED = BUILD / "staged"
THIS_FILE = Path("setup.py")

DIRECTIVES = {
    "language_level": 3,
    "binding": True,
    "embedsignature": False,
    "auto_pickle": False,
    "autotestdict": False,
    # The sanitizers alone would not see an index that leads from one array into another.
    "boundscheck": SANITIZE,
    # A view that is not bound may be handed on: the sanitizers see an access to what it has not.
    "initializedcheck": False,
    "wraparound": False,
    "cdivision": True,
}

# What a compiler or linker may not know, and can do without.
OPTIONAL = {
    "-fno-ipa-cp",
    "-fvect-cost-model=dynamic",
    "-mprefer-vector-width=512",
    "-fno-asynchronous-unwind-tables",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-Wno-unreachable-code",
    "-Wl,-s",
    "-Wl,-z,noseparate-code",
}

# What each x86-64 level adds to the one before it, for compilers that do not know its name.
FEATURES = {
    "x86-64": "",
    "x86-64-v2": "-msse3 -mssse3 -msse4.1 -msse4.2 -mpopcnt -mcx16 -msahf",
    "x86-64-v3": "-mavx -mavx2 -mbmi -mbmi2 -mf16c -mfma -mlzcnt -mmovbe",
    "x86-64-v4": "-mavx512f -mavx512bw -mavx512cd -mavx512dq -mavx512vl",
}

SANITIZED = [
    "-O1",
    "-g",
    "-fno-omit-frame-pointer",
    f"-fsanitize={SANITIZERS}",
    "-fno-sanitize-recover=undefined",
    # Python's own flags define what a signed overflow gives, which would hide it.
    "-fno-wrapv",
]

# Without optimization a line of C is a line of the machine's; counts of several threads add up.
COUNTED = ["-O0", "--coverage", "-fprofile-update=atomic"]


def isa_levels() -> dict[str, list[str]]:
    """Return the levels to build for this machine's family, lowest first, with their flags."""
    machine = platform.machine().lower()
    if machine in ("x86_64", "amd64"):
        return {
            "x86-64-v2": ["-march=x86-64-v2"],
            "x86-64-v3": ["-march=x86-64-v3"],
            "x86-64-v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
        }
    return {"neon" if machine in ("aarch64", "arm64") else "generic": []}


def chosen_levels() -> dict[str, list[str]]:
    """Return the levels to build: those that CNN_CORE_LEVELS names, or all of them."""
    levels = isa_levels()
    wanted = [native_level()] if WANTED_LEVELS == ["native"] else WANTED_LEVELS
    unknown = [level for level in wanted if level not in levels]
    if unknown:
        raise SystemExit(
            f"CNN_CORE_LEVELS: expected native or some of {', '.join(levels)}, "
            f"found {' '.join(unknown)}"
        )
    return {level: flags for level, flags in levels.items() if level in wanted or not wanted}


def native_level() -> str:
    """Return the highest level of this processor, as the package itself would choose."""
    levels = list(isa_levels())
    if len(levels) == 1:
        return levels[0]
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder, "level.c"), Path(folder, "level")
        source.write_text('#include "cpu.h"\nint main(void) { return x86_64_level(); }\n')
        command = [*compiler_command(), f"-I{SOURCES}", str(source), "-o", str(program)]
        try:
            subprocess.run(command, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise SystemExit(
                f"CNN_CORE_LEVELS=native: expected a C compiler that runs, found: {error}"
            ) from None
        return f"x86-64-v{subprocess.run([str(program)], check=False).returncode}"


def compiler_command() -> list[str]:
    """Return the command that compiles C."""
    return shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")


def base_flags() -> list[str]:
    """Return the flags of what runs on every machine; some compilers assume the one at hand."""
    is_x86 = platform.machine().lower() in ("x86_64", "amd64")
    return ["-march=x86-64"] if is_x86 else []


def compile_flags(level_flags: list[str], module: str = "") -> list[str]:
    """Return the compiler's flags: nothing that changes the order of a sum."""
    # Tables for unwinding the stack would be a tenth of the package, and nothing here throws.
    usual = [OPTIMIZED.get(module, "-O3"), "-g0", "-fno-asynchronous-unwind-tables"]
    return [
        *(SANITIZED if SANITIZE else COUNTED if COVERAGE else usual),
        *level_flags,
        *GCC_FLAGS.get(module, []),
        "-ffp-contract=fast",
        "-fno-math-errno",
        "-fno-trapping-math",
        "-Wno-unreachable-code",
    ]


def link_flags() -> list[str]:
    """Return the linker's flags: no symbols in the shipped modules, and no pages half empty."""
    if SANITIZE:
        return [f"-fsanitize={SANITIZERS}"]
    if COVERAGE:
        return ["--coverage"]
    return ["-Wl,-s", "-Wl,-z,noseparate-code"] if sys.platform.startswith("linux") else []


@functools.cache
def is_accepted(flag: str) -> bool:
    """Return whether the compiler takes a flag without even a warning."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text("int probe;\n")
        kind = ["-shared", "-fPIC"] if flag.startswith("-Wl,") else ["-c"]
        command = [*compiler_command(), *kind, "-Werror", flag, str(source), "-o", f"{folder}/out"]
        try:
            return subprocess.run(command, capture_output=True, check=False).returncode == 0
        except OSError:
            return False


def accepted(flags: list[str]) -> list[str]:
    """Return the flags as this compiler takes them, without the optional ones that it does not."""
    found = []
    for flag in flags:
        if flag.startswith("-march=x86-64"):
            found += level_flags_accepted(flag)
        elif flag not in OPTIONAL or is_accepted(flag):
            found.append(flag)
    return found


def level_flags_accepted(flag: str) -> list[str]:
    """Return an x86-64 level as this compiler takes it: by its name, or feature by feature."""
    name = flag.partition("=")[2]
    for spelled in (flag, "-march=" + name.replace("-", "_")):
        if is_accepted(spelled):
            return [spelled]
    levels = list(FEATURES)[: list(FEATURES).index(name) + 1]
    return ["-march=x86-64", *" ".join(FEATURES[level] for level in levels).split()]


def staged_copy(package: str) -> Path:
    """Copy the sources to a folder of their own, from which `package` is built.

    The cimports between them are relative, so that each copy uses its own neighbours. A file that
    did not change keeps its time, so that it is not compiled again, unless the directives here may
    have changed. One that the sources no longer have goes: Cython would still read it.
    """
    folder = STAGED / package.replace(".", "/")
    folder.mkdir(parents=True, exist_ok=True)
    for copy in folder.iterdir():
        if copy.is_file() and not (SOURCES / copy.name).exists():
            copy.unlink()
    for source in SOURCES.iterdir():
        copy = folder / source.name
        if (
            not copy.exists()
            or copy.stat().st_mtime < THIS_FILE.stat().st_mtime
            or copy.read_bytes() != source.read_bytes()
        ):
            shutil.copyfile(source, copy)
    return folder


def noted(name: str, text: str) -> str:
    """Return the path of a file with this text, which is new only if the text is."""
    path = BUILD / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return str(path)


def extensions() -> list[Extension]:
    """Return the extension modules, still in Cython: what all builds share, then level by level."""
    from Cython import __version__ as cython_version

    levels = chosen_levels()
    headers = [str(path) for pattern in ("*.h", "*.pxd") for path in SOURCES.glob(pattern)]
    depends = [*headers, str(THIS_FILE)]
    modules = [
        Extension(
            "cnn_core._native.cpu",
            [str(staged_copy("cnn_core._native") / "cpu.pyx")],
            define_macros=[
                ("CNN_CORE_BUILT_LEVELS", f'"{" ".join(levels)}"'),
                ("CNN_CORE_BUILT_MODULES", f'"{" ".join(MODULES)}"'),
                ("CNN_CORE_CYTHON", f'"{cython_version}"'),
            ],
            include_dirs=[str(SOURCES)],
            depends=[*depends, noted("levels", " ".join(levels))],
            extra_compile_args=compile_flags(base_flags()),
            extra_link_args=link_flags(),
        ),
        *(
            Extension(
                f"cnn_core._native.{module}",
                [str(staged_copy("cnn_core._native") / f"{module}.pyx")],
                include_dirs=[str(SOURCES)],
                depends=depends,
                extra_compile_args=compile_flags(base_flags()),
                extra_link_args=link_flags(),
            )
            for module in COMMON_MODULES
        ),
        # What every typed memoryview needs, once instead of in each module.
        Extension(
            SHARED,
            [],
            depends=depends,
            extra_compile_args=compile_flags(base_flags()),
            extra_link_args=link_flags(),
        ),
    ]
    for level, level_flags in levels.items():
        for dtype, macros in DTYPES.items():
            package = f"cnn_core._native.{level.replace('-', '_')}_{dtype}"
            folder = staged_copy(package)
            modules += [
                Extension(
                    f"{package}.{module}",
                    [str(folder / f"{module}.pyx")],
                    define_macros=[*macros, *INLINED.get(module, [])],
                    include_dirs=[str(SOURCES)],
                    depends=depends,
                    extra_compile_args=compile_flags(level_flags, module),
                    extra_link_args=link_flags(),
                )
                for module in MODULES
            ]
    return modules


def as_c(modules: list[Extension]) -> list[Extension]:
    """Return the modules, by Cython turned into C."""
    from Cython.Build import cythonize

    return cythonize(
        modules,
        build_dir=str(BUILD / "c"),
        compiler_directives=DIRECTIVES,
        include_path=[str(STAGED)],
        shared_utility_qualified_name=SHARED,
        nthreads=os.cpu_count() or 1,
        cache=os.environ.get("CYTHON_CACHE_DIR"),
    )


class BuildModules(build_py):
    """Leaves nothing in the wheel of what an earlier build placed there and this one does not."""

    def run(self) -> None:
        """Remove what no longer belongs to the package, then build."""
        compiled = {Path(path) for path in self.get_finalized_command("build_ext").get_outputs()}
        for path in sorted(Path(self.build_lib, "cnn_core").rglob("*")):
            if path.is_file() and path not in compiled:
                path.unlink()
        super().run()


class BuildExtensions(build_ext):
    """Builds in parallel, places the type stubs beside the modules, and explains a failure."""

    def finalize_options(self) -> None:
        """Use every core unless told otherwise."""
        super().finalize_options()
        if self.parallel is None:
            self.parallel = os.cpu_count()

    def build_extensions(self) -> None:
        """Leave out the flags that this compiler does not take, then build."""
        for extension in self.extensions:
            extension.extra_compile_args = accepted(extension.extra_compile_args)
            extension.extra_link_args = accepted(extension.extra_link_args)
        super().build_extensions()

    def run(self) -> None:
        """Build; on failure say what is missing and what the alternative is."""
        for extension in self.extensions:
            Path(self.get_ext_fullpath(extension.name)).parent.mkdir(parents=True, exist_ok=True)
        try:
            super().run()
        except Exception:
            compiler = (getattr(self.compiler, "compiler_so", None) or ["not known"])[0]
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


if __name__ == "__main__":
    setup(
        ext_modules=[] if PURE_PYTHON else as_c(extensions()),
        cmdclass={"build_py": BuildModules, "build_ext": BuildExtensions},
        options={"build": {"build_base": str(BUILD)}},
    )
