"""``python -m cnn_core.parity`` reports whether both backends agree on this machine."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from cnn_core import backends
from cnn_core.contracts import Kernels
from cnn_core.parity import __main__ as command
from cnn_core.parity import comparison
from cnn_core.parity.cases import Case, Inputs, cases
from installation import PURE

KERNELS = {name for name in vars(Kernels) if not name.startswith("_")}


def far_apart(backend: backends.Backend) -> tuple[np.ndarray]:
    return (np.array([1.0 if backend.name == "numpy" else 1.1]),)


def test_every_kernel_of_the_contract_is_compared_and_a_training(dtype):
    compared = {case.operation for case in cases(Inputs(dtype.name))}
    assert compared == KERNELS | {"training"}


@pytest.mark.compiled
def test_the_highest_level_agrees_and_is_reported(capsys):
    level = backends.backend_info("cython")["isa"]
    assert command.report([level], shows_all=False) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(level)
    assert "dense_forward" in printed
    assert "Both backends agree." in printed


@pytest.mark.compiled
@pytest.mark.parametrize("tolerance", [1e-6, 0.0])
def test_a_difference_beyond_the_tolerance_is_the_verdict(capsys, monkeypatch, tolerance):
    case = Case("activate", "relu", far_apart, lambda _: [tolerance])
    result = comparison.compare(case, "float64", backends.get("cython"))
    assert result.difference == pytest.approx(0.1)
    monkeypatch.setattr(command, "run_level_apart", lambda level: [result])
    assert command.report(["x86-64-v3"], shows_all=True) == 1
    printed = capsys.readouterr().out
    assert "EXCEEDED" in printed
    assert "DISAGREE" in printed


@pytest.mark.compiled
def test_nan_in_one_backend_alone_is_a_difference():
    def run(backend: backends.Backend) -> tuple[np.ndarray]:
        return (np.array([np.nan if backend.name == "cython" else 1.0]),)

    case = Case("activate", "relu", run, lambda _: [1.0])
    assert comparison.compare(case, "float32", backends.get("cython")).share == np.inf


@pytest.mark.compiled
def test_a_level_that_does_not_run_is_a_line_of_the_report(capsys):
    assert command.report(["x86-64-v9"], shows_all=False) == 1
    assert "ended with exit status 1" in capsys.readouterr().out


@pytest.mark.skipif(not PURE, reason="the compiled backend is there")
def test_without_the_compiled_backend_there_is_nothing_to_compare():
    process = subprocess.run(
        [sys.executable, "-m", "cnn_core.parity"], capture_output=True, text=True
    )
    assert process.returncode == 1
    assert process.stderr.startswith("Nothing to compare: ")
