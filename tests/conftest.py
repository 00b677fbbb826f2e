"""What the tests share: fixtures, the installation under test, and which tests are slow.

The suite runs against the installed package. With CNN_CORE_TEST_PURE=1 that is an installation
without the compiled backend: the tests marked `compiled` are left out, and so are those that name
their backend, which run with the same files beside the compiled one; what remains takes the backend
that the installation chooses. Without it the compiled backend has to be there: a missing extension
is an error, never a skip. With CNN_CORE_TEST_SANITIZED=1 it has to be a build that checks every
access to memory.
"""

from __future__ import annotations

import csv
import gc
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import cnn_core
from cnn_core import backends
from command_line import succeed
from covering import covering_rows, pairs
from installation import BACKENDS, PURE, SANITIZED
from paths import SOURCES

# How much hypothesis draws: in the default run, and in the one that leaves nothing out.
EXAMPLES = {
    "derandomize": True,
    "deadline": None,
    "database": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}
settings.register_profile("quick", max_examples=24, **EXAMPLES)
settings.register_profile("every", max_examples=160, **EXAMPLES)
# A product with fewer rows is run as a whole.
LEAST_COVERED = 24

DTYPES = (np.float32, np.float64)


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("quick" if "not slow" in config.option.markexpr else "every")
    if getattr(cnn_core, "__file__", None) is None:
        raise pytest.UsageError(
            "cnn_core is not installed: the sources' folder was imported instead; run `make test`"
        )
    if set(backends.available()) != set(BACKENDS):
        raise pytest.UsageError(
            f"expected the backends {BACKENDS}, found {backends.available()} in {cnn_core.__file__}"
        )
    if not PURE and backends.backend_info("cython")["sanitized"] != SANITIZED:
        raise pytest.UsageError(
            f"expected CNN_CORE_SANITIZE={int(SANITIZED)}, found the other build"
        )


def pytest_report_header() -> list[str]:
    lines = [f"cnn_core: {cnn_core.__file__}"]
    for name in BACKENDS:
        info = backends.backend_info(name)
        lines.append(f"backend {name}: {info['isa']}, {', '.join(info['modules'].values())}")
    return lines


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Let the garbage collector neither search the tests while they are made nor ever after."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    mark_rows_beyond_covering_arrays(items)
    if PURE:
        left_out = [item for item in items if is_told_by_the_compiled_installation(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not is_told_by_the_compiled_installation(item)]


def is_told_by_the_compiled_installation(item: pytest.Item) -> bool:
    """Tell whether a test needs the compiled backend or says itself which one it takes."""
    names_backend = hasattr(item, "callspec") and "backend" in item.callspec.params
    return names_backend or item.get_closest_marker("compiled") is not None


def mark_rows_beyond_covering_arrays(items: list[pytest.Item]) -> None:
    """Mark as slow what the tests marked `covering` do beyond a covering array."""
    products: dict[tuple[str, Any], list[pytest.Item]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("covering") and hasattr(item, "callspec"):
            products[item.nodeid.partition("[")[0], item.function].append(item)
    for rows in products.values():
        if len(rows) >= LEAST_COVERED:
            chosen = covering_rows([goals_of(item) for item in rows])
            for index in set(range(len(rows))) - set(chosen):
                rows[index].add_marker(pytest.mark.slow)


def goals_of(item: pytest.Item) -> Iterable[Hashable]:
    """Return what its marker says, or the pairs of its parameters; backend and dtype are one."""
    values = item.callspec.params
    if goals := item.get_closest_marker("covering").kwargs.get("goals"):
        return goals(**values)
    shown = {name: repr(values[name]) for name in sorted(values)}
    kernels = shown.pop("backend", "") + shown.pop("dtype", "")
    return pairs([kernels, *shown.values()])


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> backends.Backend:
    return backends.get(request.param)


@pytest.fixture
def name(backend: backends.Backend) -> str:
    """Name of the backend, as the library's users say which one they want."""
    return backend.name


@pytest.fixture(params=DTYPES, ids=lambda dtype: np.dtype(dtype).name)
def dtype(request: pytest.FixtureRequest) -> np.dtype:
    return np.dtype(request.param)


@pytest.fixture
def kernels(backend: backends.Backend, dtype: np.dtype) -> Any:
    return backend.kernels(dtype)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20260101)


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with the default preset."""
    folder = tmp_path_factory.mktemp("digits") / "run"
    succeed("train", "--data", "digits", "--epochs", 40, "--out", folder, "--quiet")
    return folder


@pytest.fixture(scope="session")
def nn_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run whose model is an `NN`."""
    folder = tmp_path_factory.mktemp("nn") / "run"
    arguments = ("--data", "digits", "--preset", "nn", "--epochs", 40, "--no-plots")
    succeed("train", *arguments, "--out", folder, "--quiet")
    return folder


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    """A table with named columns and named classes, its features on very different scales."""
    rng = np.random.default_rng(5)
    path = tmp_path / "flowers.csv"
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["length", "kind", "weight"])
        for number in range(60):
            kind = ("lily", "rose", "tulip")[number % 3]
            at = number % 3
            writer.writerow([1000 + 10 * at + rng.normal(), kind, 0.01 * at + 1e-3 * rng.normal()])
    return path


@pytest.fixture(scope="session")
def source_tree() -> Path:
    assert (SOURCES / "setup.py").exists()
    return SOURCES
