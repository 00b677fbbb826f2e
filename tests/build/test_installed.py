"""What is built works where it is installed, from anywhere, and needs NumPy alone."""

from __future__ import annotations

import shutil
import sys
import sysconfig
import tarfile
from pathlib import Path

import pytest

from builds import (
    LOWEST_LEVEL,
    TRAIN,
    build_wheel,
    call,
    files_below,
    installed_names,
    new_environment,
)

pytestmark = pytest.mark.slow


@pytest.mark.compiled
def test_training_leaves_denormal_numbers_alone(installed):
    code = f"""
{TRAIN}
print("half of a denormal:", np.float32(1e-40) / np.float32(2))
"""
    assert "half of a denormal: 5e-41" in installed.python(code)


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
    switches = {"CNN_CORE_LEVELS": LOWEST_LEVEL}
    if absent == "CC names no file":
        compiler = "/nonexistent/cc"
        result = environment.install(tree, tools=build_tools, CC=compiler, **switches)
    else:
        compiler = sysconfig.get_config_var("CC").split()[0]
        (tmp_path / "empty").mkdir()
        switches["PATH"] = str(tmp_path / "empty")
        result = environment.install(tree, tools=build_tools, **switches)
    assert result.code == 1
    assert f"the compiler is: {compiler}\n" in result.output
    assert "CNN_CORE_PURE_PYTHON=1" in result.output
    after = {name for name in files_below(environment.packages) if not name.endswith(".pyc")}
    assert after == {name for name in before if not name.endswith(".pyc")}
    missing = environment.call("python", "-c", "import cnn_core")
    assert missing.code == 1
    assert "ModuleNotFoundError: No module named 'cnn_core'" in missing.output
