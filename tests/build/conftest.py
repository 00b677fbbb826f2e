"""What the tests of builds share: each is built once, in a copy of the sources."""

from __future__ import annotations

import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from builds import (
    LOWEST_LEVEL,
    NOT_SOURCES,
    SOURCE_FILES,
    SOURCE_FOLDERS,
    SUFFIX,
    Environment,
    build_wheel,
    call,
    files_below,
    link_distributions,
    new_environment,
)


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
    switches = {"CNN_CORE_LEVELS": LOWEST_LEVEL}
    result = call(sys.executable, "-m", "build", *options, ".", cwd=checkout, **switches)
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
    switches = {"CC": quick_compiler, "CNN_CORE_LEVELS": LOWEST_LEVEL}
    result = environment.install("--editable", built_tree, tools=build_tools, **switches)
    assert result.code == 0, result.output
    return environment
