"""What is built from the sources, what it holds, and what it needs where it is installed.

Everything is built in copies of the source tree, offline, with the build tools of the environment
that runs the tests; nothing is installed into that environment, and nothing in the tree changes.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

LEVELS = {
    "x86_64": ("x86_64_v2", "x86_64_v3", "x86_64_v4"),
    "aarch64": ("neon",),
}.get(platform.machine(), ("generic",))
DTYPES = ("float32", "float64")
MODULES = (
    "dense",
    "workspace",
    "layer",
    "activations",
    "losses",
    "optimizers",
    "randomness",
    "net",
    "update",
    "normalization",
    "dropout",
    "dense_layer",
    "embedding",
    "describe",
    "gather",
    "sparse_rows",
    "forward",
    "backward",
    "small_batches",
    "data",
    "tally",
    "kernels",
    "engine",
)
# Compiled once for all levels and dtypes.
COMMON = ("cpu", "pool", "thread_tuning", "_cnn_core_shared")
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

# How the functions begin that a build with sanitizers calls.
SANITIZERS = (b"__asan_", b"__ubsan_")

# What sets flush-to-zero, for the whole process, when a module is loaded.
FLUSH_TO_ZERO = {"x86_64": "ldmxcsr", "aarch64": "msr\tfpcr"}

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
        timeout=300,
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
    names = files_below(tree / "pysrc")
    return {
        name for name in names if name.endswith((".py", "/py.typed")) and ".egg-info/" not in name
    }


@pytest.fixture(scope="session")
def checkout(source_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources as they are under version control, and of nothing else."""
    tree = tmp_path_factory.mktemp("checkout") / "tree"
    tree.mkdir()
    for name in SOURCE_FOLDERS:
        if (source_tree / name).is_dir():
            shutil.copytree(source_tree / name, tree / name, ignore=NOT_SOURCES)
    for name in SOURCE_FILES:
        shutil.copy2(source_tree / name, tree / name)
    # What an editable install places among the sources.
    for path in (tree / "pysrc" / "cnn_core" / "_native").iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "__init__.py":
            path.unlink()
    return tree


@pytest.fixture(scope="session")
def source_names(checkout: Path) -> set[str]:
    return files_below(checkout)


@pytest.fixture(scope="session")
def sdist(checkout: Path, source_names: set[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("sdist")
    options = ("--sdist", "--no-isolation", "--outdir", target)
    result = call(sys.executable, "-m", "build", *options, ".", cwd=checkout)
    assert result.code == 0, result.output
    (archive,) = target.iterdir()
    return archive


@pytest.fixture(scope="session")
def unpacked(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source tree that the sdist holds."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        # The archive is our own; Python 3.12 and 3.13 warn where no filter is named.
        archive.extraction_filter = lambda member, _: member
        archive.extractall(folder)
    (tree,) = folder.iterdir()
    return tree


@pytest.fixture(scope="session")
def wheel(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel built from the sdist: the one real compilation of these tests."""
    return build_wheel(unpacked, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def compiled_modules(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("modules")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return sorted(folder.rglob(f"*{SUFFIX}"))


@pytest.fixture(scope="session")
def pure_wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("pure") / "tree"
    shutil.copytree(checkout, tree, ignore=NOT_SOURCES)
    return build_wheel(tree, tree.parent / "wheel", CNN_CORE_PURE_PYTHON="1")


@pytest.fixture(scope="session")
def build_tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder from which setuptools and Cython can be imported."""
    folder = tmp_path_factory.mktemp("tools")
    link_distributions(folder, "setuptools", "Cython")
    return folder


@pytest.fixture(scope="session")
def quick_compiler(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The compiler with its optimiser off, for builds whose speed is of no interest."""
    script = tmp_path_factory.mktemp("compiler") / "cc"
    script.write_text('#!/bin/sh\nexec gcc "$@" -O0\n')
    script.chmod(0o755)
    return str(script)


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the wheel and NumPy."""
    environment = new_environment(tmp_path_factory.mktemp("installed") / "venv")
    result = environment.install(wheel)
    assert result.code == 0, result.output
    return environment


@pytest.fixture(scope="session")
def pure_installed(pure_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the pure wheel and NumPy."""
    environment = new_environment(tmp_path_factory.mktemp("pure-installed") / "venv")
    result = environment.install(pure_wheel)
    assert result.code == 0, result.output
    return environment


@pytest.fixture(scope="session")
def built_tree(wheel: Path, unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source tree in which the wheel has been built already."""
    return Path(shutil.copytree(unpacked, tmp_path_factory.mktemp("editable") / "tree"))


@pytest.fixture(scope="session")
def editable(
    built_tree: Path,
    build_tools: Path,
    quick_compiler: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Environment:
    """An environment with an editable install of `built_tree`."""
    environment = new_environment(tmp_path_factory.mktemp("editable-installed") / "venv")
    result = environment.install("--editable", built_tree, tools=build_tools, CC=quick_compiler)
    assert result.code == 0, result.output
    return environment


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
def test_the_wheel_holds_one_module_per_level_and_dtype_and_their_stubs(wheel, checkout):
    native = "cnn_core/_native"
    folders = [f"{native}/{level}_{dtype}" for level in LEVELS for dtype in DTYPES]
    compiled = {f"{native}/{module}{SUFFIX}" for module in COMMON}
    compiled |= {f"{folder}/{module}{SUFFIX}" for folder in folders for module in MODULES}
    stubs = {f"{native}/{module}.pyi" for module in COMMON if not module.startswith("_")}
    stubs |= {f"{folder}/{module}.pyi" for folder in folders for module in MODULES}
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
def test_training_leaves_denormal_numbers_alone(installed):
    code = f"""
{TRAIN}
print("half of a denormal:", np.float32(1e-40) / np.float32(2))
"""
    assert "half of a denormal: 5e-41" in installed.python(code)


@pytest.mark.compiled
def test_a_second_build_compiles_nothing_and_drops_what_was_deleted(wheel, unpacked, tmp_path):
    tree = tmp_path / "tree"
    shutil.copytree(unpacked, tree)
    (tree / "pysrc" / "cnn_core" / "contracts.py").unlink()
    # With this compiler, the build would fail if anything had to be compiled.
    again = build_wheel(tree, tmp_path / "wheel", CC="/nonexistent/cc")
    assert installed_names(wheel) - installed_names(again) == {"cnn_core/contracts.py"}
    assert installed_names(again) < installed_names(wheel)


# --- where it is installed


@pytest.mark.compiled
@pytest.mark.parametrize("place", ["root", "elsewhere"])
def test_the_wheel_is_what_is_imported_from_anywhere(installed, unpacked, tmp_path, place):
    cwd = unpacked if place == "root" else tmp_path
    *predicted, backend, file = installed.python(TRAIN, cwd=cwd).split()
    assert predicted == ["0", "1", "1", "0"]
    assert backend == "cython"
    assert Path(file) == installed.packages / "cnn_core" / "__init__.py"


@pytest.mark.compiled
@pytest.mark.parametrize("place", ["root", "elsewhere"])
def test_an_editable_install_imports_the_sources_from_anywhere(
    editable, built_tree, tmp_path, place
):
    cwd = built_tree if place == "root" else tmp_path
    *predicted, backend, file = editable.python(TRAIN, cwd=cwd).split()
    assert predicted == ["0", "1", "1", "0"]
    assert backend == "cython"
    assert Path(file) == built_tree / "pysrc" / "cnn_core" / "__init__.py"


@pytest.mark.compiled
@pytest.mark.parametrize("place", ["root", "elsewhere"])
def test_the_command_runs_from_anywhere_with_numpy_alone(installed, unpacked, tmp_path, place):
    cwd = unpacked if place == "root" else tmp_path
    for command in (("cnn-core", "info"), ("python", "-m", "cnn_core", "info")):
        result = installed.call(*command, cwd=cwd)
        assert result.code == 0, result.output
        assert str(installed.packages) in result.output


@pytest.mark.compiled
def test_an_editable_install_leaves_no_trace_in_a_pure_wheel_or_an_sdist(
    editable, built_tree, source_names, tmp_path
):
    assert list(built_tree.glob("pysrc/cnn_core/_native/*/*.pyi"))
    pure = build_wheel(built_tree, tmp_path / "wheel", CNN_CORE_PURE_PYTHON="1")
    assert installed_names(pure) == {
        name.removeprefix("pysrc/") for name in source_names if name.startswith("pysrc/")
    }
    options = ("--sdist", "--no-isolation", "--outdir", tmp_path / "sdist")
    switches = {"CNN_CORE_PURE_PYTHON": "1"}
    result = call(sys.executable, "-m", "build", *options, ".", cwd=built_tree, **switches)
    assert result.code == 0, result.output
    (archive,) = (tmp_path / "sdist").iterdir()
    with tarfile.open(archive) as members:
        names = {member.name.partition("/")[2] for member in members if member.isfile()}
    assert {name for name in names if name.startswith("pysrc/cnn_core/")} == {
        name for name in source_names if name.startswith("pysrc/cnn_core/")
    }


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
    build_wheel(tree, tmp_path / "wheel", CC=str(compiler), CNN_CORE_SANITIZE="1")
    calls = [call for call in said.read_text().splitlines() if "probe.c" not in call]
    modules = len(COMMON) + len(LEVELS) * len(DTYPES) * len(MODULES)
    assert len(calls) == 2 * modules
    assert all(" -fsanitize=address,undefined" in call for call in calls)


# --- NumPy alone


def test_the_pure_wheel_fits_every_machine_and_holds_nothing_compiled(pure_wheel, checkout):
    assert pure_wheel.name.endswith("-py3-none-any.whl")
    assert installed_names(pure_wheel) == python_files(checkout)


def test_the_pure_wheel_warns_once_and_trains(pure_installed):
    twice = f"{TRAIN}\n{TRAIN}"
    output = pure_installed.python(twice, "-W", "always")
    assert output.count("BackendWarning") == 1
    assert output.count("0 1 1 0 numpy") == 2
    assert output.count(str(pure_installed.packages / "cnn_core" / "__init__.py")) == 2


def test_numpy_is_the_only_dependency_outside_the_extras(pure_installed):
    code = """
from importlib.metadata import requires
print(*(name for name in requires("cnn-core") if "extra ==" not in name))
"""
    requirements = pure_installed.python(code).split()
    assert len(requirements) == 1
    assert requirements[0].startswith("numpy")
    # pip took it as satisfied, without an index: nothing else can be imported there.
    listed = pure_installed.call("python", "-m", "pip", "list", "--format", "freeze").output
    assert {line.partition("==")[0] for line in listed.split()} == {"cnn-core", "numpy", "pip"}


def test_a_command_that_needs_the_extra_says_what_to_install(pure_installed, tmp_path):
    result = pure_installed.call("cnn-core", "train", "--data", "digits", cwd=tmp_path)
    assert result.code == 2
    assert 'pip install "cnn-core[app]"' in result.output
    assert "Traceback" not in result.output
    assert not list(tmp_path.iterdir())


# --- without a compiler


@pytest.mark.parametrize("absent", ["CC names no file", "nothing in PATH"])
def test_without_a_compiler_the_build_says_what_to_do_and_nothing_is_installed(
    sdist, checkout, build_tools, tmp_path, absent
):
    tree = tmp_path / "tree"
    shutil.copytree(checkout, tree)
    environment = new_environment(tmp_path / "venv")
    before = files_below(environment.packages)
    if absent == "CC names no file":
        compiler = "/nonexistent/cc"
        result = environment.install(tree, tools=build_tools, CC=compiler)
    else:
        compiler = sysconfig.get_config_var("CC").split()[0]
        (tmp_path / "empty").mkdir()
        result = environment.install(tree, tools=build_tools, PATH=str(tmp_path / "empty"))
    assert result.code == 1
    assert f"the compiler is: {compiler}\n" in result.output
    assert "CNN_CORE_PURE_PYTHON=1" in result.output
    after = {name for name in files_below(environment.packages) if not name.endswith(".pyc")}
    assert after == {name for name in before if not name.endswith(".pyc")}
    missing = environment.call("python", "-c", "import cnn_core")
    assert missing.code == 1
    assert "ModuleNotFoundError: No module named 'cnn_core'" in missing.output
