"""Files larger than the memory of a process: written, trained on and removed."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import scale_workers
from cnn_core import MLPClassifier
from cnn_core.sharding.blocks import BLOCK_BYTES

COLUMNS, FILE_ROWS = 28, 2_000_000
SETTINGS: dict[str, Any] = {
    "hidden_layer_sizes": (32,),
    "batch_size": 512,
    "max_iter": 1,
    "schedule": "one_cycle",
    "learning_rate_init": 0.004,
    "random_state": 0,
}


def run(gigabytes: float, limit: float, folder: Path) -> None:
    """Train an epoch on generated files, within a limit; print time and the peak of memory.

    Parameters
    ----------
    gigabytes : float
        Of the files, in units of 10^9 bytes.
    limit : float
        Of the process's own memory, likewise (``RLIMIT_DATA``).
    folder : Path
        Where the files are for the time being.
    """
    resource.setrlimit(resource.RLIMIT_DATA, (int(limit * 1e9),) * 2)
    n_files = -(-int(gigabytes * 1e9) // (FILE_ROWS * COLUMNS * 4))
    folder.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(dir=folder))
    try:
        began = time.perf_counter()
        xs, ys = zip(*(_write(place, number) for number in range(n_files)), strict=True)
        size = sum(path.stat().st_size for path in xs)
        written = time.perf_counter() - began
        print(f"{size / 1e9:.1f} GB in {n_files} files, limit {limit:g} GB, wrote {written:.0f} s")
        model = MLPClassifier(**SETTINGS, n_threads=1)
        before = scale_workers.peak()
        began = time.perf_counter()
        model.fit(list(xs), list(ys))
        seconds = time.perf_counter() - began
        rows = n_files * FILE_ROWS
        speed = f"{seconds:.0f} s with the first look, {rows / seconds:,.0f} rows/s"
        print(f"an epoch of {rows:,} rows: {speed}")
        peak = scale_workers.peak()
        print(
            f"loss {model.loss_:.4f}, peak RSS {peak:.0f} MB, {peak - before:.0f} MB above what "
            f"imports and writing the files took before; a block has {BLOCK_BYTES / 1e6:.1f} MB",
            flush=True,
        )
        subprocess.run([sys.executable, scale_workers.__file__, str(place)], check=True)
    finally:
        shutil.rmtree(place)


def _write(place: Path, number: int) -> tuple[Path, Path]:
    random = np.random.default_rng(number)
    paths = place / f"x-{number}.npy", place / f"y-{number}.npy"
    shape = (FILE_ROWS, COLUMNS)
    with open(paths[0], "wb") as file:
        described = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, described)
        classes = []
        for _ in range(0, FILE_ROWS, FILE_ROWS // 20):
            x = random.standard_normal((FILE_ROWS // 20, COLUMNS), np.float32)
            classes.append((x[:, 0] * x[:, 1] + x[:, 2] > 0).astype(np.int8))
            x.tofile(file)
    np.save(paths[1], np.concatenate(classes))
    return paths
