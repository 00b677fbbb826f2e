"""Measure one contender: a job comes as an argument, what was measured goes to the output."""

from __future__ import annotations

import importlib
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from images import CONTENDERS
from images.work import Contender, Floats, Job, reference_outputs, samples
from race.timing import repeated

_SECONDS, _MOST_EPOCHS, _MOST_CALLS = 1.5, 8, 5000
# Images of the check, and how far outputs may be from those in float64. Where a gradient is nearly
# 0 the direction of Adam is rounding, which leaves up to 3e-3 after three steps; a learning rate
# that is off by a twentieth makes 3e-2.
_CHECKED, _TOLERANCE = 192, 5e-3


def main() -> None:
    """Check, then time; print the outcome as the last line."""
    job = Job(**json.loads(sys.argv[1]))
    if job.contender == "memory":
        outcome: dict[str, Any] = {"title": "cnn_core", "value": _memory(job)}
    else:
        difference = _difference(job)
        if difference > _TOLERANCE:
            raise SystemExit(f"INVALID, not timed: outputs differ by {difference:.2g}")
        contender = _made(job, *samples(job.images))
        work = contender.train_epoch if job.batch_size else contender.predict
        work()
        most = _MOST_EPOCHS if job.batch_size else _MOST_CALLS
        seconds = sorted(repeated(work, most, _SECONDS))
        # The least of epochs, the median of calls.
        best = seconds[0] if job.batch_size else seconds[len(seconds) // 2]
        outcome = {
            "title": contender.title,
            "value": best * 1e6 / job.images,
            "seconds": seconds[:100],
            "difference": difference,
        }
    print("\n" + json.dumps(outcome))


def _made(job: Job, x: Floats, labels: Any) -> Contender:
    module, name, _ = CONTENDERS[job.contender]
    contender: Contender = getattr(importlib.import_module(f"images.{module}"), name)(
        job, x, labels
    )
    return contender


def _difference(job: Job) -> float:
    """Return the largest difference from the reference, after some steps if it trains."""
    x, labels = samples(_CHECKED)
    if not job.batch_size:
        x, labels = x[: job.images], labels[: job.images]
    contender = _made(job, x, labels)
    if job.batch_size:
        contender.train_epoch()
    found = np.abs(contender.outputs() - reference_outputs(job, x, labels)).max()
    return float(found)


def _memory(job: Job) -> float:
    """Return the kilobytes that an image of a batch takes, by the peaks with two batches."""
    x, labels = samples(job.images)
    peaks = []
    for batch_size in (job.batch_size // 4, job.batch_size):
        _made(replace(job, contender="cython", batch_size=batch_size), x, labels).train_epoch()
        peaks.append(_peak())
    return (peaks[1] - peaks[0]) / (job.batch_size - job.batch_size // 4)


def _peak() -> float:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    found = re.search(r"VmHWM:\s+(\d+)", status)
    return float(found[1]) if found else float("nan")


if __name__ == "__main__":
    main()
