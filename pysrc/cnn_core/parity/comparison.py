"""Run the cases on both backends: how far apart the results are, and how fast each is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np

from cnn_core import backends
from cnn_core.parity.cases import Case, Inputs, cases

DTYPES = ("float32", "float64")
SECONDS_PER_TIMING = 0.004
SECONDS_PER_LEVEL = 300
# One thread, so that the speed of both backends is that of one core.
ONE_THREAD = dict.fromkeys(("CNN_CORE_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Result:
    """The result of a case: the value nearest to its tolerance, and the speed."""

    operation: str
    variant: str
    dtype: str
    difference: float
    tolerance: float
    speed: float

    @property
    def share(self) -> float:
        """How much of the tolerance is used up; above 1 it is exceeded."""
        if self.difference == 0:
            return 0.0
        if not np.isfinite(self.difference) or self.tolerance == 0:
            return np.inf
        return self.difference / self.tolerance


def compare(case: Case, dtype: str, compiled: backends.Backend) -> Result:
    """Run a case on both backends."""
    reference = backends.get("numpy")
    found, expected = case.run(compiled), case.run(reference)
    worst = (0.0, 0.0)
    used_up = -1.0
    for own, wanted, allowed in zip(found, expected, case.allowed(expected), strict=True):
        difference = np.abs(own.astype(np.float64) - wanted)
        # NaN for NaN, infinity for infinity are equal.
        difference[(own == wanted) | (np.isnan(own) & np.isnan(wanted))] = 0
        limit = np.broadcast_to(np.asarray(allowed, np.float64), difference.shape)
        share = np.divide(difference, limit, out=difference * np.inf, where=limit > 0)
        share[difference == 0] = 0
        share[np.isnan(share)] = np.inf
        if share.size and share.max() > used_up:
            used_up = float(share.max())
            at = np.unravel_index(np.argmax(share), share.shape)
            worst = float(difference[at]), float(limit[at])
    speed = seconds(case, reference) / seconds(case, compiled)
    return Result(case.operation, case.variant, dtype, *worst, speed)


def seconds(case: Case, backend: backends.Backend) -> float:
    """Return the least time that a run takes."""
    end = time.perf_counter() + SECONDS_PER_TIMING
    least = np.inf
    while True:
        begun = time.perf_counter()
        case.run(backend)
        now = time.perf_counter()
        least = min(least, now - begun)
        if now > end:
            return least


def run_level() -> list[Result]:
    """Compare everything at the ISA level of this process."""
    compiled = backends.get("cython")
    with np.errstate(all="ignore"):
        return [compare(case, dtype, compiled) for dtype in DTYPES for case in cases(Inputs(dtype))]


def run_level_apart(level: str) -> list[Result] | str:
    """Compare everything at `level` in a new process; return why if that does not end well."""
    try:
        process = subprocess.run(
            [sys.executable, "-m", "cnn_core.parity", "--one-level"],
            env={**os.environ, **ONE_THREAD, "CNN_CORE_ISA": level},
            capture_output=True,
            text=True,
            timeout=SECONDS_PER_LEVEL,
        )
    except subprocess.TimeoutExpired:
        return f"did not end within {SECONDS_PER_LEVEL} s"
    if process.returncode:
        last = (process.stderr.strip() or "no message").splitlines()[-1]
        return f"ended with exit status {process.returncode}: {last}"
    return [Result(**row) for row in json.loads(process.stdout)]
