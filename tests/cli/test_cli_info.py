"""``cnn-core info`` says why a backend cannot be loaded."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import cnn_core
from cnn_core import backends
from cnn_core.backends import native
from cnn_core.cli import main

compiled = pytest.mark.skipif(
    "cython" not in backends.available(), reason="the compiled backend was not built"
)


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A copy of the package, to be damaged."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(Path(cnn_core.__file__).parent, folder / "cnn_core")
    return folder


def info(package, *arguments, **environment):
    code = "import sys; from cnn_core.cli import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, "info", *arguments],
        cwd=package,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        pytest.param(
            *("CNN_CORE_ISA", "nonsense", "CNN_CORE_ISA=nonsense: expected one of the levels"),
            marks=pytest.mark.slow,
        ),
        ("CNN_CORE_BACKEND", "nonsense", "CNN_CORE_BACKEND: expected 'auto', 'cython' or 'nump"),
        pytest.param(
            *("CNN_CORE_NUM_THREADS", "abc", "CNN_CORE_NUM_THREADS: expected a whole number"),
            marks=pytest.mark.slow,
        ),
    ],
)
@compiled
def test_a_setting_that_is_none_is_the_reason(package, name, value, reason):
    ended = info(package, **{name: value})
    assert ended.returncode == 1
    assert "backend        none: it cannot be loaded" in ended.stdout
    assert f"because        {reason}" in ended.stdout
    assert f"{name}={value}" in ended.stdout
    as_json = json.loads(info(package, "--json", **{name: value}).stdout)
    assert as_json["backend"] is None
    assert as_json["error"].startswith(reason)


@compiled
@pytest.mark.parametrize(
    "contents", [pytest.param(b"", marks=pytest.mark.slow), b"no library", 3000]
)
@pytest.mark.parametrize("module", ["_native.cpu", "float32.kernels"])
def test_a_damaged_library_is_the_reason_and_numpy_can_be_chosen(package, module, contents):
    modules = backends.backend_info("cython")["modules"]
    original = next(Path(file) for name, file in modules.items() if name.endswith(module))
    path = package / "cnn_core" / original.relative_to(Path(cnn_core.__file__).parent)
    whole = path.read_bytes()
    path.write_bytes(whole[:contents] if isinstance(contents, int) else contents)
    try:
        ended = info(package)
        assert ended.returncode == 1
        assert "because        " in ended.stdout
        assert str(path) in ended.stdout or "loading it ends the process by SIG" in ended.stdout
        if not isinstance(contents, int):
            ended = info(package, CNN_CORE_BACKEND="numpy")
            assert (ended.returncode, ended.stderr) == (0, "")
            assert "backend        numpy" in ended.stdout
    finally:
        path.write_bytes(whole)


def test_an_installation_without_it_is_the_reason(monkeypatch, capsys):
    monkeypatch.setattr(native, "load_cpu_module", lambda: None)
    monkeypatch.setenv("CNN_CORE_BACKEND", "cython")
    backends._cython.cache_clear()
    try:
        assert main(["info"]) == 1
    finally:
        backends._cython.cache_clear()
    assert "this installation was built without it" in capsys.readouterr().out
