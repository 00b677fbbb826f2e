"""Which backend computes: as asked for, or an error, and never silently another.

What is chosen is fixed for the life of a process, so each question is put to a fresh one, where it
has to be to a copy of the installed package with something of it missing or broken.
"""

from __future__ import annotations

import importlib.machinery
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import cnn_core
from cnn_core import backends
from cnn_core.contracts import Kernels
from fresh_process import INFO, PACKAGE, answer, info, levels, refusal, run
from installation import BACKENDS


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the installed package."""
    return Path(shutil.copytree(PACKAGE, tmp_path_factory.mktemp("copied") / "cnn_core"))


@pytest.fixture
def package(copied: Path, tmp_path: Path) -> Path:
    """A folder of links to its files, to be broken by removing and replacing them."""
    place = tmp_path / "site" / "cnn_core"
    return Path(shutil.copytree(copied, place, copy_function=os.link))


@pytest.fixture
def uncompiled(package: Path) -> Path:
    """A copy of the installed package as CNN_CORE_PURE_PYTHON=1 would have made it."""
    for path in (package / "_native").iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.suffix in (".so", ".pyd", ".pyi"):
            path.unlink()
    return package


COMPILED_SUFFIX = importlib.machinery.EXTENSION_SUFFIXES[0]


# --- by name


@pytest.mark.parametrize("name", BACKENDS)
def test_the_environment_chooses_the_backend(name):
    assert info(CNN_CORE_BACKEND=name)["backend"] == name


@pytest.mark.parametrize("name", BACKENDS)
def test_an_argument_is_stronger_than_the_environment(name):
    for variable in ("cython", "numpy", "nonsense"):
        code = f"import cnn_core; print(cnn_core.NN(2, 2, 2, 1.0, 1, backend={name!r}).backend)"
        assert answer(code, CNN_CORE_BACKEND=variable) == name


@pytest.mark.compiled
@pytest.mark.parametrize("variable", ["auto", ""])
def test_auto_is_the_compiled_backend_where_it_was_built(variable):
    assert info()["backend"] == "cython"
    assert info(CNN_CORE_BACKEND=variable)["backend"] == "cython"


def test_an_unknown_name_in_the_environment_is_refused_with_the_choices():
    message = refusal(INFO, "ValueError", CNN_CORE_BACKEND="Cython")
    for part in ("CNN_CORE_BACKEND", "'auto'", "'cython'", "'numpy'", "'Cython'"):
        assert part in message


def test_an_unknown_name_as_an_argument_is_refused_with_the_choices():
    with pytest.raises(
        ValueError, match="backend: expected 'auto', 'cython' or 'numpy', found 'x'"
    ):
        backends.get("x")


def test_one_backend_is_one_object():
    for name in BACKENDS:
        assert backends.get(name) is backends.get(name)


# --- not built


def test_auto_without_the_compiled_backend_warns_once_and_uses_the_reference(uncompiled):
    code = """
import cnn_core
for _ in range(3):
    print(cnn_core.backends.get().name, cnn_core.NN(2, 2, 2, 1.0, 1).backend)
    print(cnn_core.backend_info()["backend"], *cnn_core.backends.available())
"""
    process = run(code, "-W", "always", package=uncompiled)
    assert process.returncode == 0, process.stderr
    assert process.stdout.split() == ["numpy"] * 12
    assert process.stderr.count("BackendWarning") == 1
    assert "CNN_CORE_BACKEND=numpy" in process.stderr


def test_the_warning_can_be_made_an_error(uncompiled):
    code = """
import warnings, cnn_core
warnings.simplefilter("error")
cnn_core.backends.get()
"""
    message = refusal(code, "cnn_core.backends.BackendWarning", package=uncompiled)
    assert "without its compiled backend" in message


def test_the_reference_asked_for_by_name_gives_no_warning(uncompiled):
    assert info(package=uncompiled, CNN_CORE_BACKEND="numpy")["backend"] == "numpy"
    code = "import cnn_core; print(cnn_core.backends.get('numpy').name)"
    assert answer(code, package=uncompiled) == "numpy"


def test_the_compiled_backend_asked_for_by_name_where_it_was_not_built_is_an_error(uncompiled):
    unavailable = "cnn_core.backends.BackendUnavailableError"
    by_argument = "import cnn_core; cnn_core.NN(2, 2, 2, 1.0, 1, backend='cython')"
    for message in (
        refusal(by_argument, unavailable, package=uncompiled),
        refusal(INFO, unavailable, package=uncompiled, CNN_CORE_BACKEND="cython"),
    ):
        assert "built without it" in message
        assert "'numpy'" in message


# --- there, and broken


def replace(module: Path, contents: bytes) -> None:
    module.unlink()
    module.write_bytes(contents)


def make_empty(module: Path) -> None:
    replace(module, b"")


def cut_short(module: Path) -> None:
    replace(module, module.read_bytes()[:40])


def replace_by_text(module: Path) -> None:
    replace(module, b"not a library\n" * 100)


def remove(module: Path) -> None:
    module.unlink()


@pytest.mark.compiled
@pytest.mark.parametrize("variable", ["auto", "cython"])
@pytest.mark.parametrize(
    ("module", "damage"),
    [
        ("cpu", make_empty),
        ("cpu", cut_short),
        ("_cnn_core_shared", remove),
        ("kernels", make_empty),
        ("kernels", replace_by_text),
        ("kernels", remove),
        ("engine", cut_short),
        ("engine", remove),
        ("dense", remove),
    ],
)
def test_a_compiled_module_that_cannot_be_loaded_is_an_error_and_no_fallback(
    package: Path, module: str, damage: Callable[[Path], None], variable: str
):
    folder = package / "_native"
    if module not in ("cpu", "_cnn_core_shared"):
        folder /= f"{levels()[-1].replace('-', '_')}_float32"
    damage(folder / (module + COMPILED_SUFFIX))
    process = run(INFO, package=package, CNN_CORE_BACKEND=variable)
    assert process.returncode == 1
    assert process.stdout == ""
    assert "BackendWarning" not in process.stderr
    last = process.stderr.strip().splitlines()[-1]
    assert last.startswith(("ImportError: ", "ModuleNotFoundError: "))
    assert module in last


@pytest.mark.compiled
def test_a_broken_compiled_backend_does_not_hinder_the_reference(package: Path):
    make_empty(package / "_native" / ("cpu" + COMPILED_SUFFIX))
    code = "import cnn_core; print(cnn_core.NN(2, 2, 2, 1.0, 1, backend='numpy').backend)"
    assert answer(code, package=package) == "numpy"


# --- what backend_info reports


@pytest.mark.parametrize("name", BACKENDS)
def test_backend_info_is_json_and_its_modules_are_files_of_the_right_kind(name):
    found = backends.backend_info(name)
    assert json.loads(json.dumps(found)) == found
    assert found["backend"] == name
    assert found["available"] == list(backends.available())
    assert found["versions"]["numpy"] == np.__version__
    modules = dict(found["modules"])
    assert Path(modules.pop("cnn_core")) == Path(cnn_core.__file__)
    assert modules
    suffix = COMPILED_SUFFIX if name == "cython" else ".py"
    for path in modules.values():
        assert Path(path).is_file()
        assert path.endswith(suffix)


def test_the_reference_knows_no_compiler_and_no_level():
    found = backends.backend_info("numpy")
    assert (found["compiler"], found["versions"]["cython"]) == (None, None)
    assert (found["isa"], found["isa_built"], found["isa_detected"]) == ("numpy", [], [])
    assert not found["sanitized"]


@pytest.mark.compiled
def test_the_compiled_backend_names_its_compiler_and_cython():
    found = backends.backend_info("cython")
    assert found["compiler"].split()[0] in ("gcc", "clang")
    assert any(digit.isdigit() for digit in found["compiler"])
    assert found["versions"]["cython"].startswith("3.")


@pytest.mark.compiled
@pytest.mark.parametrize("asked_for", [1, 3, 40])
def test_the_environment_says_how_many_threads_there_are(asked_for):
    code = "import cnn_core; print(cnn_core.NN(2, 2, 2, 1.0, 1).n_threads)"
    assert info(CNN_CORE_NUM_THREADS=str(asked_for))["threads"] == asked_for
    assert int(answer(code, CNN_CORE_NUM_THREADS=str(asked_for))) == asked_for
    assert info(CNN_CORE_NUM_THREADS="3", CNN_CORE_BACKEND="numpy")["threads"] is None


@pytest.mark.compiled
def test_a_number_of_threads_that_makes_no_sense_is_refused_where_it_would_be_used(tmp_path: Path):
    path = str(tmp_path / "net")
    cnn_core.NN(2, 2, 2, 1.0, 1).save(path)
    for code in (
        INFO,
        "import cnn_core; cnn_core.NN(2, 2, 2, 1.0, 1)",
        f"import cnn_core; cnn_core.load({path!r})",
    ):
        message = refusal(code, "ValueError", CNN_CORE_NUM_THREADS="many")
        assert message.startswith("CNN_CORE_NUM_THREADS: expected a whole number")
    code = "import cnn_core; print(cnn_core.NN(2, 2, 2, 1.0, 1, n_threads=2).n_threads)"
    assert answer(code, CNN_CORE_NUM_THREADS="many") == "2"


@pytest.mark.compiled
def test_the_two_backends_share_no_operation(dtype):
    compiled = backends.get("cython").unchecked_kernels(dtype)
    reference = backends.get("numpy").unchecked_kernels(dtype)
    names = [name for name in vars(Kernels) if not name.startswith("_")]
    assert len(names) >= 8
    for name in names:
        assert getattr(compiled, name).__func__ is not getattr(reference, name)
        assert type(getattr(reference, name)).__name__ == "function"
    loops = [loop for name, loop in vars(compiled.loops).items() if callable(loop)]
    loops = [loop for loop in loops if loop.__module__ == compiled.loops.__name__]
    assert {"Alone", "multiply", "update"} <= {loop.__name__ for loop in loops}
    for loop in loops:
        assert isinstance(loop, type) or type(loop).__name__ == "cython_function_or_method"


@pytest.mark.compiled
def test_the_two_dtypes_share_no_operation():
    compiled = backends.get("cython")
    single, double = (compiled.unchecked_kernels(dtype) for dtype in (np.float32, np.float64))
    assert single.loops.multiply is not double.loops.multiply


# --- what an import costs


def test_importing_the_library_loads_none_of_the_optional_packages():
    code = """
import sys, cnn_core, cnn_core.cli
cnn_core.NN, cnn_core.Model, cnn_core.backends
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""
    loaded = set(answer(code).split())
    assert {"cnn_core", "numpy"} <= loaded
    assert not loaded & {"matplotlib", "platformdirs", "pooch", "rich", "scipy", "sklearn"}


def test_the_reference_loads_no_compiled_module_and_the_library_no_command_line():
    code = """
import sys, cnn_core
cnn_core.NN(2, 2, 2, 1.0, 1, backend="numpy").fit([[0.0, 1.0]], [1])
print(*sorted(name for name in sys.modules if name.startswith("cnn_core.")))
"""
    loaded = answer(code).split()
    assert "cnn_core.backends.numpy.engine" in loaded
    assert not [name for name in loaded if name.startswith(("cnn_core._native.", "cnn_core.cli"))]
