"""What a training on a file takes above its imports, for each kind of file, and how long it takes.

    python bench/scale_parquet.py [--rows 2000000] [--folder DIR]

Each kind is trained on in a process of its own; a tiny fit before has imported what it needs. The
rows are those of `bench/scale_memory.py`: two blocks of 16.8 MB are in memory at a time.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from scale_memory import COLUMNS, SETTINGS
from scale_workers import peak

KINDS = ("npy", "parquet float32", "parquet float64", "parquet float64 as float32")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--kind", choices=KINDS)
    args = parser.parse_args()
    if args.kind:
        _train(args.kind, args.rows, args.folder)
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        for kind in KINDS:
            words = ["--kind", kind, "--rows", str(args.rows), "--folder", folder]
            _write(kind, args.rows, Path(folder))
            subprocess.run([sys.executable, __file__, *words], check=True)


def _write(kind: str, n: int, folder: Path, name: str = "rows") -> tuple[Any, Any]:
    """Write a file of a kind, unless it is there; return what `fit` takes."""
    stored = "float64" if "float64" in kind else "float32"
    path = folder / f"{name}-{stored}.{kind.split()[0]}"
    y = folder / f"{name}-y.npy"
    if not path.exists():
        X = np.random.default_rng(0).standard_normal((n, COLUMNS), np.float32)
        labels = (X[:, 0] * X[:, 1] + X[:, 2] > 0).astype(np.int8)
        if kind == "npy":
            np.save(path, X)
            np.save(y, labels)
        else:
            import pandas as pd

            frame = pd.DataFrame(X.astype(stored), columns=[f"c{i}" for i in range(COLUMNS)])
            frame.assign(target=labels).to_parquet(path)
    return path, y if kind == "npy" else "target"


def _train(kind: str, n: int, folder: Path) -> None:
    from cnn_core import MLPClassifier

    settings = {**SETTINGS, "dtype": "float32" if kind.endswith("as float32") else None}
    MLPClassifier(**settings, n_threads=1).fit(*_write(kind, 2000, folder, "few"))
    files = _write(kind, n, folder)
    model = MLPClassifier(**settings, n_threads=1)
    before, began = peak(), time.perf_counter()
    model.fit(*files)
    seconds = time.perf_counter() - began
    bits = hashlib.sha256(model.model_.parameters.tobytes()).hexdigest()[:8]
    above = peak() - before
    print(f"{kind:<26} {above:5.0f} MB above {before:.0f} MB, {seconds:5.1f} s, bits {bits}")


if __name__ == "__main__":
    main()
