"""Files larger than the memory that a process may have."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fit_on_files

ROWS, COLUMNS = 1_000_000, 50
LIMIT = 60


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit is one of Linux")
def test_a_fit_takes_less_memory_than_its_files(tmp_path: Path) -> None:
    x, y = tmp_path / "x.npy", tmp_path / "y.npy"
    written = np.lib.format.open_memmap(x, "w+", np.float32, (ROWS, COLUMNS))
    random = np.random.default_rng(0)
    for start in range(0, ROWS, 50_000):
        written[start : start + 50_000] = random.standard_normal((50_000, COLUMNS), np.float32)
    np.save(y, written[:, 0].astype(np.float32))
    del written
    assert x.stat().st_size > 190 * 2**20
    words = [fit_on_files.__file__, str(LIMIT), str(x), str(y)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
    # Two blocks of 16 MiB, an order of the rows and their targets.
    assert int(done.stdout) < 42 * 2**20


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit is one of Linux")
def test_the_limit_is_one(tmp_path: Path) -> None:
    x, y = tmp_path / "x.npy", tmp_path / "y.npy"
    np.save(x, np.zeros((10_000, COLUMNS), np.float32))
    np.save(y, np.zeros(10_000, np.float32))
    words = [fit_on_files.__file__, "1", str(x), str(y)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    assert "MemoryError" in done.stderr
